//! asyncio's streams, servers, transports and subprocesses for Rust, and an HTTP client and server.
//!
//! **Being built: only [`StreamReader`] and its errors are here yet;** whoever has the bytes feeds them
//! to it. This page says what the crate is for and what it will hold.
//!
//! ```
//! use asyncio_core::{Result, run};
//! use asyncio_net::StreamReader;
//!
//! # fn main() -> Result<()> {
//! run(async {
//!     let reader = StreamReader::new();
//!     reader.feed_data(b"one line\nand the rest")?;
//!     reader.feed_eof();
//!     assert_eq!(reader.readline().await?, b"one line\n");
//!     assert_eq!(reader.read(-1).await?, b"and the rest");
//!     Ok(())
//! })
//! # }
//! ```
//!
//! Streams, servers and subprocesses follow `asyncio.streams`, `asyncio.base_events` and
//! `asyncio.subprocess` of CPython 3.13; the HTTP client takes its names from httpx and aiohttp. Sockets,
//! pipes and child processes are tokio's.
//!
//! # Vocabulary
//!
//! - A **stream** is a pair of [`StreamReader`] and `StreamWriter`. Both own their buffers, so that a
//!   cancelled read leaves its bytes in the reader (one until the end loses them, as in Python) and a
//!   cancelled drain its bytes in the writer.
//! - A **transport** moves bytes and calls a **protocol** when some have come; streams stand on them.
//! - To **drain** is to wait until the other side has taken enough for more to be written.
//! - A **server** accepts connections and starts a task for each.
//!
//! # Map
//!
//! | CPython's module | here | to come |
//! | --- | --- | --- |
//! | `asyncio.streams` | [`StreamReader`] | `open_connection`, `start_server`, their Unix pair, `StreamWriter` |
//! | `asyncio.exceptions` | [`IncompleteReadError`], [`LimitOverrunError`] | |
//! | `asyncio.transports`, `asyncio.protocols` | | the transports and protocols, and the loop's methods that make them |
//! | `asyncio.base_events` | | `Server`, `sock_recv` and its family, `getaddrinfo` |
//! | `asyncio.subprocess` | | `create_subprocess_exec`, `create_subprocess_shell`, `Process` |
//! | none: httpx, aiohttp | | the HTTP client and server |
//!
//! # What it does not do
//!
//! It opens no connections yet. It will drive no sockets itself: whatever it wraps can be taken out
//! again, and tokio's `AsyncRead` and `AsyncWrite` are the traits that its streams speak. The virtual clock does not reach it: the network
//! takes its real time.
//!
//! # Features
//!
//! None.

mod base_events;
mod connections;
mod datagram;
mod exceptions;
mod protocols;
#[cfg(unix)]
mod selector_events;
#[cfg(unix)]
mod sendfile;
mod server;
#[cfg(feature = "tls")]
mod ssl;
#[cfg(feature = "tls")]
mod sslproto;
mod streams;
#[cfg(unix)]
pub mod subprocess;
mod transports;
#[cfg(unix)]
mod unix_events;
mod waiters;

pub use base_events::getaddrinfo;
#[cfg(unix)]
pub use connections::create_unix_server;
pub use connections::{Calls, connect_accepted_socket, create_connection, create_server};
pub use datagram::{CreateDatagramEndpoint, DatagramTransport, create_datagram_endpoint};
#[cfg(feature = "tls")]
pub use exceptions::TlsError;
pub use exceptions::{ConnectError, IncompleteReadError, LimitOverrunError, TlsTruncated};
pub use protocols::{Buffered, BufferedProtocol, DatagramProtocol, Protocol};
#[cfg(unix)]
pub use selector_events::{AsyncSocket, Watch, add_reader, add_writer};
pub use server::{Server, ShutdownReport};
#[cfg(feature = "tls")]
pub use ssl::{TlsClient, TlsClientBuilder, TlsInfo, TlsServer};
pub use streams::{
    Lines, OpenConnection, StartServer, StreamReader, StreamWriter, open_connection, start_server,
};
#[cfg(unix)]
pub use streams::{open_unix_connection, start_unix_server};
#[cfg(unix)]
pub use subprocess::{Process, create_subprocess_exec, create_subprocess_shell};
pub use transports::{ExtraInfo, Transport};
#[cfg(unix)]
pub use unix_events::{connect_read_pipe, connect_write_pipe};
