//! asyncpg's `test_cache_invalidation.py` and `test_introspection.py`.

use asyncio_core::{Result, TimeoutError, timeout};
use asyncio_db::pg::values::Value;
use asyncio_db::pg::{Connection, create_pool};
use asyncio_db::{ExceptionExt as _, exc};

use crate::support::{Server, error_of, everywhere};

async fn table(server: &Server, name: &str) -> Result<Connection> {
    let mut connection = server.connection().await?;
    let script = format!(
        "DROP TABLE IF EXISTS {name}; CREATE TABLE {name} (a int, b int);
         INSERT INTO {name} VALUES (1, 2)"
    );
    connection.execute(&script, ()).await?;
    Ok(connection)
}

async fn shown(connection: &mut Connection, query: &str) -> Result<String> {
    let row = connection.fetchrow(query, ()).await?.expect("there is one");
    let values: Vec<String> = row
        .values()
        .map(|it| Ok(it?.to_string()))
        .collect::<Result<_>>()?;
    Ok(values.join(" "))
}

const CHANGE: &str = "ALTER COLUMN b SET DATA TYPE text USING 'x' || b";

/// `test_prepare_cache_invalidation_silent`, `test_prepare_cache_invalidation_in_transaction`.
#[test]
fn a_stale_plan_is_noticed_by_nobody_outside_of_a_transaction() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = table(&server, "stale").await?;
        let query = "SELECT * FROM stale";
        assert_eq!(shown(&mut connection, query).await?, "1 2");
        connection
            .execute(&format!("ALTER TABLE stale {CHANGE}"), ())
            .await?;
        assert_eq!(shown(&mut connection, query).await?, "1 x2");

        connection
            .execute("ALTER TABLE stale ALTER COLUMN b SET DATA TYPE char(3)", ())
            .await?;
        connection
            .execute("ALTER TABLE stale ADD COLUMN c int", ())
            .await?;
        let mut transaction = connection.transaction().await?;
        let failed = transaction.fetchrow(query, ()).await;
        let error = failed.expect_err("the plan is outdated");
        assert!(
            error.is_pg::<exc::InvalidCachedStatementError>(),
            "{error:?}"
        );
        drop(transaction);
        assert_eq!(shown(&mut connection, query).await?, "1 x2  NULL");
        connection.execute("DROP TABLE stale", ()).await?;
        Ok(())
    })
}

/// `test_prepare_cache_invalidation_in_pool`, `test_type_cache_invalidation_in_pool`: what one connection has
/// found out counts for all.
#[test]
fn a_stale_plan_is_found_out_once_in_a_pool() -> Result<()> {
    everywhere(|server| async move {
        let mut other = table(&server, "stale_pool").await?;
        let pool = create_pool(server.connect())
            .min_size(2)
            .max_size(2)
            .await?;
        let (mut one, mut two) = (pool.acquire().await?, pool.acquire().await?);
        let query = "SELECT * FROM stale_pool";
        assert_eq!(shown(&mut one, query).await?, "1 2");
        assert_eq!(shown(&mut two, query).await?, "1 2");
        other
            .execute(&format!("ALTER TABLE stale_pool {CHANGE}"), ())
            .await?;
        assert_eq!(shown(&mut one, query).await?, "1 x2");
        // In a transaction, where it could not be tried again.
        let mut transaction = two.transaction().await?;
        assert_eq!(shown(&mut transaction, query).await?, "1 x2");
        transaction.commit().await?;
        // By hand as well, before anybody finds out.
        other
            .execute("ALTER TABLE stale_pool ADD COLUMN c int", ())
            .await?;
        pool.reload_schema_state();
        for lent in [&mut one, &mut two] {
            let mut transaction = lent.transaction().await?;
            assert_eq!(shown(&mut transaction, query).await?, "1 x2 NULL");
        }
        drop((one, two));
        pool.close().await?;
        other.execute("DROP TABLE stale_pool", ()).await?;
        Ok(())
    })
}

/// `test_type_cache_invalidation_in_transaction`, `test_type_cache_invalidation_in_cancelled_transaction`,
/// `test_prepared_type_cache_invalidation`, `test_type_cache_invalidation_on_drop_type_attr`,
/// `test_type_cache_invalidation_on_change_attr`.
#[test]
fn a_type_that_has_changed_is_asked_for_again() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection
            .execute(
                "DROP TABLE IF EXISTS typed; DROP TYPE IF EXISTS changing;
                 CREATE TYPE changing AS (x int, y int); CREATE TABLE typed (c changing);
                 INSERT INTO typed VALUES ((1, 2))",
                (),
            )
            .await?;
        let query = "SELECT c FROM typed";
        assert_eq!(shown(&mut connection, query).await?, "(1,2)");
        for (change, expected) in [
            ("ALTER TYPE changing ADD ATTRIBUTE z text", "(1,2,)"),
            ("ALTER TYPE changing DROP ATTRIBUTE x", "(2,)"),
        ] {
            connection.execute(change, ()).await?;
            connection.reload_schema_state();
            assert_eq!(shown(&mut connection, query).await?, expected);
        }
        // In a transaction that is cancelled, too.
        let mut transaction = connection.transaction().await?;
        transaction
            .execute("ALTER TYPE changing ADD ATTRIBUTE w int", ())
            .await?;
        transaction.reload_schema_state();
        assert_eq!(shown(&mut transaction, query).await?, "(2,,)");
        let slow = timeout(0.05, transaction.execute("SELECT pg_sleep(60)", ())).await;
        error_of::<TimeoutError>(slow);
        drop(transaction);
        connection.reload_schema_state();
        assert_eq!(shown(&mut connection, query).await?, "(2,)");
        // As an argument it has the fields that it has now.
        let row = connection.fetchrow(query, ()).await?.expect("there is one");
        let value = row.value(0)?;
        let query = "SELECT c = $1::changing FROM typed";
        let row = connection
            .fetchrow(query, vec![value])
            .await?
            .expect("there is one");
        assert_eq!(row.value(0)?, Value::Bool(true));
        connection
            .execute("DROP TABLE typed; DROP TYPE changing", ())
            .await?;
        Ok(())
    })
}

/// `test_introspection_no_stmt_cache_01`, `test_introspection_no_stmt_cache_02`,
/// `test_introspection_no_stmt_cache_03`, `test_introspection_sticks_for_ps`.
#[test]
fn types_are_asked_for_without_a_cache_as_well() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connect().statement_cache_size(0).await?;
        connection
            .execute(
                "DROP TYPE IF EXISTS asked; CREATE TYPE asked AS ENUM ('a')",
                (),
            )
            .await?;
        for _ in 0..2 {
            assert_eq!(
                shown(&mut connection, "SELECT 'a'::asked, ARRAY['a'::asked]").await?,
                "a {a}"
            );
        }
        let statement = connection.prepare("SELECT $1::asked AS it").await?;
        assert_eq!(statement.get_parameters()[0].name(), "asked");
        let row = connection
            .fetchrow(&statement, vec![Value::from("a")])
            .await?;
        assert_eq!(row.expect("there is one").value("it")?, Value::from("a"));
        connection.execute("DROP TYPE asked", ()).await?;
        Ok(())
    })
}

/// `test_introspection_retries_after_cache_bust`.
#[test]
fn a_type_that_was_made_anew_is_another() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        for (index, labels) in ["'a'", "'b', 'a'", "'c'"].iter().enumerate() {
            let script = format!("DROP TYPE IF EXISTS anew; CREATE TYPE anew AS ENUM ({labels})");
            connection.execute(&script, ()).await?;
            let label = ["a", "b", "c"][index];
            let query = format!("SELECT '{label}'::anew");
            assert_eq!(shown(&mut connection, &query).await?, label);
        }
        connection.execute("DROP TYPE anew", ()).await?;
        Ok(())
    })
}

/// `test_introspection_loads_basetypes_of_domains`.
#[test]
fn what_a_domain_is_over_is_known() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection
            .execute(
                "DROP TYPE IF EXISTS with_domain; DROP DOMAIN IF EXISTS over_array, over_int;
                 CREATE DOMAIN over_int AS int; CREATE DOMAIN over_array AS over_int[];
                 CREATE TYPE with_domain AS (a over_array, b over_int)",
                (),
            )
            .await?;
        let query = "SELECT ROW(ARRAY[1, 2]::over_array, 3)::with_domain";
        assert_eq!(shown(&mut connection, query).await?, "(\"{1,2}\",3)");
        connection
            .execute(
                "DROP TYPE with_domain; DROP DOMAIN over_array, over_int",
                (),
            )
            .await?;
        Ok(())
    })
}
