//! `EventLoop`: what a program asks of its loop.
//!
//! From `asyncio/base_events.py`, `BaseEventLoop`.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::future::Future as StdFuture;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::handles::{CallbackResult, Handle, TimerHandle};
use super::owned::{ClockHold, OwnedEventLoop};
use crate::base_events::{self, Driver};
use crate::cell::{self, Callback, Typed};
use crate::contextvars::{Context, Slot};
use crate::current::{self, Frame};
use crate::debug::{self, UserCall};
use crate::exceptions::{Result, RuntimeError, ValueError};
use crate::executors;
use crate::futures::Future;
use crate::loop_cell::{Core, LoopCell, Mail};
use crate::primitives::Cell;
use crate::ready::{Call, Ready, TimerAction};
use crate::slab::Key;
use crate::tasks::{Task, spawn};
use crate::time::{Clock, Delay};

/// An event loop, for all who may look at it: cheap to clone, and it may go to any thread.
///
/// What only the loop's own thread may do answers elsewhere with a [`RuntimeError`].
///
/// ```
/// use asyncio_core::{Result, get_running_loop, run, sleep};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let event_loop = get_running_loop()?;
///     event_loop.call_soon(|| println!("in the next turn"))?;
///     sleep(0).await
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct EventLoop {
    pub(crate) cell: Arc<LoopCell>,
}

/// The loop that runs on this thread (`asyncio.get_running_loop`).
///
/// # Errors
///
/// [`RuntimeError`] when none does.
pub fn get_running_loop() -> Result<EventLoop, RuntimeError> {
    with_running(|core| EventLoop::of(core.shared()))
        .ok_or_else(|| RuntimeError::new("no running event loop"))
}

/// A new event loop (`asyncio.new_event_loop`), to be run and closed by this thread.
///
/// # Errors
///
/// An I/O error when the operating system refuses what a loop needs.
///
/// ```
/// use asyncio_core::{Result, new_event_loop, sleep};
///
/// # fn main() -> Result<()> {
/// let event_loop = new_event_loop()?;
/// let answer = event_loop.run_until_complete(async {
///     sleep(0).await?;
///     Ok(42)
/// })?;
/// assert_eq!(answer, 42);
/// event_loop.close()?;
/// # Ok(())
/// # }
/// ```
pub fn new_event_loop() -> Result<OwnedEventLoop> {
    OwnedEventLoop::builder().build()
}

impl EventLoop {
    pub(crate) const fn of(cell: Arc<LoopCell>) -> Self {
        Self { cell }
    }

    /// The loop's time in seconds (`loop.time`): a clock that only ever goes forward.
    ///
    /// On another thread than the loop's, and once it is closed, the answer is NaN.
    #[must_use]
    pub fn time(&self) -> f64 {
        self.cell.core().map_or(f64::NAN, Core::now)
    }

    /// Has a function called in the next iteration (`loop.call_soon`).
    ///
    /// ```
    /// # use asyncio_core::{Result, get_running_loop, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let event_loop = get_running_loop()?;
    /// let (first, second) = (event_loop.create_future(), event_loop.create_future());
    /// let (one, two) = (first.clone(), second.clone());
    /// event_loop.call_soon(move || one.set_result(1))?;
    /// event_loop.call_soon(move || {
    ///     assert!(first.done(), "what was scheduled first is called first");
    ///     two.set_result(2)
    /// })?;
    /// assert_eq!(second.await?, 2);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] on another thread than the loop's, and once it is closed.
    pub fn call_soon<R: CallbackResult>(
        &self,
        function: impl FnOnce() -> R + 'static,
    ) -> Result<Handle, RuntimeError> {
        self.soon(function, own_context())
    }

    /// As [`call_soon`](Self::call_soon), in this context instead of a copy of the current one.
    ///
    /// # Errors
    ///
    /// As of `call_soon`.
    pub fn call_soon_in<R: CallbackResult>(
        &self,
        context: &Context,
        function: impl FnOnce() -> R + 'static,
    ) -> Result<Handle, RuntimeError> {
        self.soon(function, Slot::shared(context.clone()))
    }

    /// Has a function called by the loop, from any thread (`loop.call_soon_threadsafe`).
    ///
    /// Functions are called in the order in which they were given.
    ///
    /// ```
    /// # use asyncio_core::{Result, get_running_loop, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let event_loop = get_running_loop()?;
    /// let future = event_loop.create_future();
    /// let (theirs, setter) = (event_loop.clone(), future.clone());
    /// std::thread::spawn(move || {
    ///     theirs.call_soon_threadsafe(move || setter.set_result("from a thread"))
    /// });
    /// assert_eq!(future.await?, "from a thread");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] once the loop is closed.
    pub fn call_soon_threadsafe<R: CallbackResult>(
        &self,
        function: impl FnOnce() -> R + Send + 'static,
    ) -> Result<Handle, RuntimeError> {
        if self.cell.is_here() {
            return self.call_soon(function);
        }
        let values = current::values();
        let handle = Handle::new(Arc::clone(&self.cell), Key::NONE, Key::NONE);
        let inner = Arc::clone(&handle.inner);
        let insert = move |core: &Core| {
            if inner.cancelled.load(Ordering::Acquire) {
                return;
            }
            let key = insert_call(core, function, Slot::own(values));
            inner.lock_keys().0 = key;
            core.push(Ready::Call(key));
        };
        self.cell
            .post(Mail::Run(Box::new(insert)))
            .map_err(|_| closed())?;
        Ok(handle)
    }

    /// Has a function called after a delay (`loop.call_later`).
    ///
    /// Timers with equal deadlines are called in the order in which they were made.
    ///
    /// ```
    /// # use asyncio_core::{Result, get_running_loop, run, sleep};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let event_loop = get_running_loop()?;
    /// let before = event_loop.time();
    /// let timer = event_loop.call_later(0.001, || println!("a millisecond later"))?;
    /// event_loop.call_later(3600, || println!("never"))?.cancel();
    /// assert!(timer.when() >= before + 0.001);
    /// sleep(0.002).await?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ValueError`] when the delay is not a number; [`RuntimeError`] on another thread than the
    /// loop's, and once it is closed.
    pub fn call_later<R: CallbackResult>(
        &self,
        delay: impl Into<Delay>,
        function: impl FnOnce() -> R + 'static,
    ) -> Result<TimerHandle> {
        let delay = delay.into().checked()?;
        let now = self.core()?.now();
        self.at(now + delay, function, own_context())
    }

    /// Has a function called at a time of the loop's clock, in seconds (`loop.call_at`).
    ///
    /// ```
    /// # use asyncio_core::{OwnedEventLoop, Result};
    /// # fn main() -> Result<()> {
    /// let event_loop = OwnedEventLoop::builder().virtual_clock(true).build()?;
    /// let handle = event_loop.clone();
    /// event_loop.call_at(60.0, move || handle.stop())?;
    /// event_loop.run_forever()?;
    /// assert_eq!(event_loop.time(), 60.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`call_later`](Self::call_later).
    pub fn call_at<R: CallbackResult>(
        &self,
        when: f64,
        function: impl FnOnce() -> R + 'static,
    ) -> Result<TimerHandle> {
        self.at(when, function, own_context())
    }

    /// A future for this loop (`loop.create_future`).
    ///
    /// On another thread than the loop's, and once it is closed, the future is failed already, with
    /// a [`RuntimeError`].
    #[must_use]
    pub fn create_future<T: 'static>(&self) -> Future<T> {
        Future::of(match self.core() {
            Ok(core) => Typed::future(Some(core)),
            Err(error) => Typed::failed(error.into()),
        })
    }

    /// Starts a task on this loop (`loop.create_task`); its first step runs in the next iteration.
    ///
    /// The future need not be `Send`: it stays on the loop's thread. On another thread, and once the
    /// loop is closed, the task is failed already, with a [`RuntimeError`].
    ///
    /// ```
    /// # use asyncio_core::{Result, get_running_loop, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let event_loop = get_running_loop()?;
    /// # use std::rc::Rc;
    /// let shared = Rc::new(7); // it stays on this thread
    /// assert_eq!(event_loop.create_task(async move { Ok(*shared) }).await?, 7);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    #[track_caller]
    pub fn create_task<T, F>(&self, future: F) -> Task<T>
    where
        F: StdFuture<Output = Result<T>> + 'static,
        T: 'static,
    {
        let location = Location::caller();
        match self.core() {
            Ok(core) => spawn(core, future, location),
            Err(error) => Task::of(Typed::failed(error.into())),
        }
    }

    /// Stops the loop at the end of the iteration under way (`loop.stop`), from any thread.
    pub fn stop(&self) {
        match self.cell.core() {
            Some(core) => core.stopping.set(true),
            None => {
                let stop = |core: &Core| core.stopping.set(true);
                // A closed loop has stopped for good.
                let _ = self.cell.post(Mail::Run(Box::new(stop)));
            }
        }
    }

    /// Whether the loop is running (`loop.is_running`); on another thread than its own, false.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.cell.core().is_some_and(|core| core.running.get())
    }

    /// Whether the loop has been closed (`loop.is_closed`).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.cell.is_closed()
    }

    /// Keeps a virtual clock from jumping while the hold lives: for foreign I/O that takes real time.
    ///
    /// ```
    /// use asyncio_core::{Result, Runner, create_task, get_running_loop, sleep};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<()> {
    /// let runner = Runner::builder().virtual_clock(true).build()?;
    /// runner.run(async {
    ///     let event_loop = get_running_loop()?;
    ///     let an_hour = create_task(async { sleep(3600).await });
    ///     let hold = event_loop.hold_clock()?;
    ///     tokio::time::sleep(Duration::from_millis(2)).await;
    ///     assert!(!an_hour.done());
    ///     drop(hold);
    ///     an_hour.await
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] on another thread than the loop's, and once it is closed.
    pub fn hold_clock(&self) -> Result<ClockHold, RuntimeError> {
        let core = self.core()?;
        core.holds.set(core.holds.get() + 1);
        Ok(ClockHold {
            event_loop: self.clone(),
        })
    }

    /// Moves a virtual clock on, as if this much time had passed while nothing ran: whatever is due by then
    /// is so in the next iteration.
    ///
    /// ```
    /// use asyncio_core::{Result, Runner, create_task, get_running_loop, sleep};
    ///
    /// # fn main() -> Result<()> {
    /// let runner = Runner::builder().virtual_clock(true).build()?;
    /// runner.run(async {
    ///     let late = create_task(async { sleep(60).await });
    ///     sleep(0).await?;
    ///     get_running_loop()?.advance_clock(90)?;
    ///     sleep(0).await?;
    ///     assert_eq!(get_running_loop()?.time(), 90.0);
    ///     late.await
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ValueError`] when the delay is negative or not a number; [`RuntimeError`] when the loop has
    /// another clock, on another thread than the loop's, and once it is closed.
    pub fn advance_clock(&self, delay: impl Into<Delay>) -> Result<()> {
        let delay = delay.into().checked()?;
        if delay < 0.0 {
            return Err(ValueError::new("a clock cannot go back").into());
        }
        let core = self.core()?;
        let Clock::Virtual { now } = core.clock.get() else {
            return Err(RuntimeError::new("only a virtual clock can be moved on").into());
        };
        core.clock.set(Clock::Virtual { now: now + delay });
        Ok(())
    }

    /// The tokio runtime that drives this loop.
    #[cfg(unix)]
    pub(crate) fn runtime(&self) -> Result<tokio::runtime::Handle, RuntimeError> {
        let runtime = self.core()?.runtime.borrow();
        let runtime = runtime.as_ref().ok_or_else(closed)?;
        Ok(runtime.handle().clone())
    }

    /// Runs until [`stop`](Self::stop) is called (`loop.run_forever`).
    ///
    /// ```
    /// # use asyncio_core::{Result, new_event_loop};
    /// # fn main() -> Result<()> {
    /// let event_loop = new_event_loop()?;
    /// let handle = event_loop.clone();
    /// event_loop.call_later(0.001, move || handle.stop())?;
    /// event_loop.run_forever()
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] when a loop runs on this thread already, on another thread than the loop's,
    /// and once it is closed; an exception that leaves the loop, such as
    /// [`KeyboardInterrupt`](crate::KeyboardInterrupt).
    pub fn run_forever(&self) -> Result<()> {
        let core = self.may_run()?;
        let result = self.drive(core)?;
        if core.close_at_end.get() {
            self.close()?;
        }
        result
    }

    /// Runs until a future is done, and returns its result (`loop.run_until_complete`).
    ///
    /// A [`Task`] or a [`Future`] of this loop is waited for as it is; any other future becomes a
    /// task first.
    ///
    /// ```
    /// # use asyncio_core::{Result, new_event_loop};
    /// # fn main() -> Result<()> {
    /// let event_loop = new_event_loop()?;
    /// let future = event_loop.create_future();
    /// let setter = future.clone();
    /// event_loop.call_soon(move || setter.set_result(42))?;
    /// assert_eq!(event_loop.run_until_complete(future)?, 42);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the future ends with; as of [`run_forever`](Self::run_forever); [`RuntimeError`] when
    /// the loop was stopped before the future was done.
    #[track_caller]
    pub fn run_until_complete<T, F>(&self, future: F) -> Result<T>
    where
        F: StdFuture<Output = Result<T>> + 'static,
        T: 'static,
    {
        let location = Location::caller();
        let core = self.may_run().inspect_err(|_| unrun::<T, F>(location))?;
        let (awaited, is_new) = match into_handle::<T, F>(future) {
            Ok(handle) if std::ptr::eq(handle.cell().home(), &raw const *self.cell) => {
                (handle, false)
            }
            // Made elsewhere: a task of ours waits for it.
            Ok(handle) => (spawn(core, Future::of(handle), location).into_typed(), true),
            Err(future) => (spawn(core, future, location).into_typed(), true),
        };
        cell::add_callback(awaited.cell(), Callback::Stop);
        let left = self.drive(core)?;
        cell::remove_stop(awaited.cell());
        let result = match left {
            Err(exception) => {
                if is_new && awaited.cell().is_done() {
                    // The exception that left the loop is the task's own.
                    cell::mark_retrieved(awaited.cell());
                }
                Err(exception)
            }
            Ok(()) if !awaited.cell().is_done() => {
                Err(RuntimeError::new("Event loop stopped before Future completed.").into())
            }
            Ok(()) => awaited.take_result(),
        };
        if core.close_at_end.get() {
            self.close()?;
        }
        result
    }

    /// Ends the loop (`loop.close`): what is left on it is dropped. Closing twice is fine.
    ///
    /// Pending tasks are reported to the exception handler, then their futures are dropped.
    ///
    /// ```
    /// # use asyncio_core::{Result, new_event_loop};
    /// # fn main() -> Result<()> {
    /// let event_loop = new_event_loop()?;
    /// event_loop.close()?;
    /// assert!(event_loop.call_soon(|| ()).is_err(), "a closed loop runs nothing");
    /// event_loop.close()?; // again, without effect
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] while the loop is running, and on another thread than the loop's.
    pub fn close(&self) -> Result<(), RuntimeError> {
        if self.cell.is_closed() {
            return Ok(());
        }
        let core = self.core()?;
        if core.running.get() {
            return Err(RuntimeError::new("Cannot close a running event loop"));
        }
        let place = Cell::new(Slot::default());
        Frame::run(Arc::as_ptr(&self.cell), None, &place, |_| {
            executors::close(core);
            #[cfg(unix)]
            crate::signals::close(core);
            base_events::empty(core);
            let runtime = core.runtime.take();
            if let Some(runtime) = runtime {
                runtime.shutdown_background();
            }
            for mail in self.cell.take_mail() {
                base_events::read(core, mail);
            }
            base_events::empty(core);
            // The handler hears of everything until here; what it held may make new work once more.
            drop((core.handler.take(), core.task_factory.take()));
            base_events::empty(core);
        });
        // What is posted from here on comes back to the sender.
        let unread = LoopCell::close(&self.cell);
        unread.into_iter().for_each(base_events::read_closed);
        Ok(())
    }

    /// The loop's own part, where this thread may touch it.
    pub(crate) fn core(&self) -> Result<&Core, RuntimeError> {
        self.cell.core().ok_or_else(|| {
            if self.cell.is_closed() {
                closed()
            } else {
                if self.cell.debug() {
                    debug::wrong_thread();
                }
                RuntimeError::new(
                    "Non-thread-safe operation invoked on an event loop other than the current one",
                )
            }
        })
    }

    fn soon<R: CallbackResult>(
        &self,
        function: impl FnOnce() -> R + 'static,
        context: Slot,
    ) -> Result<Handle, RuntimeError> {
        let core = self.core()?;
        let key = insert_call(core, function, context);
        core.push(Ready::Call(key));
        Ok(Handle::new(Arc::clone(&self.cell), key, Key::NONE))
    }

    fn at<R: CallbackResult>(
        &self,
        when: f64,
        function: impl FnOnce() -> R + 'static,
        context: Slot,
    ) -> Result<TimerHandle> {
        if when.is_nan() {
            return Err(ValueError::new("a time must be a number, not NaN").into());
        }
        let core = self.core()?;
        let key = insert_call(core, function, context);
        // Adding zero turns the negative zero, which would sort before it, into zero.
        let timer = core
            .timers
            .borrow_mut()
            .insert(when + 0.0, TimerAction::Call(key));
        if !core.polling.get() {
            core.kick();
        }
        Ok(TimerHandle {
            handle: Handle::new(Arc::clone(&self.cell), key, timer),
            when,
        })
    }

    /// The core, if the loop may be run here and now (`_check_closed`, `_check_running`).
    pub(crate) fn may_run(&self) -> Result<&Core, RuntimeError> {
        let core = self.core()?;
        if core.running.get() {
            return Err(RuntimeError::new("This event loop is already running"));
        }
        let runtime = core.runtime.borrow();
        let Some(runtime) = &*runtime else {
            return Err(closed());
        };
        current::may_block_on(runtime)?;
        Ok(core)
    }

    /// Runs the loop; the outer error is that it could not be run.
    fn drive(&self, core: &Core) -> Result<Result<()>, RuntimeError> {
        let runtime = core.runtime.borrow();
        let Some(runtime) = &*runtime else {
            return Err(closed());
        };
        let running = Running::new(core, &self.cell);
        let place = Cell::new(Slot::default());
        let result = Frame::run(Arc::as_ptr(&self.cell), None, &place, |_| {
            let driver = Driver::new(core, &self.cell);
            runtime.block_on(tokio::task::unconstrained(driver))
        });
        drop(running);
        Ok(result)
    }
}

impl PartialEq for EventLoop {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.cell, &other.cell)
    }
}

impl Eq for EventLoop {}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("running", &self.is_running())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// Shows a function the loop that runs on this thread, if one does.
pub(crate) fn with_running<R>(f: impl FnOnce(&Core) -> R) -> Option<R> {
    current::with(|frame| {
        let core = frame?.core()?;
        Some(f(core))
    })
}

/// A future that is a handle of ours already, as that; anything else comes back.
pub(crate) fn into_handle<T: 'static, F: 'static>(future: F) -> Result<Typed<T>, F> {
    let mut future = Some(future);
    let any: &mut dyn Any = &mut future;
    if let Some(task) = any.downcast_mut::<Option<Task<T>>>().and_then(Option::take) {
        return Ok(task.into_typed());
    }
    if let Some(plain) = any
        .downcast_mut::<Option<Future<T>>>()
        .and_then(Option::take)
    {
        return Ok(plain.into_typed());
    }
    future.map_or_else(|| unreachable!("only a handle is taken out"), Err)
}

/// A coroutine is dropped because the loop that it was for cannot run here and now.
#[cold]
pub(crate) fn unrun<T: 'static, F: 'static>(location: &'static Location<'static>) {
    // What is running already runs on.
    let is_handle = [TypeId::of::<Task<T>>(), TypeId::of::<Future<T>>()];
    if !is_handle.contains(&TypeId::of::<F>()) {
        debug::never_awaited(type_name::<F>(), Some(location));
    }
}

fn insert_call<R: CallbackResult>(
    core: &Core,
    function: impl FnOnce() -> R + 'static,
    context: Slot,
) -> Key {
    let function = Box::new(UserCall::new(function));
    core.calls.borrow_mut().insert(Call { function, context })
}

fn own_context() -> Slot {
    Slot::own(current::values())
}

fn closed() -> RuntimeError {
    RuntimeError::new("Event loop is closed")
}

/// Marks the loop as running for as long as it lives.
struct Running<'a>(&'a Core, &'a LoopCell);

impl<'a> Running<'a> {
    fn new(core: &'a Core, cell: &'a LoopCell) -> Self {
        core.running.set(true);
        Self(core, cell)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.set(false);
        self.0.stopping.set(false);
        self.1.clear_waker();
    }
}
