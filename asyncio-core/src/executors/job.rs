//! `Work` and `Job`: the two ends of what an executor runs (`concurrent.futures.Future`).

use std::fmt;
use std::future::Future as StdFuture;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context as PollContext, Poll};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::base_events::failed_callback;
use crate::cell::{Waiter, Wakeup};
use crate::events::{CallbackResult, ClockHold, EventLoop, with_running};
use crate::exceptions::{
    CancelledError, Exception, InvalidStateError, Result, TimeoutError, ValueError,
};
use crate::loop_cell::Mail;
use crate::primitives::{Mutex, MutexGuard, const_fn};
use crate::time::{Clock, MaybeDelay};

/// A function on its way to the thread that will run it: what an [`Executor`](crate::Executor) is
/// given.
///
/// Dropping it without running it cancels its [`Job`].
///
/// ```
/// use asyncio_core::{Work, Result};
///
/// # fn main() -> Result<()> {
/// let (work, job) = Work::new(|| Ok(6 * 7));
/// std::thread::spawn(move || work.run());
/// assert_eq!(job.result(None)?, 42);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping the work cancels its job"]
pub struct Work {
    run: Option<Box<dyn Run>>,
}

impl Work {
    /// A function as work, and the job by which its result is had.
    pub fn new<T, F>(function: F) -> (Self, Job<T>)
    where
        F: FnOnce() -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let shared = Arc::new(Shared::new(Stage::Pending));
        let run = Box::new(Function {
            function,
            shared: Arc::clone(&shared),
        });
        (Self { run: Some(run) }, Job::of(shared))
    }

    /// Runs the function here and now, unless its job has been cancelled. A panic in it is the job's
    /// exception.
    pub fn run(mut self) {
        if let Some(run) = self.run.take() {
            run.run();
        }
    }

    /// Ends the job with an exception instead of running the function.
    ///
    /// ```
    /// # use asyncio_core::{Result, RuntimeError, Work};
    /// let (work, job) = Work::new(|| Ok(()));
    /// work.fail(RuntimeError::new("the machine room is on fire"));
    /// assert!(job.result(None).is_err_and(|error| error.is::<RuntimeError>()));
    /// ```
    pub fn fail(mut self, exception: impl Into<Exception>) {
        if let Some(run) = self.run.take() {
            run.end(Some(exception.into()));
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            run.end(None);
        }
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

/// What somebody else's thread has been given to do: a future of its result
/// (`concurrent.futures.Future`).
///
/// An executor gives one for a function, and [`run_coroutine_threadsafe`] for a coroutine. It can be
/// awaited, on an event loop and on a tokio runtime, and [`result`](Self::result) blocks a thread for
/// it. The result is had once.
///
/// [`run_coroutine_threadsafe`]: crate::run_coroutine_threadsafe
///
/// ```
/// use asyncio_core::{Result, ThreadPoolExecutor, run};
///
/// # fn main() -> Result<()> {
/// let pool = ThreadPoolExecutor::new();
/// let job = pool.submit(|| Ok(6 * 7));
/// assert_eq!(run(job)?, 42);
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// When the task that awaits it is cancelled, a function that no thread has begun is cancelled too, and
/// a coroutine in any case; a function that runs is left alone, and its result is dropped. Dropping a
/// job detaches it.
pub struct Job<T> {
    shared: Arc<Shared<T>>,
    waiter: Waiter,
    /// While somebody on a loop awaits the job a virtual clock does not jump.
    hold: Option<ClockHold>,
    cancel_on_drop: bool,
}

impl<T> Job<T> {
    fn of(shared: Arc<Shared<T>>) -> Self {
        Self {
            shared,
            waiter: Waiter::new(),
            hold: None,
            cancel_on_drop: false,
        }
    }

    /// A job that has failed already.
    pub(crate) fn failed(exception: Exception) -> Self {
        Self::of(Arc::new(Shared::new(Stage::Done(Err(exception)))))
    }

    /// The same, but dropping it cancels it.
    pub(crate) fn cancelled_on_drop(mut self) -> Self {
        self.cancel_on_drop = true;
        self
    }

    pub(super) const fn shared(&self) -> &Arc<Shared<T>> {
        &self.shared
    }

    /// A job that somebody will settle.
    pub(crate) fn pending() -> Self {
        Self::of(Arc::new(Shared::new(Stage::Pending)))
    }

    /// Another handle of the same job, for who settles it.
    pub(crate) fn share(&self) -> Self {
        Self::of(Arc::clone(&self.shared))
    }

    /// Ends the job with a result, unless it is done or has begun.
    pub(crate) fn settle(&self, result: Result<T>) {
        if self.shared.begin() {
            // Cancelled just now: then nobody wants the result.
            drop(self.shared.finish(result));
        }
    }

    /// Cancels the job unless it is done, or a function that has begun (`Future.cancel`); whether it is
    /// cancelled now. A coroutine is asked to end, and not waited for; what runs in a process is
    /// cancelled by killing that.
    ///
    /// ```
    /// # use asyncio_core::{Result, Work};
    /// let (work, job) = Work::new(|| Ok(()));
    /// assert!(job.cancel());
    /// work.run(); // does nothing
    /// assert!(job.result(None).is_err_and(|error| error.is_cancelled()));
    /// ```
    pub fn cancel(&self) -> bool {
        self.shared.cancel()
    }

    /// Whether the job was cancelled.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        matches!(self.shared.lock().stage, Stage::Cancelled)
    }

    /// Whether the function is being run (`Future.running`); of a coroutine it never is said.
    #[must_use]
    pub fn running(&self) -> bool {
        matches!(self.shared.lock().stage, Stage::Running(_))
    }

    /// Whether the job has a result or was cancelled.
    #[must_use]
    pub fn done(&self) -> bool {
        self.shared.lock().is_done()
    }

    /// Blocks this thread until the job is done, for so long at the most, and takes its result
    /// (`Future.result`); `None` waits as long as it takes.
    ///
    /// ```
    /// # use asyncio_core::{Result, TimeoutError, Work};
    /// let (_work, job) = Work::new(|| Ok(()));
    /// assert!(job.result(0.001).is_err_and(|error| error.is::<TimeoutError>()));
    /// ```
    ///
    /// # Errors
    ///
    /// What the function or the coroutine failed with; [`CancelledError`] when the job was cancelled;
    /// [`InvalidStateError`] when the result was taken already; [`TimeoutError`] when the time is over
    /// first; [`ValueError`](crate::ValueError) when the delay is not a number.
    ///
    /// # asyncio
    ///
    /// As in Python, who calls this on the thread of the loop that is to run the coroutine waits for
    /// himself: there it is to be awaited.
    pub fn result(&self, timeout: impl Into<MaybeDelay>) -> Result<T> {
        let deadline = match timeout.into().seconds() {
            Some(seconds) if seconds.is_nan() => {
                return Err(ValueError::new("a delay must be a number, not NaN").into());
            }
            // A time that no clock can show is as good as none.
            Some(seconds) => Duration::try_from_secs_f64(seconds.max(0.0))
                .ok()
                .and_then(|duration| Instant::now().checked_add(duration)),
            None => None,
        };
        let here = std::thread::current();
        loop {
            {
                let mut state = self.shared.lock();
                if let Some(result) = state.take() {
                    return result;
                }
                if !state.threads.iter().any(|thread| thread.id() == here.id()) {
                    state.threads.push(here.clone());
                }
            }
            match deadline {
                None => std::thread::park(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        let mut state = self.shared.lock();
                        state.threads.retain(|thread| thread.id() != here.id());
                        return Err(TimeoutError::new("the job is not done").into());
                    }
                    std::thread::park_timeout(left);
                }
            }
        }
    }
}

impl<T: Send + 'static> Job<T> {
    /// Has a function called once the job is done or cancelled, by the thread that ends it, and at
    /// once where it is done already (`Future.add_done_callback`).
    ///
    /// ```
    /// # use asyncio_core::{Result, Work};
    /// # fn main() -> Result<()> {
    /// let (work, job) = Work::new(|| Ok(7));
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// job.add_done_callback(move |job| {
    ///     let _ = sender.send(job.result(0));
    /// });
    /// std::thread::spawn(move || work.run());
    /// assert_eq!(receiver.recv()??, 7);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// An error or a panic of the function is reported, as that of any callback.
    pub fn add_done_callback<R: CallbackResult>(
        &self,
        function: impl FnOnce(&Self) -> R + Send + 'static,
    ) {
        let shared = Arc::clone(&self.shared);
        self.shared.when_done(Box::new(move || {
            let job = Self::of(shared);
            let called = catch_unwind(AssertUnwindSafe(|| function(&job).into_result()));
            let result = called.unwrap_or_else(|panic| Err(Exception::from_panic(panic)));
            if let Err(exception) = result {
                failed_callback(None, exception, None);
            }
        }));
    }
}

impl<T> StdFuture for Job<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.waiter.is_waiting() {
            match this.waiter.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(cancelled)) => {
                    this.shared.cancel();
                    this.hold = None;
                    return Poll::Ready(Err(cancelled.into()));
                }
                Poll::Ready(Ok(())) => {
                    let taken = this.shared.lock().take();
                    if let Some(result) = taken {
                        this.hold = None;
                        return Poll::Ready(result);
                    }
                }
            }
        }
        if this.hold.is_none() {
            this.hold = hold_virtual_clock();
        }
        // Also for a job that is done already: awaiting one takes a turn, however fast it was.
        let wakeup = this.waiter.begin(cx);
        this.shared.wake(wakeup);
        Poll::Pending
    }
}

// A job is not pinned to its place by anything: what it waits for is elsewhere.
impl<T> Unpin for Job<T> {}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        if self.cancel_on_drop {
            self.shared.cancel();
        }
    }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.shared.lock().stage {
            Stage::Pending => "pending",
            Stage::Running(_) => "running",
            Stage::Done(_) | Stage::Taken => "finished",
            Stage::Cancelled => "cancelled",
        };
        write!(f, "<Job {state}>")
    }
}

/// Keeps a virtual clock of the running loop from jumping; a real one needs no holding.
pub(super) fn hold_virtual_clock() -> Option<ClockHold> {
    with_running(|core| match core.clock.get() {
        Clock::Virtual { .. } => EventLoop::of(core.shared()).hold_clock().ok(),
        Clock::Real { .. } => None,
    })
    .flatten()
}

/// What both ends know.
pub(super) struct Shared<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    stage: Stage<T>,
    /// Who hears of the end: who awaits the job, who blocks for it, and who has asked to be called.
    waiter: Option<Wakeup>,
    threads: Vec<Thread>,
    calls: Vec<Call>,
}

type Call = Box<dyn FnOnce() + Send>;

enum Stage<T> {
    Pending,
    /// With what ends it, where it can be ended.
    Running(Option<Kill>),
    Done(Result<T>),
    Taken,
    Cancelled,
}

type Kill = Box<dyn FnOnce() + Send>;

impl<T> Shared<T> {
    const_fn! {
        fn new(stage: Stage<T>) -> Self {
            Self {
                state: Mutex::new(State {
                    stage,
                    waiter: None,
                    threads: Vec::new(),
                    calls: Vec::new(),
                }),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancels what has not begun, or can be killed; whether it is cancelled.
    pub(super) fn cancel(&self) -> bool {
        let mut state = self.lock();
        let kill = match &mut state.stage {
            Stage::Pending => None,
            Stage::Cancelled => return true,
            Stage::Running(kill) if kill.is_some() => kill.take(),
            Stage::Running(_) | Stage::Done(_) | Stage::Taken => return false,
        };
        state.stage = Stage::Cancelled;
        tell(state);
        if let Some(kill) = kill {
            kill();
        }
        true
    }

    /// Cancels what has not begun.
    #[cfg(all(feature = "process-pool", unix))]
    pub(super) fn cancel_pending(&self) {
        let is_pending = matches!(self.lock().stage, Stage::Pending);
        if is_pending {
            // Only who would begin it calls this, so that it does not begin in between.
            self.cancel();
        }
    }

    /// The result, once it is there; it is taken by that.
    pub(super) fn take(&self) -> Option<Result<T>> {
        self.lock().take()
    }

    /// Says who awaits the end, which may have come already; who did before does no longer.
    fn wake(&self, wakeup: Wakeup) {
        let mut state = self.lock();
        if state.is_done() {
            drop(state);
            arrive(&wakeup);
            return;
        }
        let old = state.waiter.replace(wakeup);
        drop(state);
        drop(old);
    }

    /// Says what is to be done at the end, which may have come already.
    pub(super) fn when_done(&self, call: Call) {
        let mut state = self.lock();
        if state.is_done() {
            drop(state);
            call();
            return;
        }
        state.calls.push(call);
    }

    /// Whether the function is to be run now.
    fn begin(&self) -> bool {
        self.begin_with(None)
    }

    /// Whether the function is to be run now; who cancels it from then on kills what runs it.
    #[cfg(all(feature = "process-pool", unix))]
    pub(super) fn begin_killable(&self, kill: Kill) -> bool {
        self.begin_with(Some(kill))
    }

    fn begin_with(&self, kill: Option<Kill>) -> bool {
        let mut state = self.lock();
        let pending = matches!(state.stage, Stage::Pending);
        if pending {
            state.stage = Stage::Running(kill);
        }
        pending
    }

    /// Sets the result; it comes back where the job was cancelled before.
    pub(super) fn finish(&self, result: Result<T>) -> Result<(), Result<T>> {
        let mut state = self.lock();
        if state.is_done() {
            return Err(result);
        }
        state.stage = Stage::Done(result);
        tell(state);
        Ok(())
    }
}

/// Tells of the end, once it is there.
fn tell<T>(mut state: MutexGuard<'_, State<T>>) {
    let waiter = state.waiter.take();
    let threads = std::mem::take(&mut state.threads);
    let calls = std::mem::take(&mut state.calls);
    drop(state);
    threads.into_iter().for_each(|thread| thread.unpark());
    if let Some(wakeup) = waiter {
        arrive(&wakeup);
    }
    calls.into_iter().for_each(|call| call());
}

impl<T> State<T> {
    const fn is_done(&self) -> bool {
        !matches!(self.stage, Stage::Pending | Stage::Running(_))
    }

    fn take(&mut self) -> Option<Result<T>> {
        match self.stage {
            Stage::Pending | Stage::Running(_) => None,
            Stage::Cancelled => Some(Err(CancelledError::new().into())),
            Stage::Taken => Some(Err(
                InvalidStateError::new("the result was already taken").into()
            )),
            Stage::Done(_) => match std::mem::replace(&mut self.stage, Stage::Taken) {
                Stage::Done(result) => Some(result),
                _ => None,
            },
        }
    }
}

/// Wakes a waiter as `call_soon_threadsafe(future.set_result, …)` does: the result arrives in the
/// loop's next turn, and the task resumes in the one after it.
fn arrive(wakeup: &Wakeup) {
    if let Some((task, slot)) = wakeup.slot() {
        let mail = Mail::Slept(task.clone(), slot);
        if task.cell().home().post(mail).is_ok() {
            return;
        }
    }
    wakeup.wake();
}

/// What work consists of, for those who do not know its type.
trait Run: Send {
    fn run(self: Box<Self>);

    /// Ends the job without running the function: with an exception, or cancelled.
    fn end(self: Box<Self>, exception: Option<Exception>);
}

struct Function<T, F> {
    function: F,
    shared: Arc<Shared<T>>,
}

impl<T, F> Run for Function<T, F>
where
    F: FnOnce() -> Result<T> + Send,
    T: Send,
{
    fn run(self: Box<Self>) {
        let Self { function, shared } = *self;
        if shared.begin() {
            let result = catch_unwind(AssertUnwindSafe(function))
                .unwrap_or_else(|panic| Err(Exception::from_panic(panic)));
            // Nobody else ends what runs in a thread.
            drop(shared.finish(result));
        }
    }

    fn end(self: Box<Self>, exception: Option<Exception>) {
        match exception {
            Some(exception) => drop(self.shared.finish(Err(exception))),
            None => {
                self.shared.cancel();
            }
        }
    }
}
