//! Dates and times.

use std::fmt;
use std::str::FromStr;

use bytes::{BufMut, BytesMut};

use super::{Binary, BoxError, ParseError, Reader, sql, write_fraction};

/// A `date`: days since the first of January 2000.
///
/// ```
/// use asyncio_db::pg::values::Date;
///
/// let date = Date::from_ymd(2024, 2, 29).expect("a leap year");
/// assert_eq!(date.to_string(), "2024-02-29");
/// assert_eq!(date.ymd(), (2024, 2, 29));
/// assert_eq!("infinity".parse(), Ok(Date::INFINITY));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

/// A `time`: microseconds since midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

/// A `timetz`: a time, with how far its clock is before UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TimeTz {
    /// The time.
    pub time: Time,
    /// Seconds east of UTC.
    pub offset: i32,
}

/// A `timestamp`: microseconds since the beginning of 2000, by a clock that nothing is said of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A `timestamptz`: microseconds since the beginning of 2000, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimestampTz(i64);

/// An `interval`, whose three parts the server keeps apart: a month has no fixed number of days, and a day
/// none of hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "these three are what an interval is"
)]
pub struct Interval {
    /// Months, years among them.
    pub months: i32,
    /// Days.
    pub days: i32,
    /// Microseconds.
    pub micros: i64,
}

const DAY: i64 = 86_400_000_000;
const SECOND: i64 = 1_000_000;

impl Date {
    /// Behind all others.
    pub const INFINITY: Self = Self(i32::MAX);
    /// Before all others.
    pub const NEGATIVE_INFINITY: Self = Self(i32::MIN);

    /// So many days after the first of January 2000.
    #[must_use]
    pub const fn from_days(days: i32) -> Self {
        Self(days)
    }

    /// Days since the first of January 2000.
    #[must_use]
    pub const fn days(self) -> i32 {
        self.0
    }

    /// A day of the (proleptic) Gregorian calendar; the year 0 is the one before the first. `None` where
    /// there is no such day.
    #[must_use]
    pub fn from_ymd(year: i32, month: u32, day: u32) -> Option<Self> {
        if !(1..=12).contains(&month) || day == 0 {
            return None;
        }
        let (y, m) = (i64::from(year) - i64::from(month <= 2), i64::from(month));
        let era = y.div_euclid(400);
        let of_era = y.rem_euclid(400);
        let of_year = (153 * (m + if m > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(day) - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 730_425;
        let date = Self(i32::try_from(days).ok()?);
        (date.ymd() == (year, month, day)).then_some(date)
    }

    /// Its year, month and day.
    #[must_use]
    pub fn ymd(self) -> (i32, u32, u32) {
        ymd(i64::from(self.0))
    }
}

/// Howard Hinnant's algorithm: years that begin in March, in eras of 400.
fn ymd(days: i64) -> (i32, u32, u32) {
    let days = days + 730_425;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let m = (5 * of_year + 2) / 153;
    let day = of_year - (153 * m + 2) / 5 + 1;
    let month = if m < 10 { m + 3 } else { m - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let narrow = |it| u32::try_from(it).unwrap_or(0);
    (i32::try_from(year).unwrap_or(0), narrow(month), narrow(day))
}

impl Time {
    /// So many microseconds after midnight.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since midnight.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }
}

macro_rules! stamps {
    ($name:ident) => {
        impl $name {
            /// Behind all others.
            pub const INFINITY: Self = Self(i64::MAX);
            /// Before all others.
            pub const NEGATIVE_INFINITY: Self = Self(i64::MIN);

            /// At this time of this day.
            #[must_use]
            pub const fn new(date: Date, time: Time) -> Self {
                Self((date.0 as i64) * DAY + time.0)
            }

            /// So many microseconds after the beginning of 2000.
            #[must_use]
            pub const fn from_micros(micros: i64) -> Self {
                Self(micros)
            }

            /// Microseconds since the beginning of 2000.
            #[must_use]
            pub const fn micros(self) -> i64 {
                self.0
            }

            /// Its day.
            #[must_use]
            pub fn date(self) -> Date {
                Date(i32::try_from(self.0.div_euclid(DAY)).unwrap_or(i32::MAX))
            }

            /// The time of that day.
            #[must_use]
            pub const fn time(self) -> Time {
                Time(self.0.rem_euclid(DAY))
            }
        }
    };
}

stamps!(Timestamp);
stamps!(TimestampTz);

// -- as text -------------------------------------------------------------------------------------

fn write_date(f: &mut fmt::Formatter<'_>, days: i64) -> fmt::Result {
    let (year, month, day) = ymd(days);
    let shown = if year > 0 { year } else { 1 - year };
    write!(f, "{shown:04}-{month:02}-{day:02}")
}

/// What stands behind a date before the first year.
fn write_era(f: &mut fmt::Formatter<'_>, days: i64) -> fmt::Result {
    let (year, ..) = ymd(days);
    if year > 0 { Ok(()) } else { f.write_str(" BC") }
}

fn write_time(f: &mut fmt::Formatter<'_>, micros: i64) -> fmt::Result {
    let seconds = micros / SECOND;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(f, "{hour:02}:{minute:02}:{second:02}")?;
    write_fraction(f, (micros % SECOND).unsigned_abs())
}

fn write_offset(f: &mut fmt::Formatter<'_>, offset: i32) -> fmt::Result {
    let sign = if offset < 0 { '-' } else { '+' };
    let offset = offset.unsigned_abs();
    write!(f, "{sign}{:02}", offset / 3600)?;
    if !offset.is_multiple_of(3600) {
        write!(f, ":{:02}", offset / 60 % 60)?;
    }
    if !offset.is_multiple_of(60) {
        write!(f, ":{:02}", offset % 60)?;
    }
    Ok(())
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::INFINITY => f.write_str("infinity"),
            Self::NEGATIVE_INFINITY => f.write_str("-infinity"),
            Self(days) => {
                write_date(f, days.into())?;
                write_era(f, days.into())
            }
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_time(f, self.0)
    }
}

impl fmt::Display for TimeTz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.time)?;
        write_offset(f, self.offset)
    }
}

fn write_stamp(f: &mut fmt::Formatter<'_>, micros: i64, zone: &str) -> fmt::Result {
    match micros {
        i64::MAX => return f.write_str("infinity"),
        i64::MIN => return f.write_str("-infinity"),
        _ => {}
    }
    write_date(f, micros.div_euclid(DAY))?;
    f.write_str(" ")?;
    write_time(f, micros.rem_euclid(DAY))?;
    f.write_str(zone)?;
    write_era(f, micros.div_euclid(DAY))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_stamp(f, self.0, "")
    }
}

impl fmt::Display for TimestampTz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_stamp(f, self.0, "+00")
    }
}

impl fmt::Display for Interval {
    /// As the server does by default (`IntervalStyle = postgres`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut first, mut below) = (true, false);
        for (count, unit) in [
            (self.months / 12, "year"),
            (self.months % 12, "mon"),
            (self.days, "day"),
        ] {
            if count == 0 {
                continue;
            }
            let space = if first { "" } else { " " };
            let plus = if below && count > 0 { "+" } else { "" };
            let plural = if count == 1 { "" } else { "s" };
            write!(f, "{space}{plus}{count} {unit}{plural}")?;
            (first, below) = (false, count < 0);
        }
        if first || self.micros != 0 {
            let sign = match (self.micros < 0, below) {
                (true, _) => "-",
                (false, true) => "+",
                (false, false) => "",
            };
            let space = if first { "" } else { " " };
            write!(f, "{space}{sign}")?;
            let micros = self.micros.unsigned_abs();
            let seconds = micros / 1_000_000;
            let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            write!(f, "{hour:02}:{minute:02}:{second:02}")?;
            write_fraction(f, micros % 1_000_000)?;
        }
        Ok(())
    }
}

// -- from text -----------------------------------------------------------------------------------

fn parse_date(text: &str) -> Option<i64> {
    let (text, before) = match text.strip_suffix(" BC") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let mut parts = text.splitn(3, '-');
    let year: i32 = parts.next()?.parse().ok()?;
    let year = if before { 1 - year } else { year };
    let (month, day) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Date::from_ymd(year, month, day).map(|it| it.0.into())
}

/// Microseconds of `hours:minutes`, `hours:minutes:seconds` or `hours:minutes:seconds.fraction`.
fn parse_clock(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let hour: u32 = parts.next()?.parse().ok()?;
    let minute: u32 = parts.next()?.parse().ok()?;
    let seconds = parts.next().unwrap_or("0");
    let (second, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let second: u32 = second.parse().ok()?;
    if minute > 59 || second > 60 || fraction.len() > 6 {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some(seconds * SECOND + micros)
}

/// A clock's text and what stands behind it of how far it is before UTC.
fn split_offset(text: &str) -> Option<(&str, i32)> {
    let Some(at) = text.rfind(['+', '-']) else {
        return Some((text, 0));
    };
    let mut seconds = 0;
    for (part, unit) in text[at + 1..].split(':').zip([3600, 60, 1]) {
        seconds += part.parse::<u16>().ok().map(i32::from)? * unit;
    }
    let sign = if text[at..].starts_with('-') { -1 } else { 1 };
    Some((&text[..at], sign * seconds))
}

fn parse_stamp(text: &str, zone: bool) -> Option<i64> {
    match text {
        "infinity" => return Some(i64::MAX),
        "-infinity" => return Some(i64::MIN),
        _ => {}
    }
    let (text, before) = match text.strip_suffix(" BC") {
        Some(text) => (text, " BC"),
        None => (text, ""),
    };
    let (date, clock) = text.split_once([' ', 'T']).unwrap_or((text, "00:00:00"));
    let (clock, offset) = if zone {
        split_offset(clock.trim_end_matches('Z'))?
    } else {
        (clock, 0)
    };
    let days = parse_date(&format!("{date}{before}"))?;
    let micros = days.checked_mul(DAY)?.checked_add(parse_clock(clock)?)?;
    micros.checked_sub(i64::from(offset) * SECOND)
}

impl FromStr for Date {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "infinity" => return Ok(Self::INFINITY),
            "-infinity" => return Ok(Self::NEGATIVE_INFINITY),
            _ => {}
        }
        let days = parse_date(text).and_then(|days| i32::try_from(days).ok());
        days.map(Self).ok_or_else(|| ParseError::new("date", text))
    }
}

impl FromStr for Time {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let micros = parse_clock(text).filter(|it| *it <= DAY);
        micros
            .map(Self)
            .ok_or_else(|| ParseError::new("time", text))
    }
}

impl FromStr for TimeTz {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let failed = || ParseError::new("time with a zone", text);
        let (clock, offset) = split_offset(text).ok_or_else(failed)?;
        let time = clock.parse().map_err(|_| failed())?;
        Ok(Self { time, offset })
    }
}

impl FromStr for Timestamp {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse_stamp(text, false)
            .map(Self)
            .ok_or_else(|| ParseError::new("timestamp", text))
    }
}

impl FromStr for TimestampTz {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse_stamp(text, true)
            .map(Self)
            .ok_or_else(|| ParseError::new("timestamp with a zone", text))
    }
}

impl FromStr for Interval {
    type Err = ParseError;

    /// What the server writes by default.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let failed = || ParseError::new("interval", text);
        let mut interval = Self::default();
        let mut words = text.split_ascii_whitespace();
        let mut any = false;
        while let Some(word) = words.next() {
            any = true;
            if word.contains(':') {
                let (sign, clock) = match word.strip_prefix('-') {
                    Some(clock) => (-1, clock),
                    None => (1, word.trim_start_matches('+')),
                };
                interval.micros += sign * parse_clock(clock).ok_or_else(failed)?;
                continue;
            }
            let count: i32 = word.parse().map_err(|_| failed())?;
            let unit = words.next().ok_or_else(failed)?;
            match unit.trim_end_matches('s') {
                "year" => interval.months += count * 12,
                "mon" | "month" => interval.months += count,
                "day" => interval.days += count,
                _ => return Err(failed()),
            }
        }
        if any { Ok(interval) } else { Err(failed()) }
    }
}

// -- over the wire -------------------------------------------------------------------------------

macro_rules! number {
    ($name:ident, $read:ident, $put:ident, $type_:ident) => {
        impl Binary for $name {
            fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError> {
                reader.$read().map(Self)
            }

            fn write(&self, out: &mut BytesMut) -> Result<(), BoxError> {
                out.$put(self.0);
                Ok(())
            }
        }

        sql!($name: $type_);
    };
}

number!(Date, i32, put_i32, DATE);
number!(Time, i64, put_i64, TIME);
number!(Timestamp, i64, put_i64, TIMESTAMP);
number!(TimestampTz, i64, put_i64, TIMESTAMPTZ);

impl Binary for TimeTz {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError> {
        let time = Time(reader.i64()?);
        // The server counts to the west.
        let offset = reader.i32()?.checked_neg().ok_or("an impossible zone")?;
        Ok(Self { time, offset })
    }

    fn write(&self, out: &mut BytesMut) -> Result<(), BoxError> {
        out.put_i64(self.time.0);
        out.put_i32(self.offset.checked_neg().ok_or("an impossible zone")?);
        Ok(())
    }
}

sql!(TimeTz: TIMETZ);

impl Binary for Interval {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError> {
        let micros = reader.i64()?;
        let days = reader.i32()?;
        let months = reader.i32()?;
        Ok(Self {
            months,
            days,
            micros,
        })
    }

    fn write(&self, out: &mut BytesMut) -> Result<(), BoxError> {
        out.put_i64(self.micros);
        out.put_i32(self.days);
        out.put_i32(self.months);
        Ok(())
    }
}

sql!(Interval: INTERVAL);
