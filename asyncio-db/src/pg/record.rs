//! Rows.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use asyncio_core::Result;
use bytes::Bytes;
use postgres_types::{FromSql, FromSqlOwned, Type};

use super::errors::InterfaceError;
use super::values::{Codecs, Value};

/// What the rows of a result have in common.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    pub(crate) all: Vec<Attribute>,
    by_name: HashMap<String, usize>,
    codecs: Option<Arc<Codecs>>,
}

/// One column of a result (`asyncpg.Attribute`).
#[derive(Clone, Debug)]
pub struct Attribute {
    pub(crate) name: String,
    pub(crate) type_: Type,
    pub(crate) text: bool,
}

/// One row of a result, by position or by name (`asyncpg.Record`).
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> asyncio_core::Result<()> {
/// # let cluster = asyncio_db::testing::PgCluster::create()?;
/// # let dsn = cluster.dsn();
/// asyncio_core::run(async move {
///     let mut connection = asyncio_db::pg::connect(dsn).await?;
///     let query = "SELECT 'Ghent' AS name, 270000 AS people, NULL::text AS motto";
///     let row = connection.fetchrow(query, ()).await?.expect("there is one");
///     assert_eq!(row.get::<&str>("name")?, "Ghent");
///     assert_eq!(row.get::<i32>(1)?, 270_000);
///     assert_eq!(row.get::<Option<String>>("motto")?, None);
///     assert!(row.get::<String>("motto").is_err(), "what may be null is an Option");
///     assert_eq!(row.keys().collect::<Vec<_>>(), ["name", "people", "motto"]);
///     Ok(())
/// })
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
///
/// A clone is the same row; its memory is shared with the rows that came with it.
#[derive(Clone)]
pub struct Record {
    columns: Arc<Columns>,
    /// The number of fields, then for each its length and its bytes.
    body: Bytes,
}

/// A column's position, or its name.
pub trait ColumnIndex: fmt::Debug {
    #[doc(hidden)]
    fn position(&self, record: &Record) -> Option<usize>;
}

impl Columns {
    pub(crate) fn new(all: Vec<Attribute>) -> Self {
        let mut by_name = HashMap::with_capacity(all.len());
        for (position, column) in all.iter().enumerate() {
            // As in Python, the last of several of one name is found by it.
            by_name.insert(column.name.clone(), position);
        }
        Self {
            all,
            by_name,
            codecs: None,
        }
    }

    /// With the codecs that its values are read by.
    pub(crate) fn with_codecs(mut self, codecs: Option<Arc<Codecs>>) -> Self {
        self.codecs = codecs;
        self
    }

    /// Whether there are no rows, but what a command has done.
    pub(crate) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Attribute {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of its values.
    #[must_use]
    pub const fn type_(&self) -> &Type {
        &self.type_
    }
}

impl Record {
    pub(crate) const fn new(columns: Arc<Columns>, body: Bytes) -> Self {
        Self { columns, body }
    }

    /// How many fields it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.all.len()
    }

    /// Whether it has no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.all.is_empty()
    }

    /// The names of its columns.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.columns.all.iter().map(|column| column.name.as_str())
    }

    /// Its columns.
    #[must_use]
    pub fn columns(&self) -> &[Attribute] {
        &self.columns.all
    }

    /// The value of a column, given by its position or its name; `Option` where it may be null.
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] when there is no such column; [`DecodeError`] when its value cannot be
    /// one of this type, null included.
    pub fn get<'a, T: FromSql<'a>>(&'a self, column: impl ColumnIndex) -> Result<T> {
        let Some(position) = column.position(self) else {
            return Err(InterfaceError::new(format!("there is no column {column:?}")).into());
        };
        self.decode(position)
    }

    pub(crate) fn decode<'a, T: FromSql<'a>>(&'a self, position: usize) -> Result<T> {
        let Some(column) = self.columns.all.get(position) else {
            return Err(InterfaceError::new(format!("there is no column {position}")).into());
        };
        let failed = |source| DecodeError {
            column: column.name.clone(),
            type_: column.type_.name().to_owned(),
            source,
        };
        // Values that the server can only write out are text.
        let type_ = if column.text {
            &Type::TEXT
        } else {
            &column.type_
        };
        if !T::accepts(type_) {
            let source = postgres_types::WrongType::new::<T>(type_.clone());
            return Err(failed(Box::new(source)).into());
        }
        let value = match self.range(position) {
            Some(Some(range)) => T::from_sql(type_, &self.body[range]),
            Some(None) => T::from_sql_null(type_),
            None => Err("the row ends before this column".into()),
        };
        value.map_err(|source| failed(source).into())
    }

    /// The value of a column, given by its position or its name, whatever it is; by the codec that the
    /// program has set for its type.
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] when there is no such column; [`DecodeError`] when its value is not what a value
    /// of its type looks like.
    pub fn value(&self, column: impl ColumnIndex) -> Result<Value> {
        let Some(position) = column.position(self) else {
            return Err(InterfaceError::new(format!("there is no column {column:?}")).into());
        };
        let column = &self.columns.all[position];
        let codecs = self.columns.codecs.as_deref();
        let value = match self.range(position) {
            Some(Some(range)) if column.text => std::str::from_utf8(&self.body[range])
                .map_err(Into::into)
                .and_then(|text| Codecs::read_text(codecs, &column.type_, text)),
            Some(Some(range)) => Value::read(&column.type_, &self.body[range], codecs),
            Some(None) => Ok(Value::Null),
            None => Err("the row ends before this column".into()),
        };
        let failed = |source| DecodeError {
            column: column.name.clone(),
            type_: column.type_.name().to_owned(),
            source,
        };
        value.map_err(|source| failed(source).into())
    }

    /// All values, in order (`Record.values`).
    pub fn values(&self) -> impl Iterator<Item = Result<Value>> {
        (0..self.len()).map(|position| self.value(position))
    }

    /// The names of all columns, with their values (`Record.items`).
    pub fn items(&self) -> impl Iterator<Item = (&str, Result<Value>)> {
        self.keys().zip(self.values())
    }

    /// As [`get`](Self::get), where a column that is not there has this value.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], as of [`get`](Self::get).
    pub fn get_or<'a, T: FromSql<'a>>(&'a self, column: impl ColumnIndex, default: T) -> Result<T> {
        match column.position(self) {
            Some(position) => self.decode(position),
            None => Ok(default),
        }
    }

    /// Whether there is such a column.
    #[must_use]
    pub fn contains(&self, column: impl ColumnIndex) -> bool {
        column.position(self).is_some()
    }

    /// Makes something of it that is made of records: a tuple, or a struct by [`from_record!`].
    ///
    /// [`from_record!`]: crate::from_record
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub fn to<T: FromRecord>(&self) -> Result<T> {
        T::from_record(self)
    }

    /// Whether a column's value is null; `None` where there is no such column.
    #[must_use]
    pub fn is_null(&self, column: impl ColumnIndex) -> Option<bool> {
        let position = column.position(self)?;
        Some(self.range(position)?.is_none())
    }

    /// Where a value is.
    fn range(&self, position: usize) -> Option<Option<Range<usize>>> {
        let body = &self.body[..];
        let (count, mut rest) = body.split_first_chunk()?;
        if position >= usize::from(u16::from_be_bytes(*count)) {
            return None;
        }
        for _ in 0..position {
            let (len, behind) = rest.split_first_chunk()?;
            // That of null is below zero.
            let len = usize::try_from(i32::from_be_bytes(*len)).unwrap_or(0);
            rest = behind.get(len..)?;
        }
        let (len, behind) = rest.split_first_chunk()?;
        let Ok(len) = usize::try_from(i32::from_be_bytes(*len)) else {
            return Some(None);
        };
        let begin = body.len() - behind.len();
        (len <= behind.len()).then_some(Some(begin..begin + len))
    }
}

impl PartialEq for Record {
    /// Whether the values are the same as they came, whatever the columns are called.
    fn eq(&self, other: &Self) -> bool {
        self.body == other.body
    }
}

impl Eq for Record {}

impl Hash for Record {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.body.hash(state);
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<Record")?;
        for (name, value) in self.items() {
            write!(f, " {name}=")?;
            match value {
                Ok(Value::Null) => f.write_str("None")?,
                Ok(Value::Text(text)) => write!(f, "{text:?}")?,
                Ok(value @ (Value::Float4(_) | Value::Float8(_))) => match value {
                    Value::Float4(it) => write!(f, "{it:?}")?,
                    Value::Float8(it) => write!(f, "{it:?}")?,
                    _ => {}
                },
                Ok(Value::Bool(it)) => write!(f, "{it}")?,
                Ok(value) => write!(f, "{value}")?,
                Err(_) => f.write_str("?")?,
            }
        }
        f.write_str(">")
    }
}

impl ColumnIndex for usize {
    fn position(&self, record: &Record) -> Option<usize> {
        (*self < record.len()).then_some(*self)
    }
}

impl ColumnIndex for &str {
    fn position(&self, record: &Record) -> Option<usize> {
        record.columns.by_name.get(*self).copied()
    }
}

impl ColumnIndex for &String {
    fn position(&self, record: &Record) -> Option<usize> {
        self.as_str().position(record)
    }
}

/// What is made of a record.
///
/// Tuples are, by position, and structs by [`from_record!`](crate::from_record), by name.
pub trait FromRecord: Sized {
    /// Makes it.
    ///
    /// # Errors
    ///
    /// As of [`Record::get`].
    fn from_record(record: &Record) -> Result<Self>;
}

macro_rules! tuples {
    ($($name:ident $index:tt),+) => {
        impl<$($name: FromSqlOwned),+> FromRecord for ($($name,)+) {
            fn from_record(record: &Record) -> Result<Self> {
                Ok(($(record.get($index)?,)+))
            }
        }
    };
}

tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// Says which fields of a struct are made of which columns, so that it is a [`FromRecord`](crate::pg::FromRecord).
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> asyncio_core::Result<()> {
/// # let cluster = asyncio_db::testing::PgCluster::create()?;
/// # let dsn = cluster.dsn();
/// #[derive(Debug, PartialEq)]
/// struct Town {
///     name: String,
///     inhabitants: Option<i32>,
/// }
///
/// asyncio_db::from_record!(Town { name, inhabitants = "people" });
///
/// asyncio_core::run(async move {
///     let mut connection = asyncio_db::pg::connect(dsn).await?;
///     let row = connection.fetchrow("SELECT 'Ghent' AS name, 270000 AS people", ()).await?;
///     let town: Town = row.expect("there is one").to()?;
///     assert_eq!(town, Town { name: "Ghent".to_owned(), inhabitants: Some(270_000) });
///     Ok(())
/// })
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! from_record {
    ($name:ident { $($field:ident $(= $column:literal)?),* $(,)? }) => {
        impl $crate::pg::FromRecord for $name {
            fn from_record(record: &$crate::pg::Record) -> ::asyncio_core::Result<Self> {
                Ok(Self {
                    $($field: record.get($crate::from_record!(@ $field $($column)?))?,)*
                })
            }
        }
    };
    (@ $field:ident $column:literal) => {
        $column
    };
    (@ $field:ident) => {
        stringify!($field)
    };
}

/// A value is not one of the type that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("column {column:?}, of type {type_}, cannot be read as what was asked for")]
pub struct DecodeError {
    column: String,
    type_: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl DecodeError {
    /// The name of the column.
    #[must_use]
    pub fn column(&self) -> &str {
        &self.column
    }
}
