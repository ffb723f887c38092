//! Addresses, and UUIDs.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use bytes::{BufMut, BytesMut};

use super::{Binary, BoxError, ParseError, Reader, sql};

/// An `inet` or a `cidr`: an address, and how many of its bits are those of the network.
///
/// ```
/// use asyncio_db::pg::values::Inet;
///
/// let network: Inet = "10.0.0.0/8".parse()?;
/// assert_eq!((network.prefix, network.to_string()), (8, "10.0.0.0/8".to_owned()));
/// let host: Inet = "::1".parse()?;
/// assert_eq!((host.prefix, host.to_string()), (128, "::1".to_owned()));
/// # Ok::<(), asyncio_db::pg::values::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Inet {
    /// The address.
    pub address: IpAddr,
    /// So many bits of it are those of the network.
    pub prefix: u8,
    /// Whether it is a network, a `cidr`.
    pub is_network: bool,
}

/// A `macaddr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "it is these six bytes")]
pub struct MacAddr(pub [u8; 6]);

/// A `uuid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "it is these sixteen bytes")]
pub struct Uuid(pub [u8; 16]);

impl Inet {
    /// An address with so many bits of a network; `None` where it has not so many.
    #[must_use]
    pub const fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        if prefix > width(address) {
            return None;
        }
        Some(Self {
            address,
            prefix,
            is_network: false,
        })
    }

    /// The same as a network (`cidr`).
    #[must_use]
    pub const fn network(mut self) -> Self {
        self.is_network = true;
        self
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl From<IpAddr> for Inet {
    fn from(address: IpAddr) -> Self {
        Self {
            address,
            prefix: width(address),
            is_network: false,
        }
    }
}

impl FromStr for Inet {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let failed = || ParseError::new("address", text);
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| failed())?;
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| failed())?,
            None => width(address),
        };
        Self::new(address, prefix).ok_or_else(failed)
    }
}

impl fmt::Display for Inet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if self.is_network || self.prefix != width(self.address) {
            write!(f, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

/// The server's numbers for the two families.
const V4: u8 = 2;
const V6: u8 = 3;

impl Binary for Inet {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError> {
        let family = reader.u8()?;
        let prefix = reader.u8()?;
        let is_network = reader.u8()? != 0;
        let address: IpAddr = match (family, reader.u8()?) {
            (V4, 4) => reader.array::<4>()?.into(),
            (V6, 16) => reader.array::<16>()?.into(),
            _ => return Err("an address of an unknown family".into()),
        };
        let inet = Self::new(address, prefix).ok_or("an address with too many bits")?;
        Ok(if is_network { inet.network() } else { inet })
    }

    fn write(&self, out: &mut BytesMut) -> Result<(), BoxError> {
        out.put_u8(if self.address.is_ipv4() { V4 } else { V6 });
        out.put_u8(self.prefix);
        out.put_u8(u8::from(self.is_network));
        match self.address {
            IpAddr::V4(address) => {
                out.put_u8(4);
                out.put_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                out.put_u8(16);
                out.put_slice(&address.octets());
            }
        }
        Ok(())
    }
}

sql!(Inet: INET | CIDR);

/// So many bytes in hexadecimal digits, whatever stands between them.
fn hex<const N: usize>(text: &str, between: &[char]) -> Option<[u8; N]> {
    let digits: String = text.chars().filter(|it| !between.contains(it)).collect();
    let mut bytes = [0; N];
    if digits.len() != 2 * N || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

impl FromStr for MacAddr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bytes = hex(text, &[':', '-', '.']);
        bytes
            .map(Self)
            .ok_or_else(|| ParseError::new("MAC address", text))
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for Uuid {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bytes = hex(text, &['-', '{', '}']);
        bytes.map(Self).ok_or_else(|| ParseError::new("UUID", text))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let dash = if matches!(index, 4 | 6 | 8 | 10) {
                "-"
            } else {
                ""
            };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

macro_rules! bytes {
    ($name:ident, $type_:ident) => {
        impl Binary for $name {
            fn read(reader: &mut Reader<'_>) -> Result<Self, BoxError> {
                reader.array().map(Self)
            }

            fn write(&self, out: &mut BytesMut) -> Result<(), BoxError> {
                out.put_slice(&self.0);
                Ok(())
            }
        }

        sql!($name: $type_);
    };
}

bytes!(MacAddr, MACADDR);
bytes!(Uuid, UUID);
