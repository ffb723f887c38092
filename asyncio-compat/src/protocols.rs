//! What a protocol is called for (`asyncio.protocols`).

#[cfg(unix)]
pub use asyncio_net::SubprocessProtocol;
pub use asyncio_net::{Buffered, BufferedProtocol, DatagramProtocol, Protocol};
