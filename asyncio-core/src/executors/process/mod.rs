//! `ProcessPoolExecutor`: functions that run in processes of their own
//! (`concurrent/futures/process.py`).

mod child;
mod function;
mod native;
mod pool;
mod reply;
mod worker;

use std::fmt;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitStatus;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use self::child::{Start, init};
use self::function::Request;
use self::pool::{Call, Pool};
use self::reply::Reply;
use self::worker::Process;
use super::job::{Job, Shared};
use crate::exceptions::{Exception, Result, ValueError};

/// Runs functions in a bounded number of processes (`concurrent.futures.ProcessPoolExecutor`).
///
/// A worker is this very program, started once more; [`#[asyncio_core::main]`](macro@crate::main),
/// [`#[asyncio_core::test]`](macro@crate::test) and [`init`](crate::init) see to it that it then makes
/// calls instead of doing what the program does. So a function goes there by name, without anything
/// that it captures, and its argument and its value by serde. Workers are started as jobs come, and
/// only when none is idle; a handle is cheap to clone, the clone is the same pool.
///
/// What happens in a worker stays there. One that crashes or is killed fails the job that it had, with
/// [`BrokenProcess`], and another takes its place; a panic is that job's exception. **Cancelling a job
/// kills its worker**, so that cancelling works for code that never awaits, and for code of others.
///
/// ```
/// use asyncio_core::{ProcessPoolExecutor, Result};
///
/// fn factors(n: u64) -> Vec<u64> {
///     (1..=n).filter(|factor| n % factor == 0).collect()
/// }
///
/// #[asyncio_core::main]
/// async fn main() -> Result<()> {
///     let pool = ProcessPoolExecutor::builder().max_workers(2).build()?;
///     assert_eq!(pool.submit(factors, 28).await?, [1, 2, 4, 7, 14, 28]);
///     pool.shutdown(true, false);
///     Ok(())
/// }
/// ```
///
/// When the last handle is gone the workers end after the jobs they have, and when the program ends
/// they end at once. Ctrl-C does nothing to a worker: it is the program's, which cancels what it awaits.
///
/// # asyncio
///
/// A function that may fail returns a `Result` whose error serde knows, such as `Result<T, String>`:
/// an [`Exception`] may hold anything and goes to no other process. In Python a worker that dies
/// breaks the whole pool, and a job that runs is not cancelled. Items of [`map`](Self::map) are sent
/// one by one, without `chunksize`.
#[derive(Clone)]
pub struct ProcessPoolExecutor {
    owner: Arc<Owner>,
}

impl ProcessPoolExecutor {
    /// A pool of as many workers as there are processors, at the most.
    ///
    /// # Errors
    ///
    /// As of [`ProcessPoolBuilder::build`].
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// A pool with other settings.
    pub fn builder() -> ProcessPoolBuilder {
        ProcessPoolBuilder::default()
    }

    /// Has a function run by a worker (`Executor.submit`).
    ///
    /// It is a function without captures; what it needs is its argument, of several a tuple.
    ///
    /// ```
    /// use asyncio_core::{ProcessPoolExecutor, Result};
    ///
    /// fn main() -> Result<()> {
    ///     asyncio_core::init();
    ///     let pool = ProcessPoolExecutor::new()?;
    ///     let mut job = pool.submit(|(a, b): (u32, u32)| a + b, (40, 2));
    ///     assert_eq!(job.result(None)?, 42);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The job ends with [`BrokenProcess`] when its worker ends before it does,
    /// [`PanicError`](crate::PanicError) when the function panics, [`TransferError`] when the argument
    /// or the value cannot be sent, [`RuntimeError`](crate::RuntimeError) when the pool is shut down
    /// and when the function is one of a library that is loaded, [`BrokenProcessPool`] when no worker
    /// can be had.
    ///
    /// # Cancel safety
    ///
    /// When the task that awaits the job is cancelled, so is the job: one that no worker has begun
    /// never begins, and one that runs ends with its worker, which is killed. Dropping the job detaches
    /// it.
    pub fn submit<A, R>(&self, function: fn(A) -> R, argument: A) -> Job<R>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        self.try_submit(function, &argument)
            .unwrap_or_else(Job::failed)
    }

    /// As `submit`, where no job is wanted that has failed already.
    pub(super) fn try_submit<A, R>(&self, function: fn(A) -> R, argument: &A) -> Result<Job<R>>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        let request = Request::call(function, argument)?;
        let job = Job::pending();
        let shared = Arc::clone(job.shared());
        Pool::execute(&self.owner.pool, Box::new(TypedCall { request, shared }))?;
        Ok(job)
    }

    /// Has a function run for each of several items (`Executor.map`): the jobs, in the items' order.
    ///
    /// ```
    /// # use asyncio_core::{ProcessPoolExecutor, Result, gather_iter};
    /// #[asyncio_core::main]
    /// async fn main() -> Result<()> {
    ///     let pool = ProcessPoolExecutor::new()?;
    ///     let squares = gather_iter(pool.map(|n: u32| n * n, 1..=3)).await?;
    ///     assert_eq!(squares, [1, 4, 9]);
    ///     Ok(())
    /// }
    /// ```
    pub fn map<A, R>(&self, function: fn(A) -> R, items: impl IntoIterator<Item = A>) -> Vec<Job<R>>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        let submit = |item| self.submit(function, item);
        items.into_iter().map(submit).collect()
    }

    /// Takes no more jobs (`Executor.shutdown`).
    ///
    /// With `cancel_futures` the jobs that have not begun are cancelled, else they still run. With
    /// `wait` this blocks until every worker has ended; on an event loop that is a call for
    /// [`to_thread`](crate::to_thread).
    ///
    /// ```
    /// # use asyncio_core::{ProcessPoolExecutor, Result};
    /// # fn main() -> Result<()> {
    /// # asyncio_core::init();
    /// let pool = ProcessPoolExecutor::new()?;
    /// pool.shutdown(true, false);
    /// assert!(pool.submit(|()| (), ()).result(None).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown(&self, wait: bool, cancel_futures: bool) {
        self.owner.pool.shutdown(cancel_futures);
        if wait {
            self.owner.pool.join();
        }
    }

    /// Takes no more jobs, cancels those that have not begun and kills the workers
    /// (`ProcessPoolExecutor.kill_workers`, 3.14). Jobs that were running end with [`BrokenProcess`].
    ///
    /// ```
    /// # use asyncio_core::{BrokenProcess, ProcessPoolExecutor, Result};
    /// # use std::time::Duration;
    /// # fn main() -> Result<()> {
    /// # asyncio_core::init();
    /// let pool = ProcessPoolExecutor::new()?;
    /// let mut job = pool.submit(std::thread::sleep, Duration::from_secs(60));
    /// # while !job.running() { std::thread::yield_now(); }
    /// pool.kill_workers();
    /// assert!(job.result(None).is_err_and(|error| error.is::<BrokenProcess>()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn kill_workers(&self) {
        self.owner.pool.shutdown(true);
        self.owner.pool.kill();
    }

    /// The greatest number of workers.
    #[must_use]
    pub fn max_workers(&self) -> usize {
        self.owner.pool.max_workers
    }

    /// How many workers there are now.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.owner.pool.workers()
    }
}

impl fmt::Debug for ProcessPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPoolExecutor")
            .field("max_workers", &self.max_workers())
            .field("workers", &self.workers())
            .finish()
    }
}

/// The settings of a new [`ProcessPoolExecutor`].
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Default)]
pub struct ProcessPoolBuilder {
    max_workers: Option<usize>,
    max_tasks_per_child: Option<usize>,
    initializer: Option<Result<Request>>,
}

impl ProcessPoolBuilder {
    /// The greatest number of workers; the number of processors by default.
    pub fn max_workers(mut self, count: usize) -> Self {
        self.max_workers = Some(count);
        self
    }

    /// After how many jobs a worker is replaced by a new one; never by default.
    pub fn max_tasks_per_child(mut self, count: usize) -> Self {
        self.max_tasks_per_child = Some(count);
        self
    }

    /// What each worker does first. When it fails, the pool is broken: all its jobs fail with
    /// [`BrokenProcessPool`].
    ///
    /// ```
    /// # use asyncio_core::{ProcessPoolExecutor, Result};
    /// use std::sync::OnceLock;
    ///
    /// static GREETING: OnceLock<String> = OnceLock::new();
    ///
    /// fn prepare(greeting: String) -> Result<()> {
    ///     GREETING.get_or_init(|| greeting);
    ///     Ok(())
    /// }
    ///
    /// fn greet(name: String) -> Option<String> {
    ///     GREETING.get().map(|greeting| format!("{greeting}, {name}"))
    /// }
    ///
    /// #[asyncio_core::main]
    /// async fn main() -> Result<()> {
    ///     let pool = ProcessPoolExecutor::builder().initializer(prepare, "hello".to_owned()).build()?;
    ///     let greeting = pool.submit(greet, "ada".to_owned()).await?;
    ///     assert_eq!(greeting.as_deref(), Some("hello, ada"));
    ///     Ok(())
    /// }
    /// ```
    pub fn initializer<A>(mut self, function: fn(A) -> Result<()>, argument: A) -> Self
    where
        A: Serialize + DeserializeOwned,
    {
        self.initializer = Some(Request::initializer(function, &argument));
        self
    }

    /// Makes the pool; no worker is started yet.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`](crate::RuntimeError) where nobody has seen to it that workers can be started:
    /// see [`init`](crate::init). [`ValueError`] when there may be no workers or no tasks;
    /// [`TransferError`] when the initializer's argument cannot be sent.
    pub fn build(self) -> Result<ProcessPoolExecutor> {
        let start = child::start()?;
        let max_workers = self.max_workers.unwrap_or_else(processors);
        if max_workers == 0 {
            return Err(ValueError::new("max_workers must be greater than 0").into());
        }
        if self.max_tasks_per_child == Some(0) {
            return Err(ValueError::new("max_tasks_per_child must be >= 1").into());
        }
        let initializer = self.initializer.transpose()?;
        let pool = Pool::new(max_workers, self.max_tasks_per_child, initializer, start);
        let pool = Arc::new(pool);
        Ok(ProcessPoolExecutor {
            owner: Arc::new(Owner { pool }),
        })
    }
}

impl fmt::Debug for ProcessPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPoolBuilder")
            .field("max_workers", &self.max_workers)
            .field("max_tasks_per_child", &self.max_tasks_per_child)
            .finish_non_exhaustive()
    }
}

/// The worker that ran a job ended before the job did
/// (`concurrent.futures.process.BrokenProcessPool`, but the pool is as good as before).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenProcess {
    status: Option<ExitStatus>,
}

impl BrokenProcess {
    const fn new(status: Option<ExitStatus>) -> Self {
        Self { status }
    }

    /// How the worker ended, where that is known.
    #[must_use]
    pub const fn status(&self) -> Option<ExitStatus> {
        self.status
    }
}

impl fmt::Display for BrokenProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the worker process ended before its job did")?;
        match self.status {
            Some(status) => write!(f, ": {status}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for BrokenProcess {}

/// No worker can be had, because an initializer failed or the program did not call
/// [`init`](crate::init), and the pool takes no more jobs
/// (`concurrent.futures.process.BrokenProcessPool`). The source says why.
#[derive(Clone, Debug)]
pub struct BrokenProcessPool {
    cause: Exception,
}

impl BrokenProcessPool {
    const fn new(cause: Exception) -> Self {
        Self { cause }
    }
}

impl fmt::Display for BrokenProcessPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a worker could not be initialized, the process pool is not usable anymore")
    }
}

impl std::error::Error for BrokenProcessPool {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.cause.as_error())
    }
}

/// An argument or a value could not be sent to another process (`pickle.PicklingError`).
///
/// What serde writes here is not self-describing: types whose `Deserialize` asks what comes next, as
/// with `#[serde(untagged)]`, cannot be read. The source says what was wrong.
#[derive(Debug)]
pub struct TransferError {
    what: What,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Argument,
    Value,
}

impl TransferError {
    fn new(what: What, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self {
            what,
            cause: Box::new(cause),
        }
    }
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.what {
            What::Argument => "the argument cannot be sent to a worker",
            What::Value => "the value cannot be sent back by its worker",
        })
    }
}

impl std::error::Error for TransferError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.cause)
    }
}

/// What the handles hold: when it goes, the pool ends.
struct Owner {
    pool: Arc<Pool>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.pool.shutdown(false);
    }
}

/// A call of a function whose value is an `R`. Dropping it cancels a job that has not begun.
struct TypedCall<R> {
    request: Request,
    shared: Arc<Shared<R>>,
}

impl<R: DeserializeOwned + Send> Call for TypedCall<R> {
    fn request(&self) -> &Request {
        &self.request
    }

    fn begin(&self, process: &Arc<Process>) -> bool {
        let process = Arc::clone(process);
        self.shared.begin_killable(Box::new(move || process.kill()))
    }

    fn end(&self, outcome: Result<Reply>) -> bool {
        // What a type does when it is read is the user's code.
        let result = outcome.and_then(|reply| caught(|| reply.read()));
        match self.shared.finish(result) {
            Ok(()) => true,
            Err(unwanted) => {
                // So is what it does when it is dropped.
                let dropped = caught(move || {
                    drop(unwanted);
                    Ok(())
                });
                // A panic in it concerns nobody: the job was cancelled.
                drop(dropped);
                false
            }
        }
    }
}

impl<R> Drop for TypedCall<R> {
    fn drop(&mut self) {
        self.shared.cancel_pending();
    }
}

/// What a function comes to that may panic.
fn caught<T>(function: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(function))
        .unwrap_or_else(|panic| Err(Exception::from_panic(panic)))
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
