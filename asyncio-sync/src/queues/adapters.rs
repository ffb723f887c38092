//! A queue as the rest of Rust reads and writes things one after the other.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio_core::{CancelledError, Exception};
use futures_core::{FusedStream, Stream};
use futures_sink::Sink;

use super::queue::{Get, Put};

/// The items of a queue as a stream; see [`Queue::items`](crate::Queue::items).
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_sync::Queue;
/// use futures::TryStreamExt;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let queue = Queue::new(0);
///     (1..=3).try_for_each(|item| queue.put_nowait(item))?;
///     queue.shutdown(false);
///     assert_eq!(queue.items().try_collect::<Vec<_>>().await?, [1, 2, 3]);
///     Ok(())
/// })
/// # }
/// ```
#[must_use = "a stream does nothing until it is polled"]
pub struct QueueItems<'a, T: 'a> {
    get: Get<'a, T>,
    ended: bool,
}

impl<'a, T> QueueItems<'a, T> {
    pub(super) const fn new(get: Get<'a, T>) -> Self {
        Self { get, ended: false }
    }
}

impl<T> Stream for QueueItems<'_, T> {
    type Item = Result<T, CancelledError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(this.get.poll_item(cx)) {
            Ok(Ok(item)) => Some(Ok(item)),
            Ok(Err(_)) => {
                this.ended = true;
                None
            }
            Err(error) => Some(Err(error)),
        })
    }
}

impl<T> FusedStream for QueueItems<'_, T> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl<T> fmt::Debug for QueueItems<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueItems")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// A queue as a sink; see [`Queue::sink`](crate::Queue::sink).
///
/// Closing it puts what is still to be put; the queue is not shut down.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_sync::Queue;
/// use futures::SinkExt;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let queue = Queue::new(2);
///     let mut sink = queue.sink();
///     sink.send("a").await?;
///     sink.send("b").await?;
///     assert!(queue.full());
///     Ok(())
/// })
/// # }
/// ```
#[must_use = "a sink does nothing until it is sent something"]
pub struct QueueSink<'a, T: 'a> {
    put: Put<'a, T>,
}

impl<'a, T> QueueSink<'a, T> {
    pub(super) const fn new(put: Put<'a, T>) -> Self {
        Self { put }
    }

    /// The item that was sent and is not in the queue yet.
    #[must_use]
    pub fn into_item(self) -> Option<T> {
        self.put.into_item()
    }
}

impl<T> Sink<T> for QueueSink<'_, T> {
    type Error = Exception;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Exception>> {
        self.poll_flush(cx)
    }

    fn start_send(self: Pin<&mut Self>, item: T) -> Result<(), Exception> {
        self.get_mut().put.set_item(item);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Exception>> {
        let this = self.get_mut();
        if this.put.has_item() {
            Pin::new(&mut this.put).poll(cx)
        } else {
            Poll::Ready(Ok(()))
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Exception>> {
        self.poll_flush(cx)
    }
}

impl<T> fmt::Debug for QueueSink<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueSink")
            .field("pending", &self.put.has_item())
            .finish()
    }
}
