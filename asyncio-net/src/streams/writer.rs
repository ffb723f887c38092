//! `StreamWriter` (`asyncio/streams.py`).

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use asyncio_core::{Result, ValueError, sleep};
use tokio::io::AsyncWrite;

use super::outgoing::{self, Outgoing};
use crate::exceptions::connection_lost;
use crate::transports::ExtraInfo;
use crate::waiters::wait_until;

/// The end of a stream that bytes are written to (`asyncio.StreamWriter`).
///
/// [`write`](Self::write) gives the bytes to the socket at once, and keeps what the socket does not
/// take; that is written in the background as the socket takes it. [`drain`](Self::drain) waits while
/// too much is kept.
///
/// A clone is the same writer. When the last one is dropped, what is kept is still written, and then
/// the other side is told that there is no more.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::{open_connection, start_server};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let server = start_server(
///         async |reader, writer| {
///             writer.write(&reader.readline().await?);
///             writer.drain().await
///         },
///         "127.0.0.1",
///         0,
///     )
///     .await?;
///     let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
///     writer.write(b"there and back\n");
///     writer.drain().await?;
///     assert_eq!(reader.readline().await?, b"there and back\n");
///     writer.close();
///     writer.wait_closed().await?;
///     server.close();
///     server.wait_closed().await
/// })
/// # }
/// ```
///
/// # asyncio
///
/// In Python an error of a write is dropped; here the next `drain` raises it.
#[derive(Clone)]
pub struct StreamWriter {
    outgoing: Arc<Outgoing>,
}

impl StreamWriter {
    pub(crate) const fn of(outgoing: Arc<Outgoing>) -> Self {
        Self { outgoing }
    }

    pub(crate) const fn outgoing(&self) -> &Arc<Outgoing> {
        &self.outgoing
    }

    /// Writes bytes, without waiting: what the socket does not take at once is kept
    /// (`StreamWriter.write`).
    ///
    /// After the connection is lost, and after [`close`](Self::close), they are dropped, and
    /// [`drain`](Self::drain) says so. To write after [`write_eof`](Self::write_eof) is a
    /// [`RuntimeError`](asyncio_core::RuntimeError), which the next `drain` raises as well.
    pub fn write(&self, data: &[u8]) {
        outgoing::write(&self.outgoing, data);
    }

    /// Writes several pieces, one after the other (`StreamWriter.writelines`).
    ///
    /// ```
    /// # use asyncio_core::{Result, run};
    /// # use asyncio_net::{open_connection, start_server};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// # let server = start_server(async |reader, writer| {
    /// #     writer.write(&reader.read(-1).await?);
    /// #     writer.drain().await
    /// # }, "127.0.0.1", 0).await?;
    /// # let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
    /// writer.writelines(["one\n", "two\n"]);
    /// writer.write_eof()?;
    /// assert_eq!(reader.read(-1).await?, b"one\ntwo\n");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn writelines<I>(&self, pieces: I)
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut all = Vec::new();
        for piece in pieces {
            all.extend_from_slice(piece.as_ref());
        }
        self.write(&all);
    }

    /// Says that no more will be written, once what is kept has been (`StreamWriter.write_eof`). The
    /// other direction stays open.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`](asyncio_core::RuntimeError) where [`can_write_eof`](Self::can_write_eof) says
    /// no.
    pub fn write_eof(&self) -> Result<()> {
        outgoing::write_eof(&self.outgoing)
    }

    /// Whether the stream can say that no more will be written and stay open
    /// (`StreamWriter.can_write_eof`): not over TLS.
    #[must_use]
    pub fn can_write_eof(&self) -> bool {
        self.outgoing.lock().can_write_eof()
    }

    /// Waits while more is kept than the high-water mark, until it is less than the low one
    /// (`StreamWriter.drain`). Otherwise it returns at once.
    ///
    /// # Errors
    ///
    /// What the connection was lost with, or [`std::io::Error`] of the kind
    /// [`ConnectionReset`](io::ErrorKind::ConnectionReset) when it was closed; what the reader of the
    /// stream has failed with; [`CancelledError`](asyncio_core::CancelledError) when the task is
    /// cancelled.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what is kept is written on.
    pub async fn drain(&self) -> Result<()> {
        if let Some(reader) = &self.outgoing.reader
            && let Some(exception) = reader.exception()
        {
            return Err(exception);
        }
        let closing = {
            let mut state = self.outgoing.lock();
            if let Some(error) = state.misuse.take() {
                return Err(error.into());
            }
            state.closing && state.lost.is_none()
        };
        if closing {
            // The end has its turn, as in Python.
            sleep(0).await?;
        }
        wait_until(&self.outgoing.state, |state| {
            if let Some(lost) = &state.lost {
                return Some(Err(lost.clone().unwrap_or_else(connection_lost)));
            }
            (!state.paused).then_some(Ok(()))
        })
        .await?
    }

    /// Waits until nothing is kept any more: all is with the operating system.
    ///
    /// # Errors
    ///
    /// As of [`drain`](Self::drain).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what is kept is written on.
    ///
    /// # asyncio
    ///
    /// Python has no such method; there the high-water mark is set to zero before a drain.
    pub async fn flush(&self) -> Result<()> {
        wait_until(&self.outgoing.state, |state| {
            if let Some(lost) = &state.lost {
                return Some(Err(lost.clone().unwrap_or_else(connection_lost)));
            }
            if state.flushing {
                state.flush_wanted = true;
                return None;
            }
            Some(Ok(()))
        })
        .await?
    }

    /// Closes the stream, in both directions, once what is kept has been written
    /// (`StreamWriter.close`).
    pub fn close(&self) {
        outgoing::close(&self.outgoing);
    }

    /// Closes the stream at once; what is kept is dropped (`WriteTransport.abort`).
    pub fn abort(&self) {
        self.outgoing.lose(None);
    }

    /// Whether the stream is closed or being closed (`StreamWriter.is_closing`).
    #[must_use]
    pub fn is_closing(&self) -> bool {
        let state = self.outgoing.lock();
        state.closing || state.lost.is_some()
    }

    /// Waits until the stream is closed (`StreamWriter.wait_closed`).
    ///
    /// # Errors
    ///
    /// What the connection was lost with, if not by being closed;
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled.
    ///
    /// # Cancel safety
    ///
    /// The stream is closed on.
    ///
    /// # asyncio
    ///
    /// Over TLS it waits until this side has said its end, not for the other side's.
    pub async fn wait_closed(&self) -> Result<()> {
        wait_until(&self.outgoing.state, |state| {
            let lost = state.lost.as_ref()?;
            Some(lost.clone().map_or(Ok(()), Err))
        })
        .await?
    }

    /// What is known of the connection (`StreamWriter.get_extra_info`).
    ///
    /// ```
    /// # use asyncio_core::{Result, run};
    /// # use asyncio_net::{open_connection, start_server};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// # let server = start_server(async |_, _| Ok(()), "127.0.0.1", 0).await?;
    /// let (_, writer) = open_connection("127.0.0.1", server.port()).await?;
    /// let peer = writer.get_extra_info().peername();
    /// assert_eq!(peer.map(|peer| peer.port()), Some(server.port()));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # asyncio
    ///
    /// The names are methods.
    #[must_use]
    pub fn get_extra_info(&self) -> ExtraInfo {
        self.outgoing.extra_info()
    }

    /// How many bytes are kept (`WriteTransport.get_write_buffer_size`).
    #[must_use]
    pub fn get_write_buffer_size(&self) -> usize {
        self.outgoing.lock().buffer.len()
    }

    /// The low and the high-water mark (`WriteTransport.get_write_buffer_limits`).
    #[must_use]
    pub fn get_write_buffer_limits(&self) -> (usize, usize) {
        let state = self.outgoing.lock();
        (state.low, state.high)
    }

    /// Sets the water marks (`WriteTransport.set_write_buffer_limits`). Without a high one it is four
    /// times the low, or 64 KiB; without a low one it is a quarter of the high.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when the low one is above the high one.
    pub fn set_write_buffer_limits(
        &self,
        high: Option<usize>,
        low: Option<usize>,
    ) -> Result<(), ValueError> {
        let woken = self.outgoing.lock().set_limits(high, low)?;
        woken.wake();
        Ok(())
    }
}

impl AsyncWrite for StreamWriter {
    /// Takes all of it, unless more is kept than the high-water mark.
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.outgoing.poll(cx, |state| !state.paused) {
            Poll::Ready(Ok(())) => {
                self.write(data);
                Poll::Ready(Ok(data.len()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.poll(cx, |state| {
            state.flush_wanted |= state.flushing;
            !state.flushing
        })
    }

    /// Says that no more will be written: over TLS by closing the stream.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.write_eof().is_err() {
            self.close();
            return match self.outgoing.poll(cx, |state| state.lost.is_some()) {
                Poll::Ready(_) => Poll::Ready(Ok(())),
                Poll::Pending => Poll::Pending,
            };
        }
        self.poll_flush(cx)
    }
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.outgoing.lock();
        f.write_str("<StreamWriter")?;
        if !state.buffer.is_empty() {
            write!(f, " {} bytes", state.buffer.len())?;
        }
        if state.lost.is_some() {
            f.write_str(" closed")?;
        } else if state.closing {
            f.write_str(" closing")?;
        }
        f.write_str(">")
    }
}
