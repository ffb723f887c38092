//! The two ends of a connection, whatever carries it.

#[cfg(unix)]
use std::fs::File;
use std::io::{self, Read};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
#[cfg(unix)]
use tokio::net::UnixStream;
#[cfg(unix)]
use tokio::net::unix::{self, pipe};
use tokio::net::{TcpStream, tcp};
use tokio::runtime::Handle;

#[cfg(feature = "tls")]
use crate::sslproto::TlsEnd;

/// Where bytes come from.
pub(crate) enum ReadEnd {
    Tcp(tcp::OwnedReadHalf),
    #[cfg(unix)]
    Unix(unix::OwnedReadHalf),
    #[cfg(unix)]
    Pipe(pipe::Receiver),
    #[cfg(feature = "tls")]
    Tls(TlsEnd),
}

/// Where bytes go.
pub(crate) enum WriteEnd {
    Tcp(tcp::OwnedWriteHalf),
    #[cfg(unix)]
    Unix(unix::OwnedWriteHalf),
    #[cfg(unix)]
    Pipe(pipe::Sender),
    /// Of a pipe that is read from.
    #[cfg(unix)]
    ReadOnly,
    #[cfg(feature = "tls")]
    Tls(TlsEnd),
}

/// As in Python.
pub(super) const HIGH_WATER: usize = 1 << 16;

/// As in Python: over TLS more is kept, for records are put together from it.
#[cfg(feature = "tls")]
const HIGH_WATER_TLS: usize = 1 << 19;

/// So much that came and was not read is dropped before a close. Python may have as much read ahead.
const DISCARDED: usize = 1 << 18;

/// As in Python.
pub(crate) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

impl ReadEnd {
    /// Reads into the room that a vector has.
    pub(crate) fn poll_read_buf(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        // These futures keep nothing from one poll to the next.
        match self {
            Self::Tcp(end) => pin!(end.read_buf(buffer)).poll(cx),
            #[cfg(unix)]
            Self::Unix(end) => pin!(end.read_buf(buffer)).poll(cx),
            #[cfg(unix)]
            Self::Pipe(end) => pin!(end.read_buf(buffer)).poll(cx),
            #[cfg(feature = "tls")]
            Self::Tls(end) => pin!(end.read_buf(buffer)).poll(cx),
        }
    }
}

impl ReadEnd {
    /// Lets go of the last of a connection's ends; see [`WriteEnd::let_go`].
    pub(super) fn let_go(self) {
        match self {
            Self::Tcp(end) => {
                let stream: &TcpStream = end.as_ref();
                let _ = discard(stream.into());
            }
            #[cfg(unix)]
            Self::Unix(end) => {
                let stream: &UnixStream = end.as_ref();
                let _ = discard(stream.into());
            }
            #[cfg(unix)]
            Self::Pipe(_) => {}
            #[cfg(feature = "tls")]
            Self::Tls(end) => hear_out(end, Handle::try_current().ok().as_ref()),
        }
    }
}

/// Drops what came and was not read. A socket that is closed with something unread in it is a reset for
/// the other side, which may take away what that has not read itself.
fn discard(socket: SockRef<'_>) -> io::Result<()> {
    let mut piece = [0; 1 << 12];
    let mut left = DISCARDED;
    while left > 0 {
        let read = (&*socket).read(&mut piece)?;
        if read == 0 {
            break;
        }
        left = left.saturating_sub(read);
    }
    Ok(())
}

/// Over TLS the other side always says something, its own end at least: it is heard until then, for as
/// long as a close may take.
#[cfg(feature = "tls")]
fn hear_out(mut end: TlsEnd, runtime: Option<&Handle>) {
    let Some(runtime) = runtime else { return };
    let timeout = end.shutdown_timeout();
    let hearing = async move {
        let mut piece = vec![0; 1 << 12];
        while let Ok(1..) = end.read(&mut piece).await {}
    };
    drop(runtime.spawn(tokio::time::timeout(timeout, hearing)));
}

impl AsyncRead for ReadEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(end) => Pin::new(end).poll_read(cx, buffer),
            #[cfg(unix)]
            Self::Unix(end) => Pin::new(end).poll_read(cx, buffer),
            #[cfg(unix)]
            Self::Pipe(end) => Pin::new(end).poll_read(cx, buffer),
            #[cfg(feature = "tls")]
            Self::Tls(end) => Pin::new(end).poll_read(cx, buffer),
        }
    }
}

impl WriteEnd {
    /// Whether the write side can be closed alone.
    pub(crate) const fn can_write_eof(&self) -> bool {
        match self {
            #[cfg(unix)]
            Self::ReadOnly => false,
            #[cfg(feature = "tls")]
            Self::Tls(_) => false,
            _ => true,
        }
    }

    pub(crate) const fn is_pipe(&self) -> bool {
        match self {
            #[cfg(unix)]
            Self::Pipe(_) | Self::ReadOnly => true,
            _ => false,
        }
    }

    /// Whether something that was written may wait for a flush.
    pub(crate) const fn is_buffered(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            #[cfg(unix)]
            Self::Unix(_) | Self::Pipe(_) | Self::ReadOnly => false,
            #[cfg(feature = "tls")]
            Self::Tls(_) => true,
        }
    }

    /// Whether the other side is to be told of the end before the connection is closed.
    pub(crate) const fn says_goodbye(&self) -> bool {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(_) => true,
            _ => false,
        }
    }

    /// How much is kept at the most before those who drain wait.
    pub(crate) const fn high_water(&self) -> usize {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(_) => HIGH_WATER_TLS,
            _ => HIGH_WATER,
        }
    }

    /// How long its goodbye may take.
    pub(crate) fn shutdown_timeout(&self) -> Duration {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(end) => end.shutdown_timeout(),
            _ => SHUTDOWN_TIMEOUT,
        }
    }

    /// Looks at the socket, where it is one; over TLS at the one below.
    pub(crate) fn with_socket<R>(
        &self,
        look: impl FnOnce(SockRef<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        match self {
            Self::Tcp(end) => {
                let stream: &TcpStream = end.as_ref();
                look(stream.into())
            }
            #[cfg(unix)]
            Self::Unix(end) => {
                let stream: &UnixStream = end.as_ref();
                look(stream.into())
            }
            #[cfg(unix)]
            Self::Pipe(_) | Self::ReadOnly => Err(io::ErrorKind::Unsupported.into()),
            #[cfg(feature = "tls")]
            Self::Tls(end) => end.with_socket(look),
        }
    }

    /// Whether there is a socket below.
    pub(crate) fn is_socket(&self) -> bool {
        !self.is_pipe()
    }

    #[cfg(unix)]
    pub(crate) const fn sends_files(&self) -> bool {
        matches!(self, Self::Tcp(_) | Self::Unix(_))
    }

    #[cfg(unix)]
    pub(crate) fn poll_sendfile(
        &self,
        cx: &mut Context<'_>,
        file: &File,
        mut offset: u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            let sent = match self {
                Self::Tcp(end) => {
                    let stream: &TcpStream = end.as_ref();
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_io(Interest::WRITABLE, || {
                        Ok(rustix::fs::sendfile(
                            stream,
                            file,
                            Some(&mut offset),
                            count,
                        )?)
                    })
                }
                Self::Unix(end) => {
                    let stream: &UnixStream = end.as_ref();
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_io(Interest::WRITABLE, || {
                        Ok(rustix::fs::sendfile(
                            stream,
                            file,
                            Some(&mut offset),
                            count,
                        )?)
                    })
                }
                _ => Err(io::ErrorKind::Unsupported.into()),
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }

    /// Lets go of it once the other side has been told of the end: nothing of what it still says may
    /// make a reset of that.
    pub(crate) fn let_go(self, runtime: Option<&Handle>) {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(end) => hear_out(end, runtime),
            other => {
                let _ = other.with_socket(discard);
                other.forget();
            }
        }
    }

    /// Lets go of it without shutting anything down: its other half is let go of as well.
    pub(crate) fn forget(self) {
        match self {
            Self::Tcp(end) => end.forget(),
            #[cfg(unix)]
            Self::Unix(end) => end.forget(),
            _ => {}
        }
    }
}

macro_rules! each {
    ($this:expr, $end:ident => $call:expr, else $otherwise:expr) => {
        match $this {
            Self::Tcp($end) => $call,
            #[cfg(unix)]
            Self::Unix($end) => $call,
            #[cfg(unix)]
            Self::Pipe($end) => $call,
            #[cfg(unix)]
            Self::ReadOnly => $otherwise,
            #[cfg(feature = "tls")]
            Self::Tls($end) => $call,
        }
    };
}

impl AsyncWrite for WriteEnd {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let refused = || Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        each!(self.get_mut(), end => Pin::new(end).poll_write(cx, data), else refused())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), end => Pin::new(end).poll_flush(cx), else Poll::Ready(Ok(())))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), end => Pin::new(end).poll_shutdown(cx), else Poll::Ready(Ok(())))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let refused = || Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        each!(
            self.get_mut(),
            end => Pin::new(end).poll_write_vectored(cx, pieces),
            else refused()
        )
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, end => end.is_write_vectored(), else false)
    }
}
