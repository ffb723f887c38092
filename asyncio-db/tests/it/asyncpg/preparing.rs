//! asyncpg's `test_prepare.py`.

use std::time::Duration;

use asyncio_core::Result;
use asyncio_db::pg::{Connection, InterfaceError, StatementNames};
use asyncio_db::{ExceptionExt as _, exc};

use crate::support::{error_of, everywhere};

/// The statements that the server knows of this session.
async fn known(connection: &mut Connection) -> Result<Vec<String>> {
    let query = "SELECT statement FROM pg_prepared_statements ORDER BY prepare_time";
    // As a script, which is not prepared.
    let mut out = Vec::new();
    connection.copy_from_query(query, (), &mut out).await?;
    Ok(String::from_utf8_lossy(&out)
        .lines()
        .map(str::to_owned)
        .collect())
}

/// `test_prepare_01`, `test_prepare_02`, `test_prepare_16_command_result`.
#[test]
fn a_statement_is_prepared_and_executed() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let statement = connection.prepare("SELECT 1 = $1 AS test").await?;
        assert_eq!(statement.get_query(), "SELECT 1 = $1 AS test");
        for (number, equal) in [(1, true), (10, false)] {
            let row = connection
                .fetchrow(&statement, (number,))
                .await?
                .expect("there is one");
            assert_eq!(row.get::<bool>("test")?, equal);
        }
        assert!(connection.prepare("SELECT a").await.is_err());
        let statement = connection
            .prepare("CREATE TEMP TABLE mytab (a int)")
            .await?;
        assert_eq!(connection.execute(&statement, ()).await?, "CREATE TABLE");
        let statement = connection
            .prepare("INSERT INTO mytab VALUES (1), (2)")
            .await?;
        assert_eq!(connection.execute(&statement, ()).await?, "INSERT 0 2");
        let statement = connection
            .prepare("UPDATE mytab SET a = $1 RETURNING *")
            .await?;
        assert_eq!(connection.fetch(&statement, (3,)).await?.len(), 2);
        assert_eq!(connection.execute(&statement, (3,)).await?, "UPDATE 2");
        Ok(())
    })
}

/// `test_prepare_03`: what the server makes of arguments of many types.
#[test]
fn what_is_not_there_is_null() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let query = "SELECT CASE WHEN $1::text IS NULL THEN 'null' ELSE $1::text END";
        let statement = connection.prepare(query).await?;
        for (text, expected) in [(Some("aaa"), "aaa"), (None, "null"), (Some(""), "")] {
            let told: Option<String> = connection.fetchval(&statement, (text,)).await?;
            assert_eq!(told.as_deref(), Some(expected));
        }
        Ok(())
    })
}

/// `test_prepare_04`, `test_prepare_05_unknownoid`, `test_prepare_13_connect`.
#[test]
fn a_value_without_a_type_is_text() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let name: Option<String> = connection.fetchval("SELECT current_user", ()).await?;
        assert_eq!(name.as_deref(), Some("postgres"));
        assert_eq!(
            connection
                .fetchval("SELECT $1::smallint AS foo", (10_i16,))
                .await?,
            Some(10_i16)
        );
        let row = connection
            .fetchrow("SELECT $1::smallint * 2 AS test", (10_i16,))
            .await?;
        assert_eq!(row.expect("there is one").get::<i32>("test")?, 20);
        let rows = connection
            .fetch("SELECT generate_series(0, $1::int)", (3,))
            .await?;
        assert_eq!(rows.len(), 4);
        let text: Option<String> = connection.fetchval("SELECT 'test'", ()).await?;
        assert_eq!(text.as_deref(), Some("test"));
        Ok(())
    })
}

/// `test_prepare_08_big_result`.
#[test]
fn a_result_may_be_large() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let statement = connection
            .prepare("SELECT generate_series(0, 10000)")
            .await?;
        let rows = connection.fetch(&statement, ()).await?;
        assert_eq!(rows.len(), 10_001);
        assert_eq!(
            (rows[0].get::<i32>(0)?, rows[10_000].get::<i32>(0)?),
            (0, 10_000)
        );
        let text: Option<String> = connection
            .fetchval("SELECT repeat('x', 20000000)", ())
            .await?;
        assert_eq!(text.map(|it| it.len()), Some(20_000_000));
        Ok(())
    })
}

/// `test_prepare_09_raise_error`, `test_prepare_21_errors`.
#[test]
fn an_error_leaves_the_statement_fit() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let raise = "DO language plpgsql $$ BEGIN RAISE EXCEPTION 'oups'; END; $$";
        let failed = connection.execute(raise, ()).await;
        let error = failed.expect_err("it is raised");
        assert!(error.is_pg::<exc::RaiseError>() && error.to_string().contains("oups"));
        let statement = connection.prepare("SELECT 10 / $1::int").await?;
        for _ in 0..3 {
            let failed = connection.fetchval::<i32>(&statement, (0,)).await;
            assert!(
                failed
                    .expect_err("by zero")
                    .is_pg::<exc::DivisionByZeroError>()
            );
            assert_eq!(connection.fetchval(&statement, (5,)).await?, Some(2));
        }
        Ok(())
    })
}

/// `test_prepare_10_stmt_lru`, `test_prepare_17_stmt_closed_lru`.
#[test]
fn the_server_knows_as_many_as_are_kept() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connect().statement_cache_size(10).await?;
        for number in 0..100 {
            let query = format!("SELECT {number}");
            assert_eq!(connection.fetchval(&query, ()).await?, Some(number));
            assert!(known(&mut connection).await?.len() <= 11);
        }
        let last = known(&mut connection).await?;
        assert_eq!(last.last().map(String::as_str), Some("SELECT 99"));
        // One that was used again stays for longer than others that were used less.
        for number in 200..209 {
            connection.fetchval::<i32>("SELECT 99", ()).await?;
            connection
                .fetchval::<i32>(&format!("SELECT {number}"), ())
                .await?;
        }
        assert!(
            known(&mut connection)
                .await?
                .contains(&"SELECT 99".to_owned())
        );
        Ok(())
    })
}

/// `test_prepare_11_stmt_gc`, `test_prepare_12_stmt_gc`, `test_prepare_15_stmt_gc_cache_disabled`.
#[test]
fn a_statement_that_goes_is_forgotten() -> Result<()> {
    everywhere(|server| async move {
        for size in [0, 100] {
            let mut connection = server.connect().statement_cache_size(size).await?;
            let statement = connection.prepare("SELECT 5").await?;
            let other = statement.clone();
            assert_eq!(connection.fetchval(&statement, ()).await?, Some(5));
            drop(statement);
            assert_eq!(connection.fetchval(&other, ()).await?, Some(5));
            drop(other);
            connection.fetchval::<i32>("SELECT 6", ()).await?;
            let known = known(&mut connection).await?;
            assert!(!known.contains(&"SELECT 5".to_owned()), "{known:?}");
        }
        Ok(())
    })
}

/// `test_prepare_14_explain`.
#[test]
fn a_plan_is_told() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection
            .execute("CREATE TEMP TABLE mytab (a int)", ())
            .await?;
        let statement = connection
            .prepare("SELECT typname FROM pg_type WHERE typlen > $1")
            .await?;
        let plan = connection
            .explain(&statement, (2_i16,), false)
            .await?
            .expect("there is one");
        assert!(
            plan.0.contains("\"Plan\"") && !plan.0.contains("Actual"),
            "{plan}"
        );
        let plan = connection
            .explain(&statement, (2_i16,), true)
            .await?
            .expect("there is one");
        assert!(plan.0.contains("Actual Total Time"), "{plan}");
        // What is analyzed is executed and undone.
        let insert = connection
            .prepare("INSERT INTO mytab (a) VALUES (1), (2)")
            .await?;
        let plan = connection
            .explain(&insert, (), true)
            .await?
            .expect("there is one");
        assert!(plan.0.contains("Actual Total Time"), "{plan}");
        assert!(
            connection
                .fetch("SELECT * FROM mytab", ())
                .await?
                .is_empty()
        );
        Ok(())
    })
}

/// `test_prepare_18_empty_result`, `test_prepare_22_empty`.
#[test]
fn a_result_may_be_empty() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let statement = connection.prepare("SELECT 1 WHERE false").await?;
        assert!(connection.fetch(&statement, ()).await?.is_empty());
        assert!(connection.fetchrow(&statement, ()).await?.is_none());
        assert_eq!(connection.fetchval::<i32>(&statement, ()).await?, None);
        for query in ["", "   ", "-- nothing"] {
            let statement = connection.prepare(query).await?;
            assert!(connection.fetch(&statement, ()).await?.is_empty());
            assert_eq!(connection.execute(&statement, ()).await?, "");
            assert_eq!(
                statement.get_attributes().len() + statement.get_parameters().len(),
                0
            );
        }
        let rows = connection
            .fetch("SELECT FROM generate_series(1, 3)", ())
            .await?;
        assert_eq!((rows.len(), rows[0].len()), (3, 0));
        Ok(())
    })
}

/// `test_prepare_statement_invalid`: a table has changed under a statement that somebody holds.
#[test]
fn a_statement_that_is_held_says_that_it_is_outdated() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection
            .execute("CREATE TEMP TABLE tab1 (a int, b int)", ())
            .await?;
        connection
            .execute("INSERT INTO tab1 VALUES (1, 2)", ())
            .await?;
        let statement = connection.prepare("SELECT * FROM tab1").await?;
        connection
            .execute("ALTER TABLE tab1 ALTER COLUMN b SET DATA TYPE text", ())
            .await?;
        let failed = connection.fetchrow(&statement, ()).await;
        let error = failed.expect_err("it is outdated");
        assert!(
            error.is_pg::<exc::InvalidCachedStatementError>(),
            "{error:?}"
        );
        Ok(())
    })
}

/// `test_prepare_23_no_stmt_cache_seq`, `test_prepare_does_not_use_cache`.
#[test]
fn nothing_is_kept_where_nothing_is_to_be() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connect().statement_cache_size(0).await?;
        for _ in 0..3 {
            assert_eq!(connection.fetchval("SELECT $1::int", (1,)).await?, Some(1));
            assert!(known(&mut connection).await?.is_empty());
        }
        let mut connection = server.connection().await?;
        let one = connection.prepare("SELECT 1").await?;
        let other = connection.prepare("SELECT 1").await?;
        assert_ne!(one.get_name(), other.get_name());
        Ok(())
    })
}

/// `test_prepare_24_max_lifetime`, `test_prepare_25_max_lifetime_reset`,
/// `test_prepare_26_max_lifetime_max_size`.
#[test]
fn statements_are_kept_for_so_long() -> Result<()> {
    everywhere(|server| async move {
        let lifetime = Duration::from_millis(300);
        let mut connection = server
            .connect()
            .max_cached_statement_lifetime(Some(lifetime))
            .await?;
        let since = "SELECT name || prepare_time FROM pg_prepared_statements";
        let first: Option<String> = connection.fetchval(since, ()).await?;
        tokio::time::sleep(2 * lifetime).await;
        let second: Option<String> = connection.fetchval(since, ()).await?;
        assert_ne!(first, second);
        let mut connection = server.connect().max_cached_statement_lifetime(None).await?;
        let first: Option<String> = connection.fetchval(since, ()).await?;
        tokio::time::sleep(2 * lifetime).await;
        let second: Option<String> = connection.fetchval(since, ()).await?;
        assert_eq!(first, second);
        Ok(())
    })
}

/// `test_prepare_27_max_cacheable_statement_size`.
#[test]
fn a_long_query_is_not_kept() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connect().max_cacheable_statement_size(50).await?;
        connection.fetchval::<i32>("SELECT 1", ()).await?;
        let long = format!("SELECT '{}'", "x".repeat(50));
        connection.fetchval::<String>(&long, ()).await?;
        assert_eq!(known(&mut connection).await?, ["SELECT 1"]);
        Ok(())
    })
}

/// `test_prepare_28_max_args`: no more than the protocol has room for, and that is said.
#[test]
fn there_are_arguments_as_many_as_there_is_room_for() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let ask = |count: usize| {
            let all: Vec<String> = (1..=count).map(|n| format!("${n}::int")).collect();
            format!("SELECT ARRAY[{}]", all.join(","))
        };
        let args = |count: i32| -> Vec<asyncio_db::pg::values::Value> {
            (0..count).map(Into::into).collect()
        };
        let row = connection
            .fetchrow(&ask(30_000), args(30_000))
            .await?
            .expect("there is one");
        assert_eq!(row.get::<Vec<i32>>(0)?.len(), 30_000);
        let too_many = connection.fetchrow(&ask(70_000), args(70_000)).await;
        assert!(too_many.is_err());
        assert_eq!(connection.fetchval("SELECT 1", ()).await?, Some(1));
        Ok(())
    })
}

/// `test_prepare_29_duplicates`, `test_prepare_30_invalid_arg_count`.
#[test]
fn an_argument_may_be_used_twice_and_none_may_be_missing() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let query = "SELECT $1::int + $1 + $2";
        assert_eq!(connection.fetchval(query, (1, 5)).await?, Some(7));
        for error in [
            connection.fetchval::<i32>(query, (1,)).await,
            connection.fetchval::<i32>(query, (1, 2, 3)).await,
            connection.fetchval::<i32>(query, ()).await,
        ] {
            let error = error_of::<InterfaceError>(error);
            assert!(error.to_string().contains("expects 2 arguments"), "{error}");
        }
        Ok(())
    })
}

/// `test_prepare_31_pgbouncer_note`: a name that is taken. (What a pooler does to names is no error here.)
#[test]
fn a_name_is_there_once() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection
            .execute("PREPARE __asyncio_1 AS SELECT 99", ())
            .await?;
        // Ours would have that name, and finds another way.
        assert_eq!(connection.fetchval("SELECT 1", ()).await?, Some(1));
        let mut connection = server
            .connect()
            .statement_names(StatementNames::Named)
            .await?;
        connection
            .execute("PREPARE __asyncio_1 AS SELECT 99", ())
            .await?;
        let taken = connection.fetchval::<i32>("SELECT 1", ()).await;
        assert!(
            taken.is_ok()
                || taken.is_err_and(|it| it.is_pg::<exc::DuplicatePreparedStatementError>())
        );
        Ok(())
    })
}

/// `test_prepare_explicitly_named`.
#[test]
fn a_statement_has_the_name_that_it_is_given() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let statement = connection.prepare_named("SELECT 1", "foobar").await?;
        assert_eq!(statement.get_name(), "foobar");
        assert_eq!(connection.fetchval(&statement, ()).await?, Some(1));
        assert_eq!(connection.fetchval("EXECUTE foobar", ()).await?, Some(1));
        let again = connection.prepare_named("SELECT 2", "foobar").await;
        let error = again.expect_err("there is one");
        assert!(
            error.is_pg::<exc::DuplicatePreparedStatementError>(),
            "{error:?}"
        );
        drop(statement);
        let again = connection.prepare_named("SELECT 2", "foobar").await?;
        assert_eq!(connection.fetchval(&again, ()).await?, Some(2));
        Ok(())
    })
}
