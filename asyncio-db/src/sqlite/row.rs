//! Rows (`sqlite3.Row`), and the chunks in which they come.

use std::fmt;
use std::sync::Arc;

use rusqlite::Statement;
use rusqlite::types::{FromSql, FromSqlError, ValueRef};

use super::error::SqliteError;

/// A chunk whose texts and blobs come to so much is large enough: the memory of one that is smaller than what
/// an allocator asks the system for is used again for the next.
const LARGE: usize = 1 << 16;
/// So is one of so many values, of 16 bytes each.
const MANY: usize = 1 << 12;

/// A row of a result: values by position or by the name of the column (`sqlite3.Row`).
///
/// ```
/// # use asyncio_core::{Result, run};
/// # use asyncio_db::sqlite::{Value, connect};
/// # fn main() -> Result<()> {
/// # run(async {
/// # let db = connect(":memory:").await?;
/// let mut cursor = db.execute("select 7 as id, 'seven' as name, null as note", ()).await?;
/// let row = cursor.fetchone().await?.expect("there is one");
/// assert_eq!(row.get::<i64>(0)?, 7);
/// assert_eq!(row.get_str("Name")?, "seven");
/// assert_eq!(row.get::<Option<String>>("note")?, None);
/// assert_eq!(row.keys().collect::<Vec<_>>(), ["id", "name", "note"]);
///
/// let (id, name, note): (i32, String, Value) = row.decode()?;
/// assert_eq!((id, name.as_str(), note), (7, "seven", Value::Null));
/// # Ok(())
/// # })
/// # }
/// ```
///
/// Rows are cheap to clone. The rows that were read together are kept in memory together.
#[derive(Clone)]
pub struct Row {
    chunk: Arc<Chunk>,
    /// Where its values begin.
    start: usize,
}

/// Which column: its position, or its name, in which the case of ASCII letters does not matter.
pub trait ColumnIndex: fmt::Debug + Copy {
    #[doc(hidden)]
    fn place(self, columns: &Columns) -> Option<usize>;
}

/// What a whole row can be made: a tuple, each of whose parts can be made of a value.
pub trait FromRow: Sized {
    /// Makes it of a row, which has as many columns as it has parts.
    ///
    /// # Errors
    ///
    /// [`SqliteError`] where there are more or fewer columns, or a value is of another type.
    fn from_row(row: &Row) -> Result<Self, SqliteError>;
}

/// Rows that were read together.
pub(super) struct Chunk {
    columns: Arc<Columns>,
    cells: Vec<Cell>,
    bytes: Vec<u8>,
    rows: usize,
}

/// A value, its bytes elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text { start: u64, length: u32 },
    Blob { start: u64, length: u32 },
}

/// The names of the columns of a result.
#[doc(hidden)]
#[expect(unnameable_types, reason = "only this crate is to have any")]
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Columns {
    names: String,
    /// Where each name ends.
    ends: Vec<usize>,
}

impl Row {
    pub(super) fn new(chunk: &Arc<Chunk>, number: usize) -> Self {
        Self {
            start: number * chunk.columns.len(),
            chunk: Arc::clone(chunk),
        }
    }

    /// How many columns it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunk.columns.len()
    }

    /// Whether it has no column at all; no row of SQLite's is so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of its columns (`row.keys`).
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.chunk.columns.iter()
    }

    /// Its values.
    pub fn values(&self) -> impl ExactSizeIterator<Item = ValueRef<'_>> {
        let cells = &self.chunk.cells[self.start..self.start + self.len()];
        cells.iter().map(|cell| cell.value(&self.chunk.bytes))
    }

    /// A value, as what is asked for.
    ///
    /// # Errors
    ///
    /// [`SqliteError`] where there is no such column, or its value is of another type. A null is an
    /// `Option` that is none.
    pub fn get<T: FromSql>(&self, column: impl ColumnIndex) -> Result<T, SqliteError> {
        let place = self.place(column)?;
        T::column_result(self.value(place)).map_err(|error| self.mistyped(place, error))
    }

    /// A value where it is.
    ///
    /// # Errors
    ///
    /// [`SqliteError`] where there is no such column.
    pub fn get_ref(&self, column: impl ColumnIndex) -> Result<ValueRef<'_>, SqliteError> {
        Ok(self.value(self.place(column)?))
    }

    /// A text where it is, which [`get`](Self::get) would copy.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub fn get_str(&self, column: impl ColumnIndex) -> Result<&str, SqliteError> {
        let place = self.place(column)?;
        let text = self.value(place).as_str();
        text.map_err(|error| self.mistyped(place, error))
    }

    /// The whole row, as a tuple.
    ///
    /// # Errors
    ///
    /// [`SqliteError`] where there are more or fewer columns, or a value is of another type.
    pub fn decode<T: FromRow>(&self) -> Result<T, SqliteError> {
        T::from_row(self)
    }

    fn place(&self, column: impl ColumnIndex) -> Result<usize, SqliteError> {
        column
            .place(&self.chunk.columns)
            .ok_or_else(|| SqliteError::programming(format!("there is no column {column:?}")))
    }

    #[inline]
    fn value(&self, place: usize) -> ValueRef<'_> {
        self.chunk.cells[self.start + place].value(&self.chunk.bytes)
    }

    fn mistyped(&self, place: usize, error: FromSqlError) -> SqliteError {
        let name = self.chunk.columns.get(place).unwrap_or("?");
        let kind = self.value(place).data_type();
        SqliteError::data(format!("the value of column {name:?} is {kind}")).caused_by(error)
    }
}

impl PartialEq for Row {
    /// Whether the names and the values are the same.
    fn eq(&self, other: &Self) -> bool {
        self.chunk.columns == other.chunk.columns && self.values().eq(other.values())
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values().map(Shown);
        f.debug_map().entries(self.keys().zip(values)).finish()
    }
}

/// A value for a programmer: no text as a list of bytes.
struct Shown<'a>(ValueRef<'a>);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ValueRef::Null => f.write_str("null"),
            ValueRef::Integer(value) => value.fmt(f),
            ValueRef::Real(value) => value.fmt(f),
            ValueRef::Text(text) => String::from_utf8_lossy(text).fmt(f),
            ValueRef::Blob(blob) => write!(f, "{} bytes", blob.len()),
        }
    }
}

impl ColumnIndex for usize {
    fn place(self, columns: &Columns) -> Option<usize> {
        (self < columns.len()).then_some(self)
    }
}

impl ColumnIndex for &str {
    fn place(self, columns: &Columns) -> Option<usize> {
        let exact = columns.iter().position(|name| name == self);
        exact.or_else(|| {
            columns
                .iter()
                .position(|name| name.eq_ignore_ascii_case(self))
        })
    }
}

impl ColumnIndex for &String {
    fn place(self, columns: &Columns) -> Option<usize> {
        self.as_str().place(columns)
    }
}

macro_rules! tuples {
    ($($first:ident $($rest:ident)*)?) => {$(
        impl<$first: FromSql, $($rest: FromSql),*> FromRow for ($first, $($rest,)*) {
            fn from_row(row: &Row) -> Result<Self, SqliteError> {
                let parts = [stringify!($first), $(stringify!($rest)),*].len();
                if row.len() != parts {
                    return Err(SqliteError::programming(format!(
                        "the row has {} columns, and {parts} were asked for",
                        row.len()
                    )));
                }
                let mut places = 0..;
                let mut next = || places.next().unwrap_or_default();
                Ok((row.get::<$first>(next())?, $(row.get::<$rest>(next())?,)*))
            }
        }
        tuples!($($rest)*);
    )?};
}

tuples!(A B C D E F G H I J K L M N O P);

impl Chunk {
    pub(super) fn new(columns: &Arc<Columns>) -> Self {
        Self {
            columns: Arc::clone(columns),
            cells: Vec::new(),
            bytes: Vec::new(),
            rows: 0,
        }
    }

    #[inline]
    pub(super) fn push(&mut self, row: &rusqlite::Row<'_>) -> Result<(), SqliteError> {
        for place in 0..self.columns.len() {
            let cell = Cell::of(row.get_ref(place)?, &mut self.bytes)?;
            self.cells.push(cell);
        }
        self.rows += 1;
        Ok(())
    }

    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn is_large(&self) -> bool {
        self.bytes.len() >= LARGE || self.cells.len() >= MANY
    }
}

impl Columns {
    pub(super) fn of(statement: &Statement<'_>) -> Arc<Self> {
        let mut columns = Self::default();
        for place in 0..statement.column_count() {
            // There is one as long as the place is below the count.
            columns.names += statement.column_name(place).unwrap_or_default();
            columns.ends.push(columns.names.len());
        }
        Arc::new(columns)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, place: usize) -> Option<&str> {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.names.get(start..*self.ends.get(place)?)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|place| self.get(place).unwrap_or_default())
    }
}
