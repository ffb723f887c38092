//! Transactions.

use std::time::Duration;

use asyncio_core::{Result, TimeoutError};
use asyncio_db::pg::{Connection, InterfaceError, IsolationLevel};
use asyncio_db::{ExceptionExt as _, exc};
use futures::StreamExt as _;

use crate::support::{error_of, everywhere};

async fn setting(connection: &mut Connection, name: &str) -> Result<String> {
    let query = format!("SELECT current_setting('{name}')");
    Ok(connection.fetchval(&query, ()).await?.unwrap_or_default())
}

#[test]
fn they_are_as_they_are_asked_for() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        for (level, name) in [
            (IsolationLevel::ReadUncommitted, "read uncommitted"),
            (IsolationLevel::ReadCommitted, "read committed"),
            (IsolationLevel::RepeatableRead, "repeatable read"),
            (IsolationLevel::Serializable, "serializable"),
        ] {
            let transaction = connection.transaction().isolation(level);
            let mut transaction = transaction.readonly(true).deferrable(true).await?;
            assert_eq!(
                setting(&mut transaction, "transaction_isolation").await?,
                name
            );
            assert_eq!(
                setting(&mut transaction, "transaction_read_only").await?,
                "on"
            );
            assert_eq!(
                setting(&mut transaction, "transaction_deferrable").await?,
                "on"
            );
            assert!(transaction.is_in_transaction());
            drop(transaction.transaction().isolation(level).await?);
            let other = match level {
                IsolationLevel::Serializable => IsolationLevel::ReadCommitted,
                _ => IsolationLevel::Serializable,
            };
            error_of::<InterfaceError>(transaction.transaction().isolation(other).await);
            let written = transaction.execute("CREATE TABLE nothing ()", ()).await;
            let error = written.expect_err("it may only read");
            assert!(error.is_pg::<exc::ReadOnlySQLTransactionError>());
            transaction.rollback().await?;
            assert!(!connection.is_in_transaction());
        }
        Ok(())
    })
}

#[test]
fn one_that_has_failed_is_not_said_to_be_committed() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let mut transaction = connection.transaction().await?;
        assert!(transaction.execute("SELECT 1/0", ()).await.is_err());
        let error = transaction.commit().await.expect_err("it has failed");
        assert!(
            error.is_pg::<exc::InFailedSQLTransactionError>(),
            "{error:?}"
        );
        assert!(!connection.is_in_transaction());
        // A savepoint saves the transaction around it.
        let mut outer = connection.transaction().await?;
        let mut inner = outer.transaction().await?;
        assert!(inner.execute("SELECT 1/0", ()).await.is_err());
        inner.rollback().await?;
        assert_eq!(outer.fetchval("SELECT 2", ()).await?, Some(2));
        outer.commit().await
    })
}

#[test]
fn one_that_was_begun_by_hand_is_left_alone() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection.execute("BEGIN", ()).await?;
        error_of::<InterfaceError>(connection.transaction().await);
        assert!(connection.is_in_transaction());
        connection.execute("COMMIT", ()).await?;
        let mut transaction = connection.transaction().await?;
        transaction.execute("COMMIT", ()).await?;
        drop(transaction);
        connection.transaction().await?.commit().await
    })
}

#[test]
fn a_session_is_put_back() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        assert!(connection.get_server_version().major >= 10);
        connection
            .execute("SET lock_timeout = 7; BEGIN", ())
            .await?;
        connection.reset().await?;
        assert!(!connection.is_in_transaction());
        assert_eq!(setting(&mut connection, "lock_timeout").await?, "0");
        Ok(())
    })
}

#[test]
fn a_cursor_needs_one() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        error_of::<InterfaceError>(connection.cursor("SELECT 1", ()).await);
        let portals = "SELECT count(*) FROM pg_cursors";
        let mut transaction = connection.transaction().await?;
        let mut cursor = transaction
            .cursor("SELECT generate_series(1, 10)", ())
            .await?;
        assert_eq!(cursor.fetch(3).await?.len(), 3);
        drop(cursor);
        let left: Option<i64> = transaction.fetchval(portals, ()).await?;
        assert_eq!(left, Some(1), "that of the question alone");
        transaction.commit().await
    })
}

#[test]
fn a_stream_is_one_for_everybody() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let rows = connection
            .stream("SELECT generate_series(1, $1::int)", (1000,))
            .await?;
        let sum = rows.map(|row| row.and_then(|row| row.get::<i32>(0)));
        let sum: Vec<i32> = sum
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect::<Result<_>>()?;
        assert_eq!(sum.iter().sum::<i32>(), 500_500);
        let mut rows = connection
            .stream("SELECT 1 / (5 - generate_series(1, 10))", ())
            .await?;
        let mut good = 0;
        let error = loop {
            match rows.next().await {
                Ok(Some(_)) => good += 1,
                Ok(None) => panic!("it divides by zero"),
                Err(error) => break error,
            }
        };
        assert!(error.is_pg::<exc::DivisionByZeroError>());
        assert_eq!(good, 4);
        assert!(rows.next().await?.is_none());
        drop(rows);
        assert_eq!(connection.fetchval("SELECT 1", ()).await?, Some(1));
        // One that is forgotten, and never dropped, is found out.
        let mut rows = connection
            .stream("SELECT generate_series(1, 1000000)", ())
            .await?;
        assert!(rows.next().await?.is_some());
        std::mem::forget(rows);
        assert_eq!(connection.fetchval("SELECT 1", ()).await?, Some(1));
        Ok(())
    })
}

#[test]
fn an_operation_has_its_time_limit() -> Result<()> {
    everywhere(|server| async move {
        let limit = Duration::from_millis(100);
        let mut connection = server.connect().command_timeout(limit).await?;
        for _ in 0..3 {
            error_of::<TimeoutError>(connection.execute("SELECT pg_sleep(60)", ()).await);
            error_of::<TimeoutError>(connection.fetch("SELECT pg_sleep($1)", (60.0,)).await);
            connection.settle().await?;
            assert!(!connection.is_in_transaction());
        }
        Ok(())
    })
}

/// Rows that stop coming are waited for no longer than any other answer.
#[test]
fn each_row_of_a_stream_has_the_time_limit() -> Result<()> {
    everywhere(|server| async move {
        let limit = Duration::from_millis(1500);
        let mut connection = server.connect().command_timeout(limit).await?;
        // So long that they are sent at once.
        let query = "SELECT repeat('x', 20000), CASE WHEN n = 3 THEN pg_sleep(60) END \
                     FROM generate_series(1, 5) n";
        let mut rows = connection.stream(query, ()).await?;
        assert!(rows.next().await?.is_some());
        let ended = loop {
            match rows.next().await {
                Ok(Some(_)) => {}
                ended => break ended,
            }
        };
        error_of::<TimeoutError>(ended);
        assert!(rows.next().await?.is_none());
        drop(rows);
        assert_eq!(connection.fetchval("SELECT 1", ()).await?, Some(1));
        Ok(())
    })
}

#[test]
fn where_there_is_no_task_of_ours() -> Result<()> {
    let Some(cluster) = crate::support::cluster() else {
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut connection = asyncio_db::pg::connect(cluster.dsn()).await?;
        for _ in 0..5 {
            let sleeping = connection.execute("SELECT pg_sleep(60)", ());
            assert!(
                tokio::time::timeout(Duration::from_millis(5), sleeping)
                    .await
                    .is_err()
            );
            assert_eq!(connection.fetchval("SELECT 1", ()).await?, Some(1));
        }
        let pool = asyncio_db::pg::create_pool(cluster.dsn())
            .min_size(1)
            .max_size(2)
            .await?;
        let queries = (0..10).map(|n| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.fetchval::<i32>("SELECT $1::int", (n,)).await })
        });
        for (n, query) in queries.collect::<Vec<_>>().into_iter().enumerate() {
            let same = query.await.expect("it does not panic")?;
            assert_eq!(same, i32::try_from(n).ok());
        }
        pool.close().await
    })
}

#[test]
fn a_task_of_tokios_on_the_loop() -> Result<()> {
    let Some(cluster) = crate::support::cluster() else {
        return Ok(());
    };
    asyncio_core::run(async {
        let pool = asyncio_db::pg::create_pool(cluster.dsn())
            .min_size(0)
            .max_size(1)
            .command_timeout(Duration::from_millis(100))
            .await?;
        let foreign = tokio::spawn(async move {
            error_of::<TimeoutError>(pool.execute("SELECT pg_sleep(60)", ()).await);
            let both = [pool.clone(), pool]
                .map(|pool| async move { pool.fetchval::<i32>("SELECT 1", ()).await });
            for one in futures::future::join_all(both).await {
                assert_eq!(one?, Some(1));
            }
            Ok(())
        });
        foreign.await.expect("it does not panic")
    })
}
