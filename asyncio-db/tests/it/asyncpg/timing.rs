//! asyncpg's `test_timeout.py`, `test_cancellation.py`, `test_adversity.py` and `test_exceptions.py`.

use std::time::Duration;

use asyncio_core::{Result, TimeoutError, create_task, sleep, timeout};
use asyncio_db::pg::{Connection, InterfaceError, PoolTimeoutError, create_pool};
use asyncio_db::testing::{Cut, Direction, FaultProxy};
use asyncio_db::{ExceptionExt as _, PgError, exc};

use crate::support::{error_of, everywhere};

async fn is_well(connection: &mut Connection) -> Result<()> {
    assert_eq!(connection.fetchval("SELECT 10", ()).await?, Some(10));
    Ok(())
}

/// `test_timeout_01`, `test_timeout_02`, `test_timeout_03`, `test_timeout_04`, `test_timeout_05`: whatever
/// it is that takes too long.
#[test]
fn whatever_takes_too_long_is_stopped() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        for _ in 0..3 {
            error_of::<TimeoutError>(
                timeout(0.05, connection.execute("SELECT pg_sleep(60)", ())).await,
            );
            is_well(&mut connection).await?;
            let asked = connection.fetch("SELECT pg_sleep($1::float8)", (60.0,));
            error_of::<TimeoutError>(timeout(0.05, asked).await);
            is_well(&mut connection).await?;
        }
        let statement = connection.prepare("SELECT pg_sleep(60)").await?;
        error_of::<TimeoutError>(timeout(0.05, connection.fetch(&statement, ())).await);
        is_well(&mut connection).await?;
        let mut transaction = connection.transaction().await?;
        let mut cursor = transaction.cursor(&statement, ()).await?;
        error_of::<TimeoutError>(timeout(0.05, cursor.next()).await);
        drop(cursor);
        drop(transaction);
        is_well(&mut connection).await?;
        // A limit that is over at once stops what has not begun.
        error_of::<TimeoutError>(timeout(0.0, connection.execute("SELECT pg_sleep(60)", ())).await);
        is_well(&mut connection).await
    })
}

/// `test_timeout_06`, `test_command_timeout_01`, `test_timeout_covers_prepare_01`.
#[test]
fn a_command_has_its_limit() -> Result<()> {
    everywhere(|server| async move {
        let limit = Duration::from_millis(200);
        let mut connection = server.connect().command_timeout(limit).await?;
        error_of::<TimeoutError>(connection.execute("SELECT pg_sleep(60)", ()).await);
        is_well(&mut connection).await?;
        for _ in 0..2 {
            let asked = connection
                .fetchval::<String>("SELECT $1::text || pg_sleep(60)", ("x",))
                .await;
            error_of::<TimeoutError>(asked);
            is_well(&mut connection).await?;
        }
        error_of::<TimeoutError>(
            connection
                .executemany("SELECT pg_sleep($1::float8)", [(60.0,)])
                .await,
        );
        is_well(&mut connection).await?;
        // Preparing counts too: here it waits for a lock.
        let mut other = server.connection().await?;
        other
            .execute(
                "DROP TABLE IF EXISTS locked; CREATE TABLE locked (a int)",
                (),
            )
            .await?;
        let mut transaction = other.transaction().await?;
        transaction.execute("LOCK TABLE locked", ()).await?;
        error_of::<TimeoutError>(connection.fetch("SELECT * FROM locked", ()).await);
        transaction.rollback().await?;
        is_well(&mut connection).await?;
        other.execute("DROP TABLE locked", ()).await?;
        Ok(())
    })
}

/// `test_cancellation_01`, `test_cancellation_02`, `test_cancellation_03`, `test_cancellation_04`.
#[test]
fn whatever_is_cancelled_leaves_the_connection_fit() -> Result<()> {
    everywhere(|server| async move {
        for kind in 0..6 {
            let mut connection = server.connection().await?;
            let task = create_task(async move {
                let statement = connection.prepare("SELECT pg_sleep(60)").await?;
                let outcome = match kind {
                    0 => connection
                        .execute("SELECT pg_sleep(60)", ())
                        .await
                        .map(drop),
                    1 => connection.fetch("SELECT pg_sleep(60)", ()).await.map(drop),
                    2 => connection.fetch(&statement, ()).await.map(drop),
                    3 => connection.fetchval::<i32>(&statement, ()).await.map(drop),
                    4 => {
                        connection
                            .executemany("SELECT pg_sleep($1::float8)", [(60.0,)])
                            .await
                    }
                    _ => sleep(60.0).await,
                };
                is_well(&mut connection).await?;
                assert!(outcome.is_err_and(|error| error.is_cancelled()));
                Ok(())
            });
            sleep(0.05).await?;
            task.cancel();
            timeout(60, task).await?;
        }
        Ok(())
    })
}

/// `test_connection_close_timeout`, `test_pool_acquire_timeout`: a network that has gone.
#[test]
fn a_network_that_has_gone_holds_nobody_up() -> Result<()> {
    everywhere(|server| async move {
        let proxy = FaultProxy::to_cluster(server.cluster)?;
        let dsn = proxy.dsn_of("postgres", "postgres");
        let mut connection = asyncio_db::pg::connect(&dsn)
            .cancel_timeout(Duration::from_millis(200))
            .await?;
        let pool = create_pool(&dsn)
            .min_size(0)
            .max_size(1)
            .acquire_timeout(Some(Duration::from_millis(300)))
            .await?;
        is_well(&mut connection).await?;
        proxy.black_hole(Direction::Both);
        error_of::<PoolTimeoutError>(pool.acquire().await);
        error_of::<TimeoutError>(timeout(0.1, connection.execute("SELECT 1", ())).await);
        timeout(60, connection.close()).await?;
        proxy.heal();
        pool.terminate();
        Ok(())
    })
}

/// `test_pool_release_timeout`, `test_pool_handles_abrupt_connection_loss`.
#[test]
fn a_pool_survives_sessions_that_are_cut() -> Result<()> {
    everywhere(|server| async move {
        let proxy = FaultProxy::to_cluster(server.cluster)?;
        let pool = create_pool(proxy.dsn_of("postgres", "postgres"))
            .min_size(3)
            .max_size(3)
            .await?;
        let mut workers = Vec::new();
        for number in 0..9 {
            let pool = pool.clone();
            workers.push(create_task(async move {
                let mut failed = 0;
                for round in 0..20 {
                    match pool.fetchval("SELECT $1::int", (number * round,)).await {
                        Ok(answer) => assert_eq!(answer, Some(number * round)),
                        Err(error) => {
                            assert!(!error.is_cancelled());
                            failed += 1;
                            sleep(0.002).await?;
                        }
                    }
                }
                Ok(failed)
            }));
        }
        for _ in 0..5 {
            sleep(0.005).await?;
            proxy.cut(Direction::Both, Cut::Reset);
        }
        for worker in workers {
            timeout(60, worker).await?;
        }
        proxy.heal();
        assert_eq!(timeout(60, pool.fetchval("SELECT 1", ())).await?, Some(1));
        pool.close().await
    })
}

/// `test_exceptions_unpacking`, `test_exceptions_str`: what the server says of an error, and where.
#[test]
fn an_error_has_all_that_the_server_says() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let failed = connection.execute("SELECT * FROM _nosuchtable_", ()).await;
        let error = failed.expect_err("there is none");
        assert!(error.is_pg::<exc::UndefinedTableError>());
        let told: &PgError = error.downcast_ref().expect("it is one");
        assert_eq!((told.sqlstate(), told.severity()), ("42P01", Some("ERROR")));
        assert_eq!(told.message(), "relation \"_nosuchtable_\" does not exist");
        assert!(
            error
                .to_string()
                .contains("relation \"_nosuchtable_\" does not exist")
        );
        let raise = "DO $$ BEGIN RAISE EXCEPTION USING MESSAGE = 'm', DETAIL = 'd', HINT = 'h',
                     ERRCODE = '42501'; END $$";
        let error = connection
            .execute(raise, ())
            .await
            .expect_err("it is raised");
        let told: &PgError = error.downcast_ref().expect("it is one");
        assert_eq!((told.detail(), told.hint()), (Some("d"), Some("h")));
        assert!(error.is_pg::<exc::InsufficientPrivilegeError>());
        error_of::<InterfaceError>(connection.fetchval::<i32>("SELECT $1::int", ()).await);
        Ok(())
    })
}
