//! Unix sockets and pipes (`asyncio/unix_events.py`).

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Weak;

use asyncio_core::{FutureExt, Result, ValueError};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::{SocketAddr, pipe};

use crate::base_events::Channel;
use crate::datagram::CreateDatagramEndpoint;
use crate::protocols::DatagramProtocol;
use crate::streams::{
    DEFAULT_LIMIT, Outgoing, ReadEnd, Source, StreamReader, StreamWriter, WriteEnd, connect,
    runtime,
};
use crate::transports::Addresses;

/// Reads from the end of a pipe, a socket or a character device (`loop.connect_read_pipe`).
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::{connect_read_pipe, connect_write_pipe};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let (theirs, ours) = std::io::pipe()?;
///     let (reader, writer) = (connect_read_pipe(theirs)?, connect_write_pipe(ours)?);
///     writer.write(b"through the pipe");
///     writer.close();
///     assert_eq!(reader.read(-1).await?, b"through the pipe");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// [`ValueError`] when it is none of these; [`std::io::Error`] when it cannot be read from;
/// [`RuntimeError`](asyncio_core::RuntimeError) where neither a loop nor a tokio runtime runs.
///
/// # asyncio
///
/// It gives a stream, without a protocol, and does not wait.
pub fn connect_read_pipe(pipe: impl Into<OwnedFd>) -> Result<StreamReader> {
    read_pipe(pipe.into(), DEFAULT_LIMIT)
}

/// Writes to the end of a pipe, a socket or a character device (`loop.connect_write_pipe`).
///
/// See [`connect_read_pipe`] for an example.
///
/// # Errors
///
/// As of [`connect_read_pipe`].
pub fn connect_write_pipe(pipe: impl Into<OwnedFd>) -> Result<StreamWriter> {
    write_pipe(pipe.into())
}

/// Opens a Unix socket for datagrams, and has a protocol called with what comes
/// (`loop.create_datagram_endpoint` with `family=AF_UNIX`). A path that begins with a zero byte is an
/// abstract name; a socket without one has an empty path.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::{DatagramProtocol, DatagramTransport, create_unix_datagram_endpoint};
/// use std::path::PathBuf;
///
/// struct Echo;
///
/// impl DatagramProtocol<PathBuf> for Echo {
///     fn datagram_received(&mut self, transport: &DatagramTransport<PathBuf>, data: &[u8], from: PathBuf) {
///         transport.sendto(data, Some(from));
///     }
/// }
///
/// # fn main() -> Result<()> {
/// run(async {
///     let name = |what: &str| PathBuf::from(format!("\0asyncio-net-doc-{what}-{}", std::process::id()));
///     let echo = create_unix_datagram_endpoint(|| Echo).local_addr(name("echo")).await?;
///     # let (heard, client) = (asyncio_sync::Queue::new(0), name("client"));
///     # struct Client(asyncio_sync::Queue<Vec<u8>>);
///     # impl DatagramProtocol<PathBuf> for Client {
///     #     fn datagram_received(&mut self, _: &DatagramTransport<PathBuf>, data: &[u8], _: PathBuf) {
///     #         let _ = self.0.put_nowait(data.to_vec());
///     #     }
///     # }
///     # let theirs = heard.clone();
///     let client = create_unix_datagram_endpoint(|| Client(theirs))
///         .local_addr(client)
///         .remote_addr(name("echo"))
///         .await?;
///     client.sendto(b"hello", None);
///     assert_eq!(heard.get().await?, b"hello");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// [`std::io::Error`] when the socket cannot be opened or bound.
///
/// # asyncio
///
/// A function of its own, since its addresses are of another type.
pub fn create_unix_datagram_endpoint<F, P>(
    protocol_factory: F,
) -> CreateDatagramEndpoint<F, PathBuf>
where
    F: FnOnce() -> P,
    P: DatagramProtocol<PathBuf>,
{
    CreateDatagramEndpoint::new(protocol_factory)
}

pub(crate) fn read_pipe(fd: OwnedFd, limit: usize) -> Result<StreamReader> {
    runtime()?;
    prepare(&fd)?;
    // What it is was looked at; tokio's own check takes pipes only.
    let end = ReadEnd::Pipe(pipe::Receiver::from_owned_fd_unchecked(fd)?);
    let reader = StreamReader::with_limit(limit)?;
    reader.set_source(Source::new(end, Weak::new()));
    Ok(reader)
}

pub(crate) fn write_pipe(fd: OwnedFd) -> Result<StreamWriter> {
    runtime()?;
    prepare(&fd)?;
    let end = WriteEnd::Pipe(pipe::Sender::from_owned_fd_unchecked(fd)?);
    Ok(StreamWriter::of(Outgoing::new(
        end,
        None,
        Addresses::default(),
    )?))
}

/// The end of a pipe to read from, for a protocol.
pub(crate) fn read_transport(fd: OwnedFd, limit: usize) -> Result<(StreamReader, StreamWriter)> {
    runtime()?;
    prepare(&fd)?;
    let end = ReadEnd::Pipe(pipe::Receiver::from_owned_fd_unchecked(fd)?);
    connect(end, WriteEnd::ReadOnly, Addresses::default(), limit)
}

/// Whether the other end of a pipe that is written to has been closed.
pub(crate) struct Gone(pipe::Sender);

impl Gone {
    /// Looks at this end by a number of its own. While this is there the pipe is open.
    pub(crate) fn watch(fd: &OwnedFd) -> Result<Self> {
        prepare(fd)?;
        let fd = fd.try_clone()?;
        Ok(Self(pipe::Sender::from_owned_fd_unchecked(fd)?))
    }

    pub(crate) async fn wait(&self) {
        // Whatever is told here of the pipe is that nobody reads it.
        let _ = self.0.ready(Interest::ERROR).await;
    }
}

/// Has it wait for nobody, where it can be waited for: the operating system says of a file that it is
/// always ready.
fn prepare(fd: &OwnedFd) -> Result<()> {
    let kind = FileType::from_raw_mode(fstat(fd).map_err(io::Error::from)?.st_mode);
    if !matches!(
        kind,
        FileType::Fifo | FileType::Socket | FileType::CharacterDevice
    ) {
        let message = "only pipes, sockets and character devices can be waited for";
        return Err(ValueError::new(message).into());
    }
    let flags = fcntl_getfl(fd).map_err(io::Error::from)?;
    fcntl_setfl(fd, flags | OFlags::NONBLOCK).map_err(io::Error::from)?;
    Ok(())
}

/// Connects to a Unix socket.
pub(crate) async fn connect_unix(path: &Path) -> Result<Channel> {
    runtime()?;
    let stream = UnixStream::connect(path).cancellable().await??;
    Ok(unix_channel(stream))
}

pub(crate) fn unix_channel(stream: UnixStream) -> Channel {
    let path = |address: io::Result<SocketAddr>| Some(address.ok()?.as_pathname()?.to_owned());
    let paths = (path(stream.peer_addr()), path(stream.local_addr()));
    let (read, write) = stream.into_split();
    Channel {
        read: ReadEnd::Unix(read),
        write: WriteEnd::Unix(write),
        addresses: Addresses::Unix(Box::new(paths)),
    }
}

/// A socket's file, to be removed with its server unless it is another one by then.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    /// The file of a socket that was bound to this path; none for an abstract name.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        Some(Self {
            path: path.to_owned(),
            inode: inode(path)?,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path) == Some(self.inode) {
            // Nobody is left to be told, and the next server to be bound here removes it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Removes a socket's file that a server has left behind, so that the path can be bound again.
pub(crate) fn remove_stale(path: &Path) {
    let is_socket = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket {
        // Binding fails, and says why.
        let _ = std::fs::remove_file(path);
    }
}
