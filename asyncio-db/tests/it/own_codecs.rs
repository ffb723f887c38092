//! Codecs that a program sets itself.

use std::sync::{Arc, Mutex};

use asyncio_core::{Result, ValueError};
use asyncio_db::pg::values::{Composite, TypeCodec, Value};
use asyncio_db::pg::{DecodeError, InterfaceError, create_pool};

use crate::codecs::one;
use crate::support::{error_of, everywhere};

/// `test_custom_codec_text`, `test_custom_codec_binary`, `test_custom_codec_on_domain`,
/// `test_custom_codec_on_enum`, `test_custom_codec_on_enum_array`, `test_custom_codec_override_text`,
/// `test_custom_codec_override_tuple`, `test_custom_codec_override_binary`, `test_custom_codec_composite_tuple`,
/// `test_custom_codec_composite_non_tuple`.
#[test]
fn codecs_of_ones_own() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection
            .execute(
                "DROP TYPE IF EXISTS own_enum CASCADE; DROP DOMAIN IF EXISTS own_domain CASCADE;
                 DROP TYPE IF EXISTS own_composite; DROP TYPE IF EXISTS large_oid CASCADE;
                 CREATE TYPE own_enum AS ENUM ('foo', 'bar'); CREATE DOMAIN own_domain AS int;
                 CREATE TYPE own_composite AS (x int, y int)",
                (),
            )
            .await?;
        // As text.
        let text = TypeCodec::text(
            |value| Ok(value.to_string().trim_start_matches("pre:").to_owned()),
            |text| Ok(Value::from(format!("pre:{text}"))),
        );
        for (type_, schema, told) in [
            ("own_enum", "public", "foo"),
            ("own_domain", "public", "10"),
            ("text", "pg_catalog", "x"),
        ] {
            connection
                .set_type_codec(type_, schema, text.clone())
                .await?;
            let query = format!("SELECT $1::{type_}, NULL::{type_}");
            let row = connection
                .fetchrow(&query, vec![Value::from(format!("pre:{told}"))])
                .await?;
            let row = row.expect("there is one");
            let expected = if type_ == "own_domain" {
                "10".to_owned()
            } else {
                format!("pre:{told}")
            };
            // What is of a domain is told by the server as of the type below.
            let value = row.value(0)?;
            assert!(
                value == Value::from(expected) || value == Value::from(10),
                "{type_}: {value:?}"
            );
            assert!(row.value(1)?.is_null());
            connection.reset_type_codec(type_, schema).await?;
            let query = format!("SELECT '{told}'::{type_}");
            let row = connection
                .fetchrow(&query, ())
                .await?
                .expect("there is one");
            assert!(!row.value(0)?.to_string().starts_with("pre:"));
        }
        // As bytes, within arrays too.
        let bytes = TypeCodec::binary(
            |value| {
                Ok(value
                    .as_i64()
                    .unwrap_or(0)
                    .wrapping_mul(2)
                    .to_be_bytes()
                    .to_vec())
            },
            |raw| {
                Ok(Value::from(
                    i64::from_be_bytes(raw.try_into().expect("eight")) / 2,
                ))
            },
        );
        connection
            .set_type_codec("int8", "pg_catalog", bytes)
            .await?;
        let row = connection.fetchrow(
            "SELECT $1::int8, $1::int8::text, ARRAY[4::int8]",
            vec![Value::from(7)],
        );
        let row = row.await?.expect("there is one");
        assert_eq!(
            (row.value(0)?, row.get::<&str>(1)?),
            (Value::from(7_i64), "14")
        );
        assert_eq!(row.value(2)?, Value::from(vec![2_i64]));
        connection.reset_type_codec("int8", "pg_catalog").await?;
        // Over what it is anyway: asyncpg's tuples.
        #[derive(Debug, PartialEq)]
        struct Pair(i64, i64);
        let over = TypeCodec::over(
            |value| {
                let Some(Pair(x, y)) = value.downcast_ref() else {
                    return Ok(value.clone());
                };
                Ok(Composite::new([("x", *x), ("y", *y)]).into())
            },
            |value| {
                let Value::Composite(it) = value else {
                    return Ok(value);
                };
                let part = |index| it.get(index).and_then(Value::as_i64).unwrap_or(0);
                Ok(Value::custom(Pair(part(0), part(1))))
            },
        );
        error_of::<InterfaceError>(
            connection
                .set_type_codec("own_composite", "public", text.clone())
                .await,
        );
        error_of::<InterfaceError>(
            connection
                .set_type_codec("_own_composite", "public", over.clone())
                .await,
        );
        error_of::<ValueError>(
            connection
                .set_type_codec("nothing", "public", over.clone())
                .await,
        );
        connection
            .set_type_codec("own_composite", "public", over)
            .await?;
        let back = one(
            &mut connection,
            "SELECT $1::own_composite",
            Value::custom(Pair(3, 4)),
        )
        .await?;
        assert_eq!(back.downcast_ref(), Some(&Pair(3, 4)));
        let array = connection
            .fetchrow("SELECT ARRAY[ROW(1, 2)::own_composite]", ())
            .await?;
        let Value::Array(all) = array.expect("there is one").value(0)? else {
            panic!("it is one")
        };
        assert_eq!(all[0].downcast_ref(), Some(&Pair(1, 2)));
        // What a codec goes wrong with is the outcome.
        let wrong = TypeCodec::text(
            |_| Err(ValueError::new("not encoded").into()),
            |_| Err(ValueError::new("not decoded").into()),
        );
        connection
            .set_type_codec("own_enum", "public", wrong)
            .await?;
        error_of::<ValueError>(one(&mut connection, "SELECT $1::own_enum", "foo").await);
        let row = connection
            .fetchrow("SELECT 'foo'::own_enum", ())
            .await?
            .expect("there is one");
        error_of::<DecodeError>(row.value(0));
        connection
            .execute(
                "DROP TYPE own_enum, own_composite; DROP DOMAIN own_domain",
                (),
            )
            .await?;
        Ok(())
    })
}

/// A codec that one connection sets holds for all connections of its pool.
#[test]
fn a_codec_is_a_pools() -> Result<()> {
    everywhere(|server| async move {
        let pool = create_pool(server.connect())
            .min_size(2)
            .max_size(2)
            .await?;
        let (mut one, mut other) = (pool.acquire().await?, pool.acquire().await?);
        let query = "SELECT 'x'::text AS word";
        let before = other.fetchrow(query, ()).await?.expect("there is one");
        let seen = Arc::new(Mutex::new(0));
        let count = Arc::clone(&seen);
        let codec = TypeCodec::text(
            |value| Ok(value.to_string()),
            move |text| {
                *count.lock().expect("nobody panics") += 1;
                Ok(Value::from(format!("<{text}>")))
            },
        );
        one.set_type_codec("text", "pg_catalog", codec).await?;
        let after = other.fetchrow(query, ()).await?.expect("there is one");
        assert_eq!(before.value(0)?, Value::from("x"));
        assert_eq!(after.value(0)?, Value::from("<x>"));
        assert_eq!(*seen.lock().expect("nobody panics"), 1);
        drop((one, other));
        pool.close().await
    })
}
