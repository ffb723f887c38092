//! Awaiting something foreign so that cancellation can be caught at that very await.

use std::future::Future as StdFuture;
use std::pin::Pin;
use std::task::{Context as PollContext, Poll};

use pin_project_lite::pin_project;

use crate::cell::{self, SlotId, State, TaskRef};
use crate::current::{self, Frame};
use crate::debug;
use crate::exceptions::CancelledError;

/// What every future gains: [`cancellable`](Self::cancellable).
///
/// Without it a foreign future is dropped together with the scope around it, here the task:
///
/// ```
/// # use asyncio_core::{Result, create_task, run, sleep};
/// # fn main() -> Result<()> {
/// # run(async {
/// # use std::time::Duration;
/// let task = create_task(async {
///     tokio::time::sleep(Duration::from_secs(3600)).await;
///     Ok("never said")
/// });
/// sleep(0).await?;
/// task.cancel();
/// assert!(task.await.is_err_and(|error| error.is_cancelled()));
/// # Ok(())
/// # })
/// # }
/// ```
pub trait FutureExt: StdFuture {
    /// Makes a foreign future an await at which cancellation can be caught.
    ///
    /// A future of another library (a socket, an HTTP call, a raw tokio timer) knows nothing of
    /// asyncio's cancellation. Awaited plainly, it is dropped together with the scope around it when
    /// that is cancelled; awaited through this, it alone is dropped and the await returns
    /// `Err(CancelledError)`, to be caught, cleaned up after and returned again.
    ///
    /// ```
    /// use asyncio_core::{FutureExt, Result, create_task, run, sleep};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<()> {
    /// run(async {
    ///     let task = create_task(async {
    ///         let wait = tokio::time::sleep(Duration::from_secs(3600));
    ///         match wait.cancellable().await {
    ///             Ok(()) => Ok("waited"),
    ///             Err(_cancelled) => {
    ///                 sleep(0).await?; // clean-up may await
    ///                 Ok("cleaned up")
    ///             }
    ///         }
    ///     });
    ///     sleep(0).await?;
    ///     task.cancel();
    ///     assert_eq!(task.await?, "cleaned up");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The future ends with [`CancelledError`] when the task is cancelled before the inner future
    /// is done. One that is done when the request arrives gives its value; the request is then
    /// raised at the task's next await.
    ///
    /// # Cancel safety
    ///
    /// That of the inner future when it is dropped.
    fn cancellable(self) -> Cancellable<Self>
    where
        Self: Sized,
    {
        Cancellable {
            inner: Some(self),
            wait: Wait(None),
            is_new: true,
        }
    }
}

impl<F: StdFuture> FutureExt for F {}

pin_project! {
    /// The future of [`FutureExt::cancellable`].
    #[derive(Debug)]
    #[must_use = "futures do nothing until they are awaited"]
    pub struct Cancellable<F> {
        #[pin]
        inner: Option<F>,
        wait: Wait,
        is_new: bool,
    }

    impl<F> PinnedDrop for Cancellable<F> {
        fn drop(this: Pin<&mut Self>) {
            if this.is_new {
                debug::never_awaited("cancellable", None);
            }
        }
    }
}

/// A slot in the task, so that a request finds this await even where the task's own future would
/// not poll it (`FuturesUnordered` polls only whom somebody woke).
#[derive(Debug)]
struct Wait(Option<(TaskRef, SlotId)>);

impl<F: StdFuture> StdFuture for Cancellable<F> {
    type Output = Result<F::Output, CancelledError>;

    fn poll(self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        *this.is_new = false;
        let mark = current::with(|frame| frame.map(|frame| frame.delivery.mark()));
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(CancelledError::with_message(
                "polled after it was over",
            )));
        };
        if let Poll::Ready(value) = inner.poll(cx) {
            this.wait.end();
            this.inner.set(None);
            return Poll::Ready(Ok(value));
        }
        current::with(|frame| {
            let Some((frame, task, mark)) =
                frame.and_then(|frame| Some((frame, frame.task()?, mark?)))
            else {
                return Poll::Pending;
            };
            if this.wait.is_called_off(task, mark) && frame.delivery.is_stuck_since(mark) {
                // Nothing inside took the request: here is the innermost scope.
                this.wait.end();
                this.inner.set(None);
                cell::take_delivery(task);
                return Poll::Ready(Err(CancelledError::from_message(frame.delivery.message())));
            }
            this.wait.begin_or_refresh(frame, task, cx);
            Poll::Pending
        })
    }
}

impl Wait {
    /// Whether a request has reached this wait. One that begins is not reached by what was raised
    /// before it in the same step.
    fn is_called_off(&self, current: &TaskRef, (taken, _): (u32, u32)) -> bool {
        let Some((task, id)) = &self.0 else {
            return taken == 0;
        };
        task != current
            || matches!(
                cell::slot_state(current, *id),
                State::Cancelled | State::Thrown
            )
    }

    /// Waits for the next request; one that something inside has taken is over.
    fn begin_or_refresh(&mut self, frame: &Frame, current: &TaskRef, cx: &PollContext<'_>) {
        if let Some((task, id)) = &self.0
            && task == current
        {
            if cell::watched_state(current, *id, cx) == State::Pending {
                return;
            }
            if cell::was_just_cancelled(current, *id) {
                // On another thread, on a tokio runtime. What is inside has the next step to take it.
                cx.waker().wake_by_ref();
                return;
            }
        }
        self.end();
        let foreign = !cell::is_task_waker(cx.waker(), current);
        let waker = foreign.then(|| cx.waker().clone());
        let id = cell::begin(current, waker, None);
        frame.delivery.begun.set(frame.delivery.begun.get() + 1);
        self.0 = Some((current.clone(), id));
    }

    fn end(&mut self) {
        if let Some((task, id)) = self.0.take() {
            cell::end_anywhere(task, id);
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.end();
    }
}
