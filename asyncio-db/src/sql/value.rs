//! Values, as both databases have them.

use std::fmt;

use asyncio_core::Result;
use bytes::{BufMut, BytesMut};
use postgres_types::{IsNull, ToSql, Type, to_sql_checked};
use rusqlite::types::{ToSqlOutput, ValueRef};
use sea_query as sq;

use super::errors::ValueError;

/// A value that both databases have.
///
/// ```
/// use asyncio_db::sql::{Field as _, Value};
///
/// assert_eq!(7_i64.to_value(), Value::Integer(7));
/// assert_eq!(None::<String>.to_value(), Value::Null);
/// assert_eq!(Value::Text("seven".to_owned()).to_string(), "seven");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// SQLite keeps it as 0 or 1.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// What is in a row, where it is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cell<'a> {
    /// Nothing.
    Null,
    /// PostgreSQL has such.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

/// How a column of a type is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// `boolean`
    Boolean,
    /// Of 16 bits.
    SmallInteger,
    /// Of 32 bits.
    Integer,
    /// Of 64 bits.
    BigInteger,
    /// Of 32 bits.
    Real,
    /// Of 64 bits.
    Double,
    /// Of any length.
    Text,
    /// Of any length.
    Blob,
}

/// A type whose values can be in a column: booleans, integers, floats, `String`, `Vec<u8>`, and each of them
/// in an `Option`.
///
/// A type of a program's own becomes one by saying which of those it is kept as.
///
/// ```
/// use asyncio_db::sql::{Cell, Field, Kind, Value, ValueError};
///
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// enum Colour { Red, Green }
///
/// impl Field for Colour {
///     const KIND: Kind = Kind::Text;
///
///     fn to_value(&self) -> Value {
///         Value::Text(match self { Self::Red => "red", Self::Green => "green" }.to_owned())
///     }
///
///     fn from_cell(cell: Cell<'_>) -> Result<Self, ValueError> {
///         match String::from_cell(cell)?.as_str() {
///             "red" => Ok(Self::Red),
///             "green" => Ok(Self::Green),
///             other => Err(ValueError::new(format!("there is no colour {other:?}"))),
///         }
///     }
/// }
///
/// assert_eq!(Colour::from_value(Colour::Green.to_value()), Ok(Colour::Green));
/// ```
pub trait Field: Clone + Send + Sync + 'static {
    /// How its column is declared.
    const KIND: Kind;
    /// Whether its column may be null.
    const NULLABLE: bool = false;

    /// The value that it is kept as.
    fn to_value(&self) -> Value;

    /// Reads it.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when it is none of these.
    fn from_cell(cell: Cell<'_>) -> Result<Self, ValueError>;

    /// As [`from_cell`](Self::from_cell), of a value.
    ///
    /// # Errors
    ///
    /// As of that.
    fn from_value(value: Value) -> Result<Self, ValueError> {
        Self::from_cell(value.as_cell())
    }
}

impl Value {
    /// What it is, where it is.
    #[must_use]
    pub fn as_cell(&self) -> Cell<'_> {
        match self {
            Self::Null => Cell::Null,
            Self::Bool(value) => Cell::Bool(*value),
            Self::Integer(value) => Cell::Integer(*value),
            Self::Real(value) => Cell::Real(*value),
            Self::Text(value) => Cell::Text(value),
            Self::Blob(value) => Cell::Blob(value),
        }
    }

    /// Whether it is nothing.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// As sea-query has it.
    pub(super) fn into_query(self) -> sq::Value {
        match self {
            Self::Null => sq::Value::String(None),
            Self::Bool(value) => value.into(),
            Self::Integer(value) => value.into(),
            Self::Real(value) => value.into(),
            Self::Text(value) => value.into(),
            Self::Blob(value) => value.into(),
        }
    }

    /// Of one that sea-query has kept.
    pub(super) fn of_query(value: sq::Value) -> Self {
        use sq::Value as Q;
        match value {
            Q::Bool(it) => it.map(Self::Bool),
            Q::TinyInt(it) => it.map(|it| Self::Integer(it.into())),
            Q::SmallInt(it) => it.map(|it| Self::Integer(it.into())),
            Q::Int(it) => it.map(|it| Self::Integer(it.into())),
            Q::BigInt(it) => it.map(Self::Integer),
            Q::TinyUnsigned(it) => it.map(|it| Self::Integer(it.into())),
            Q::SmallUnsigned(it) => it.map(|it| Self::Integer(it.into())),
            Q::Unsigned(it) => it.map(|it| Self::Integer(it.into())),
            // A limit; more rows than that there are nowhere.
            Q::BigUnsigned(it) => it.map(|it| Self::Integer(i64::try_from(it).unwrap_or(i64::MAX))),
            Q::Float(it) => it.map(|it| Self::Real(it.into())),
            Q::Double(it) => it.map(Self::Real),
            Q::String(it) => it.map(Self::Text),
            Q::Char(it) => it.map(|it| Self::Text(it.into())),
            Q::Bytes(it) => it.map(Self::Blob),
            Q::Enum(sq::OptionEnum::Some(it)) => Some(Self::Text(it.value.to_string())),
            Q::Enum(sq::OptionEnum::None(_)) => None,
            #[allow(
                unreachable_patterns,
                reason = "sea-query has more with features of others"
            )]
            other => Some(Self::Text(other.to_string())),
        }
        .unwrap_or_default()
    }
}

impl Cell<'_> {
    /// A copy of its own.
    #[must_use]
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Integer(value) => Value::Integer(value),
            Self::Real(value) => Value::Real(value),
            Self::Text(value) => Value::Text(value.to_owned()),
            Self::Blob(value) => Value::Blob(value.to_owned()),
        }
    }

    /// What it is called in an error.
    const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Real(_) => "a float",
            Self::Text(_) => "text",
            Self::Blob(_) => "bytes",
        }
    }
}

fn mistyped<T>(wanted: &str, cell: Cell<'_>) -> Result<T, ValueError> {
    let hint = match cell {
        Cell::Null => ": what may be null is an Option",
        _ => "",
    };
    let found = cell.name();
    Err(ValueError::new(format!("{found} is not {wanted}{hint}")))
}

impl Field for bool {
    const KIND: Kind = Kind::Boolean;

    fn to_value(&self) -> Value {
        Value::Bool(*self)
    }

    fn from_cell(cell: Cell<'_>) -> Result<Self, ValueError> {
        match cell {
            Cell::Bool(value) => Ok(value),
            Cell::Integer(value) => Ok(value != 0),
            other => mistyped("a boolean", other),
        }
    }
}

macro_rules! integers {
    ($($type:ident $kind:ident)*) => {$(
        impl Field for $type {
            const KIND: Kind = Kind::$kind;

            fn to_value(&self) -> Value {
                Value::Integer((*self).into())
            }

            fn from_cell(cell: Cell<'_>) -> Result<Self, ValueError> {
                match cell {
                    Cell::Integer(value) => Self::try_from(value).map_err(|_| {
                        ValueError::new(format!("{value} is too large for {}", stringify!($type)))
                    }),
                    Cell::Bool(value) => Ok(value.into()),
                    other => mistyped("an integer", other),
                }
            }
        }
    )*};
}

integers! { i16 SmallInteger i32 Integer i64 BigInteger }

impl Field for f64 {
    const KIND: Kind = Kind::Double;

    fn to_value(&self) -> Value {
        Value::Real(*self)
    }

    fn from_cell(cell: Cell<'_>) -> Result<Self, ValueError> {
        match cell {
            Cell::Real(value) => Ok(value),
            // Without a fraction a number may be kept as a whole one.
            #[expect(clippy::cast_precision_loss, reason = "as SQLite itself does")]
            Cell::Integer(value) => Ok(value as Self),
            other => mistyped("a float", other),
        }
    }
}

impl Field for f32 {
    const KIND: Kind = Kind::Real;

    fn to_value(&self) -> Value {
        Value::Real((*self).into())
    }

    fn from_cell(cell: Cell<'_>) -> Result<Self, ValueError> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it was kept as one of 32 bits"
        )]
        f64::from_cell(cell).map(|value| value as Self)
    }
}

impl Field for String {
    const KIND: Kind = Kind::Text;

    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }

    fn from_cell(cell: Cell<'_>) -> Result<Self, ValueError> {
        match cell {
            Cell::Text(value) => Ok(value.to_owned()),
            other => mistyped("text", other),
        }
    }

    fn from_value(value: Value) -> Result<Self, ValueError> {
        match value {
            Value::Text(value) => Ok(value),
            other => mistyped("text", other.as_cell()),
        }
    }
}

impl Field for Vec<u8> {
    const KIND: Kind = Kind::Blob;

    fn to_value(&self) -> Value {
        Value::Blob(self.clone())
    }

    fn from_cell(cell: Cell<'_>) -> Result<Self, ValueError> {
        match cell {
            Cell::Blob(value) => Ok(value.to_owned()),
            other => mistyped("bytes", other),
        }
    }
}

impl<T: Field> Field for Option<T> {
    const KIND: Kind = T::KIND;
    const NULLABLE: bool = true;

    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_value)
    }

    fn from_cell(cell: Cell<'_>) -> Result<Self, ValueError> {
        match cell {
            Cell::Null => Ok(None),
            cell => T::from_cell(cell).map(Some),
        }
    }
}

/// Whatever there is.
impl Field for Value {
    const KIND: Kind = Kind::Text;
    const NULLABLE: bool = true;

    fn to_value(&self) -> Value {
        self.clone()
    }

    fn from_cell(cell: Cell<'_>) -> Result<Self, ValueError> {
        Ok(cell.to_value())
    }
}

impl fmt::Display for Value {
    /// As Python shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Integer(value) => value.fmt(f),
            Self::Real(value) => fmt::Debug::fmt(value, f),
            Self::Text(value) => value.fmt(f),
            Self::Blob(value) => write!(f, "{:?}", value.as_slice()),
        }
    }
}

macro_rules! from {
    ($($type:ty)*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                value.to_value()
            }
        }
    )*};
}

from! { bool i16 i32 i64 f32 f64 String Vec<u8> }

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Bool(value) => ValueRef::Integer((*value).into()),
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        type_: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        // The server says what it takes the parameter for, and it is made that.
        match (self, type_) {
            (Self::Null, _) => return Ok(IsNull::Yes),
            (Self::Bool(value), &Type::BOOL) => out.put_u8((*value).into()),
            (Self::Integer(value), &Type::INT2) => out.put_i16(i16::try_from(*value)?),
            (Self::Integer(value), &Type::INT4) => out.put_i32(i32::try_from(*value)?),
            (Self::Integer(value), &Type::OID) => out.put_u32(u32::try_from(*value)?),
            (Self::Integer(value), &Type::INT8) => out.put_i64(*value),
            #[expect(clippy::cast_precision_loss, reason = "a number of the program's")]
            (Self::Integer(value), &Type::FLOAT8) => out.put_f64(*value as f64),
            (Self::Real(value), &Type::FLOAT8) => out.put_f64(*value),
            #[expect(clippy::cast_possible_truncation, reason = "the column has 32 bits")]
            (Self::Real(value), &Type::FLOAT4) => out.put_f32(*value as f32),
            (Self::Integer(value), &Type::TEXT | &Type::UNKNOWN) => {
                out.put_slice(value.to_string().as_bytes());
            }
            (
                Self::Text(value),
                &Type::TEXT
                | &Type::VARCHAR
                | &Type::BPCHAR
                | &Type::NAME
                | &Type::UNKNOWN
                | &Type::JSON,
            ) => out.put_slice(value.as_bytes()),
            (Self::Text(value), &Type::JSONB) => {
                out.put_u8(1);
                out.put_slice(value.as_bytes());
            }
            (Self::Blob(value), &Type::BYTEA) => out.put_slice(value),
            (value, type_) => {
                let value = value.as_cell().name();
                return Err(format!("{value} cannot be a parameter of type {type_}").into());
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        // What is not is said where the value is known.
        true
    }

    to_sql_checked!();
}
