//! Rows (asyncpg's `test_record.py`).

use std::collections::HashSet;

use asyncio_core::Result;
use asyncio_db::pg::values::Value;
use asyncio_db::pg::{Connection, DecodeError, InterfaceError, Record};

use crate::support::{error_of, everywhere};

#[derive(Debug, PartialEq)]
struct Person {
    name: String,
    age: Option<i32>,
}

asyncio_db::from_record!(Person { name, age = "years" });

async fn row(connection: &mut Connection, query: &str) -> Result<Record> {
    Ok(connection.fetchrow(query, ()).await?.expect("there is one"))
}

/// `test_record_gc` not; `test_record_freelist_ok` not; `test_record_zero_length`, `test_record_len_getindex`,
/// `test_record_slice`, `test_record_immutable` (there is nothing to change it by), `test_record_repr`.
#[test]
fn a_record_is_a_row_of_values() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let empty = row(&mut connection, "SELECT").await?;
        assert_eq!((empty.len(), empty.is_empty()), (0, true));
        assert_eq!(format!("{empty:?}"), "<Record>");
        assert_eq!(
            empty.keys().count() + empty.values().count() + empty.items().count(),
            0
        );

        let record = row(&mut connection, "SELECT 42 AS a, 'x' AS b, NULL::int AS c").await?;
        assert_eq!(record.len(), 3);
        assert_eq!((record.get::<i32>(0)?, record.get::<i32>("a")?), (42, 42));
        assert_eq!(record.get::<&str>(1)?, "x");
        assert_eq!(record.is_null("c"), Some(true));
        error_of::<InterfaceError>(record.get::<i32>(3));
        error_of::<InterfaceError>(record.get::<i32>("nothing"));
        error_of::<InterfaceError>(record.value("nothing"));
        error_of::<DecodeError>(record.get::<i64>("a"));
        assert_eq!(format!("{record:?}"), "<Record a=42 b=\"x\" c=None>");
        let slice: Vec<Value> = record.values().skip(1).collect::<Result<_>>()?;
        assert_eq!(slice, [Value::from("x"), Value::Null]);
        Ok(())
    })
}

/// `test_record_iter`, `test_record_hash`, `test_record_contains`, `test_record_keys`,
/// `test_record_values`, `test_record_items`, `test_record_get`.
#[test]
fn a_record_is_a_map_too() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let record = row(&mut connection, "SELECT 42 AS a, '42' AS b").await?;
        assert_eq!(record.keys().collect::<Vec<_>>(), ["a", "b"]);
        let values: Vec<Value> = record.values().collect::<Result<_>>()?;
        assert_eq!(values, [Value::from(42), Value::from("42")]);
        let items: Vec<String> = record
            .items()
            .map(|(name, value)| Ok(format!("{name} {}", value?)))
            .collect::<Result<_>>()?;
        assert_eq!(items, ["a 42", "b 42"]);
        assert!(record.contains("a") && !record.contains("c") && record.contains(1_usize));
        assert_eq!((record.get_or("a", 7)?, record.get_or("c", 7)?), (42, 7));
        let again = row(&mut connection, "SELECT 42 AS other, '42' AS names").await?;
        assert_eq!(record, again);
        assert_eq!(HashSet::from([record.clone(), again, record]).len(), 1);
        Ok(())
    })
}

/// `test_record_cmp`, `test_record_not_picklable` not, `test_record_empty`, `test_record_duplicate_colnames`.
#[test]
fn records_are_equal_when_their_values_are() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let one = row(&mut connection, "SELECT 1 AS a, 'x' AS b").await?;
        assert_eq!(one, row(&mut connection, "SELECT 1 AS a, 'x' AS b").await?);
        assert_ne!(one, row(&mut connection, "SELECT 1 AS a, 'y' AS b").await?);
        assert_ne!(one, row(&mut connection, "SELECT 1 AS a").await?);
        assert_ne!(one, row(&mut connection, "SELECT 1 AS a, NULL AS b").await?);
        // Of several columns of one name, the last is found by it.
        let twice = row(&mut connection, "SELECT 1 AS a, 2 AS a, 3 AS b").await?;
        assert_eq!((twice.get::<i32>("a")?, twice.get::<i32>(0)?), (2, 1));
        assert_eq!(twice.keys().collect::<Vec<_>>(), ["a", "a", "b"]);
        Ok(())
    })
}

/// `test_record_subclass_01` and its like: a struct, or a tuple, is made of a record.
#[test]
fn structs_and_tuples_are_made_of_records() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let record = row(&mut connection, "SELECT 'Ann' AS name, 7 AS years").await?;
        let person: Person = record.to()?;
        assert_eq!(
            person,
            Person {
                name: "Ann".to_owned(),
                age: Some(7)
            }
        );
        assert_eq!(record.to::<(String, i32)>()?, ("Ann".to_owned(), 7));
        error_of::<InterfaceError>(record.to::<(String, i32, i32)>());
        let other = row(&mut connection, "SELECT 7 AS years").await?;
        error_of::<InterfaceError>(other.to::<Person>());
        Ok(())
    })
}
