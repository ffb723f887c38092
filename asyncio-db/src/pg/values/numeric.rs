//! `numeric`.

use std::fmt;
use std::str::FromStr;

use bytes::{BufMut, BytesMut};

use super::{Binary, BoxError, ParseError, Reader, sql};

/// A `numeric`, with all its digits, the zeros at the end among them.
///
/// ```
/// use asyncio_db::pg::values::Numeric;
///
/// let number: Numeric = "-0012.3400".parse()?;
/// assert_eq!(number.to_string(), "-12.3400");
/// assert_eq!(number.scale(), 4);
/// assert_eq!(Numeric::from(7).to_string(), "7");
/// # Ok::<(), asyncio_db::pg::values::ParseError>(())
/// ```
///
/// Two are equal when they have the same digits: 1.0 and 1.00 are not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Numeric {
    sign: Sign,
    /// The power of ten thousand that the first digit counts.
    weight: i16,
    scale: u16,
    /// Digits of ten thousand, none of them zero at either end.
    digits: Vec<i16>,
}

/// What a [`Numeric`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sign {
    /// Zero, or above it.
    Positive,
    /// Below zero.
    Negative,
    /// Not a number.
    NaN,
    /// Above all numbers.
    Infinity,
    /// Below all numbers.
    NegativeInfinity,
}

impl Numeric {
    /// What it is.
    #[must_use]
    pub const fn sign(&self) -> Sign {
        self.sign
    }

    /// How many decimal digits it has behind the point.
    #[must_use]
    pub const fn scale(&self) -> u16 {
        self.scale
    }

    const fn special(sign: Sign) -> Self {
        Self {
            sign,
            weight: 0,
            scale: 0,
            digits: Vec::new(),
        }
    }

    /// From decimal digits, so many of them behind the point, which may be more than there are, or fewer
    /// than none.
    fn from_decimal(negative: bool, decimal: &[u8], behind: i64) -> Option<Self> {
        let scale = u16::try_from(behind.max(0))
            .ok()
            .filter(|it| *it < 1 << 14)?;
        // Zeros at the end, so that a digit of ten thousand begins at the point.
        let zeros = if behind < 0 { -behind } else { -behind & 3 };
        let zeros = usize::try_from(zeros).ok().filter(|it| *it < 1 << 18)?;
        let mut decimal = decimal.to_vec();
        decimal.resize(decimal.len() + zeros, 0);
        let behind = usize::try_from((behind.max(0) + 3) / 4).ok()?;
        let front = decimal.len().next_multiple_of(4) - decimal.len();
        decimal.splice(0..0, std::iter::repeat_n(0, front));
        let digits = decimal.chunks_exact(4);
        let digits = digits.map(|four| four.iter().fold(0, |sum, it| sum * 10 + i16::from(*it)));
        let mut digits: Vec<i16> = digits.collect();
        let mut weight = i64::try_from(digits.len()).ok()? - i64::try_from(behind).ok()? - 1;
        while digits.last() == Some(&0) {
            digits.pop();
        }
        let leading = digits.iter().take_while(|it| **it == 0).count();
        digits.drain(..leading);
        weight -= i64::try_from(leading).ok()?;
        if digits.is_empty() {
            weight = 0;
        }
        Some(Self {
            sign: if negative && !digits.is_empty() {
                Sign::Negative
            } else {
                Sign::Positive
            },
            weight: i16::try_from(weight).ok()?,
            scale,
            digits,
        })
    }

    /// The digit that counts this power of ten thousand.
    fn digit(&self, power: i32) -> i16 {
        let at = i32::from(self.weight) - power;
        let at = usize::try_from(at).ok();
        at.and_then(|at| self.digits.get(at)).copied().unwrap_or(0)
    }
}

impl FromStr for Numeric {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let failed = || ParseError::new("number", text);
        let trimmed = text.trim();
        match trimmed.to_ascii_lowercase().as_str() {
            "nan" => return Ok(Self::special(Sign::NaN)),
            "infinity" | "+infinity" | "inf" | "+inf" => {
                return Ok(Self::special(Sign::Infinity));
            }
            "-infinity" | "-inf" => return Ok(Self::special(Sign::NegativeInfinity)),
            _ => {}
        }
        let (negative, rest) = match trimmed.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                (mantissa, exponent.parse::<i32>().map_err(|_| failed())?)
            }
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let decimal: Vec<u8> = whole
            .bytes()
            .chain(fraction.bytes())
            .map(|it| it.wrapping_sub(b'0'))
            .collect();
        if decimal.is_empty() || decimal.iter().any(|it| *it > 9) {
            return Err(failed());
        }
        let behind = i64::try_from(fraction.len()).map_err(|_| failed())? - i64::from(exponent);
        Self::from_decimal(negative, &decimal, behind).ok_or_else(failed)
    }
}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sign {
            Sign::NaN => return f.write_str("NaN"),
            Sign::Infinity => return f.write_str("Infinity"),
            Sign::NegativeInfinity => return f.write_str("-Infinity"),
            Sign::Negative => f.write_str("-")?,
            Sign::Positive => {}
        }
        let weight = i32::from(self.weight).max(0);
        write!(f, "{}", self.digit(weight))?;
        for power in (0..weight).rev() {
            write!(f, "{:04}", self.digit(power))?;
        }
        if self.scale > 0 {
            let mut left = usize::from(self.scale);
            f.write_str(".")?;
            let mut power = -1;
            while left > 0 {
                let four = format!("{:04}", self.digit(power));
                let shown = left.min(4);
                f.write_str(&four[..shown])?;
                left -= shown;
                power -= 1;
            }
        }
        Ok(())
    }
}

impl From<i64> for Numeric {
    fn from(number: i64) -> Self {
        let decimal: Vec<u8> = number
            .unsigned_abs()
            .to_string()
            .bytes()
            .map(|it| it - b'0')
            .collect();
        Self::from_decimal(number < 0, &decimal, 0).expect("it has few digits")
    }
}

impl From<i32> for Numeric {
    fn from(number: i32) -> Self {
        Self::from(i64::from(number))
    }
}

impl Binary for Numeric {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError> {
        let count = usize::try_from(reader.i16()?)?;
        let weight = reader.i16()?;
        let sign = match u16::from_be_bytes(reader.array()?) {
            0 => Sign::Positive,
            0x4000 => Sign::Negative,
            0xC000 => Sign::NaN,
            0xD000 => Sign::Infinity,
            0xF000 => Sign::NegativeInfinity,
            _ => return Err("a number with an unknown sign".into()),
        };
        let scale = u16::from_be_bytes(reader.array()?);
        let mut digits = Vec::with_capacity(count.min(reader.0.len() / 2));
        for _ in 0..count {
            digits.push(reader.i16()?);
        }
        if matches!(sign, Sign::NaN | Sign::Infinity | Sign::NegativeInfinity) {
            return Ok(Self::special(sign));
        }
        Ok(Self {
            sign,
            weight,
            scale,
            digits,
        })
    }

    fn write(&self, out: &mut BytesMut) -> Result<(), BoxError> {
        out.put_i16(i16::try_from(self.digits.len())?);
        out.put_i16(self.weight);
        out.put_u16(match self.sign {
            Sign::Positive => 0,
            Sign::Negative => 0x4000,
            Sign::NaN => 0xC000,
            Sign::Infinity => 0xD000,
            Sign::NegativeInfinity => 0xF000,
        });
        out.put_u16(self.scale);
        for digit in &self.digits {
            out.put_i16(*digit);
        }
        Ok(())
    }
}

sql!(Numeric: NUMERIC);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        for text in [
            "0",
            "1",
            "-1",
            "0.00",
            "10000",
            "9999",
            "12345678.0001",
            "0.00001000",
            "-0.5",
            "100000000000000000000000.000000000000000000000001",
            "NaN",
            "Infinity",
            "-Infinity",
        ] {
            let number: Numeric = text.parse().expect("it is one");
            assert_eq!(number.to_string(), text);
        }
        for (text, plain) in [
            ("1e3", "1000"),
            ("1.50E1", "15.0"),
            ("+007", "7"),
            ("-0", "0"),
            (".5", "0.5"),
            ("1E-2", "0.01"),
        ] {
            let number: Numeric = text.parse().expect("it is one");
            assert_eq!(number.to_string(), plain);
        }
        for text in ["", "-", ".", "1e", "x", "1.2.3", "1e999999999"] {
            assert!(text.parse::<Numeric>().is_err(), "{text}");
        }
    }
}
