//! Transports (`asyncio/transports.py`), and what is known of a connection.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use asyncio_core::{Exception, Result, ValueError};

#[cfg(feature = "tls")]
use crate::ssl::TlsInfo;
#[cfg(feature = "tls")]
use crate::streams::WriteEnd;
use crate::streams::{Outgoing, StreamWriter};

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
