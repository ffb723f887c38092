//! `bit` and `varbit`.

use std::fmt;
use std::str::FromStr;

use bytes::{BufMut, BytesMut};

use super::{Binary, BoxError, ParseError, Reader, sql};

/// A `bit` or a `varbit`: bits in order, those of a byte from its highest to its lowest.
///
/// ```
/// use asyncio_db::pg::values::BitString;
///
/// let bits: BitString = "0000 0101 1".parse()?;
/// assert_eq!((bits.len(), bits.bytes()), (9, &[5, 128][..]));
/// assert_eq!(bits.to_string(), "000001011");
/// # Ok::<(), asyncio_db::pg::values::ParseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BitString {
    bytes: Vec<u8>,
    len: usize,
}

impl BitString {
    /// The first so many bits of these bytes; `None` where there are fewer.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], len: usize) -> Option<Self> {
        let mut bytes = bytes.get(..len.div_ceil(8))?.to_vec();
        if let Some(last) = bytes.last_mut()
            && !len.is_multiple_of(8)
        {
            *last &= 0xFF << (8 - len % 8);
        }
        Some(Self { bytes, len })
    }

    /// How many bits there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All bytes; the last one is filled up with zeros.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// One of the bits.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<bool> {
        let byte = self.bytes.get(index / 8).filter(|_| index < self.len)?;
        Some(byte & (0x80 >> (index % 8)) != 0)
    }

    /// All bits.
    pub fn iter(&self) -> impl Iterator<Item = bool> {
        (0..self.len).filter_map(|index| self.get(index))
    }
}

impl FromIterator<bool> for BitString {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        let mut all = Self::default();
        for bit in bits {
            if all.len.is_multiple_of(8) {
                all.bytes.push(0);
            }
            if let Some(last) = all.bytes.last_mut()
                && bit
            {
                *last |= 0x80 >> (all.len % 8);
            }
            all.len += 1;
        }
        all
    }
}

impl FromStr for BitString {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bits = text.chars().filter(|it| *it != ' ').map(|it| match it {
            '0' => Ok(false),
            '1' => Ok(true),
            _ => Err(ParseError::new("string of bits", text)),
        });
        bits.collect()
    }
}

impl fmt::Display for BitString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for bit in self.iter() {
            f.write_str(if bit { "1" } else { "0" })?;
        }
        Ok(())
    }
}

impl Binary for BitString {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError> {
        let len = usize::try_from(reader.i32()?)?;
        let bytes = reader.take(len.div_ceil(8))?;
        Self::from_bytes(bytes, len).ok_or_else(|| "there are too few bits".into())
    }

    fn write(&self, out: &mut BytesMut) -> Result<(), BoxError> {
        out.put_i32(i32::try_from(self.len)?);
        out.put_slice(&self.bytes);
        Ok(())
    }
}

sql!(BitString: BIT | VARBIT);
