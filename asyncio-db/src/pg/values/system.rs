//! JSON as text, and what the server says of itself.

use std::fmt;
use std::str::FromStr;

use bytes::{BufMut, BytesMut};
use postgres_types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

use super::{Binary, BoxError, ParseError, Reader, sql};

/// A `json`, `jsonb` or `jsonpath`, as the text that it is, which is what asyncpg makes of it.
///
/// Values of the crate `serde_json` are read and written too, with the feature `with-serde_json-1` of
/// `postgres-types`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "it is this text")]
pub struct Json(pub String);

/// A `tid`: where a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "these two say all of it")]
pub struct Tid {
    /// The block.
    pub block: u32,
    /// The place within it.
    pub offset: u16,
}

/// A `pg_snapshot` or `txid_snapshot`: which transactions were under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Snapshot {
    /// The first that was under way.
    pub xmin: i64,
    /// The first that had not begun.
    pub xmax: i64,
    /// Those under way between the two.
    pub xip: Vec<i64>,
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn has_version(type_: &Type) -> bool {
    *type_ == Type::JSONB || *type_ == Type::JSONPATH
}

impl<'a> FromSql<'a> for Json {
    fn from_sql(type_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        let mut reader = Reader(raw);
        if has_version(type_) && reader.u8()? != 1 {
            return Err("a version of JSON that is not known".into());
        }
        Ok(Self(std::str::from_utf8(reader.0)?.to_owned()))
    }

    accepts!(JSON, JSONB, JSONPATH);
}

impl ToSql for Json {
    fn to_sql(&self, type_: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        if has_version(type_) {
            out.put_u8(1);
        }
        out.put_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    accepts!(JSON, JSONB, JSONPATH);
    to_sql_checked!();
}

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.block, self.offset)
    }
}

impl FromStr for Tid {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parse = || {
            let inner = text.strip_prefix('(')?.strip_suffix(')')?;
            let (block, offset) = inner.split_once(',')?;
            Some(Self {
                block: block.parse().ok()?,
                offset: offset.parse().ok()?,
            })
        };
        parse().ok_or_else(|| ParseError::new("tid", text))
    }
}

impl Binary for Tid {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError> {
        Ok(Self {
            block: reader.u32()?,
            offset: u16::from_be_bytes(reader.array()?),
        })
    }

    fn write(&self, out: &mut BytesMut) -> Result<(), BoxError> {
        out.put_u32(self.block);
        out.put_u16(self.offset);
        Ok(())
    }
}

sql!(Tid: TID);

impl Snapshot {
    /// A snapshot.
    #[must_use]
    pub const fn new(xmin: i64, xmax: i64, xip: Vec<i64>) -> Self {
        Self { xmin, xmax, xip }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin, self.xmax)?;
        for (index, id) in self.xip.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{id}")?;
        }
        Ok(())
    }
}

impl FromStr for Snapshot {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parse = || {
            let mut parts = text.splitn(3, ':');
            let (xmin, xmax) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let rest = parts.next()?;
            let xip = if rest.is_empty() {
                Vec::new()
            } else {
                let all: Option<_> = rest.split(',').map(|it| it.parse().ok()).collect();
                all?
            };
            Some(Self { xmin, xmax, xip })
        };
        parse().ok_or_else(|| ParseError::new("snapshot", text))
    }
}

impl Binary for Snapshot {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError> {
        // The number stands before the bounds, so that it is looked at when these are read.
        let count = usize::try_from(reader.i32()?)?;
        let (xmin, xmax) = (reader.i64()?, reader.i64()?);
        let mut xip = Vec::with_capacity(count.min(reader.0.len() / 8));
        for _ in 0..count {
            xip.push(reader.i64()?);
        }
        Ok(Self { xmin, xmax, xip })
    }

    fn write(&self, out: &mut BytesMut) -> Result<(), BoxError> {
        out.put_i32(i32::try_from(self.xip.len())?);
        out.put_i64(self.xmin);
        out.put_i64(self.xmax);
        self.xip.iter().for_each(|id| out.put_i64(*id));
        Ok(())
    }
}

sql!(Snapshot: PG_SNAPSHOT | TXID_SNAPSHOT);
