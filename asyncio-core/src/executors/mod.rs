//! Where blocking work runs: `Executor`, `ThreadPoolExecutor`, and a loop's own pool.
//!
//! From `concurrent/futures` and the executor part of `asyncio/base_events.py`.

mod job;
#[cfg(all(feature = "process-pool", unix))]
mod process;
mod thread;

use std::sync::Arc;

pub use self::job::{Job, Work};
use self::job::{Shared, hold_virtual_clock};
#[cfg(all(feature = "process-pool", unix))]
pub use self::process::{
    BrokenProcess, BrokenProcessPool, ProcessPoolBuilder, ProcessPoolExecutor, TransferError,
};
#[cfg(all(feature = "process-pool", unix))]
pub(crate) use self::process::{Start, init};
pub use self::thread::{BrokenThreadPool, ThreadPoolBuilder, ThreadPoolExecutor};
use crate::cell::{self, CellRef, Outer, Part, Typed};
use crate::events::EventLoop;
use crate::exceptions::{Exception, Result, RuntimeError, TimeoutError};
use crate::futures::Future;
use crate::loop_cell::Core;
use crate::time::MaybeDelay;
use crate::timeouts::timeout as with_timeout;

/// Something that runs functions elsewhere (`concurrent.futures.Executor`).
///
/// ```
/// use asyncio_core::{Executor, Result, Work, get_running_loop, run};
///
/// /// A thread for each job.
/// struct Threads;
///
/// impl Executor for Threads {
///     fn execute(&self, work: Work) -> Result<()> {
///         std::thread::Builder::new().spawn(|| work.run())?;
///         Ok(())
///     }
///
///     fn shutdown(&self, _wait: bool, _cancel_futures: bool) {}
/// }
///
/// # fn main() -> Result<()> {
/// let answer = run(async {
///     get_running_loop()?.run_in_executor(Some(&Threads), || Ok(6 * 7)).await
/// })?;
/// assert_eq!(answer, 42);
/// # Ok(())
/// # }
/// ```
pub trait Executor: Send + Sync {
    /// Has work run, soon and elsewhere. What is never run is to be dropped, which cancels its job.
    ///
    /// # Errors
    ///
    /// Why no work is taken, such as a [`RuntimeError`] after a shutdown; it becomes the job's
    /// exception.
    fn execute(&self, work: Work) -> Result<()>;

    /// Takes no more work, and with `wait` blocks until what was taken is done; with
    /// `cancel_futures` what has not begun is dropped.
    fn shutdown(&self, wait: bool, cancel_futures: bool);
}

/// Hands a function to an executor; a job that has failed where it takes none.
pub(crate) fn submit<T, F>(executor: &dyn Executor, function: F) -> Job<T>
where
    F: FnOnce() -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    let (work, job) = Work::new(function);
    match executor.execute(work) {
        Ok(()) => job,
        Err(exception) => Job::failed(exception),
    }
}

impl EventLoop {
    /// Has a function run by an executor (`loop.run_in_executor`); `None` for the loop's own.
    ///
    /// Context variables are not seen in the function, as in Python; [`to_thread`](crate::to_thread)
    /// takes them along. Cancelling the future cancels what has not begun; what runs is left alone
    /// and its result is dropped.
    ///
    /// ```
    /// # use asyncio_core::{Result, get_running_loop, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let event_loop = get_running_loop()?;
    /// let manifest = event_loop.run_in_executor(None, || {
    ///     Ok(std::fs::read_to_string("Cargo.toml")?)
    /// });
    /// assert!(manifest.await?.contains("[package]"));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// On another thread than the loop's, once it is closed, and once its executor is shut down, the
    /// future is failed already, with a [`RuntimeError`].
    pub fn run_in_executor<T, F>(&self, executor: Option<&dyn Executor>, function: F) -> Future<T>
    where
        F: FnOnce() -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        match self.start_in_executor(executor, function) {
            Ok(future) => future,
            Err(exception) => Future::of(Typed::failed(exception)),
        }
    }

    fn start_in_executor<T, F>(
        &self,
        executor: Option<&dyn Executor>,
        function: F,
    ) -> Result<Future<T>>
    where
        F: FnOnce() -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let core = self.core()?;
        let own;
        let executor = match executor {
            Some(executor) => executor,
            None => {
                own = default_executor(core)?;
                &own
            }
        };
        let (work, job) = Work::new(function);
        let future = self.future_of_job(core, &job);
        executor.execute(work)?;
        Ok(future)
    }

    /// Has a function run by a worker of a process pool: `loop.run_in_executor` where the executor is
    /// one.
    ///
    /// The function captures nothing, and its argument and its value go by serde; see
    /// [`ProcessPoolExecutor`]. Cancelling the future cancels the job: what runs ends with its worker,
    /// which is killed.
    ///
    /// ```
    /// use asyncio_core::{ProcessPoolExecutor, Result, get_running_loop};
    ///
    /// fn factorial(n: u64) -> u64 {
    ///     (1..=n).product()
    /// }
    ///
    /// #[asyncio_core::main]
    /// async fn main() -> Result<()> {
    ///     let pool = ProcessPoolExecutor::new()?;
    ///     let factorial = get_running_loop()?.run_in_process(&pool, factorial, 10);
    ///     assert_eq!(factorial.await?, 3_628_800);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// On another thread than the loop's, once it is closed, and once the pool is shut down, the future
    /// is failed already, with a [`RuntimeError`].
    #[cfg(all(feature = "process-pool", unix))]
    pub fn run_in_process<A, R>(
        &self,
        pool: &ProcessPoolExecutor,
        function: fn(A) -> R,
        argument: A,
    ) -> Future<R>
    where
        A: serde::Serialize + serde::de::DeserializeOwned,
        R: serde::Serialize + serde::de::DeserializeOwned + Send + 'static,
    {
        let started = self.core().map_err(Exception::from).and_then(|core| {
            let job = pool.try_submit(function, &argument)?;
            Ok(self.future_of_job(core, &job))
        });
        started.unwrap_or_else(|exception| Future::of(Typed::failed(exception)))
    }

    /// A future that is done when a job is (`futures.wrap_future`).
    fn future_of_job<T: Send + 'static>(&self, core: &Core, job: &Job<T>) -> Future<T> {
        let shared = Arc::clone(job.shared());
        let outer = Outer::new(Some(core), InExecutor(Some(Arc::clone(&shared))), true);
        let future = Future::of(Typed::outer(&outer));
        let (event_loop, hold) = (self.clone(), hold_virtual_clock());
        let done = Arc::clone(&shared);
        let tell = move || {
            let arrived = move || {
                drop(hold);
                settle(&outer, &done);
            };
            // A loop that is closed by now hears nothing, as in Python.
            let _ = event_loop.call_soon_threadsafe(arrived);
        };
        shared.when_done(Box::new(tell));
        future
    }

    /// Sets the pool in which [`to_thread`](crate::to_thread), and
    /// [`run_in_executor`](Self::run_in_executor) without one, run (`loop.set_default_executor`).
    ///
    /// ```
    /// # use asyncio_core::{Result, ThreadPoolExecutor, get_running_loop, run, to_thread};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let pool = ThreadPoolExecutor::builder().thread_name_prefix("disk").build()?;
    /// get_running_loop()?.set_default_executor(pool)?;
    /// let name = to_thread(|| Ok(std::thread::current().name().map(str::to_owned))).await?;
    /// assert_eq!(name.as_deref(), Some("disk_0"));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] on another thread than the loop's, and once it is closed.
    pub fn set_default_executor(&self, executor: ThreadPoolExecutor) -> Result<(), RuntimeError> {
        let old = self.core()?.executor.replace(Some(executor));
        drop(old);
        Ok(())
    }

    /// Takes no more jobs for the loop's own pool and waits until its threads have ended
    /// (`loop.shutdown_default_executor`), for so long at the most; `None` for as long as it takes.
    ///
    /// When the time is over first a warning is logged and the threads are left to themselves.
    /// [`run`](crate::run) and [`Runner::close`](crate::Runner::close) do this, with 300 seconds.
    ///
    /// ```
    /// # use asyncio_core::{Result, get_running_loop, run, to_thread};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// to_thread(|| Ok(())).await?;
    /// get_running_loop()?.shutdown_default_executor(10).await?;
    /// assert!(to_thread(|| Ok(())).await.is_err());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`CancelledError`](crate::CancelledError) when the task is cancelled; [`RuntimeError`] on
    /// another thread than the loop's, and once it is closed; an I/O error when there can be no thread
    /// to wait on; [`ValueError`](crate::ValueError) when the delay is not a number.
    pub async fn shutdown_default_executor(&self, timeout: impl Into<MaybeDelay>) -> Result<()> {
        let timeout = timeout.into();
        let executor = {
            let core = self.core()?;
            core.executor_is_shut.set(true);
            core.executor.borrow().clone()
        };
        let Some(executor) = executor else {
            return Ok(());
        };
        let (work, job) = Work::new({
            let executor = executor.clone();
            move || {
                executor.shutdown(true, false);
                Ok(())
            }
        });
        let thread = std::thread::Builder::new()
            .name("asyncio-shutdown".to_owned())
            .spawn(move || work.run())?;
        match with_timeout(timeout, job).await {
            Err(error) if error.is::<TimeoutError>() => {
                tracing::warn!(
                    target: "asyncio",
                    "The executor did not finishing joining its threads within {} seconds.",
                    timeout.seconds().unwrap_or(f64::INFINITY),
                );
                executor.shutdown(false, false);
                Ok(())
            }
            Err(error) => Err(error),
            Ok(()) => {
                // Its last act was to tell us; a panic there would have been the job's.
                drop(thread.join());
                Ok(())
            }
        }
    }
}

/// The pool of a loop, made when it is first needed.
pub(crate) fn default_executor(core: &Core) -> Result<ThreadPoolExecutor, RuntimeError> {
    if core.executor_is_shut.get() {
        return Err(RuntimeError::new("Executor shutdown has been called"));
    }
    let mut executor = core.executor.borrow_mut();
    let made = executor.get_or_insert_with(|| ThreadPoolExecutor::named("asyncio"));
    Ok(made.clone())
}

/// The loop is being closed: its pool takes no more jobs, and nobody waits for those it has.
pub(crate) fn close(core: &Core) {
    core.executor_is_shut.set(true);
    let executor = core.executor.take();
    if let Some(executor) = executor {
        executor.shutdown(false, false);
    }
}

/// What the future of a job knows of it.
struct InExecutor<T>(Option<Arc<Shared<T>>>);

impl<T: Send + 'static> Part for InExecutor<T> {
    type Value = T;

    fn child_done(_: &Outer<Self>, _: &CellRef, _: u32) {}

    fn forwards_to(&self) -> Option<Vec<CellRef>> {
        None
    }

    fn asked(&mut self) {}

    fn answered(_: &Outer<Self>, _: bool) {}

    fn cancelled(outer: &Outer<Self>) {
        if let Some(Some(shared)) = outer.with(|part| part.0.take()) {
            shared.cancel();
        }
    }

    fn let_go(outer: &Outer<Self>) {
        drop(outer.with(|part| part.0.take()));
    }
}

/// The job is done: its future is, too (`futures._copy_future_state`).
fn settle<T: Send + 'static>(outer: &Outer<InExecutor<T>>, shared: &Shared<T>) {
    drop(outer.with(|part| part.0.take()));
    match shared.take() {
        // Whoever cancelled the future meanwhile was quicker.
        Some(Ok(value)) => drop(outer.complete(value)),
        Some(Err(error)) if Exception::is_cancelled(&error) => {
            cell::cancel(outer.cell(), &None);
        }
        Some(Err(error)) => outer.fail(error),
        None => {}
    }
}
