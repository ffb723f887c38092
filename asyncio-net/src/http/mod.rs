//! A client for HTTP, with httpx's names.
//!
//! [`AsyncClient`] stands on [reqwest](https://docs.rs/reqwest), which sends, reads, decompresses and speaks
//! HTTP/2; what it lacks is added here:
//!
//! - **Limits** ([`Limits`]): how many requests may be under way, in all and to each host. Who asks first is
//!   served first, and who waits for one host is in no other host's way.
//! - **Timeouts** ([`Timeout`]): one for the wait, for connecting, for writing, for reading and for all of it,
//!   with each request; and an error that says which.
//! - **Cancellation** that reaches the server: when the task is cancelled, or a response is dropped
//!   before its end, the connection is closed, or the stream of HTTP/2 reset, and the place is free.
//! - **Errors** ([`HttpError`]) with the phase, the address without its secrets, and whether the request may
//!   be sent again.
//!
//! ```
//! use asyncio_core::{Result, run};
//! use asyncio_net::http::{AsyncClient, TransportResponse};
//!
//! # fn main() -> Result<()> {
//! run(async {
//!     let client = AsyncClient::builder()
//!         .transport(async |_| TransportResponse::new(200).json(&[1, 2, 3]))
//!         .build()?;
//!     let numbers: Vec<u32> = client.get("http://example.org/").await?.json()?;
//!     assert_eq!(numbers, [1, 2, 3]);
//!     Ok(())
//! })
//! # }
//! ```
//!
//! It works on an event loop and on any tokio runtime. A client belongs to the loop or runtime where it was used
//! first: its connections are driven there.
//!
//! # What it does not do
//!
//! - It does not wait for `100 Continue` before a body is sent, and shows no trailers.
//! - It has no cache but that of names.
//! - While the network is waited for, a virtual clock stands still.

mod auth;
mod body;
mod client;
mod config;
mod cookies;
mod dns;
mod error;
mod exchange;
mod headers;
mod incoming;
mod iterators;
mod multipart;
mod pool;
mod request;
mod response;
mod send;
mod transport;

pub use auth::Auth;
pub use body::Body;
pub use client::{AsyncClient, AsyncClientBuilder, RequestInfo, ResponseInfo};
pub(crate) use config::duration as seconds;
pub use config::{Limits, Timeout, Verify};
pub use cookies::Cookies;
pub use error::{HttpError, HttpErrorKind, HttpPhase};
pub use headers::Headers;
pub use iterators::{Chunks, Lines, ServerSentEvent, SseEvents, Texts};
pub use multipart::Multipart;
pub use pool::PoolStats;
pub use request::Request;
pub use response::{Response, StreamingResponse};
pub use transport::{TransportRequest, TransportResponse};

/// Letters that nobody can guess.
fn random_token() -> String {
    let mut bytes = [0; 16];
    let provider = rustls::crypto::ring::default_provider();
    // Where the system has no randomness, TLS does not work either; a boundary or a nonce still does.
    let _ = provider.secure_random.fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
