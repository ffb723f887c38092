//! Ranges.

use bytes::{BufMut, BytesMut};
use postgres_types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};

use super::{BoxError, Reader, put_field};

/// A range (`asyncpg.Range`).
///
/// ```
/// use asyncio_db::pg::values::Range;
///
/// let range = Range::between(1, 5);
/// assert!(range.lower_inc && !range.upper_inc && !range.is_empty());
/// assert!(Range::<i32>::empty().is_empty());
/// assert_eq!(Range::<i32>::default(), Range::new(None, None, false, false));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Range<T> {
    /// Where it begins; `None` where it has no beginning.
    pub lower: Option<T>,
    /// Where it ends; `None` where it has no end.
    pub upper: Option<T>,
    /// Whether the beginning belongs to it.
    pub lower_inc: bool,
    /// Whether the end belongs to it.
    pub upper_inc: bool,
    empty: bool,
}

/// A multirange: ranges that do not touch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "it is these ranges")]
pub struct MultiRange<T>(pub Vec<Range<T>>);

impl<T> Range<T> {
    /// A range; a bound that is not there does not belong to it.
    #[must_use]
    pub const fn new(lower: Option<T>, upper: Option<T>, lower_inc: bool, upper_inc: bool) -> Self {
        Self {
            lower_inc: lower_inc && lower.is_some(),
            upper_inc: upper_inc && upper.is_some(),
            lower,
            upper,
            empty: false,
        }
    }

    /// From the first, which belongs to it, to the second, which does not.
    #[must_use]
    pub const fn between(lower: T, upper: T) -> Self {
        Self::new(Some(lower), Some(upper), true, false)
    }

    /// Nothing.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            lower: None,
            upper: None,
            lower_inc: false,
            upper_inc: false,
            empty: true,
        }
    }

    /// Whether it is nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.empty
    }
}

impl<T: PartialOrd> Range<T> {
    /// Whether all of it belongs to another (`Range.issubset`).
    ///
    /// ```
    /// use asyncio_db::pg::values::Range;
    ///
    /// assert!(Range::between(2, 4).is_subset(&Range::between(1, 5)));
    /// assert!(!Range::between(0, 4).is_subset(&Range::between(1, 5)));
    /// ```
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        if self.empty || other.empty {
            return self.empty;
        }
        let lower = match (&self.lower, &other.lower) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(its)) => {
                own > its || (own == its && (other.lower_inc || !self.lower_inc))
            }
        };
        let upper = match (&self.upper, &other.upper) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(its)) => {
                own < its || (own == its && (other.upper_inc || !self.upper_inc))
            }
        };
        lower && upper
    }
}

impl<T> Default for Range<T> {
    /// All.
    fn default() -> Self {
        Self::new(None, None, false, false)
    }
}

const EMPTY: u8 = 0x01;
const LOWER_INC: u8 = 0x02;
const UPPER_INC: u8 = 0x04;
const NO_LOWER: u8 = 0x08;
const NO_UPPER: u8 = 0x10;

/// Reads a range whose bounds are read by this function.
pub(super) fn read<'a, T>(
    raw: &'a [u8],
    mut bound: impl FnMut(&'a [u8]) -> Result<T, BoxError>,
) -> Result<Range<T>, BoxError> {
    let mut reader = Reader(raw);
    let flags = reader.u8()?;
    if flags & EMPTY != 0 {
        return Ok(Range::empty());
    }
    let mut one = |absent: u8| {
        if flags & absent != 0 {
            return Ok(None);
        }
        let raw = reader.field()?.ok_or("a bound that is null")?;
        bound(raw).map(Some)
    };
    let (lower, upper) = (one(NO_LOWER)?, one(NO_UPPER)?);
    reader.end()?;
    Ok(Range::new(
        lower,
        upper,
        flags & LOWER_INC != 0,
        flags & UPPER_INC != 0,
    ))
}

/// Writes a range whose bounds are written by this function.
pub(super) fn write<T>(
    range: &Range<T>,
    out: &mut BytesMut,
    mut bound: impl FnMut(&T, &mut BytesMut) -> Result<IsNull, BoxError>,
) -> Result<(), BoxError> {
    if range.empty {
        out.put_u8(EMPTY);
        return Ok(());
    }
    let flag = |so: bool, flag: u8| if so { flag } else { 0 };
    out.put_u8(
        flag(range.lower_inc && range.lower.is_some(), LOWER_INC)
            | flag(range.upper_inc && range.upper.is_some(), UPPER_INC)
            | flag(range.lower.is_none(), NO_LOWER)
            | flag(range.upper.is_none(), NO_UPPER),
    );
    for it in range.lower.iter().chain(&range.upper) {
        put_field(out, |out| match bound(it, out)? {
            IsNull::No => Ok(IsNull::No),
            IsNull::Yes => Err("a bound cannot be null".into()),
        })?;
    }
    Ok(())
}

impl<'a, T: FromSql<'a>> FromSql<'a> for Range<T> {
    fn from_sql(type_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        let Kind::Range(of) = type_.kind() else {
            return Err("it is no range".into());
        };
        read(raw, |raw| T::from_sql(of, raw))
    }

    fn accepts(type_: &Type) -> bool {
        matches!(type_.kind(), Kind::Range(of) if T::accepts(of))
    }
}

impl<T: ToSql> ToSql for Range<T> {
    fn to_sql(&self, type_: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        let Kind::Range(of) = type_.kind() else {
            return Err("it is no range".into());
        };
        write(self, out, |bound, out| bound.to_sql(of, out))?;
        Ok(IsNull::No)
    }

    fn accepts(type_: &Type) -> bool {
        matches!(type_.kind(), Kind::Range(of) if T::accepts(of))
    }

    to_sql_checked!();
}

/// The type of a multirange's ranges is not told; but they have no form of their own.
pub(super) fn read_all<'a, T>(
    raw: &'a [u8],
    mut bound: impl FnMut(&'a [u8]) -> Result<T, BoxError>,
) -> Result<Vec<Range<T>>, BoxError> {
    let mut reader = Reader(raw);
    let count = reader.count(4)?;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let raw = reader.field()?.ok_or("a range that is null")?;
        all.push(read(raw, &mut bound)?);
    }
    reader.end()?;
    Ok(all)
}

pub(super) fn write_all<T>(
    ranges: &[Range<T>],
    out: &mut BytesMut,
    mut bound: impl FnMut(&T, &mut BytesMut) -> Result<IsNull, BoxError>,
) -> Result<(), BoxError> {
    out.put_i32(i32::try_from(ranges.len())?);
    for range in ranges {
        put_field(out, |out| {
            write(range, out, &mut bound)?;
            Ok(IsNull::No)
        })?;
    }
    Ok(())
}

/// The type of what is between the bounds of a multirange's ranges.
pub(super) fn bound_of(type_: &Type) -> Option<&Type> {
    match type_.kind() {
        Kind::Multirange(of) => match of.kind() {
            // The crate says the one, the server the other.
            Kind::Range(of) => Some(of),
            _ => Some(of),
        },
        _ => None,
    }
}

impl<'a, T: FromSql<'a>> FromSql<'a> for MultiRange<T> {
    fn from_sql(type_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        let of = bound_of(type_).ok_or("it is no multirange")?;
        read_all(raw, |raw| T::from_sql(of, raw)).map(Self)
    }

    fn accepts(type_: &Type) -> bool {
        bound_of(type_).is_some_and(T::accepts)
    }
}

impl<T: ToSql> ToSql for MultiRange<T> {
    fn to_sql(&self, type_: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        let of = bound_of(type_).ok_or("it is no multirange")?;
        write_all(&self.0, out, |bound, out| bound.to_sql(of, out))?;
        Ok(IsNull::No)
    }

    fn accepts(type_: &Type) -> bool {
        bound_of(type_).is_some_and(T::accepts)
    }

    to_sql_checked!();
}
