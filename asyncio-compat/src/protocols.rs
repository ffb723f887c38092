//! What a protocol is called for (`asyncio.protocols`).

#[cfg(feature = "net")]
pub use asyncio_net::{Buffered, BufferedProtocol, DatagramProtocol, Protocol};
