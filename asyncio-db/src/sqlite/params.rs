//! What takes the places of the `?` in a statement.

use rusqlite::Statement;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use super::error::SqliteError;
use super::row::Cell;

/// The parameters of a statement: `()`, a tuple, an array, a slice or a vector of values by position, or
/// [`named`] ones.
///
/// ```
/// # use asyncio_core::{Result, run};
/// # use asyncio_db::sqlite::{connect, named};
/// # fn main() -> Result<()> {
/// # run(async {
/// # let db = connect(":memory:").await?;
/// let rows = db.execute_fetchall("select ?, ?, ?", (1, "two", 3.0)).await?;
/// assert_eq!(rows[0].decode::<(i64, String, f64)>()?, (1, "two".to_owned(), 3.0));
///
/// let ids = vec![1, 2];
/// let rows = db.execute_fetchall("select ? + ?", &ids).await?;
/// assert_eq!(rows[0].get::<i64>(0)?, 3);
///
/// let rows = db.execute_fetchall("select :a || :b", named([("a", "x"), ("b", "y")])).await?;
/// assert_eq!(rows[0].get::<String>(0)?, "xy");
/// # Ok(())
/// # })
/// # }
/// ```
///
/// The values are copied before the call, so that none need live as long as that. What may be a value is
/// said by rusqlite's [`ToSql`].
pub trait Params {
    #[doc(hidden)]
    fn add_to(self, parameters: &mut Parameters);
}

/// Values for parameters by their names, see [`named`].
#[derive(Clone, Copy, Debug)]
pub struct Named<I>(I);

/// Parameters by name: `:name`, `@name` or `$name` in the statement. A name without one of these signs is
/// one with a colon.
///
/// Where the values differ in their types each is made a [`Value`](super::Value).
///
/// ```
/// # use asyncio_core::{Result, run};
/// # use asyncio_db::sqlite::{Value, connect, named};
/// # fn main() -> Result<()> {
/// # run(async {
/// # let db = connect(":memory:").await?;
/// let values = [("id", Value::from(7)), ("@name", Value::from("x".to_owned()))];
/// let rows = db.execute_fetchall("select :id, @name", named(values)).await?;
/// assert_eq!(rows[0].get::<i64>(0)?, 7);
/// # Ok(())
/// # })
/// # }
/// ```
pub const fn named<I>(values: I) -> Named<I> {
    Named(values)
}

/// There is room made for so many sets before they have come, and for so many bytes of each.
const MOST_EXPECTED: usize = 1 << 16;
const MOST_BYTES: usize = 64;

/// One set of parameters, or many of the same length, one after the other.
#[doc(hidden)]
#[expect(unnameable_types, reason = "only this crate is to have any")]
#[derive(Debug, Default)]
pub struct Parameters {
    cells: Vec<Cell>,
    /// What the texts and the blobs consist of.
    bytes: Vec<u8>,
    names: Vec<Box<str>>,
    /// How many sets there are, if there are many, and how many values each has.
    sets: usize,
    width: usize,
    error: Option<SqliteError>,
}

impl Parameters {
    pub(super) fn one(params: impl Params) -> Result<Self, SqliteError> {
        let mut parameters = Self::default();
        params.add_to(&mut parameters);
        parameters.ok()
    }

    pub(super) fn many<P: Params>(sets: impl IntoIterator<Item = P>) -> Result<Self, SqliteError> {
        let mut parameters = Self::default();
        let sets = sets.into_iter();
        let (expected, _) = sets.size_hint();
        for set in sets {
            set.add_to(&mut parameters);
            if !parameters.names.is_empty() {
                return Err(SqliteError::programming(
                    "executemany takes its parameters by position",
                ));
            }
            if parameters.error.is_some() {
                break;
            }
            parameters.sets += 1;
            if parameters.sets == 1 {
                parameters.width = parameters.cells.len();
                // The others are probably like the first. An iterator may say what it likes of its size.
                let more = expected.min(MOST_EXPECTED);
                parameters.cells.reserve(more * parameters.width);
                parameters
                    .bytes
                    .reserve(more * parameters.bytes.len().min(MOST_BYTES));
            }
            if parameters.cells.len() != parameters.sets * parameters.width {
                return Err(SqliteError::programming(
                    "the sets of parameters differ in their lengths",
                ));
            }
        }
        parameters.ok()
    }

    fn ok(mut self) -> Result<Self, SqliteError> {
        self.error.take().map_or(Ok(self), Err)
    }

    fn add(&mut self, value: &(impl ToSql + ?Sized)) {
        let output = match value.to_sql() {
            Ok(output) => output,
            Err(error) => return self.fail(error.into()),
        };
        let value = match &output {
            ToSqlOutput::Borrowed(value) => *value,
            ToSqlOutput::Owned(value) => value.into(),
            _ => {
                return self.fail(SqliteError::programming(
                    "such a parameter has a meaning inside of SQLite only",
                ));
            }
        };
        match Cell::of(value, &mut self.bytes) {
            Ok(cell) => self.cells.push(cell),
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: SqliteError) {
        self.error.get_or_insert(error);
    }

    /// How many sets there are, of many.
    pub(super) const fn sets(&self) -> usize {
        self.sets
    }

    /// Gives the one set to a statement.
    pub(super) fn bind(&self, statement: &mut Statement<'_>) -> Result<(), SqliteError> {
        if self.names.is_empty() {
            Self::check(self.cells.len(), statement)?;
            return self.bind_cells(&self.cells, statement);
        }
        for place in 1..=statement.parameter_count() {
            let wanted = statement.parameter_name(place);
            let found = wanted.and_then(|it| self.names.iter().position(|name| &**name == it));
            let Some(found) = found else {
                let what = wanted.unwrap_or("?").to_owned();
                return Err(SqliteError::programming(format!(
                    "there is no value for the parameter {what}"
                )));
            };
            let value = self.cells[found].value(&self.bytes);
            statement.raw_bind_parameter(place, ToSqlOutput::Borrowed(value))?;
        }
        Ok(())
    }

    /// Refuses a statement that has another number of parameters than each of the sets.
    pub(super) fn check_sets(&self, statement: &Statement<'_>) -> Result<(), SqliteError> {
        match self.sets {
            0 => Ok(()),
            _ => Self::check(self.width, statement),
        }
    }

    /// Gives one of many sets to a statement, which was checked.
    pub(super) fn bind_set(
        &self,
        set: usize,
        statement: &mut Statement<'_>,
    ) -> Result<(), SqliteError> {
        let start = set * self.width;
        self.bind_cells(&self.cells[start..start + self.width], statement)
    }

    fn bind_cells(&self, cells: &[Cell], statement: &mut Statement<'_>) -> Result<(), SqliteError> {
        for (place, cell) in cells.iter().enumerate() {
            let place = place + 1;
            // By their types, which saves half of the instructions of a number.
            match *cell {
                Cell::Integer(value) => statement.raw_bind_parameter(place, value)?,
                Cell::Real(value) => statement.raw_bind_parameter(place, value)?,
                other => {
                    let value = other.value(&self.bytes);
                    statement.raw_bind_parameter(place, ToSqlOutput::Borrowed(value))?;
                }
            }
        }
        Ok(())
    }

    /// Refuses a statement that has another number of parameters.
    fn check(given: usize, statement: &Statement<'_>) -> Result<(), SqliteError> {
        let wanted = statement.parameter_count();
        if given != wanted {
            return Err(rusqlite::Error::InvalidParameterCount(given, wanted).into());
        }
        Ok(())
    }
}

impl Params for () {
    fn add_to(self, _: &mut Parameters) {}
}

impl<T: ToSql, const N: usize> Params for [T; N] {
    fn add_to(self, parameters: &mut Parameters) {
        self.iter().for_each(|it| parameters.add(it));
    }
}

impl<T: ToSql, const N: usize> Params for &[T; N] {
    fn add_to(self, parameters: &mut Parameters) {
        self.iter().for_each(|it| parameters.add(it));
    }
}

impl<T: ToSql> Params for &[T] {
    fn add_to(self, parameters: &mut Parameters) {
        self.iter().for_each(|it| parameters.add(it));
    }
}

impl<T: ToSql> Params for Vec<T> {
    fn add_to(self, parameters: &mut Parameters) {
        self.iter().for_each(|it| parameters.add(it));
    }
}

impl<T: ToSql> Params for &Vec<T> {
    fn add_to(self, parameters: &mut Parameters) {
        self.iter().for_each(|it| parameters.add(it));
    }
}

impl<N: AsRef<str>, T: ToSql, I: IntoIterator<Item = (N, T)>> Params for Named<I> {
    fn add_to(self, parameters: &mut Parameters) {
        for (name, value) in self.0 {
            let name = name.as_ref();
            let name = match name.as_bytes().first() {
                Some(b':' | b'@' | b'$') => name.into(),
                _ => format!(":{name}").into(),
            };
            parameters.names.push(name);
            parameters.add(&value);
        }
    }
}

macro_rules! tuples {
    ($($first:ident $($rest:ident)*)?) => {$(
        impl<$first: ToSql, $($rest: ToSql),*> Params for ($first, $($rest,)*) {
            #[expect(non_snake_case, reason = "the values are called as their types are")]
            fn add_to(self, parameters: &mut Parameters) {
                let ($first, $($rest,)*) = self;
                parameters.add(&$first);
                $(parameters.add(&$rest);)*
            }
        }
        tuples!($($rest)*);
    )?};
}

tuples!(A B C D E F G H I J K L M N O P);

impl Cell {
    /// A copy of a value, its bytes put to others.
    #[inline]
    pub(super) fn of(value: ValueRef<'_>, bytes: &mut Vec<u8>) -> Result<Self, SqliteError> {
        let mut put = |part: &[u8]| {
            let start = bytes.len();
            bytes.extend_from_slice(part);
            match u32::try_from(part.len()) {
                Ok(length) => Ok((start as u64, length)),
                Err(_) => Err(SqliteError::data("a value is longer than SQLite allows")),
            }
        };
        Ok(match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(value) => Self::Integer(value),
            ValueRef::Real(value) => Self::Real(value),
            ValueRef::Text(text) => {
                let (start, length) = put(text)?;
                Self::Text { start, length }
            }
            ValueRef::Blob(blob) => {
                let (start, length) = put(blob)?;
                Self::Blob { start, length }
            }
        })
    }

    /// The value, with the bytes where they were put.
    #[inline]
    pub(super) fn value(self, bytes: &[u8]) -> ValueRef<'_> {
        let part =
            |start: u64, length: u32| &bytes[start as usize..start as usize + length as usize];
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(value),
            Self::Real(value) => ValueRef::Real(value),
            Self::Text { start, length } => ValueRef::Text(part(start, length)),
            Self::Blob { start, length } => ValueRef::Blob(part(start, length)),
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::types::Value;

    use super::*;

    #[test]
    fn a_cell_is_two_words_and_keeps_its_value() {
        assert_eq!(size_of::<Cell>(), 16);
        let mut bytes = Vec::new();
        let values = [
            Value::Null,
            Value::Integer(-1),
            Value::Real(0.5),
            Value::Text("abc".to_owned()),
            Value::Blob(vec![0, 255]),
        ];
        let cells: Vec<Cell> = values
            .iter()
            .map(|value| Cell::of(value.into(), &mut bytes).expect("it is short"))
            .collect();
        let again: Vec<Value> = cells
            .iter()
            .map(|it| it.value(&bytes).try_into().expect("it is UTF-8"))
            .collect();
        assert_eq!(again, values);
    }

    #[test]
    fn a_value_that_cannot_be_one_is_an_error() {
        let error = Parameters::one((1, Bad));
        assert!(error.is_err());
    }

    struct Bad;

    impl ToSql for Bad {
        fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
            Err(rusqlite::Error::ToSqlConversionFailure("bad".into()))
        }
    }
}
