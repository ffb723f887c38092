//! The client for HTTP.

mod aiohttp;
mod bodies;
mod cancelling;
mod limits;
mod requests;
mod server;
mod tls;
