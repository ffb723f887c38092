//! Values of PostgreSQL's that Rust has no type of its own for.
//!
//! What the crate `postgres-types` reads and writes, numbers, texts, bytes, arrays as vectors, other crates'
//! types behind its features, is used as it is. This module has the rest, with asyncpg's names where it
//! has them, and [`Value`], which is any of them.
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # fn main() -> asyncio_core::Result<()> {
//! # let cluster = asyncio_db::testing::PgCluster::create()?;
//! # let dsn = cluster.dsn();
//! use asyncio_db::pg::values::{Interval, Numeric, Range};
//!
//! asyncio_core::run(async move {
//!     let mut connection = asyncio_db::pg::connect(dsn).await?;
//!     let price: Numeric = "12345678901234567890.0100".parse()?;
//!     let twice: Option<Numeric> = connection.fetchval("SELECT $1::numeric * 2", (price,)).await?;
//!     assert_eq!(twice.map(|it| it.to_string()).as_deref(), Some("24691357802469135780.0200"));
//!
//!     let range: Option<Range<i32>> = connection.fetchval("SELECT int4range(3, 7)", ()).await?;
//!     assert_eq!(range, Some(Range::between(3, 7)));
//!     let month = Interval { months: 1, ..Interval::default() };
//!     let text: Option<String> = connection.fetchval("SELECT ($1::interval)::text", (month,)).await?;
//!     assert_eq!(text.as_deref(), Some("1 mon"));
//!     connection.close().await
//! })
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```

mod bits;
mod codecs;
mod dynamic;
mod geometric;
mod net;
mod numeric;
mod ranges;
mod system;
mod text;
mod time;

use std::error::Error;
use std::fmt;

pub use bits::BitString;
pub use codecs::TypeCodec;
pub use dynamic::{Composite, Custom, Value};
pub use geometric::{Circle, Line, LineSegment, Path, Point, Polygon, Rectangle};
pub use net::{Inet, MacAddr, Uuid};
pub use numeric::{Numeric, Sign};
pub use ranges::{MultiRange, Range};
pub use system::{Json, Snapshot, Tid};
pub use time::{Date, Interval, Time, TimeTz, Timestamp, TimestampTz};

pub(crate) use codecs::{Codecs, Encoded};

/// A text is none of the type that it is to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {type_}")]
pub struct ParseError {
    text: String,
    type_: &'static str,
}

impl ParseError {
    fn new(type_: &'static str, text: &str) -> Self {
        Self {
            text: text.chars().take(100).collect(),
            type_,
        }
    }
}

type BoxError = Box<dyn Error + Send + Sync>;

/// Bytes that are read from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], BoxError> {
        let (taken, rest) = self
            .0
            .split_at_checked(len)
            .ok_or("the value ends before its end")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BoxError> {
        Ok(self.take(N)?.try_into()?)
    }

    fn u8(&mut self) -> Result<u8, BoxError> {
        Ok(self.array::<1>()?[0])
    }

    fn i16(&mut self) -> Result<i16, BoxError> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, BoxError> {
        self.array().map(i32::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, BoxError> {
        self.array().map(u32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, BoxError> {
        self.array().map(i64::from_be_bytes)
    }

    fn f64(&mut self) -> Result<f64, BoxError> {
        self.array().map(f64::from_be_bytes)
    }

    /// So many of something that takes so many bytes each, at the least.
    fn count(&mut self, each: usize) -> Result<usize, BoxError> {
        let count = usize::try_from(self.i32()?)?;
        if count.saturating_mul(each) > self.0.len() {
            return Err("the value ends before its end".into());
        }
        Ok(count)
    }

    /// A value behind its length; `None` where it is null.
    fn field(&mut self) -> Result<Option<&'a [u8]>, BoxError> {
        match usize::try_from(self.i32()?) {
            Ok(len) => self.take(len).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn end(&self) -> Result<(), BoxError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err("there is something behind the value".into())
    }
}

/// Writes something behind its length.
fn put_field(
    out: &mut bytes::BytesMut,
    write: impl FnOnce(&mut bytes::BytesMut) -> Result<postgres_types::IsNull, BoxError>,
) -> Result<(), BoxError> {
    use bytes::BufMut as _;
    let at = out.len();
    out.put_i32(-1);
    if matches!(write(out)?, postgres_types::IsNull::No) {
        let len = i32::try_from(out.len() - at - 4)?;
        out[at..at + 4].copy_from_slice(&len.to_be_bytes());
    }
    Ok(())
}

/// What is written the same for each of its types.
trait Binary: Sized {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError>;
    fn write(&self, out: &mut bytes::BytesMut) -> Result<(), BoxError>;
}

/// Makes values of a type that can be read and written.
macro_rules! sql {
    ($name:ident: $($type_:ident)|+) => {
        impl<'a> postgres_types::FromSql<'a> for $name {
            fn from_sql(
                _: &postgres_types::Type,
                raw: &'a [u8],
            ) -> Result<Self, $crate::pg::values::BoxError> {
                let mut reader = $crate::pg::values::Reader(raw);
                let value = <Self as $crate::pg::values::Binary>::read(&mut reader)?;
                reader.end()?;
                Ok(value)
            }

            postgres_types::accepts!($($type_),+);
        }

        impl postgres_types::ToSql for $name {
            fn to_sql(
                &self,
                _: &postgres_types::Type,
                out: &mut bytes::BytesMut,
            ) -> Result<postgres_types::IsNull, $crate::pg::values::BoxError> {
                $crate::pg::values::Binary::write(self, out)?;
                Ok(postgres_types::IsNull::No)
            }

            postgres_types::accepts!($($type_),+);
            postgres_types::to_sql_checked!();
        }
    };
}

use sql;

/// Writes a number with so many digits behind the point, without zeros at the end.
fn write_fraction(f: &mut fmt::Formatter<'_>, micros: u64) -> fmt::Result {
    if micros == 0 {
        return Ok(());
    }
    let digits = format!("{micros:06}");
    write!(f, ".{}", digits.trim_end_matches('0'))
}
