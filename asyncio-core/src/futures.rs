//! `Future`: a result that somebody will set (`asyncio/futures.py`).

use std::fmt;
use std::future::{Future as StdFuture, IntoFuture};
use std::pin::Pin;
use std::task::{Context as PollContext, Poll};

use crate::cell::{self, CellRef, Failure, Typed};
use crate::contextvars::{Context, Slot};
use crate::current;
use crate::events::{CallbackResult, EventLoop, with_running};
use crate::exceptions::{Exception, InvalidStateError, Result, RuntimeError};

/// A result that is not there yet and that somebody will set (`asyncio.Future`).
///
/// Any number of tasks may await it where its value is [`Clone`]: await a clone, or `&future`. Where
/// it is not, the first to ask takes the value.
///
/// ```
/// use asyncio_core::{Result, get_running_loop, run};
///
/// # fn main() -> Result<()> {
/// let answer = run(async {
///     let event_loop = get_running_loop()?;
///     let future = event_loop.create_future();
///     let setter = future.clone();
///     event_loop.call_soon(move || setter.set_result(42))?;
///     future.await
/// })?;
/// assert_eq!(answer, 42);
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// Dropping a future that is being awaited gives up the wait and nothing else. Cancelling the task
/// that awaits it cancels the future too, as in Python: use a `shield` where that is not wanted.
///
/// # asyncio
///
/// As in Python a future of a loop belongs to its thread: elsewhere only [`done`](Self::done),
/// [`cancelled`](Self::cancelled) and [`cancel`](Self::cancel) work, the latter as a request that
/// the loop carries out.
pub struct Future<T> {
    inner: Typed<T>,
}

/// Names a done callback for `remove_done_callback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallbackId(pub(crate) u64);

impl<T: Send + 'static> Future<T> {
    /// A future that is pending (`asyncio.Future`): of the loop that runs here, or of none.
    ///
    /// One of no loop, as on a tokio runtime, may be set and asked on any thread. For a value that must
    /// stay on its thread there is [`EventLoop::create_future`](crate::EventLoop::create_future).
    ///
    /// ```
    /// use asyncio_core::{Future, Result, create_task};
    ///
    /// #[tokio::main]
    /// async fn main() -> Result<()> {
    ///     let future = Future::new();
    ///     let setter = future.clone();
    ///     create_task(async move { Ok(setter.set_result(42)?) });
    ///     assert_eq!(future.await?, 42);
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn new() -> Self {
        let made = with_running(|core| Typed::send_future(Some(core)));
        Self::of(made.unwrap_or_else(|| Typed::send_future(None)))
    }
}

impl<T: 'static> Future<T> {
    pub(crate) const fn of(inner: Typed<T>) -> Self {
        Self { inner }
    }

    /// Sets the value and wakes all who wait, in the order in which they came
    /// (`Future.set_result`).
    ///
    /// ```
    /// # use asyncio_core::{Result, get_running_loop, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let future = get_running_loop()?.create_future();
    /// future.set_result(1)?;
    /// assert!(future.set_result(2).is_err(), "it is done");
    /// assert_eq!(future.await?, 1);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidStateError`] when the future is done, and on another thread than its loop's.
    pub fn set_result(&self, value: T) -> Result<(), InvalidStateError> {
        self.inner.complete(value).map_err(|_| self.not_set())
    }

    /// Sets the exception that all who wait will raise (`Future.set_exception`).
    ///
    /// ```
    /// # use asyncio_core::{Result, ValueError, get_running_loop, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let future = get_running_loop()?.create_future::<u32>();
    /// future.set_exception(ValueError::new("odd"))?;
    /// assert!(future.set_result(1).is_err(), "it is done already");
    /// assert!(future.await.is_err_and(|error| error.is::<ValueError>()));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidStateError`] when the future is done, and on another thread than its loop's.
    pub fn set_exception(&self, exception: impl Into<Exception>) -> Result<(), InvalidStateError> {
        let set = cell::fail(self.inner.cell(), Failure::Error(exception.into()));
        if set { Ok(()) } else { Err(self.not_set()) }
    }

    fn not_set(&self) -> InvalidStateError {
        InvalidStateError::new(if self.done() {
            "invalid state"
        } else {
            "a future can only be set on the thread of its event loop"
        })
    }

    /// Has a function called once the future is done, a turn of the loop later
    /// (`Future.add_done_callback`); where it is done already, in the next turn.
    ///
    /// The function runs in a copy of the context in which it was added, on the future's loop; for a
    /// future of no loop of ours it runs on the tokio runtime of whoever sets it.
    ///
    /// ```
    /// # use asyncio_core::{Result, get_running_loop, run, sleep};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let future = get_running_loop()?.create_future();
    /// let id = future.add_done_callback(|_| println!("taken back below"));
    /// future.add_done_callback(|future| assert_eq!(future.result().ok(), Some(7)));
    /// assert_eq!(future.remove_done_callback(id), 1);
    /// future.set_result(7)?;
    /// sleep(0).await?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn add_done_callback<R: CallbackResult>(
        &self,
        function: impl FnOnce(&Self) -> R + Send + 'static,
    ) -> CallbackId {
        let call = move |inner| function(&Self { inner }).into_result();
        CallbackId(
            self.inner
                .add_done_callback(Slot::own(current::values()), call),
        )
    }

    /// As [`add_done_callback`](Self::add_done_callback), in this context.
    pub fn add_done_callback_in<R: CallbackResult>(
        &self,
        context: &Context,
        function: impl FnOnce(&Self) -> R + Send + 'static,
    ) -> CallbackId {
        let call = move |inner| function(&Self { inner }).into_result();
        CallbackId(
            self.inner
                .add_done_callback(Slot::shared(context.clone()), call),
        )
    }

    /// As [`add_done_callback`](Self::add_done_callback), for a function that must stay on this
    /// thread.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] where this is not the thread of the future's event loop.
    pub fn add_local_done_callback<R: CallbackResult>(
        &self,
        function: impl FnOnce(&Self) -> R + 'static,
    ) -> Result<CallbackId, RuntimeError> {
        let call = move |inner| function(&Self { inner }).into_result();
        let added = self
            .inner
            .add_local_done_callback(Slot::own(current::values()), call);
        added.map(CallbackId).ok_or_else(callback_elsewhere)
    }

    /// The exception, if the future ended with one (`Future.exception`).
    ///
    /// # Errors
    ///
    /// [`CancelledError`](crate::CancelledError) when it was cancelled, [`InvalidStateError`] when it
    /// is not done, [`RuntimeError`] on another thread than its loop's.
    pub fn exception(&self) -> Result<Option<Exception>> {
        cell::error(self.inner.cell())
    }

    pub(crate) fn into_typed(self) -> Typed<T> {
        self.inner
    }

    pub(crate) const fn typed(&self) -> &Typed<T> {
        &self.inner
    }
}

impl<T> Future<T> {
    /// Whether the future has a result, an exception, or was cancelled (`Future.done`).
    #[must_use]
    pub fn done(&self) -> bool {
        self.inner.done()
    }

    /// Whether the future was cancelled (`Future.cancelled`).
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.inner.cancelled()
    }

    /// Cancels the future (`Future.cancel`); false when it was done already.
    ///
    /// ```
    /// # use asyncio_core::{Result, get_running_loop, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let future = get_running_loop()?.create_future::<()>();
    /// assert!(future.cancel());
    /// assert!(!future.cancel(), "it is done");
    /// assert!(future.await.is_err_and(|error| error.is_cancelled()));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn cancel(&self) -> bool {
        self.inner.cancel(None)
    }

    /// Cancels the future with a message for the [`CancelledError`](crate::CancelledError).
    pub fn cancel_with_message(&self, message: impl Into<String>) -> bool {
        self.inner.cancel(Some(message.into()))
    }

    /// Takes a done callback back (`Future.remove_done_callback`); how many were removed, which is
    /// none on another thread than the future's loop's.
    pub fn remove_done_callback(&self, id: CallbackId) -> usize {
        remove_done_callback(self.inner.cell(), id)
    }

    /// The loop that the future belongs to (`Future.get_loop`); `None` for one that belongs to none,
    /// as on a tokio runtime.
    ///
    /// ```
    /// # use asyncio_core::{Result, get_running_loop, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let event_loop = get_running_loop()?;
    /// let future = event_loop.create_future::<()>();
    /// assert_eq!(future.get_loop(), Some(event_loop));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    #[must_use]
    pub fn get_loop(&self) -> Option<EventLoop> {
        self.inner.cell().home().handle().map(EventLoop::of)
    }

    /// Whether two handles are of the same future.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.inner.cell().same_as(other.inner.cell())
    }
}

impl<T: Clone + 'static> Future<T> {
    /// The value (`Future.result`).
    ///
    /// ```
    /// # use asyncio_core::{InvalidStateError, Result, get_running_loop, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let future = get_running_loop()?.create_future();
    /// let error = future.result().expect_err("it is pending");
    /// assert!(error.is::<InvalidStateError>());
    /// future.set_result(1)?;
    /// assert_eq!((future.result()?, future.result()?), (1, 1));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The exception the future ended with; [`CancelledError`](crate::CancelledError) when it was
    /// cancelled, [`InvalidStateError`] when it is not done, [`RuntimeError`] on another thread than
    /// its loop's.
    pub fn result(&self) -> Result<T> {
        self.inner.result()
    }
}

impl<T: Send + 'static> Default for Future<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone> Clone for Future<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<T: 'static> StdFuture for Future<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<Self::Output> {
        self.get_mut().inner.poll(cx)
    }
}

impl<T: Clone + 'static> IntoFuture for &Future<T> {
    type Output = Result<T>;
    type IntoFuture = Future<T>;

    fn into_future(self) -> Self::IntoFuture {
        self.clone()
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Future {}>", state_name(self.inner.cell()))
    }
}

/// A cell's state in one word, as `repr` shows it.
pub(crate) fn state_name(cell: &CellRef) -> &'static str {
    match (cell.is_done(), cell.has(cell::CANCELLED)) {
        (false, _) => "pending",
        (true, true) => "cancelled",
        (true, false) => "finished",
    }
}

pub(crate) fn remove_done_callback(cell: &CellRef, id: CallbackId) -> usize {
    usize::from(cell::remove_call(cell, id.0))
}

pub(crate) fn callback_elsewhere() -> RuntimeError {
    RuntimeError::new("this done callback can only be added on the thread of the event loop")
}
