//! Queries and what comes of them.

use asyncio_core::Result;
use asyncio_db::PgError;
use asyncio_db::pg::InterfaceError;

use crate::support::{error_of, everywhere};

#[test]
fn a_script_says_what_its_last_command_has_done() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let tag = connection
            .execute(
                "CREATE TEMP TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (2, NULL)",
                (),
            )
            .await?;
        assert_eq!(tag, "INSERT 0 2");
        let tag = connection
            .execute("UPDATE t SET b = $1 WHERE a > $2", ("y", 0))
            .await?;
        assert_eq!(tag, "UPDATE 2");
        assert_eq!(connection.execute("", ()).await?, "");
        connection.close().await
    })
}

#[test]
fn rows_come_by_position_and_by_name() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let rows = connection
            .fetch(
                "SELECT i AS n, i::text AS t, NULL::int AS z FROM generate_series(1, $1::int) i",
                (1000,),
            )
            .await?;
        assert_eq!(rows.len(), 1000);
        for (row, n) in rows.iter().zip(1..) {
            assert_eq!(row.get::<i32>(0)?, n);
            assert_eq!(row.get::<&str>("t")?, n.to_string());
            assert_eq!(row.get::<Option<i32>>("z")?, None);
            assert_eq!(row.is_null("z"), Some(true));
        }
        assert_eq!(rows[0].keys().collect::<Vec<_>>(), ["n", "t", "z"]);
        error_of::<InterfaceError>(rows[0].get::<i32>("nothing"));
        assert_eq!(format!("{:?}", rows[0]), "<Record n=1 t=\"1\" z=None>");
        let one: Option<i64> = connection.fetchval("SELECT $1::int8", (7_i64,)).await?;
        assert_eq!(one, Some(7));
        let none: Option<i64> = connection
            .fetchval("SELECT 1::int8 WHERE false", ())
            .await?;
        assert_eq!(none, None);
        Ok(())
    })
}

#[test]
fn what_goes_wrong_leaves_the_connection_fit() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        for _ in 0..3 {
            let error = error_of::<PgError>(connection.execute("SELECT 1/0", ()).await);
            assert_eq!(
                error.downcast_ref::<PgError>().map(PgError::sqlstate),
                Some("22012")
            );
            error_of::<PgError>(connection.fetch("SELECT 1/$1::int", (0,)).await);
            error_of::<PgError>(connection.fetch("SELEKT", ()).await);
            error_of::<InterfaceError>(connection.fetch("SELECT $1::int", ()).await);
            assert!(connection.fetch("SELECT $1::int", ("x",)).await.is_err());
            error_of::<PgError>(connection.execute("COPY pg_class FROM STDIN", ()).await);
            connection.execute("COPY (SELECT 1) TO STDOUT", ()).await?;
            assert_eq!(connection.fetchval("SELECT 5", ()).await?, Some(5));
        }
        Ok(())
    })
}

#[test]
fn types_of_the_servers_own_are_asked_for() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection
            .execute(
                "DROP SCHEMA IF EXISTS kinds CASCADE; CREATE SCHEMA kinds; SET search_path = kinds;
                 CREATE TYPE mood AS ENUM ('glad', 'sad');
                 CREATE TYPE pair AS (a int, b mood[]);
                 CREATE DOMAIN small AS int CHECK (VALUE < 10)",
                (),
            )
            .await?;
        let row = connection
            .fetchrow("SELECT 'sad'::mood AS m, ROW(1, '{glad}')::pair AS p, 3::small AS s, ARRAY[3::small] AS t, $1::text IS NULL", (None::<&str>,))
            .await;
        // A domain over a base type is described as that.
        let row = match row {
            Ok(row) => row.expect("there is one"),
            Err(error) => panic!("{error:?}"),
        };
        use asyncio_db::pg::types::Kind;
        let kinds: Vec<_> = row
            .columns()
            .iter()
            .map(|it| it.type_().kind().clone())
            .collect();
        assert_eq!(
            kinds[0],
            Kind::Enum(vec!["glad".to_owned(), "sad".to_owned()])
        );
        let Kind::Composite(fields) = &kinds[1] else {
            panic!("{kinds:?}")
        };
        assert_eq!(fields[0].type_().name(), "int4");
        assert!(matches!(fields[1].type_().kind(), Kind::Array(mood) if mood.name() == "mood"));
        connection.execute("DROP SCHEMA kinds CASCADE", ()).await?;
        Ok(())
    })
}
