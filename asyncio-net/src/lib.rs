//! asyncio's streams, servers, transports, datagrams and subprocesses for Rust.
//!
//! **Being built: the HTTP server is not here yet.**
//!
//! ```
//! use asyncio_core::{Result, run};
//! use asyncio_net::{open_connection, start_server};
//!
//! # fn main() -> Result<()> {
//! run(async {
//!     let server = start_server(
//!         async |reader, writer| {
//!             while let Some(line) = reader.next_line().await? {
//!                 writer.write(&line);
//!                 writer.drain().await?;
//!             }
//!             Ok(())
//!         },
//!         "127.0.0.1",
//!         0,
//!     )
//!     .await?;
//!     let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
//!     writer.write(b"there and back\n");
//!     assert_eq!(reader.readline().await?, b"there and back\n");
//!     Ok(())
//! })
//! # }
//! ```
//!
//! All of it follows CPython 3.13, and runs on an event loop of
//! [`asyncio_core`] and on any tokio runtime. Sockets, pipes and child processes are tokio's, TLS is
//! rustls'.
//!
//! # Vocabulary
//!
//! - A **stream** is a pair of [`StreamReader`] and [`StreamWriter`]. Both own their buffers, so that a
//!   cancelled read leaves its bytes in the reader (one until the end loses them, as in Python) and a
//!   cancelled drain its bytes in the writer. The task that reads is the one that takes bytes from the
//!   socket; a stream has no task of its own, but while there is something left to be written.
//! - A **transport** ([`Transport`]) is a connection that a **protocol** ([`Protocol`]) is called for,
//!   by a task of its own, when some bytes have come.
//! - To **drain** is to wait until the other side has taken enough for more to be written.
//! - A **server** ([`Server`]) accepts connections and starts a task for each.
//! - What are keyword arguments in Python are methods, and the await does it:
//!   `open_connection(host, 443).limit(1 << 20).await?`.
//! - An **error** of a socket is a [`std::io::Error`] within the
//!   [`Exception`](asyncio_core::Exception): Python's `ConnectionResetError` is one whose kind is
//!   [`ConnectionReset`](std::io::ErrorKind::ConnectionReset).
//!
//! # Map
//!
//! | CPython's module | here | to come |
//! | --- | --- | --- |
//! | `asyncio.streams` | [`open_connection`], [`start_server`], [`open_unix_connection`], [`start_unix_server`], [`StreamReader`], [`StreamWriter`] | |
//! | `asyncio.exceptions` | [`IncompleteReadError`], [`LimitOverrunError`], [`SendfileNotAvailableError`] | |
//! | `asyncio.base_events` | [`Server`], [`getaddrinfo`], [`create_connection`], [`create_server`], [`create_unix_server`], [`connect_accepted_socket`], [`create_datagram_endpoint`], [`create_unix_datagram_endpoint`], [`getnameinfo`], [`StreamWriter::sendfile`] | |
//! | `asyncio.transports`, `asyncio.protocols`, `asyncio.trsock` | [`Transport`], [`Protocol`], [`BufferedProtocol`], [`DatagramTransport`], [`DatagramProtocol`], [`ExtraInfo`], [`TransportSocket`], [`SubprocessTransport`], [`SubprocessProtocol`] | |
//! | `asyncio.selector_events` | [`AsyncSocket`], [`add_reader`], [`add_writer`] | |
//! | `asyncio.unix_events` | [`connect_read_pipe`], [`connect_write_pipe`] | |
//! | `asyncio.sslproto`, `ssl` | with `tls`: `TlsClient`, `TlsServer`, `StreamWriter::start_tls`, `TlsError`; [`TlsTruncated`] | |
//! | `asyncio.subprocess` | [`create_subprocess_exec`], [`create_subprocess_shell`], [`Process`], [`subprocess_exec`], [`subprocess_shell`] | |
//! | none: httpx, aiohttp | with `http`: `http::AsyncClient`, `aiohttp::ClientSession` | the HTTP server |
//! | none: aiofiles | with `fs`: `files::open`, `files::os`, `files::tempfile` | |
//! | none: tenacity, aiolimiter | with `retry`: `retry`, `RateLimiter` | |
//!
//! # What it does not do
//!
//! - It reads nothing ahead: what nobody reads stays with the operating system, and so does the news
//!   that the other side has gone.
//! - The virtual clock does not reach it: the network takes its real time. Only the delays between
//!   attempts to connect are the loop's.
//! - It starts no session for a child (`start_new_session`), only a process group; and has no text mode.
//! - Windows has the streams over TCP, with and without TLS, transports and datagrams, no more; nothing
//!   was tried there yet.
//!
//! # Features
//!
//! - `tls`, on by default: TLS by rustls with ring.
//! - `http`: the client for HTTP, by reqwest; `http2`, `brotli`, `zstd` and `socks` add what they are named after.
//! - `fs`: files.
//! - `retry`: trying again, and rates.

mod addresses;
#[cfg(feature = "http")]
pub mod aiohttp;
mod base_events;
#[cfg(unix)]
mod base_subprocess;
mod connections;
mod datagram;
mod exceptions;
#[cfg(feature = "fs")]
pub mod files;
#[cfg(feature = "http")]
pub mod http;
mod protocols;
#[cfg(feature = "retry")]
mod rate_limit;
#[cfg(feature = "retry")]
mod retry;
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
mod trsock;
#[cfg(unix)]
mod unix_events;
mod waiters;

pub use addresses::DatagramAddress;
pub use base_events::{getaddrinfo, getnameinfo};
#[cfg(unix)]
pub use base_subprocess::{SubprocessTransport, subprocess_exec, subprocess_shell};
#[cfg(unix)]
pub use connections::create_unix_server;
pub use connections::{
    Calls, ConnectAcceptedSocket, connect_accepted_socket, create_connection, create_server,
};
pub use datagram::{CreateDatagramEndpoint, DatagramTransport, create_datagram_endpoint};
#[cfg(feature = "tls")]
pub use exceptions::TlsError;
pub use exceptions::{
    ConnectError, IncompleteReadError, LimitOverrunError, SendfileNotAvailableError, TlsTruncated,
};
#[cfg(unix)]
pub use protocols::SubprocessProtocol;
pub use protocols::{Buffered, BufferedProtocol, DatagramProtocol, Protocol};
#[cfg(feature = "retry")]
pub use rate_limit::RateLimiter;
#[cfg(feature = "retry")]
pub use retry::{Retry, retry};
#[cfg(unix)]
pub use selector_events::{AsyncSocket, Watch, add_reader, add_writer};
#[cfg(unix)]
pub use sendfile::Sendfile;
pub use server::{Server, ShutdownReport};
#[cfg(feature = "tls")]
pub use ssl::{TlsClient, TlsClientBuilder, TlsInfo, TlsServer};
pub use streams::{
    Lines, OpenConnection, StartLocalServer, StartServer, StreamReader, StreamWriter,
    open_connection, start_server,
};
#[cfg(unix)]
pub use streams::{open_unix_connection, start_unix_server};
#[cfg(unix)]
pub use subprocess::{Process, create_subprocess_exec, create_subprocess_shell};
pub use transports::{ExtraInfo, Transport};
pub use trsock::TransportSocket;
#[cfg(unix)]
pub use unix_events::{connect_read_pipe, connect_write_pipe, create_unix_datagram_endpoint};
