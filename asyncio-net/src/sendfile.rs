//! Files over connections (`loop.sendfile`, of `asyncio/base_events.py`; `loop.sock_sendfile`, of
//! `asyncio/unix_events.py`).

use std::fmt;
use std::fs::File;
use std::future::IntoFuture;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;

use asyncio_core::{Exception, Result, RuntimeError, to_thread};

use crate::exceptions::SendfileNotAvailableError;
use crate::selector_events::AsyncSocket;
use crate::streams::StreamWriter;

/// So much is copied at once where the operating system does not send files itself, as in Python.
const PIECE: usize = 256 * 1024;

impl StreamWriter {
    /// Sends a file (`loop.sendfile`); how many bytes were sent.
    ///
    /// Over plain sockets the operating system does it. Elsewhere, as over TLS, the file is read in a
    /// thread and written.
    ///
    /// ```
    /// # use asyncio_core::{Result, run};
    /// # use asyncio_net::{open_connection, start_server};
    /// # use std::io::Write;
    /// # fn main() -> Result<()> {
    /// # let path = std::env::temp_dir().join(format!("asyncio-net-sendfile-{}", std::process::id()));
    /// # std::fs::File::create(&path)?.write_all(b"all of the file")?;
    /// # let theirs = path.clone();
    /// # run(async move {
    /// let server = start_server(move |_, writer| {
    ///     let path = theirs.clone();
    ///     async move {
    ///         writer.sendfile(std::fs::File::open(path)?).offset(7).await?;
    ///         Ok(())
    ///     }
    /// }, "127.0.0.1", 0).await?;
    /// let (reader, _writer) = open_connection("127.0.0.1", server.port()).await?;
    /// assert_eq!(reader.read(-1).await?, b"the file");
    /// # Ok(())
    /// # })?;
    /// # std::fs::remove_file(path)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] when the stream is closed; [`std::io::Error`] when the file cannot be read;
    /// [`SendfileNotAvailableError`] where it would have to be copied and that was
    /// [not wanted](Sendfile::fallback); otherwise as of [`drain`](Self::drain). What another task writes
    /// meanwhile is a [`RuntimeError`] that its next `drain` raises.
    ///
    /// # Cancel safety
    ///
    /// A part of the file is sent then.
    pub const fn sendfile(&self, file: File) -> Sendfile<'_> {
        Sendfile::new(Target::Stream(self), file)
    }
}

impl AsyncSocket {
    /// Sends a file (`loop.sock_sendfile`); how many bytes were sent. See [`StreamWriter::sendfile`].
    ///
    /// # Errors
    ///
    /// [`std::io::Error`] of the socket or the file; [`SendfileNotAvailableError`] where it would have to
    /// be copied and that was [not wanted](Sendfile::fallback);
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled.
    ///
    /// # Cancel safety
    ///
    /// A part of the file is sent then.
    pub const fn sock_sendfile(&self, file: File) -> Sendfile<'_> {
        Sendfile::new(Target::Socket(self), file)
    }
}

/// The keyword arguments of [`StreamWriter::sendfile`] and [`AsyncSocket::sock_sendfile`]; awaiting it
/// sends the file.
#[must_use = "futures do nothing until they are awaited"]
pub struct Sendfile<'a> {
    target: Target<'a>,
    file: File,
    offset: u64,
    count: Option<u64>,
    fallback: bool,
}

#[derive(Clone, Copy)]
enum Target<'a> {
    Stream(&'a StreamWriter),
    Socket(&'a AsyncSocket),
}

impl<'a> Sendfile<'a> {
    const fn new(target: Target<'a>, file: File) -> Self {
        Self {
            target,
            file,
            offset: 0,
            count: None,
            fallback: true,
        }
    }

    /// Where to begin in the file, 0 by default.
    pub const fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// How many bytes, all by default.
    pub fn count(mut self, count: impl Into<Option<u64>>) -> Self {
        self.count = count.into();
        self
    }

    /// Whether the file is copied where the operating system does not send it; true by default.
    pub const fn fallback(mut self, on: bool) -> Self {
        self.fallback = on;
        self
    }

    async fn send(self) -> Result<u64> {
        let mut sending = Sending {
            target: self.target,
            file: Arc::new(self.file),
            offset: self.offset,
            count: self.count,
            sent: 0,
        };
        let native = match self.target {
            Target::Stream(writer) => {
                if writer.is_closing() {
                    return Err(RuntimeError::new("Transport is closing").into());
                }
                writer.flush().await?;
                writer.outgoing().lock().begin_sendfile()?
            }
            Target::Socket(_) => true,
        };
        let alone = Alone(self.target);
        let why = if native {
            match sending.natively().await {
                Ok(()) => return Ok(sending.sent),
                Err(error) => Some(sending.is_unavailable(error)?),
            }
        } else {
            None
        };
        if !self.fallback {
            return Err(SendfileNotAvailableError::new(why).into());
        }
        // Others may write in between, as they may in Python only where it is copied.
        drop(alone);
        sending.by_copying().await?;
        Ok(sending.sent)
    }
}

impl<'a> IntoFuture for Sendfile<'a> {
    type Output = Result<u64>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// How far it has come.
struct Sending<'a> {
    target: Target<'a>,
    file: Arc<File>,
    offset: u64,
    count: Option<u64>,
    sent: u64,
}

impl Sending<'_> {
    fn left(&self) -> usize {
        let left = self.count.map_or(u64::MAX, |count| count - self.sent);
        usize::try_from(left).unwrap_or(usize::MAX).min(1 << 30)
    }

    async fn natively(&mut self) -> Result<()> {
        while self.left() > 0 {
            let (at, left) = (self.offset + self.sent, self.left());
            let sent = match self.target {
                Target::Stream(writer) => {
                    let outgoing = writer.outgoing();
                    outgoing.sendfile(&self.file, at, left).await?
                }
                Target::Socket(socket) => socket.sendfile_once(&self.file, at, left).await?,
            };
            if sent == 0 {
                break;
            }
            self.sent += sent as u64;
        }
        Ok(())
    }

    /// The error that says that the operating system does not do it for this file; or it is raised.
    fn is_unavailable(&self, error: Exception) -> Result<io::Error> {
        let told = error.downcast_ref::<io::Error>();
        let number = told.and_then(io::Error::raw_os_error);
        match number.filter(|number| self.sent == 0 && UNAVAILABLE.contains(number)) {
            Some(number) => Ok(io::Error::from_raw_os_error(number)),
            None => {
                if let Target::Stream(writer) = self.target
                    && told.is_some()
                {
                    writer.outgoing().lose(Some(error.clone()));
                }
                Err(error)
            }
        }
    }

    async fn by_copying(&mut self) -> Result<()> {
        while self.left() > 0 {
            let (at, most) = (self.offset + self.sent, self.left().min(PIECE));
            let file = Arc::clone(&self.file);
            let piece = to_thread(move || -> Result<Vec<u8>> {
                let mut piece = vec![0; most];
                let read = file.read_at(&mut piece, at)?;
                piece.truncate(read);
                Ok(piece)
            });
            let piece = piece.await?;
            if piece.is_empty() {
                break;
            }
            match self.target {
                Target::Stream(writer) => {
                    writer.write(&piece);
                    writer.drain().await?;
                }
                Target::Socket(socket) => socket.sock_sendall(&piece).await?,
            }
            self.sent += piece.len() as u64;
        }
        Ok(())
    }
}

/// What the operating system says of a file that it does not send.
const UNAVAILABLE: [i32; 4] = [
    libc::EINVAL,
    libc::ENOSYS,
    libc::EOPNOTSUPP,
    libc::EOVERFLOW,
];

/// While this lives nobody else writes to a stream.
struct Alone<'a>(Target<'a>);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        if let Target::Stream(writer) = self.0 {
            writer.outgoing().lock().sending = false;
        }
    }
}

impl fmt::Debug for Sendfile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sendfile")
            .field("file", &self.file)
            .field("offset", &self.offset)
            .field("count", &self.count)
            .field("fallback", &self.fallback)
            .finish_non_exhaustive()
    }
}
