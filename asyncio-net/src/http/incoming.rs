//! The body of a response on its way here.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use asyncio_core::{CancelledError, ClockHold, Exception, FutureExt, Result, get_running_loop};
use bytes::Bytes;
use http::Method;
use reqwest::Url;
use tokio::time::Instant;

use super::error::{HttpError, HttpErrorKind, kind_of_body};
use super::exchange::Alarm;
use super::pool::Permit;

/// A body that is read as it comes. With its end, or its drop, the permit goes back.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) source: Source,
    pub(crate) permit: Option<Permit>,
    pub(crate) alarm: Alarm,
    pub(crate) read: Option<Duration>,
    pub(crate) total: Option<Instant>,
    pub(crate) most: Option<u64>,
    pub(crate) received: u64,
    pub(crate) began: Instant,
    pub(crate) method: Method,
    pub(crate) url: Url,
}

#[derive(Debug)]
pub(crate) enum Source {
    Wire(Box<reqwest::Response>),
    Memory(Bytes),
    Over,
    /// The client gave up in the middle.
    Failed,
}

impl Incoming {
    /// The next piece; `since` is when it was begun to wait for it.
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        since: &mut Option<Instant>,
    ) -> Poll<Result<Option<Bytes>>> {
        let polled = match &mut self.source {
            Source::Over => return Poll::Ready(Ok(None)),
            Source::Failed => {
                return Poll::Ready(Err(self.fail(HttpErrorKind::StreamConsumed).into()));
            }
            Source::Memory(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready(Ok((!bytes.is_empty()).then_some(bytes)))
            }
            // A future without a state of its own, so that a new one goes on where another stopped.
            Source::Wire(response) => pin!(response.chunk()).poll(cx),
        };
        match polled {
            Poll::Ready(Ok(None)) => {
                self.end(Source::Over);
                Poll::Ready(Ok(None))
            }
            Poll::Ready(Ok(Some(piece))) => {
                *since = None;
                self.received += piece.len() as u64;
                if self.most.is_some_and(|most| self.received > most) {
                    return Poll::Ready(Err(self.fail(HttpErrorKind::BodyTooLarge).into()));
                }
                Poll::Ready(Ok(Some(piece)))
            }
            Poll::Ready(Err(error)) => {
                let kind = match kind_of_body(&error) {
                    // There was one, but not all of it.
                    HttpErrorKind::ServerDisconnected => HttpErrorKind::RemoteProtocol,
                    kind => kind,
                };
                let failed = self.fail(kind).source_is(error.without_url());
                Poll::Ready(Err(failed.into()))
            }
            Poll::Pending => self.poll_limits(cx, since),
        }
    }

    fn poll_limits(
        &mut self,
        cx: &mut Context<'_>,
        since: &mut Option<Instant>,
    ) -> Poll<Result<Option<Bytes>>> {
        let since = *since.get_or_insert_with(Instant::now);
        let read = self.read.and_then(|read| since.checked_add(read));
        let read = read.map(|at| (at, HttpErrorKind::ReadTimeout));
        let total = self.total.map(|at| (at, HttpErrorKind::TotalTimeout));
        let first = [read, total].into_iter().flatten().min_by_key(|it| it.0);
        let Some((deadline, kind)) = first else {
            return Poll::Pending;
        };
        if self.alarm.poll(cx, deadline).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Err(self.fail(kind).into()))
    }

    /// Gives up: what was to come is not waited for, the connection is closed.
    fn fail(&mut self, kind: HttpErrorKind) -> HttpError {
        self.end(Source::Failed);
        HttpError::new(kind, &self.method, &self.url).exchanged(false, true, self.began.elapsed())
    }

    pub(crate) fn end(&mut self, source: Source) {
        // The connection first, the permit then.
        self.source = source;
        self.permit = None;
    }

    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.source, Source::Over)
    }

    /// The next piece.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let mut since = None;
        let next = std::future::poll_fn(|cx| self.poll_chunk(cx, &mut since));
        flatten(Held::new(next).cancellable().await)
    }

    /// All that is still to come, up to so many bytes; `None` where there is more.
    pub(crate) async fn rest(&mut self, most: Option<u64>) -> Result<Option<Bytes>> {
        let mut since = None;
        let mut first = Bytes::new();
        let mut all = Vec::new();
        let reading = std::future::poll_fn(|cx| {
            loop {
                let Poll::Ready(polled) = self.poll_chunk(cx, &mut since) else {
                    return Poll::Pending;
                };
                match polled? {
                    None => return Poll::Ready(Ok::<_, Exception>(true)),
                    Some(piece) => {
                        if first.is_empty() && all.is_empty() {
                            // As a rule it is the only one.
                            first = piece;
                        } else {
                            if all.is_empty() {
                                all.extend_from_slice(&first);
                            }
                            all.extend_from_slice(&piece);
                        }
                        let length = all.len().max(first.len()) as u64;
                        if most.is_some_and(|most| length > most) {
                            return Poll::Ready(Ok(false));
                        }
                    }
                }
            }
        });
        let whole = flatten(Held::new(reading).cancellable().await)?;
        Ok(whole.then(|| {
            if all.is_empty() {
                first
            } else {
                Bytes::from(all)
            }
        }))
    }
}

pub(crate) fn flatten<T>(result: Result<Result<T>, CancelledError>) -> Result<T> {
    result?
}

/// Keeps the clock of a loop still while the network is waited for, where that clock jumps.
pub(crate) struct Held<F> {
    inner: F,
    hold: Option<ClockHold>,
}

impl<F> Held<F> {
    pub(crate) const fn new(inner: F) -> Self {
        Self { inner, hold: None }
    }
}

impl<F: Future + Unpin> Future for Held<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll(cx);
        if polled.is_ready() {
            this.hold = None;
        } else if this.hold.is_none() {
            // On a tokio runtime there is nothing to hold.
            this.hold = get_running_loop().and_then(|it| it.hold_clock()).ok();
        }
        polled
    }
}
