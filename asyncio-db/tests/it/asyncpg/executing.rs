//! asyncpg's `test_execute.py` and `test_utils.py`.

use asyncio_core::{Result, TimeoutError, create_task, sleep, timeout};
use asyncio_db::pg::{Connection, EncodeError, InterfaceError};
use asyncio_db::{ExceptionExt as _, PgError, exc};

use crate::support::{Server, error_of, everywhere};

async fn table(server: &Server) -> Result<Connection> {
    let mut connection = server.connection().await?;
    connection
        .execute("CREATE TEMP TABLE exmany (a text, b int PRIMARY KEY)", ())
        .await?;
    Ok(connection)
}

async fn rows(connection: &mut Connection) -> Result<Vec<(String, i32)>> {
    let rows = connection
        .fetch("SELECT * FROM exmany ORDER BY b", ())
        .await?;
    rows.iter().map(|row| row.to()).collect()
}

/// `test_execute_script_1`, `test_execute_script_2`, `test_execute_script_3`.
#[test]
fn scripts_say_what_their_last_command_has_done() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let script = "CREATE TEMP TABLE mytab (i int); INSERT INTO mytab (i) VALUES (1), (2)";
        assert_eq!(connection.execute(script, ()).await?, "INSERT 0 2");
        let script = "SELECT 1; SELECT true FROM pg_type WHERE false = true; SELECT 2";
        assert_eq!(connection.execute(script, ()).await?, "SELECT 1");
        assert_eq!(connection.execute("", ()).await?, "");
        assert_eq!(
            connection
                .execute("CREATE TEMP TABLE t AS SELECT 1", ())
                .await?,
            "SELECT 1"
        );
        let failed = connection
            .execute("SELECT 1; SELECT 1 / 0; SELECT 2", ())
            .await;
        assert!(
            failed
                .expect_err("by zero")
                .is_pg::<exc::DivisionByZeroError>()
        );
        assert_eq!(connection.fetchval("SELECT 10", ()).await?, Some(10));
        Ok(())
    })
}

/// `test_execute_script_check_transactionality`.
#[test]
fn a_script_counts_as_a_whole() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection
            .execute("CREATE TEMP TABLE mytab (i int)", ())
            .await?;
        let script = "INSERT INTO mytab (i) VALUES (1), (2); SELECT 1 / 0";
        assert!(connection.execute(script, ()).await.is_err());
        assert!(
            connection
                .fetch("SELECT * FROM mytab", ())
                .await?
                .is_empty()
        );
        Ok(())
    })
}

/// `test_execute_exceptions_1`.
#[test]
fn a_script_with_an_error_says_which() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let failed = connection.execute("SELECT * FROM _no_table", ()).await;
        let error = failed.expect_err("there is no such table");
        assert!(error.is_pg::<exc::UndefinedTableError>(), "{error:?}");
        assert!(
            error
                .to_string()
                .contains("relation \"_no_table\" does not exist")
        );
        Ok(())
    })
}

/// `test_execute_script_interrupted_close`, `test_execute_script_interrupted_terminate`,
/// `test_prepare_06_interrupted_close`, `test_prepare_07_interrupted_terminate`.
#[test]
fn a_session_that_is_ended_in_the_middle_fails_its_query() -> Result<()> {
    everywhere(|server| async move {
        for query in ["SELECT pg_sleep(60)", "SELECT pg_sleep(60), $1::int"] {
            let mut connection = server.connection().await?;
            let mut other = server.connection().await?;
            let pid = connection.get_server_pid();
            let task = create_task(async move {
                if query.contains('$') {
                    connection.execute(query, (1,)).await
                } else {
                    connection.execute(query, ()).await
                }
            });
            loop {
                let query = "SELECT count(*) FROM pg_stat_activity
                             WHERE pid = $1 AND state = 'active' AND wait_event = 'PgSleep'";
                if other.fetchval(query, (pid,)).await? == Some(1_i64) {
                    break;
                }
                sleep(0.005).await?;
            }
            other
                .execute("SELECT pg_terminate_backend($1)", (pid,))
                .await?;
            let error = timeout(60, task).await.expect_err("it was ended");
            assert!(error.is::<PgError>(), "{error:?}");
        }
        Ok(())
    })
}

/// `test_executemany_basic`.
#[test]
fn many_are_executed() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = table(&server).await?;
        let insert = "INSERT INTO exmany VALUES ($1, $2)";
        connection
            .executemany(insert, [("a", 1), ("b", 2), ("c", 3), ("d", 4)])
            .await?;
        assert_eq!(rows(&mut connection).await?.len(), 4);
        // Empty, and from any iterator.
        connection
            .executemany(insert, Vec::<(&str, i32)>::new())
            .await?;
        let many = (5..1000).map(|n| (format!("{n}"), n));
        connection.executemany(insert, many).await?;
        assert_eq!(rows(&mut connection).await?.len(), 999);
        Ok(())
    })
}

/// `test_executemany_returning`, `test_prepare_fetchmany`.
#[test]
fn many_return_their_rows() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = table(&server).await?;
        let insert = "INSERT INTO exmany VALUES ($1, $2) RETURNING a, b";
        let returned = connection
            .fetchmany(insert, [("a", 1), ("b", 2), ("c", 3)])
            .await?;
        let returned: Vec<(String, i32)> =
            returned.iter().map(|row| row.to()).collect::<Result<_>>()?;
        assert_eq!(returned, rows(&mut connection).await?);
        assert!(
            connection
                .fetchmany(insert, [("x", 9); 0])
                .await?
                .is_empty()
        );
        let statement = connection.prepare(insert).await?;
        assert_eq!(
            connection
                .fetchmany(&statement, [("d", 4), ("e", 5)])
                .await?
                .len(),
            2
        );
        Ok(())
    })
}

/// `test_executemany_bad_input`, `test_executemany_client_failure_after_writes`.
#[test]
fn one_that_does_not_fit_spoils_all() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = table(&server).await?;
        let insert = "INSERT INTO exmany (b, a) VALUES ($1, $2)";
        let long = "x".repeat(10_000);
        for good in [0, 1, 500] {
            let many = (0..=good).map(
                |n| -> Vec<Box<dyn asyncio_db::pg::types::ToSql + Sync + Send>> {
                    if n < good {
                        vec![Box::new(n), Box::new(long.clone())]
                    } else {
                        vec![Box::new("bad data"), Box::new(1)]
                    }
                },
            );
            let failed = connection.executemany(insert, many).await;
            error_of::<EncodeError>(failed);
            assert!(rows(&mut connection).await?.is_empty());
        }
        let few = connection.executemany(insert, [(1,)]).await;
        error_of::<InterfaceError>(few);
        Ok(())
    })
}

/// `test_executemany_server_failure`, `test_executemany_server_failure_after_writes`,
/// `test_executemany_server_failure_during_writes`.
#[test]
fn one_that_the_server_refuses_spoils_all() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = table(&server).await?;
        let insert = "INSERT INTO exmany VALUES ($1, $2)";
        let long = "x".repeat(4000);
        for (count, bad) in [(2, 1), (1000, 999), (5000, 10)] {
            let many = (0..count).map(|n| (long.clone(), if n == bad { 0 } else { n }));
            let failed = connection.executemany(insert, many).await;
            let error = failed.expect_err("one is there twice");
            assert!(error.is_pg::<exc::UniqueViolationError>(), "{error:?}");
            assert!(rows(&mut connection).await?.is_empty());
        }
        Ok(())
    })
}

/// `test_executemany_timeout`, `test_executemany_timeout_flow_control`.
#[test]
fn many_take_no_longer_than_they_may() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = table(&server).await?;
        let many = (0..).map(|n| (n,));
        let insert = "INSERT INTO exmany SELECT pg_sleep(0.1)::text, $1 + 1";
        let running = connection.executemany(insert, many);
        error_of::<TimeoutError>(timeout(0.3, running).await);
        assert!(rows(&mut connection).await?.is_empty());
        // Though the server has not read all of it.
        let long = "x".repeat(100_000);
        let many = (0..200).map(|n| (n, long.as_str()));
        let insert = "INSERT INTO exmany SELECT pg_sleep(0.1) || $2, $1 + 1";
        let running = connection.executemany(insert, many);
        error_of::<TimeoutError>(timeout(0.3, running).await);
        assert!(rows(&mut connection).await?.is_empty());
        Ok(())
    })
}

/// `test_executemany_client_failure_in_transaction`, `test_executemany_client_server_failure_conflict`.
#[test]
fn a_transaction_has_failed_with_them() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = table(&server).await?;
        let mut transaction = connection.transaction().await?;
        let insert = "INSERT INTO exmany VALUES ($1, $2)";
        let failed = transaction.executemany(insert, [("a", 1), ("b", 1)]).await;
        assert!(
            failed
                .expect_err("one is there twice")
                .is_pg::<exc::UniqueViolationError>()
        );
        let after = transaction.execute("SELECT 1", ()).await;
        assert!(
            after
                .expect_err("it has failed")
                .is_pg::<exc::InFailedSQLTransactionError>()
        );
        transaction.rollback().await?;
        assert!(rows(&mut connection).await?.is_empty());
        // What is wrong on this side comes after the server's word, or before: one of them is the outcome.
        let many = (0..3000).map(
            |n| -> Vec<Box<dyn asyncio_db::pg::types::ToSql + Sync + Send>> {
                match n {
                    2999 => vec![Box::new(1), Box::new("x")],
                    n => vec![Box::new("y".repeat(100)), Box::new(n / 2)],
                }
            },
        );
        let error = connection
            .executemany(insert, many)
            .await
            .expect_err("both are wrong");
        assert!(
            error.is::<EncodeError>() || error.is_pg::<exc::UniqueViolationError>(),
            "{error:?}"
        );
        assert!(rows(&mut connection).await?.is_empty());
        Ok(())
    })
}

/// `test_executemany_prepare`.
#[test]
fn many_are_executed_by_a_statement() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = table(&server).await?;
        let statement = connection
            .prepare("INSERT INTO exmany VALUES ($1, $2)")
            .await?;
        connection
            .executemany(&statement, [("a", 1), ("b", 2)])
            .await?;
        connection.executemany(&statement, [("c", 3)]).await?;
        assert_eq!(rows(&mut connection).await?.len(), 3);
        let failed = connection
            .executemany(&statement, [("d", 4), ("e", 4)])
            .await;
        assert!(failed.is_err());
        assert_eq!(rows(&mut connection).await?.len(), 3);
        Ok(())
    })
}

/// `test_mogrify_simple`, `test_mogrify_multiple`: arguments that are written into a query mean the same.
#[test]
fn arguments_written_into_a_query_mean_the_same() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let mut out = Vec::new();
        let query = "SELECT $1::int, $2::date, $3::text, $4::numeric, $5::text[], $6::bool";
        let args: Vec<asyncio_db::pg::values::Value> = vec![
            (-1).into(),
            "2017-01-02".into(),
            "'".into(),
            "1.20".into(),
            vec!["a", "b c"].into(),
            true.into(),
        ];
        connection.copy_from_query(query, args, &mut out).await?;
        assert_eq!(
            String::from_utf8_lossy(&out),
            "-1\t2017-01-02\t'\t1.20\t{a,\"b c\"}\tt\n"
        );
        Ok(())
    })
}
