//! The future inside a scope: it is dropped when a cancellation is due and nothing inside takes it.

use std::any::Any;
use std::future::Future as StdFuture;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context as PollContext, Poll};

use pin_project_lite::pin_project;

use crate::cell;
use crate::current;
use crate::exceptions::{CancelledError, Exception};

/// What polling a body gives; an error when it was dropped.
pub(crate) type Polled<T> = Poll<Result<T, CancelledError>>;

pin_project! {
    /// The body of a timeout or a task group.
    pub(crate) struct Scoped<F> {
        #[pin]
        body: Option<F>,
        polled: bool,
    }
}

impl<F> Scoped<F> {
    pub(crate) const fn new(body: F) -> Self {
        Self {
            body: Some(body),
            polled: false,
        }
    }

    /// Drops the body.
    pub(crate) fn clear(self: Pin<&mut Self>) {
        self.project().body.set(None);
    }
}

impl<F: StdFuture> Scoped<F> {
    /// Polls the body. An error: something foreign in it was in the way of a cancellation, and it was
    /// dropped.
    ///
    /// The request has found no wait of ours to raise it (`Delivery::is_stuck_since`), so that this,
    /// the innermost scope, is where it is raised.
    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Polled<F::Output> {
        let this = self.project();
        let mut body = this.body;
        let begins = !std::mem::replace(this.polled, true);
        let mark = current::with(|frame| frame.map(|frame| frame.delivery.mark()));
        let Some(inner) = body.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(CancelledError::new()));
        };
        if let Poll::Ready(output) = inner.poll(cx) {
            body.set(None);
            return Poll::Ready(Ok(output));
        }
        let message = current::with(|frame| {
            let frame = frame?;
            let task = frame.task()?;
            // What was raised before this scope began, in the same step, is not for it.
            let settled = begins && mark?.0 > 0;
            if settled || !frame.delivery.is_stuck_since(mark?) {
                return None;
            }
            cell::take_delivery(task);
            Some(frame.delivery.message())
        });
        match message {
            None => Poll::Pending,
            Some(message) => {
                body.set(None);
                Poll::Ready(Err(CancelledError::from_message(message)))
            }
        }
    }

    /// As `poll`, with a panic of the body as an error; the body is dropped then.
    pub(crate) fn poll_caught(
        mut self: Pin<&mut Self>,
        cx: &mut PollContext<'_>,
    ) -> Result<Polled<F::Output>, Box<dyn Any + Send>> {
        catch_unwind(AssertUnwindSafe(|| self.as_mut().poll(cx))).inspect_err(|_| {
            let mut body = self.as_mut().project().body;
            // A second panic, of a drop, has nobody left to go to.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body.set(None))) {
                drop(Exception::from_panic(panic));
            }
        })
    }
}
