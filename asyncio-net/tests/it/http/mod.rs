//! The client for HTTP.

mod aiohttp;
mod bodies;
mod cancelling;
mod limits;
mod peers;
mod requests;
mod server;
mod soak;
mod tls;
