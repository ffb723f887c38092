//! Transports (`asyncio.transports`).

#[cfg(unix)]
pub use asyncio_net::SubprocessTransport;
pub use asyncio_net::{DatagramTransport, Transport};
