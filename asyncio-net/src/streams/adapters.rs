//! A reader as the rest of Rust reads: tokio's trait, and a stream of lines.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio_core::Result;
use futures_core::Stream;
use tokio::io::{AsyncRead, ReadBuf};

use super::reader::StreamReader;
use crate::exceptions::io_error;

impl StreamReader {
    /// The lines, as a stream, each with its newline.
    ///
    /// ```
    /// use asyncio_core::{Result, run};
    /// use asyncio_net::StreamReader;
    /// use futures::TryStreamExt;
    ///
    /// # fn main() -> Result<()> {
    /// run(async {
    ///     let reader = StreamReader::new();
    ///     reader.feed_data(b"one\ntwo\n")?;
    ///     reader.feed_eof();
    ///     let lines: Vec<_> = reader.lines().try_collect().await?;
    ///     assert_eq!(lines, [b"one\n", b"two\n"]);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn lines(&self) -> Lines {
        Lines {
            reader: self.clone(),
            waiting: None,
        }
    }
}

/// The lines of a reader; see [`StreamReader::lines`].
#[must_use = "a stream does nothing until it is polled"]
pub struct Lines {
    reader: StreamReader,
    /// The line that is not there yet.
    waiting: Option<Pin<Box<Line>>>,
}

type Line = dyn Future<Output = Result<Option<Vec<u8>>>> + Send;

impl Stream for Lines {
    type Item = Result<Vec<u8>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.waiting.is_none() {
            if let Some(line) = this.reader.line_nowait() {
                return Poll::Ready(Some(Ok(line)));
            }
            let reader = this.reader.clone();
            this.waiting = Some(Box::pin(async move { reader.next_line().await }));
        }
        let Some(waiting) = &mut this.waiting else {
            return Poll::Ready(None);
        };
        let line = ready!(waiting.as_mut().poll(cx));
        this.waiting = None;
        Poll::Ready(line.transpose())
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}

/// What reads by this trait and what reads by the methods takes the same bytes. That is why a reader is
/// no [`AsyncBufRead`](tokio::io::AsyncBufRead), which lends bytes out of the buffer: they are any
/// clone's to take meanwhile. tokio's `BufReader` around a reader is one, with a buffer of its own.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::StreamReader;
/// use tokio::io::{AsyncBufReadExt, BufReader};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let reader = StreamReader::new();
///     reader.feed_data(b"text\n")?;
///     reader.feed_eof();
///     let mut line = String::new();
///     BufReader::new(reader).read_line(&mut line).await?;
///     assert_eq!(line, "text\n");
///     Ok(())
/// })
/// # }
/// ```
impl AsyncRead for StreamReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if target.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let read = ready!(self.poll_bytes(cx, |buffer| {
            let there = buffer.as_slice();
            let count = there.len().min(target.remaining());
            target.put_slice(&there[..count]);
            buffer.skip(count);
        }));
        Poll::Ready(read.map(|_| ()).map_err(|error| io_error(&error)))
    }
}
