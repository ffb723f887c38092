//! A socket to ask, of a transport (`asyncio.trsock`).

pub use asyncio_net::TransportSocket;
