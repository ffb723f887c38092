//! Which statements are kept, and what happens when they are of no use any more.

use asyncio_core::Result;
use asyncio_db::pg::{Connection, InterfaceError, StatementNames};
use asyncio_db::{ExceptionExt as _, exc};

use crate::support::{error_of, everywhere};

/// How many statements the server has prepared for a session.
async fn prepared(connection: &mut Connection) -> Result<i64> {
    // In the simple protocol it could not be read; so it is one of them itself.
    let query = "SELECT count(*) FROM pg_prepared_statements WHERE statement NOT LIKE '%pg_prep%'";
    Ok(connection.fetchval(query, ()).await?.unwrap_or(-1))
}

#[test]
fn those_that_were_used_last_are_kept() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connect().statement_cache_size(4).await?;
        for round in 0..3 {
            for n in 0..10 {
                let query = format!("SELECT $1::int + {n}");
                let sum: Option<i32> = connection.fetchval(&query, (round,)).await?;
                assert_eq!(sum, Some(n + round));
            }
            assert_eq!(prepared(&mut connection).await?, 3);
        }
        Ok(())
    })
}

#[test]
fn none_are_kept_where_none_are_to_be() -> Result<()> {
    everywhere(|server| async move {
        for connecting in [
            server.connect().statement_cache_size(0),
            server.connect().statement_names(StatementNames::Unnamed),
            server.connect().max_cacheable_statement_size(3),
        ] {
            let mut connection = connecting.await?;
            for n in 0..5 {
                let sum: Option<i32> = connection.fetchval("SELECT $1::int + 1", (n,)).await?;
                assert_eq!(sum, Some(n + 1));
                connection
                    .executemany("SELECT $1::int", (0..10).map(|n| (n,)))
                    .await?;
                let rows = connection
                    .fetchmany("SELECT $1::int", (0..10).map(|n| (n,)))
                    .await?;
                assert_eq!(rows.len(), 10);
                let mut pipeline = connection.pipeline();
                let one = pipeline.fetch("SELECT $1::int", (1,));
                let two = pipeline.fetch("SELECT $1::text", ("two",));
                let mut results = pipeline.run().await?;
                assert_eq!(results.take(one)?[0].get::<i32>(0)?, 1);
                assert_eq!(results.take(two)?[0].get::<&str>(0)?, "two");
            }
            assert_eq!(prepared(&mut connection).await?, 0);
        }
        Ok(())
    })
}

#[test]
fn a_pipeline_may_have_more_than_are_kept() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connect().statement_cache_size(3).await?;
        for _ in 0..2 {
            let mut pipeline = connection.pipeline();
            let tickets: Vec<_> = (0..20)
                .map(|n| pipeline.fetch(format!("SELECT $1::int * {n}"), (2,)))
                .collect();
            let mut results = pipeline.run().await?;
            for (n, ticket) in (0..).zip(tickets) {
                assert_eq!(results.take(ticket)?[0].get::<i32>(0)?, 2 * n);
            }
        }
        Ok(())
    })
}

#[test]
fn a_table_that_has_changed_is_no_error() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let mut other = server.connection().await?;
        other.execute("DROP TABLE IF EXISTS changing; CREATE TABLE changing (a int); INSERT INTO changing VALUES (1)", ()).await?;
        let query = "SELECT * FROM changing";
        for columns in 1..5 {
            let row = connection.fetchrow(query, ()).await?.expect("there is one");
            assert_eq!(row.len(), columns);
            other
                .execute(&format!("ALTER TABLE changing ADD b{columns} int"), ())
                .await?;
        }
        for columns in 5..8 {
            let mut rows = connection.stream(query, ()).await?;
            assert_eq!(rows.next().await?.map(|row| row.len()), Some(columns));
            drop(rows);
            let more = format!("ALTER TABLE changing ADD b{columns} int");
            other.execute(&more, ()).await?;
            let mut pipeline = connection.pipeline();
            let all = pipeline.fetch(query, ());
            assert_eq!(pipeline.run().await?.take(all)?[0].len(), columns + 1);
        }
        // In a transaction it is for the program to begin again.
        other
            .execute("ALTER TABLE changing ADD last int", ())
            .await?;
        let mut transaction = connection.transaction().await?;
        let error = transaction
            .fetch(query, ())
            .await
            .expect_err("it has changed");
        assert!(
            error.is_pg::<exc::InvalidCachedStatementError>(),
            "{error:?}"
        );
        transaction.rollback().await?;
        assert_eq!(connection.fetch(query, ()).await?[0].len(), 9);
        Ok(())
    })
}

#[test]
fn a_server_that_has_forgotten_is_no_error() -> Result<()> {
    everywhere(|server| async move {
        for (names, kept) in [(StatementNames::Auto, 0), (StatementNames::Named, 1)] {
            let mut connection = server.connect().statement_names(names).await?;
            for n in 0..3 {
                let same: Option<i32> = connection.fetchval("SELECT $1::int", (n,)).await?;
                assert_eq!(same, Some(n));
                // What a pooler does when it lends another server.
                connection.execute("DEALLOCATE ALL", ()).await?;
                connection
                    .executemany("SELECT $1::int", [(1,), (2,)])
                    .await?;
                let rows = connection.stream("SELECT $1::int", (n,)).await?;
                drop(rows);
                connection.execute("DEALLOCATE ALL", ()).await?;
                let mut pipeline = connection.pipeline();
                pipeline.fetch("SELECT $1::int", (n,));
                pipeline.run().await?;
                connection.execute("DEALLOCATE ALL", ()).await?;
            }
            connection.fetchval::<i32>("SELECT $1::int", (7,)).await?;
            assert_eq!(prepared(&mut connection).await?, kept, "{names:?}");
        }
        Ok(())
    })
}

#[test]
fn a_statement_belongs_to_its_connection() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let mut other = server.connection().await?;
        let statement = connection.prepare("SELECT $1::int AS n").await?;
        assert_eq!(connection.fetchval(&statement, (3,)).await?, Some(3));
        assert_eq!(connection.execute(&statement, (3,)).await?, "SELECT 1");
        error_of::<InterfaceError>(other.fetch(&statement, (3,)).await);
        let error = connection
            .prepare("SELEKT")
            .await
            .expect_err("it is no SQL");
        assert!(error.is_pg::<exc::PostgresSyntaxError>());
        assert_eq!(
            error.pg_error().and_then(|error| error.query()),
            Some("SELEKT")
        );
        drop(statement);
        assert_eq!(prepared(&mut connection).await?, 0);
        Ok(())
    })
}
