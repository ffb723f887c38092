//! `run` and `Runner`: a program from its first await to the last clean-up (`asyncio/runners.py`).

mod threads;
pub(crate) mod workers;

use std::cell::Cell;
use std::fmt;
use std::future::Future as StdFuture;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::runtime::Handle as Runtime;

pub use self::threads::{MultiThreadRunner, MultiThreadRunnerBuilder};
use self::workers::Workers;
use crate::contextvars::Context;
use crate::debug;
use crate::events::{EventLoop, ExceptionContext, OwnedEventLoop, get_running_loop, unrun};
use crate::exceptions::{KeyboardInterrupt, Result, RuntimeError};
#[cfg(unix)]
use crate::signals::Watch;
use crate::tasks::{Task, TaskHandle};

/// Runs a program on a loop of its own (`asyncio.run`): `main`, then the clean-up of what it left.
///
/// Tasks that are still running when `main` ends are cancelled, in the order in which they were
/// made, and awaited. Ctrl-C cancels `main`; once its clean-up is over `run` returns
/// [`KeyboardInterrupt`]. A second Ctrl-C interrupts the clean-up.
///
/// ```
/// use asyncio_core::{Result, run, sleep};
///
/// # fn main() -> Result<()> {
/// let answer = run(async {
///     sleep(0.001).await?;
///     Ok(42)
/// })?;
/// assert_eq!(answer, 42);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// What `main` ends with; [`RuntimeError`] when a loop, or a tokio runtime that must not block, is
/// running on this thread; an I/O error when the operating system refuses what a loop needs.
#[track_caller]
pub fn run<T, F>(main: F) -> Result<T>
where
    F: StdFuture<Output = Result<T>> + 'static,
    T: 'static,
{
    // Not in the closure, whose caller is nobody's line.
    let place = Location::caller();
    refuse_inside("asyncio.run()").inspect_err(|_| unrun::<T, F>(place))?;
    let runner = Runner::new()?;
    let result = runner.run(main);
    let closed = runner.close();
    let value = result?;
    closed?;
    Ok(value)
}

/// Runs several programs, one after the other, on one loop and in one context (`asyncio.Runner`).
///
/// ```
/// use asyncio_core::{Result, Runner, sleep};
///
/// # fn main() -> Result<()> {
/// let runner = Runner::builder().virtual_clock(true).build()?;
/// runner.run(sleep(60))?;
/// runner.run(sleep(60))?;
/// assert_eq!(runner.get_loop()?.time(), 120.0);
/// runner.close()
/// # }
/// ```
///
/// Dropping a runner without [`close`](Self::close) drops what is left on its loop: nothing is
/// awaited, nothing blocks.
pub struct Runner {
    event_loop: OwnedEventLoop,
    context: Context,
}

impl Runner {
    /// A runner with the default settings.
    ///
    /// # Errors
    ///
    /// An I/O error when the operating system refuses what a loop needs.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// A runner with other settings.
    pub fn builder() -> RunnerBuilder {
        RunnerBuilder::default()
    }

    /// Runs a program to its end (`Runner.run`).
    ///
    /// ```
    /// # use asyncio_core::{Result, Runner, sleep};
    /// # fn main() -> Result<()> {
    /// let runner = Runner::new()?;
    /// assert_eq!(runner.run(async { Ok(1) })?, 1);
    /// assert!(runner.run(async { Err::<(), _>(std::io::Error::other("broken").into()) }).is_err());
    /// runner.close()
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What `main` ends with; [`KeyboardInterrupt`] when Ctrl-C ended it; [`RuntimeError`] when the
    /// runner is closed or a loop is running on this thread.
    #[track_caller]
    pub fn run<T, F>(&self, main: F) -> Result<T>
    where
        F: StdFuture<Output = Result<T>> + 'static,
        T: 'static,
    {
        self.run_in(&self.context, main)
    }

    /// As [`run`](Self::run), in another context than the runner's.
    ///
    /// ```
    /// # use asyncio_core::{Context, ContextVar, Result, Runner};
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// # fn main() -> Result<()> {
    /// let (runner, context) = (Runner::new()?, Context::new());
    /// runner.run_in(&context, async { USER.set("ada").map(drop).map_err(Into::into) })?;
    /// assert_eq!(context.get(&USER), Some("ada"));
    /// runner.close()
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of `run`.
    #[track_caller]
    pub fn run_in<T, F>(&self, context: &Context, main: F) -> Result<T>
    where
        F: StdFuture<Output = Result<T>> + 'static,
        T: 'static,
    {
        let location = Location::caller();
        refuse_inside("Runner.run()").inspect_err(|_| unrun::<T, F>(location))?;
        let event_loop = self.get_loop()?;
        let core = event_loop
            .may_run()
            .inspect_err(|_| unrun::<T, F>(location))?;
        let main = Task::spawn_on(core, main, context.clone(), location);
        let Some(handle) = main.handle() else {
            return event_loop.run_until_complete(main);
        };
        let interrupts = Interrupts::watch(&event_loop, Some(&handle));
        let result = event_loop.run_until_complete(main);
        keyboard_interrupt(result, &interrupts, Some(&handle))
    }

    /// The runner's loop (`Runner.get_loop`).
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] when the runner is closed.
    pub fn get_loop(&self) -> Result<EventLoop, RuntimeError> {
        if self.event_loop.is_closed() {
            return Err(RuntimeError::new("Runner is closed"));
        }
        Ok(EventLoop::clone(&self.event_loop))
    }

    /// Cancels and awaits what is left, and closes the loop (`Runner.close`). Closing twice is fine.
    ///
    /// ```
    /// # use asyncio_core::{Result, Runner, create_task, sleep};
    /// # fn main() -> Result<()> {
    /// let runner = Runner::new()?;
    /// let left = runner.run(async {
    ///     let left = create_task(async { sleep(3600).await });
    ///     sleep(0).await.map(|()| left)
    /// })?;
    /// runner.close()?;
    /// assert!(left.cancelled());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An exception that leaves the loop during the clean-up, such as [`KeyboardInterrupt`]; the
    /// loop is closed all the same.
    pub fn close(&self) -> Result<()> {
        if self.event_loop.is_closed() {
            return Ok(());
        }
        let interrupts = Interrupts::watch(&self.event_loop, None);
        let cleaned = cancel_all_tasks(&self.event_loop).and_then(|()| self.shut_down());
        drop(interrupts);
        self.event_loop.close()?;
        cleaned
    }
}

impl Runner {
    /// The rest of what `Runner.close` runs: each part takes its turns of the loop.
    fn shut_down(&self) -> Result<()> {
        if self.event_loop.core()?.turn.get() == 0 {
            // It never ran, perhaps because it could not, and there is nothing to clean up.
            return Ok(());
        }
        // In the place of `shutdown_asyncgens`: there are none, but it takes its turns.
        self.event_loop.run_until_complete(async { Ok(()) })?;
        let event_loop = EventLoop::clone(&self.event_loop);
        let patience = Duration::from_secs(JOIN_TIMEOUT);
        let shutdown = async move { event_loop.shutdown_default_executor(patience).await };
        self.event_loop.run_until_complete(shutdown)
    }
}

/// How long `close` waits for the threads of the loop's pool, in seconds
/// (`constants.THREAD_JOIN_TIMEOUT`).
const JOIN_TIMEOUT: u64 = 300;

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("event_loop", &*self.event_loop)
            .finish_non_exhaustive()
    }
}

/// The settings of a new [`Runner`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RunnerBuilder {
    event_loop: crate::events::EventLoopBuilder,
}

impl RunnerBuilder {
    /// Whether the loop runs in debug mode, see [`EventLoop::set_debug`]; by default only where the
    /// environment variable `ASYNCIO_DEBUG` is set to anything.
    pub const fn debug(mut self, enabled: bool) -> Self {
        self.event_loop = self.event_loop.debug(enabled);
        self
    }

    /// Whether the loop's clock jumps to the next timer instead of waiting for it; off by default.
    pub const fn virtual_clock(mut self, enabled: bool) -> Self {
        self.event_loop = self.event_loop.virtual_clock(enabled);
        self
    }

    /// Has chance decide the order, for tests; see
    /// [`EventLoopBuilder::shuffle`](crate::EventLoopBuilder::shuffle).
    pub const fn shuffle(mut self, seed: u64) -> Self {
        self.event_loop = self.event_loop.shuffle(seed);
        self
    }

    /// A runner with so many threads in place of an event loop: see [`MultiThreadRunner`].
    ///
    /// ```
    /// # use asyncio_core::{Result, Runner, all_tasks, create_task};
    /// # fn main() -> Result<()> {
    /// let runner = Runner::builder().worker_threads(2).build()?;
    /// let names = runner.run(async {
    ///     let names = create_task(async { Ok(all_tasks().len()) });
    ///     names.await
    /// })?;
    /// assert_eq!(names, 2);
    /// runner.close()
    /// # }
    /// ```
    pub fn worker_threads(self, count: usize) -> MultiThreadRunnerBuilder {
        let (debug, virtual_clock) = self.event_loop.settings();
        let debug = debug.unwrap_or_else(debug::is_wanted);
        MultiThreadRunnerBuilder::new(count, debug, virtual_clock)
    }

    /// Makes the runner, with a copy of the current context.
    ///
    /// # Errors
    ///
    /// An I/O error when the operating system refuses what a loop needs.
    pub fn build(self) -> Result<Runner> {
        let event_loop = self.event_loop.build()?;
        Ok(Runner {
            event_loop,
            context: crate::contextvars::copy_context(),
        })
    }
}

/// What CPython says of a second loop on the thread of a running one.
fn refuse_inside(call: &str) -> Result<(), RuntimeError> {
    if get_running_loop().is_err() {
        return Ok(());
    }
    let message = format!("{call} cannot be called from a running event loop");
    Err(RuntimeError::new(message))
}

/// Cancels the tasks that are left, awaits them and reports their errors
/// (`runners._cancel_all_tasks`).
fn cancel_all_tasks(event_loop: &EventLoop) -> Result<()> {
    let core = event_loop.core()?;
    let left: Vec<TaskHandle> = TaskHandle::all(core);
    if left.is_empty() {
        return Ok(());
    }
    for task in &left {
        task.cancel();
    }
    let all_done = event_loop.create_future::<()>();
    let pending = Rc::new(Cell::new(left.len()));
    for task in &left {
        let (pending, all_done) = (Rc::clone(&pending), all_done.clone());
        task.call_when_done(move || {
            pending.set(pending.get() - 1);
            if pending.get() == 0 {
                // Only this sets it, and only once.
                let _ = all_done.set_result(());
            }
        });
    }
    let waited = event_loop.run_until_complete(all_done);
    for task in &left {
        report_unhandled(task, |context| event_loop.call_exception_handler(context));
    }
    waited
}

/// Says that a task has failed which was cancelled at the end.
fn report_unhandled(task: &TaskHandle, report: impl FnOnce(&ExceptionContext)) {
    if let Ok(Some(exception)) = task.exception() {
        let message = "unhandled exception during asyncio.run() shutdown";
        let context = ExceptionContext::new(message, Some(exception)).with_task(task);
        report(&context);
    }
}

/// The result of a program, which may have been cancelled by Ctrl-C.
fn keyboard_interrupt<T>(
    result: Result<T>,
    interrupts: &Interrupts<'_>,
    main: Option<&TaskHandle>,
) -> Result<T> {
    match result {
        Err(error)
            if error.is_cancelled()
                && interrupts.count() > 0
                && main.is_some_and(|main| main.uncancel() == 0) =>
        {
            Err(KeyboardInterrupt::new().into())
        }
        result => result,
    }
}

/// Listens for Ctrl-C while a program runs, where that is ours to handle.
struct Interrupts<'a> {
    count: Arc<AtomicU32>,
    #[cfg(unix)]
    watch: Option<Watch>,
    /// `None`: of a runner with many threads.
    #[cfg_attr(not(unix), expect(dead_code, reason = "nothing is listened to"))]
    event_loop: Option<&'a EventLoop>,
}

impl<'a> Interrupts<'a> {
    /// The first signal cancels the program, where it has not ended; any other leaves the loop at
    /// once (`_on_sigint`).
    fn watch(event_loop: &'a EventLoop, main: Option<&TaskHandle>) -> Self {
        let count = Arc::default();
        #[cfg(unix)]
        let watch = {
            let (counted, main) = (Arc::clone(&count), main.cloned());
            Watch::of_runner(event_loop, move |event_loop| {
                if !is_first(main.as_ref(), &counted) {
                    // From a callback it leaves the loop. A closed loop has been left already.
                    let _ = event_loop.call_soon(|| Err::<(), _>(KeyboardInterrupt::new()));
                }
            })
        };
        #[cfg(not(unix))]
        let _ = main;
        Self {
            count,
            #[cfg(unix)]
            watch,
            event_loop: Some(event_loop),
        }
    }

    fn count(&self) -> u32 {
        // Acquire, with the AcqRel in `is_first`: who sees the end of a program that was cancelled by
        // a signal sees that there was one.
        self.count.load(Ordering::Acquire)
    }
}

impl Interrupts<'static> {
    /// As `watch`, for a runner with many threads.
    fn of_workers(runtime: &Runtime, workers: &Arc<Workers>, main: Option<&TaskHandle>) -> Self {
        let count = Arc::default();
        #[cfg(unix)]
        let watch = {
            let (counted, main) = (Arc::clone(&count), main.cloned());
            let workers = Arc::clone(workers);
            Watch::of_workers(runtime, move || {
                if !is_first(main.as_ref(), &counted) {
                    workers.escape(KeyboardInterrupt::new().into());
                }
            })
        };
        #[cfg(not(unix))]
        let _ = (runtime, workers, main);
        Self {
            count,
            #[cfg(unix)]
            watch,
            event_loop: None,
        }
    }
}

/// Takes note of a signal: the first cancels the program, unless it has ended.
#[cfg(unix)]
fn is_first(main: Option<&TaskHandle>, count: &AtomicU32) -> bool {
    // AcqRel: see `Interrupts::count`.
    let is_first = count.fetch_add(1, Ordering::AcqRel) == 0;
    is_first && main.is_some_and(|main| !main.done() && main.cancel())
}

#[cfg(unix)]
impl Drop for Interrupts<'_> {
    fn drop(&mut self) {
        match (self.watch.take(), self.event_loop) {
            (Some(watch), Some(event_loop)) => watch.end_of_runner(event_loop),
            (Some(watch), None) => watch.end_of_workers(),
            (None, _) => {}
        }
    }
}
