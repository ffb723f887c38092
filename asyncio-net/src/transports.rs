//! Transports (`asyncio/transports.py`), and what is known of a connection.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use asyncio_core::{Exception, Result, ValueError};

use crate::protocols::Protocol;
#[cfg(feature = "tls")]
use crate::ssl::{TlsClient, TlsInfo, TlsServer};
use crate::streams::{Outgoing, StreamWriter, WriteEnd};
use crate::trsock::TransportSocket;

/// A connection that a [`Protocol`](crate::Protocol) is called for (`asyncio.Transport`).
///
/// A clone is the same transport. The connection lives without any, until it is closed.
///
/// See [`create_connection`](crate::create_connection) for an example.
#[derive(Clone)]
pub struct Transport {
    writer: StreamWriter,
}

impl Transport {
    pub(crate) const fn of(writer: StreamWriter) -> Self {
        Self { writer }
    }

    pub(crate) const fn outgoing(&self) -> &Arc<Outgoing> {
        self.writer.outgoing()
    }

    pub(crate) fn lose(&self, exception: Exception) {
        self.outgoing().lose(Some(exception));
    }

    /// Writes bytes, without waiting; what the socket does not take at once is kept
    /// (`WriteTransport.write`).
    pub fn write(&self, data: &[u8]) {
        self.writer.write(data);
    }

    /// Writes several pieces, one after the other (`WriteTransport.writelines`).
    pub fn writelines<I>(&self, pieces: I)
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        self.writer.writelines(pieces);
    }

    /// Says that no more will be written, once what is kept has been (`WriteTransport.write_eof`).
    ///
    /// # Errors
    ///
    /// [`RuntimeError`](asyncio_core::RuntimeError) where [`can_write_eof`](Self::can_write_eof) says
    /// no.
    pub fn write_eof(&self) -> Result<()> {
        self.writer.write_eof()
    }

    /// Whether it can say that no more will be written and stay open (`WriteTransport.can_write_eof`).
    #[must_use]
    pub fn can_write_eof(&self) -> bool {
        self.writer.can_write_eof()
    }

    /// Closes the connection, once what is kept has been written (`BaseTransport.close`).
    pub fn close(&self) {
        self.writer.close();
    }

    /// Closes the connection at once; what is kept is dropped (`WriteTransport.abort`).
    pub fn abort(&self) {
        self.writer.abort();
    }

    /// Whether it is closed or being closed (`BaseTransport.is_closing`).
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.writer.is_closing()
    }

    /// Has nothing read for now (`ReadTransport.pause_reading`).
    pub fn pause_reading(&self) {
        self.outgoing().set_reading(false);
    }

    /// Has it read again (`ReadTransport.resume_reading`).
    pub fn resume_reading(&self) {
        self.outgoing().set_reading(true);
    }

    /// Whether it is read from (`ReadTransport.is_reading`).
    #[must_use]
    pub fn is_reading(&self) -> bool {
        self.outgoing().lock().is_reading()
    }

    /// How many bytes are kept (`WriteTransport.get_write_buffer_size`).
    #[must_use]
    pub fn get_write_buffer_size(&self) -> usize {
        self.writer.get_write_buffer_size()
    }

    /// The low and the high-water mark (`WriteTransport.get_write_buffer_limits`).
    #[must_use]
    pub fn get_write_buffer_limits(&self) -> (usize, usize) {
        self.writer.get_write_buffer_limits()
    }

    /// Sets the water marks (`WriteTransport.set_write_buffer_limits`); see
    /// [`StreamWriter::set_write_buffer_limits`].
    ///
    /// # Errors
    ///
    /// [`ValueError`] when the low one is above the high one.
    pub fn set_write_buffer_limits(
        &self,
        high: Option<usize>,
        low: Option<usize>,
    ) -> Result<(), ValueError> {
        self.writer.set_write_buffer_limits(high, low)
    }

    /// What is known of the connection (`BaseTransport.get_extra_info`).
    #[must_use]
    pub fn get_extra_info(&self) -> ExtraInfo {
        self.writer.get_extra_info()
    }

    /// Has another protocol called from now on (`BaseTransport.set_protocol`). The former is dropped,
    /// the new one is not told of what was before. Once the connection is lost it does nothing.
    ///
    /// ```
    /// use asyncio_core::{Result, run};
    /// use asyncio_net::{Protocol, Transport, create_server, open_connection};
    ///
    /// struct Greeting;
    /// struct Echo;
    ///
    /// impl Protocol for Greeting {
    ///     fn data_received(&mut self, transport: &Transport, _hello: &[u8]) {
    ///         transport.set_protocol(Echo);
    ///         transport.write(b"welcome");
    ///     }
    /// }
    ///
    /// impl Protocol for Echo {
    ///     fn data_received(&mut self, transport: &Transport, data: &[u8]) {
    ///         transport.write(data);
    ///     }
    /// }
    ///
    /// # fn main() -> Result<()> {
    /// run(async {
    ///     let server = create_server(|| Greeting, "127.0.0.1", 0).await?;
    ///     let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
    ///     writer.write(b"hello");
    ///     assert_eq!(reader.readexactly(7).await?, b"welcome");
    ///     writer.write(b"and back");
    ///     assert_eq!(reader.readexactly(8).await?, b"and back");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # asyncio
    ///
    /// There is no `get_protocol`: a protocol is borrowed by its connection alone, so that its calls need
    /// no lock. What is to be seen from outside it shares by an `Arc` of its own.
    pub fn set_protocol(&self, protocol: impl Protocol) {
        self.outgoing().set_protocol(Box::new(protocol));
    }

    /// Speaks TLS from here on, as the client (`loop.start_tls`); the protocol is given nothing until
    /// that is done. See [`StreamWriter::start_tls`].
    ///
    /// # Errors
    ///
    /// As of [`StreamWriter::start_tls`].
    ///
    /// # Cancel safety
    ///
    /// The connection is lost.
    ///
    /// # asyncio
    ///
    /// The transport stays the same, and so does the protocol, unless another is set.
    #[cfg(feature = "tls")]
    pub async fn start_tls(&self, tls: &TlsClient, server_hostname: &str) -> Result<()> {
        let _resting = Resting::new(self);
        self.writer.start_tls(tls, server_hostname).await
    }

    /// Speaks TLS from here on, as the server; see [`start_tls`](Self::start_tls). Where the client may
    /// begin at once, pause reading in the call that starts the task: what the protocol was given is not
    /// TLS's any more.
    ///
    /// # Errors
    ///
    /// As of [`StreamWriter::start_tls`].
    ///
    /// # Cancel safety
    ///
    /// The connection is lost.
    #[cfg(feature = "tls")]
    pub async fn start_tls_server(&self, tls: &TlsServer) -> Result<()> {
        let _resting = Resting::new(self);
        self.writer.start_tls_server(tls).await
    }
}

/// Has nothing read while it lives.
#[cfg(feature = "tls")]
struct Resting<'a> {
    transport: &'a Transport,
    before: bool,
}

#[cfg(feature = "tls")]
impl<'a> Resting<'a> {
    fn new(transport: &'a Transport) -> Self {
        let before = transport.is_reading();
        transport.pause_reading();
        Self { transport, before }
    }
}

#[cfg(feature = "tls")]
impl Drop for Resting<'_> {
    fn drop(&mut self) {
        if self.before {
            self.transport.resume_reading();
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transport").field(&self.writer).finish()
    }
}

/// What is known of a connection (`BaseTransport.get_extra_info`).
#[derive(Clone)]
pub struct ExtraInfo {
    outgoing: Arc<Outgoing>,
}

/// The two addresses of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) enum Addresses {
    #[default]
    None,
    Inet {
        peer: Option<SocketAddr>,
        local: Option<SocketAddr>,
    },
    #[cfg(unix)]
    Unix(Box<(Option<PathBuf>, Option<PathBuf>)>),
}

impl ExtraInfo {
    pub(crate) const fn of(outgoing: Arc<Outgoing>) -> Self {
        Self { outgoing }
    }

    /// The other side's address (`peername`), over TCP.
    #[must_use]
    pub fn peername(&self) -> Option<SocketAddr> {
        match self.outgoing.addresses() {
            Addresses::Inet { peer, .. } => *peer,
            _ => None,
        }
    }

    /// This side's address (`sockname`), over TCP.
    #[must_use]
    pub fn sockname(&self) -> Option<SocketAddr> {
        match self.outgoing.addresses() {
            Addresses::Inet { local, .. } => *local,
            _ => None,
        }
    }

    /// What was agreed on with TLS, where the connection speaks it (`ssl_object`, `cipher`,
    /// `peercert`).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(&self) -> Option<TlsInfo> {
        let end = self.outgoing.with_end(|end| match end {
            WriteEnd::Tls(end) => Some(end.clone()),
            _ => None,
        });
        end.flatten().map(|end| end.info())
    }

    /// The socket itself (`socket`), to ask and to set its options. Over TLS it is the one below; a pipe
    /// has none.
    #[must_use]
    pub fn socket(&self) -> Option<TransportSocket> {
        let is_socket = self.outgoing.with_end(WriteEnd::is_socket)?;
        is_socket.then(|| TransportSocket::of(Arc::clone(&self.outgoing)))
    }

    /// The path of the other side's Unix socket (`peername`), where it has one.
    #[cfg(unix)]
    #[must_use]
    pub fn peer_path(&self) -> Option<PathBuf> {
        match self.outgoing.addresses() {
            Addresses::Unix(paths) => paths.0.clone(),
            _ => None,
        }
    }

    /// The path of this side's Unix socket (`sockname`), where it has one.
    #[cfg(unix)]
    #[must_use]
    pub fn sock_path(&self) -> Option<PathBuf> {
        match self.outgoing.addresses() {
            Addresses::Unix(paths) => paths.1.clone(),
            _ => None,
        }
    }
}

impl fmt::Debug for ExtraInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExtraInfo")
            .field(self.outgoing.addresses())
            .finish()
    }
}
