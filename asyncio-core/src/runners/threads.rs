//! `MultiThreadRunner`: a program on many threads, from its first await to the last clean-up.

use std::cell::RefCell;
use std::fmt;
use std::future::{Future as StdFuture, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};

use super::workers::{self, Handler, Workers};
use super::{Interrupts, JOIN_TIMEOUT, keyboard_interrupt, report_unhandled};
use crate::cell;
use crate::contextvars::{Context, copy_context};
use crate::current;
use crate::events::ExceptionContext;
use crate::exceptions::{Exception, Result, RuntimeError, ValueError};
use crate::tasks::{TaskBuilder, wait};

/// Runs programs as a [`Runner`](crate::Runner) does, on many threads: a tokio runtime of its own in
/// place of an event loop.
///
/// Everything that a program on a tokio runtime may do works in it, and in addition what a runner
/// gives: [`all_tasks`](crate::all_tasks), Ctrl-C as a cancellation of `main`, an exception handler,
/// and an end at which the tasks that are left are cancelled and awaited. Only the order between tasks
/// is nobody's promise, and futures must be `Send`.
///
/// ```
/// use asyncio_core::{Result, Runner, create_task, gather, sleep};
///
/// async fn program() -> Result<u32> {
///     let half = create_task(async {
///         sleep(0.001).await?;
///         Ok(21)
///     });
///     let (one, other) = gather((half.clone(), half)).await?;
///     Ok(one + other)
/// }
///
/// # fn main() -> Result<()> {
/// let threads = Runner::builder().worker_threads(4).build()?;
/// assert_eq!(threads.run(program())?, 42);
/// threads.close()?;
///
/// // The very same, on one thread and in CPython's order.
/// assert_eq!(asyncio_core::run(program())?, 42);
/// # Ok(())
/// # }
/// ```
///
/// There is no [`EventLoop`](crate::EventLoop), and what needs one says so:
/// [`get_running_loop`](crate::get_running_loop) and [`timeout_at`](crate::timeout_at) return an
/// error, [`create_local_task`](crate::create_local_task) a task that has failed.
///
/// Dropping a runner without [`close`](Self::close) drops what is left in it: nothing is awaited,
/// nothing blocks.
pub struct MultiThreadRunner {
    /// Until it is closed.
    runtime: RefCell<Option<Runtime>>,
    workers: Arc<Workers>,
    context: Context,
}

impl MultiThreadRunner {
    /// Runs a program to its end (`Runner.run`).
    ///
    /// ```
    /// # use asyncio_core::{Result, Runner};
    /// # fn main() -> Result<()> {
    /// let runner = Runner::builder().worker_threads(2).build()?;
    /// assert_eq!(runner.run(async { Ok(1) })?, 1);
    /// assert!(runner.run(async { Err::<(), _>(std::io::Error::other("broken").into()) }).is_err());
    /// runner.close()
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What `main` ends with; [`KeyboardInterrupt`](crate::KeyboardInterrupt) when Ctrl-C ended it; a
    /// `KeyboardInterrupt` or [`SystemExit`](crate::SystemExit) of any task, at once;
    /// [`RuntimeError`] when the runner is closed, and when a loop or a runtime is being run by this
    /// thread.
    #[track_caller]
    pub fn run<T, F>(&self, main: F) -> Result<T>
    where
        F: StdFuture<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        self.run_in(&self.context, main)
    }

    /// As [`run`](Self::run), in another context than the runner's.
    ///
    /// # Errors
    ///
    /// As of `run`.
    #[track_caller]
    pub fn run_in<T, F>(&self, context: &Context, main: F) -> Result<T>
    where
        F: StdFuture<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let builder = TaskBuilder::at(Location::caller()).context(context.clone());
        let runtime = self.runtime.borrow();
        let runtime = runtime.as_ref().ok_or_else(closed)?;
        current::may_block_on(runtime)?;
        let workers = Arc::clone(&self.workers);
        let mut main = builder.start_on_workers(runtime.handle(), workers, main, true);
        let handle = main.handle();
        let interrupts = Interrupts::of_workers(runtime.handle(), &self.workers, handle.as_ref());
        let result = self.drive(runtime, poll_fn(|cx| Pin::new(&mut main).poll(cx)));
        let result = result.unwrap_or_else(|escaped| {
            // It may be the exception of `main` itself.
            cell::mark_retrieved(main.typed().cell());
            Err(escaped)
        });
        keyboard_interrupt(result, &interrupts, handle.as_ref())
    }

    /// The tokio runtime, for those who start something on it from outside.
    ///
    /// Tasks that are created by what runs there belong to the runner; see
    /// [`run_coroutine_threadsafe`](crate::run_coroutine_threadsafe).
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] when the runner is closed.
    pub fn handle(&self) -> Result<Handle, RuntimeError> {
        let runtime = self.runtime.borrow();
        let runtime = runtime.as_ref().ok_or_else(closed)?;
        Ok(runtime.handle().clone())
    }

    /// Cancels and awaits what is left, waits for the functions that threads are running, and ends the
    /// threads (`Runner.close`). Closing twice is fine.
    ///
    /// The wait for functions in threads ends after 300 seconds, and a warning is logged.
    ///
    /// ```
    /// # use asyncio_core::{Result, Runner, create_task, sleep};
    /// # fn main() -> Result<()> {
    /// let runner = Runner::builder().worker_threads(2).build()?;
    /// let left = runner.run(async { Ok(create_task(async { sleep(3600).await })) })?;
    /// runner.close()?;
    /// assert!(left.cancelled());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An exception that leaves the runner during the clean-up, such as
    /// [`KeyboardInterrupt`](crate::KeyboardInterrupt), and it is closed all the same;
    /// [`RuntimeError`] when a loop or a runtime is being run by this thread, and on the runner's own
    /// threads, and it is not.
    pub fn close(&self) -> Result<()> {
        {
            let runtime = self.runtime.borrow();
            let Some(runtime) = &*runtime else {
                return Ok(());
            };
            current::may_block_on(runtime)?;
            if workers::here().is_some_and(|here| Arc::ptr_eq(&here, &self.workers)) {
                let message = "Cannot close a runner from one of its own threads";
                return Err(RuntimeError::new(message).into());
            }
        }
        let Some(runtime) = self.runtime.take() else {
            return Ok(());
        };
        let interrupts = Interrupts::of_workers(runtime.handle(), &self.workers, None);
        let cleaned = self.cancel_all_tasks(&runtime);
        drop(interrupts);
        let (patience, begun) = (Duration::from_secs(JOIN_TIMEOUT), Instant::now());
        runtime.shutdown_timeout(patience);
        if begun.elapsed() >= patience {
            tracing::warn!(
                target: "asyncio",
                "The executor did not finishing joining its threads within {JOIN_TIMEOUT} seconds.",
            );
        }
        cleaned
    }

    /// Blocks this thread until a future is done, or until an exception leaves the runner.
    fn drive<T>(
        &self,
        runtime: &Runtime,
        mut future: impl StdFuture<Output = T> + Unpin,
    ) -> Result<T> {
        runtime.block_on(poll_fn(|cx| {
            if let Poll::Ready(escaped) = self.workers.poll_escape(cx) {
                return Poll::Ready(Err(escaped));
            }
            Pin::new(&mut future).poll(cx).map(Ok)
        }))
    }

    /// Cancels the tasks that are left, awaits them and reports their errors
    /// (`runners._cancel_all_tasks`).
    fn cancel_all_tasks(&self, runtime: &Runtime) -> Result<()> {
        let left = self.workers.tasks();
        if left.is_empty() {
            return Ok(());
        }
        for task in &left {
            task.cancel();
        }
        let waited = self.drive(runtime, wait(left.iter())).map(drop);
        for task in &left {
            report_unhandled(task, |context| self.workers.call_exception_handler(context));
        }
        waited
    }
}

impl Drop for MultiThreadRunner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for MultiThreadRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiThreadRunner")
            .field("closed", &self.runtime.borrow().is_none())
            .finish_non_exhaustive()
    }
}

/// The settings of a new [`MultiThreadRunner`]; see
/// [`RunnerBuilder::worker_threads`](crate::RunnerBuilder::worker_threads).
#[must_use = "a builder does nothing until `build` is called"]
pub struct MultiThreadRunnerBuilder {
    count: usize,
    thread_name: String,
    debug: bool,
    virtual_clock: bool,
    handler: Option<Box<Handler>>,
}

/// More threads than this are a mistake.
const MOST: usize = 1 << 15;

impl MultiThreadRunnerBuilder {
    pub(super) fn new(count: usize, debug: bool, virtual_clock: bool) -> Self {
        Self {
            count,
            thread_name: "asyncio-worker".to_owned(),
            debug,
            virtual_clock,
            handler: None,
        }
    }

    /// What the threads are called; `asyncio-worker` by default.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// Who hears of errors that nobody else can be told of, on whichever thread it is; by default they
    /// are logged. See [`EventLoop::set_exception_handler`](crate::EventLoop::set_exception_handler).
    ///
    /// ```
    /// # use asyncio_core::{Result, Runner, ValueError, create_task, sleep};
    /// # fn main() -> Result<()> {
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let runner = Runner::builder()
    ///     .worker_threads(2)
    ///     .exception_handler(move |context| {
    ///         let _ = sender.send(context.message().to_owned());
    ///     })
    ///     .build()?;
    /// runner.run(async {
    ///     drop(create_task::<(), _>(async { Err(ValueError::new("odd").into()) }));
    ///     sleep(0.01).await
    /// })?;
    /// runner.close()?;
    /// assert_eq!(receiver.recv()?, "Task exception was never retrieved");
    /// # Ok(())
    /// # }
    /// ```
    pub fn exception_handler(
        mut self,
        handler: impl Fn(&ExceptionContext) + Send + Sync + 'static,
    ) -> Self {
        self.handler = Some(Box::new(handler));
        self
    }

    /// Makes the runner, with a copy of the current context, and starts its threads.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when there are to be no threads, or more than 32768, and when the clock is to be a
    /// virtual one: on many threads nobody can tell when nothing is ready; an I/O error when the
    /// operating system refuses what a runtime needs, and [`RuntimeError`] when it refuses a thread.
    pub fn build(self) -> Result<MultiThreadRunner> {
        if self.count == 0 || self.count > MOST {
            let text = format!(
                "worker_threads must be from 1 to {MOST}, not {}",
                self.count
            );
            return Err(ValueError::new(text).into());
        }
        if self.virtual_clock {
            let text = "a virtual clock needs an event loop, without worker_threads";
            return Err(ValueError::new(text).into());
        }
        let workers = Arc::new(Workers::new(self.debug, self.handler));
        let theirs = Arc::clone(&workers);
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(self.count)
            .thread_name(self.thread_name)
            .on_thread_start(move || Workers::enter(&theirs))
            .enable_all();
        // A thread that cannot be started is a panic of tokio's.
        let runtime = catch_unwind(AssertUnwindSafe(|| builder.build()))
            .map_err(|panic| RuntimeError::new(Exception::from_panic(panic).to_string()))??;
        workers.belong_to(runtime.handle());
        Ok(MultiThreadRunner {
            runtime: RefCell::new(Some(runtime)),
            workers,
            context: copy_context(),
        })
    }
}

impl fmt::Debug for MultiThreadRunnerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiThreadRunnerBuilder")
            .field("worker_threads", &self.count)
            .field("thread_name", &self.thread_name)
            .finish_non_exhaustive()
    }
}

fn closed() -> RuntimeError {
    RuntimeError::new("Runner is closed")
}
