//! Transports (`asyncio.transports`).

#[cfg(feature = "net")]
pub use asyncio_net::{DatagramTransport, Transport};
