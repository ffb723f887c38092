//! What asyncio-net promises, one module for each concept.
//!
//! A test that ports one of CPython's names it in its doc comment, as `test_streams.StreamTests.test_read`.

mod auto_traits;
mod connecting;
#[cfg(feature = "fs")]
mod files;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "tls")]
mod peers;
mod pipes;
mod ported;
mod reader;
mod reader_model;
mod reliability;
#[cfg(feature = "retry")]
mod retry;
mod scripts;
mod server;
mod soak;
mod sockets;
mod streams;
mod subprocess;
mod subprocess_protocol;
mod support;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_transports;
mod transports;
