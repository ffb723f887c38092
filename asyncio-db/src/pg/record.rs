//! Rows.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use asyncio_core::Result;
use bytes::Bytes;
use postgres_types::{FromSql, Type};

use super::errors::InterfaceError;

/// What the rows of a result have in common.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    pub(crate) all: Vec<Attribute>,
    by_name: HashMap<String, usize>,
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
        Self { all, by_name }
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

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<Record")?;
        for (position, column) in self.columns.all.iter().enumerate() {
            write!(f, " {}=", column.name)?;
            if column.text || column.type_ == Type::TEXT || column.type_ == Type::VARCHAR {
                match self.decode::<Option<&str>>(position) {
                    Ok(Some(text)) => write!(f, "{text:?}")?,
                    Ok(None) => f.write_str("None")?,
                    Err(_) => f.write_str("?")?,
                }
                continue;
            }
            match &column.type_ {
                &Type::BOOL => self.show::<bool>(position, f)?,
                &Type::INT2 => self.show::<i16>(position, f)?,
                &Type::INT4 => self.show::<i32>(position, f)?,
                &Type::INT8 => self.show::<i64>(position, f)?,
                &Type::FLOAT4 => self.show::<f32>(position, f)?,
                &Type::FLOAT8 => self.show::<f64>(position, f)?,
                type_ => write!(f, "<{}>", type_.name())?,
            }
        }
        f.write_str(">")
    }
}

impl Record {
    fn show<'a, T: FromSql<'a> + fmt::Debug>(
        &'a self,
        position: usize,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        match self.decode::<Option<T>>(position) {
            Ok(Some(value)) => write!(f, "{value:?}"),
            Ok(None) => f.write_str("None"),
            Err(_) => f.write_str("?"),
        }
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
