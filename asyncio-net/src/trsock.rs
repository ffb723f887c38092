//! `TransportSocket` (`asyncio/trsock.py`).

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

use asyncio_core::Result;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::streams::Outgoing;

/// The socket of a connection, to ask and to set, not to read and write
/// (`asyncio.trsock.TransportSocket`); see [`ExtraInfo::socket`](crate::ExtraInfo::socket).
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::{open_connection, start_server};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let server = start_server(async |_, _| Ok(()), "127.0.0.1", 0).await?;
///     let (_reader, writer) = open_connection("127.0.0.1", server.port()).await?;
///     let socket = writer.get_extra_info().socket().expect("it is a connection over TCP");
///     assert_eq!(socket.getpeername()?.map(|peer| peer.port()), Some(server.port()));
///     // Options belong to the socket: set by one of its numbers, they are set.
///     socket.dup()?.set_keepalive(true)?;
///     assert!(socket.dup()?.keepalive()?);
///     Ok(())
/// })
/// # }
/// ```
///
/// # asyncio
///
/// Options are asked and set by the methods of what [`dup`](Self::dup) returns.
#[derive(Clone)]
pub struct TransportSocket {
    outgoing: Arc<Outgoing>,
}

impl TransportSocket {
    pub(crate) const fn of(outgoing: Arc<Outgoing>) -> Self {
        Self { outgoing }
    }

    fn with<R>(&self, look: impl FnOnce(SockRef<'_>) -> io::Result<R>) -> Result<R> {
        // Nothing but calls of the operating system is done under the lock.
        let looked = self.outgoing.with_end(|end| end.with_socket(look));
        match looked {
            Some(looked) => Ok(looked?),
            None => Err(io::Error::new(io::ErrorKind::NotConnected, "the socket is closed").into()),
        }
    }

    /// The family of its addresses (`family`).
    ///
    /// # Errors
    ///
    /// [`std::io::Error`] of the kind [`NotConnected`](io::ErrorKind::NotConnected) once the connection
    /// is closed.
    pub fn family(&self) -> Result<Domain> {
        self.with(|socket| socket.domain())
    }

    /// Whether it is a stream (`type`).
    ///
    /// # Errors
    ///
    /// As of [`family`](Self::family).
    pub fn socket_type(&self) -> Result<Type> {
        self.with(|socket| socket.r#type())
    }

    /// The protocol that it speaks, where that is told (`proto`).
    ///
    /// # Errors
    ///
    /// As of [`family`](Self::family).
    pub fn proto(&self) -> Result<Option<Protocol>> {
        self.with(|socket| socket.protocol())
    }

    /// The number of its file (`fileno`). It is another's once the connection is closed.
    ///
    /// # Errors
    ///
    /// As of [`family`](Self::family).
    #[cfg(unix)]
    pub fn fileno(&self) -> Result<std::os::fd::RawFd> {
        use std::os::fd::AsRawFd;
        self.with(|socket| Ok(socket.as_raw_fd()))
    }

    /// The same socket by another number (`dup`), for options that it has (`getsockopt`, `setsockopt`).
    /// The connection does not end for the other side while this is there.
    ///
    /// # Errors
    ///
    /// As of [`family`](Self::family); [`std::io::Error`] when there are too many open files.
    pub fn dup(&self) -> Result<Socket> {
        self.with(|socket| socket.try_clone())
    }

    /// The other side's address (`getpeername`), where it is one of the Internet's.
    ///
    /// # Errors
    ///
    /// As of [`family`](Self::family); [`std::io::Error`] when the connection is lost.
    pub fn getpeername(&self) -> Result<Option<SocketAddr>> {
        self.with(|socket| Ok(socket.peer_addr()?.as_socket()))
    }

    /// This side's address (`getsockname`), where it is one of the Internet's.
    ///
    /// # Errors
    ///
    /// As of [`family`](Self::family).
    pub fn getsockname(&self) -> Result<Option<SocketAddr>> {
        self.with(|socket| Ok(socket.local_addr()?.as_socket()))
    }

    /// Ends one direction or both (`shutdown`), whatever is kept.
    ///
    /// # Errors
    ///
    /// As of [`family`](Self::family); [`std::io::Error`] when the connection is lost.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        self.with(|socket| socket.shutdown(how))
    }
}

impl fmt::Debug for TransportSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TransportSocket")
            .field(self.outgoing.addresses())
            .finish()
    }
}
