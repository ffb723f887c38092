//! Rows of either database.

use std::fmt;

use postgres_types::Type;
use rusqlite::types::ValueRef;

use super::errors::ValueError;
use super::value::{Cell, Field, Value};
use crate::{pg, sqlite};

/// One row of a result, of either database.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_db::sql::{create_async_engine, text};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let engine = create_async_engine("sqlite://").build()?;
///     let mut connection = engine.connect().await?;
///     let row = connection.execute(text("SELECT 7 AS id, 'seven' AS name")).await?.one()?;
///     assert_eq!(row.get::<i64>(0)?, 7);
///     assert_eq!(row.named::<String>("name")?, "seven");
///     assert_eq!(row.keys().collect::<Vec<_>>(), ["id", "name"]);
///     Ok(())
/// })
/// # }
/// ```
///
/// A clone is the same row.
#[derive(Clone)]
pub struct Row(pub(super) Inner);

#[derive(Clone)]
pub(super) enum Inner {
    Pg(pg::Record),
    Sqlite(sqlite::Row),
}

impl Row {
    /// How many columns it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Inner::Pg(row) => row.len(),
            Inner::Sqlite(row) => row.len(),
        }
    }

    /// Whether it has no columns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of its columns.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let (pg, sqlite) = match &self.0 {
            Inner::Pg(row) => (Some(row.keys()), None),
            Inner::Sqlite(row) => (None, Some(row.keys())),
        };
        pg.into_iter().flatten().chain(sqlite.into_iter().flatten())
    }

    /// The value of a column, by its position.
    ///
    /// # Errors
    ///
    /// [`ValueError`] where there is no such column, or its value is of another type.
    pub fn get<T: Field>(&self, column: usize) -> Result<T, ValueError> {
        let value = self.cell(column).and_then(T::from_cell);
        value.map_err(|error| {
            let name = self.keys().nth(column).unwrap_or("?");
            ValueError::new(format!("column {name:?}: {error}"))
        })
    }

    /// The value of a column, by its name.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub fn named<T: Field>(&self, name: &str) -> Result<T, ValueError> {
        let Some(column) = self.keys().position(|it| it == name) else {
            return Err(ValueError::new(format!("there is no column {name:?}")));
        };
        self.get(column)
    }

    /// The value of a column where it is, by its position.
    ///
    /// # Errors
    ///
    /// [`ValueError`] where there is no such column, or its type is none that both databases have: such
    /// is read from [`as_record`](Self::as_record).
    pub fn cell(&self, column: usize) -> Result<Cell<'_>, ValueError> {
        match &self.0 {
            Inner::Pg(row) => cell_of_record(row, column),
            Inner::Sqlite(row) => match row.get_ref(column) {
                Ok(ValueRef::Null) => Ok(Cell::Null),
                Ok(ValueRef::Integer(value)) => Ok(Cell::Integer(value)),
                Ok(ValueRef::Real(value)) => Ok(Cell::Real(value)),
                Ok(ValueRef::Text(value)) => std::str::from_utf8(value)
                    .map(Cell::Text)
                    .map_err(|_| ValueError::new("the text is not UTF-8")),
                Ok(ValueRef::Blob(value)) => Ok(Cell::Blob(value)),
                Err(_) => Err(ValueError::no_column(column, row.len())),
            },
        }
    }

    /// The row of PostgreSQL's that it is, if it is one.
    #[must_use]
    pub const fn as_record(&self) -> Option<&pg::Record> {
        match &self.0 {
            Inner::Pg(row) => Some(row),
            Inner::Sqlite(_) => None,
        }
    }

    /// The row of SQLite's that it is, if it is one.
    #[must_use]
    pub const fn as_sqlite(&self) -> Option<&sqlite::Row> {
        match &self.0 {
            Inner::Pg(_) => None,
            Inner::Sqlite(row) => Some(row),
        }
    }
}

fn cell_of_record(row: &pg::Record, position: usize) -> Result<Cell<'_>, ValueError> {
    let Some(column) = row.columns().get(position) else {
        return Err(ValueError::no_column(position, row.len()));
    };
    fn read<'a, T: postgres_types::FromSql<'a>>(
        row: &'a pg::Record,
        position: usize,
        made: impl FnOnce(T) -> Cell<'a>,
    ) -> Result<Cell<'a>, ValueError> {
        match row.get::<Option<T>>(position) {
            Ok(value) => Ok(value.map_or(Cell::Null, made)),
            Err(error) => Err(ValueError::new(error.to_string())),
        }
    }
    match *column.type_() {
        Type::BOOL => read(row, position, Cell::Bool),
        Type::INT2 => read(row, position, |value: i16| Cell::Integer(value.into())),
        Type::INT4 => read(row, position, |value: i32| Cell::Integer(value.into())),
        Type::INT8 => read(row, position, Cell::Integer),
        Type::OID => read(row, position, |value: u32| Cell::Integer(value.into())),
        Type::FLOAT4 => read(row, position, |value: f32| Cell::Real(value.into())),
        Type::FLOAT8 => read(row, position, Cell::Real),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
            read(row, position, Cell::Text)
        }
        Type::BYTEA => read(row, position, Cell::Blob),
        Type::VOID => Ok(Cell::Null),
        _ if row.is_null(position) == Some(true) => Ok(Cell::Null),
        ref other => Err(ValueError::new(format!(
            "the type {other} is PostgreSQL's alone: read it from the record, or cast it"
        ))),
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && (0..self.len()).all(|column| match (self.cell(column), other.cell(column)) {
                (Ok(mine), Ok(theirs)) => mine == theirs,
                _ => false,
            })
    }
}

impl fmt::Debug for Row {
    /// As a tuple of its values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("");
        for column in 0..self.len() {
            match self.cell(column) {
                Ok(cell) => tuple.field(&format_args!("{}", cell.to_value())),
                Err(_) => tuple.field(&format_args!("?")),
            };
        }
        tuple.finish()
    }
}

/// A row by the names of its columns (`result.mappings()`).
#[derive(Clone, Debug, PartialEq)]
pub struct RowMapping(pub(super) Row);

impl RowMapping {
    /// The value of a column.
    ///
    /// # Errors
    ///
    /// As of [`Row::named`].
    pub fn get<T: Field>(&self, name: &str) -> Result<T, ValueError> {
        self.0.named(name)
    }

    /// The names of the columns.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys()
    }

    /// The names and the values; one that only PostgreSQL has is null here.
    pub fn items(&self) -> impl Iterator<Item = (&str, Value)> {
        let value = |column| self.0.cell(column).map_or(Value::Null, Cell::to_value);
        let named = self.0.keys().enumerate();
        named.map(move |(column, name)| (name, value(column)))
    }
}
