//! Protocols: what is called when something happens to a connection (`asyncio/protocols.py`).

use std::fmt;
use std::net::SocketAddr;

use asyncio_core::{Exception, RuntimeError};

use crate::addresses::DatagramAddress;
#[cfg(unix)]
use crate::base_subprocess::SubprocessTransport;
use crate::datagram::DatagramTransport;
use crate::transports::Transport;

/// What is called when something happens to a connection (`asyncio.Protocol`).
///
/// The calls come one after the other, from the one task of the connection; that nothing is awaited in
/// them is in the nature of the thing. See [`create_connection`](crate::create_connection) for an
/// example.
///
/// # asyncio
///
/// The transport is given to the calls that want it. `pause_writing` and `resume_writing` are called
/// after the call that wrote too much, not during it.
pub trait Protocol: Send + 'static {
    /// The connection is there. Called first, once.
    fn connection_made(&mut self, transport: &Transport) {
        let _ = transport;
    }

    /// Some bytes have come.
    fn data_received(&mut self, transport: &Transport, data: &[u8]) {
        let _ = (transport, data);
    }

    /// The other side writes no more. True keeps this side open to write, except over TLS.
    fn eof_received(&mut self, transport: &Transport) -> bool {
        let _ = transport;
        false
    }

    /// The connection is closed, or lost by this error. Called last, once.
    fn connection_lost(&mut self, exception: Option<Exception>) {
        let _ = exception;
    }

    /// More is kept than the high-water mark: to be written to no more, for now.
    fn pause_writing(&mut self) {}

    /// Less is kept than the low-water mark: to be written to again.
    fn resume_writing(&mut self) {}
}

/// The protocol that does nothing.
impl Protocol for () {}

/// A protocol that says where bytes are to go (`asyncio.BufferedProtocol`); [`Buffered`] makes a
/// [`Protocol`] of it.
pub trait BufferedProtocol: Send + 'static {
    /// See [`Protocol::connection_made`].
    fn connection_made(&mut self, transport: &Transport) {
        let _ = transport;
    }

    /// Where bytes are to go; `sizehint` many would be good to have room for. Not nothing.
    fn get_buffer(&mut self, sizehint: usize) -> &mut [u8];

    /// So many bytes are in what [`get_buffer`](Self::get_buffer) returned.
    fn buffer_updated(&mut self, transport: &Transport, count: usize);

    /// See [`Protocol::eof_received`].
    fn eof_received(&mut self, transport: &Transport) -> bool {
        let _ = transport;
        false
    }

    /// See [`Protocol::connection_lost`].
    fn connection_lost(&mut self, exception: Option<Exception>) {
        let _ = exception;
    }

    /// See [`Protocol::pause_writing`].
    fn pause_writing(&mut self) {}

    /// See [`Protocol::resume_writing`].
    fn resume_writing(&mut self) {}
}

/// A [`BufferedProtocol`] as a [`Protocol`].
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::{Buffered, BufferedProtocol, Transport, create_server, open_connection};
///
/// struct Echo([u8; 64]);
///
/// impl BufferedProtocol for Echo {
///     fn get_buffer(&mut self, _sizehint: usize) -> &mut [u8] {
///         &mut self.0
///     }
///     fn buffer_updated(&mut self, transport: &Transport, count: usize) {
///         transport.write(&self.0[..count]);
///     }
/// }
///
/// # fn main() -> Result<()> {
/// run(async {
///     let server = create_server(|| Buffered::new(Echo([0; 64])), "127.0.0.1", 0).await?;
///     let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
///     writer.write(&[b'x'; 1000]);
///     assert_eq!(reader.readexactly(1000).await?, [b'x'; 1000]);
///     Ok(())
/// })
/// # }
/// ```
pub struct Buffered<P> {
    protocol: P,
}

impl<P: BufferedProtocol> Buffered<P> {
    /// The protocol as another.
    pub const fn new(protocol: P) -> Self {
        Self { protocol }
    }
}

impl<P: BufferedProtocol> Protocol for Buffered<P> {
    fn connection_made(&mut self, transport: &Transport) {
        self.protocol.connection_made(transport);
    }

    fn data_received(&mut self, transport: &Transport, mut data: &[u8]) {
        while !data.is_empty() {
            let buffer = self.protocol.get_buffer(data.len());
            let count = buffer.len().min(data.len());
            if count == 0 {
                let error = RuntimeError::new("get_buffer() returned an empty buffer");
                transport.lose(error.into());
                return;
            }
            buffer[..count].copy_from_slice(&data[..count]);
            data = &data[count..];
            self.protocol.buffer_updated(transport, count);
        }
    }

    fn eof_received(&mut self, transport: &Transport) -> bool {
        self.protocol.eof_received(transport)
    }

    fn connection_lost(&mut self, exception: Option<Exception>) {
        self.protocol.connection_lost(exception);
    }

    fn pause_writing(&mut self) {
        self.protocol.pause_writing();
    }

    fn resume_writing(&mut self) {
        self.protocol.resume_writing();
    }
}

impl<P> fmt::Debug for Buffered<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffered").finish_non_exhaustive()
    }
}

/// What is called when something happens to a child process (`asyncio.SubprocessProtocol`); see
/// [`subprocess_exec`](crate::subprocess_exec) for an example.
///
/// # asyncio
///
/// The transport is given to the calls that want it.
#[cfg(unix)]
pub trait SubprocessProtocol: Send + 'static {
    /// The child was started. Called first, once.
    fn connection_made(&mut self, transport: &SubprocessTransport) {
        let _ = transport;
    }

    /// The child has written this, to its output (1) or its output of errors (2).
    fn pipe_data_received(&mut self, transport: &SubprocessTransport, fd: i32, data: &[u8]) {
        let _ = (transport, fd, data);
    }

    /// This pipe (0, 1 or 2) is closed, or lost by this error. Called once for each.
    fn pipe_connection_lost(
        &mut self,
        transport: &SubprocessTransport,
        fd: i32,
        exception: Option<Exception>,
    ) {
        let _ = (transport, fd, exception);
    }

    /// The child has ended. Its pipes may be open, where it has started others.
    fn process_exited(&mut self, transport: &SubprocessTransport) {
        let _ = transport;
    }

    /// The child has ended and all pipes are closed. Called last, once.
    fn connection_lost(&mut self, exception: Option<Exception>) {
        let _ = exception;
    }

    /// More is kept for the child's input than the high-water mark.
    fn pause_writing(&mut self) {}

    /// Less is kept for the child's input than the low-water mark.
    fn resume_writing(&mut self) {}
}

/// The protocol that does nothing.
#[cfg(unix)]
impl SubprocessProtocol for () {}

/// What is called when something happens to a socket for datagrams (`asyncio.DatagramProtocol`).
///
/// Of a socket for UDP it is a `DatagramProtocol`, of a Unix socket a `DatagramProtocol<PathBuf>`. See
/// [`create_datagram_endpoint`](crate::create_datagram_endpoint) for an example.
pub trait DatagramProtocol<A: DatagramAddress = SocketAddr>: Send + 'static {
    /// The socket is there. Called first, once.
    fn connection_made(&mut self, transport: &DatagramTransport<A>) {
        let _ = transport;
    }

    /// A datagram has come, from this address.
    fn datagram_received(&mut self, transport: &DatagramTransport<A>, data: &[u8], address: A) {
        let _ = (transport, data, address);
    }

    /// One that was sent did not arrive, as far as is known. The socket stays open.
    fn error_received(&mut self, exception: Exception) {
        let _ = exception;
    }

    /// The socket is closed, or lost by this error. Called last, once.
    fn connection_lost(&mut self, exception: Option<Exception>) {
        let _ = exception;
    }

    /// More waits to be sent than the high-water mark.
    fn pause_writing(&mut self) {}

    /// Less waits to be sent than the low-water mark.
    fn resume_writing(&mut self) {}
}

/// The protocol that does nothing.
impl<A: DatagramAddress> DatagramProtocol<A> for () {}
