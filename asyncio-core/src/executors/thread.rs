//! `ThreadPoolExecutor`: jobs on a bounded number of threads (`concurrent/futures/thread.py`).

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::job::{Job, Work};
use super::{Executor, submit};
use crate::base_events::default_exception_handler;
use crate::events::ExceptionContext;
use crate::exceptions::{Exception, Result, RuntimeError, ValueError};

/// Runs jobs on a bounded number of threads (`concurrent.futures.ThreadPoolExecutor`).
///
/// Threads are started as jobs come, and only when none is idle; a handle is cheap to clone, the clone
/// is the same pool. When the last handle is gone the threads end after the jobs they have; nothing
/// waits for them. [`shutdown`](Self::shutdown) does.
///
/// ```
/// use asyncio_core::{Result, ThreadPoolExecutor, gather_iter, run};
///
/// # fn main() -> Result<()> {
/// let pool = ThreadPoolExecutor::builder().max_workers(2).thread_name_prefix("sums").build()?;
/// let jobs = pool.map(|n: u64| Ok((1..=n).sum::<u64>()), [10, 100, 1000]);
/// let sums = run(async { gather_iter(jobs).await })?;
/// assert_eq!(sums, [55, 5050, 500_500]);
/// pool.shutdown(true, false);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ThreadPoolExecutor {
    owner: Arc<Owner>,
}

/// A thread of the pool failed to initialise, and the pool takes no more jobs
/// (`concurrent.futures.thread.BrokenThreadPool`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokenThreadPool;

impl fmt::Display for BrokenThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a thread initializer failed, the thread pool is not usable anymore")
    }
}

impl std::error::Error for BrokenThreadPool {}

impl ThreadPoolExecutor {
    /// A pool of `min(32, cpus + 4)` threads at the most.
    #[must_use]
    pub fn new() -> Self {
        Self::make(ThreadPoolBuilder::default(), default_workers())
    }

    /// A pool with other settings.
    pub fn builder() -> ThreadPoolBuilder {
        ThreadPoolBuilder::default()
    }

    /// Has a function run by a thread of the pool (`Executor.submit`).
    ///
    /// Where the pool is shut down or broken the job has failed already, with a [`RuntimeError`] or
    /// [`BrokenThreadPool`].
    ///
    /// ```
    /// # use asyncio_core::{Result, ThreadPoolExecutor};
    /// # fn main() -> Result<()> {
    /// let pool = ThreadPoolExecutor::new();
    /// let job = pool.submit(|| Ok("without any loop"));
    /// assert_eq!(job.result(None)?, "without any loop");
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit<T, F>(&self, function: F) -> Job<T>
    where
        F: FnOnce() -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        submit(self, function)
    }

    /// Has a function run for each of several items (`Executor.map`): the jobs, in the items' order.
    ///
    /// All are handed over at once. The results come by awaiting the jobs one by one, by
    /// [`gather_iter`](crate::gather_iter), or by [`Job::result`].
    ///
    /// ```
    /// # use asyncio_core::{Result, ThreadPoolExecutor};
    /// # fn main() -> Result<()> {
    /// let pool = ThreadPoolExecutor::new();
    /// let jobs = pool.map(|n: u32| Ok(n * n), 1..=3);
    /// let squares: Vec<u32> = jobs.into_iter().map(|job| job.result(None)).collect::<Result<_>>()?;
    /// assert_eq!(squares, [1, 4, 9]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<I, T, F>(&self, function: F, items: impl IntoIterator<Item = I>) -> Vec<Job<T>>
    where
        F: Fn(I) -> Result<T> + Send + Sync + 'static,
        I: Send + 'static,
        T: Send + 'static,
    {
        let function = Arc::new(function);
        let submit = |item| {
            let function = Arc::clone(&function);
            self.submit(move || function(item))
        };
        items.into_iter().map(submit).collect()
    }

    /// Takes no more jobs (`Executor.shutdown`).
    ///
    /// With `cancel_futures` the jobs that have not begun are cancelled, else they still run. With
    /// `wait` this blocks until every thread has ended; on an event loop that is a call for
    /// [`to_thread`](crate::to_thread).
    ///
    /// ```
    /// # use asyncio_core::ThreadPoolExecutor;
    /// let pool = ThreadPoolExecutor::new();
    /// pool.shutdown(true, false);
    /// assert!(pool.submit(|| Ok(())).result(None).is_err());
    /// ```
    pub fn shutdown(&self, wait: bool, cancel_futures: bool) {
        self.owner.pool.shutdown(cancel_futures);
        if wait {
            self.owner.pool.join();
        }
    }

    /// The greatest number of threads.
    #[must_use]
    pub fn max_workers(&self) -> usize {
        self.owner.pool.max_workers
    }

    /// How many threads there are now.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.owner.pool.lock().live
    }

    /// The pool of a loop.
    pub(super) fn named(prefix: &str) -> Self {
        let builder = Self::builder().thread_name_prefix(prefix);
        Self::make(builder, default_workers())
    }

    fn make(builder: ThreadPoolBuilder, max_workers: usize) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        // Relaxed: only that numbers differ matters.
        let prefix = builder.thread_name_prefix.unwrap_or_else(|| {
            format!(
                "ThreadPoolExecutor-{}",
                MADE.fetch_add(1, Ordering::Relaxed)
            )
        });
        Self {
            owner: Arc::new(Owner {
                pool: Arc::new(Pool {
                    max_workers,
                    prefix,
                    initializer: builder.initializer,
                    state: Mutex::new(State::default()),
                    work_or_end: Condvar::new(),
                    thread_ended: Condvar::new(),
                }),
            }),
        }
    }
}

impl Executor for ThreadPoolExecutor {
    fn execute(&self, work: Work) -> Result<()> {
        Pool::execute(&self.owner.pool, work)
    }

    fn shutdown(&self, wait: bool, cancel_futures: bool) {
        Self::shutdown(self, wait, cancel_futures);
    }
}

impl Default for ThreadPoolExecutor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolExecutor")
            .field("prefix", &self.owner.pool.prefix)
            .field("max_workers", &self.max_workers())
            .field("threads", &self.threads())
            .finish()
    }
}

/// The settings of a new [`ThreadPoolExecutor`].
#[derive(Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ThreadPoolBuilder {
    max_workers: Option<usize>,
    thread_name_prefix: Option<String>,
    initializer: Option<Initializer>,
}

type Initializer = Box<dyn Fn() -> Result<()> + Send + Sync>;

impl ThreadPoolBuilder {
    /// The greatest number of threads; `min(32, cpus + 4)` by default.
    pub const fn max_workers(mut self, count: usize) -> Self {
        self.max_workers = Some(count);
        self
    }

    /// What the threads' names begin with; "_0", "_1" and so on follows.
    pub fn thread_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.thread_name_prefix = Some(prefix.into());
        self
    }

    /// What each thread does first. When it fails, the pool is broken: all its jobs fail with
    /// [`BrokenThreadPool`].
    ///
    /// ```
    /// # use asyncio_core::{BrokenThreadPool, Result, RuntimeError, ThreadPoolExecutor};
    /// # fn main() -> Result<()> {
    /// let pool = ThreadPoolExecutor::builder()
    ///     .initializer(|| Err(RuntimeError::new("no licence for this thread").into()))
    ///     .build()?;
    /// let error = pool.submit(|| Ok(())).result(None).expect_err("the pool is broken");
    /// assert!(error.is::<BrokenThreadPool>());
    /// # Ok(())
    /// # }
    /// ```
    pub fn initializer(
        mut self,
        initializer: impl Fn() -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.initializer = Some(Box::new(initializer));
        self
    }

    /// Makes the pool; no thread is started yet.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when there may be no threads.
    pub fn build(self) -> Result<ThreadPoolExecutor, ValueError> {
        let max_workers = self.max_workers.unwrap_or_else(default_workers);
        if max_workers == 0 {
            return Err(ValueError::new("max_workers must be greater than 0"));
        }
        Ok(ThreadPoolExecutor::make(self, max_workers))
    }
}

impl fmt::Debug for ThreadPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolBuilder")
            .field("max_workers", &self.max_workers)
            .field("thread_name_prefix", &self.thread_name_prefix)
            .finish_non_exhaustive()
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

/// What the threads hold.
struct Pool {
    max_workers: usize,
    prefix: String,
    initializer: Option<Initializer>,
    state: Mutex<State>,
    work_or_end: Condvar,
    thread_ended: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Work>,
    /// Threads that wait and that nobody has called yet.
    idle: usize,
    /// Calls that have not been heard.
    called: usize,
    /// How many threads were ever started, for their names.
    started: usize,
    /// How many have not ended.
    live: usize,
    threads: Vec<JoinHandle<()>>,
    is_shut: bool,
    is_broken: bool,
}

impl Pool {
    fn execute(this: &Arc<Self>, work: Work) -> Result<()> {
        let mut state = this.lock();
        if state.is_broken {
            return Err(BrokenThreadPool.into());
        }
        if state.is_shut {
            return Err(RuntimeError::new("cannot schedule new futures after shutdown").into());
        }
        state.queue.push_back(work);
        if state.idle > 0 {
            state.idle -= 1;
            state.called += 1;
            drop(state);
            this.work_or_end.notify_one();
        } else if state.live < this.max_workers {
            let pool = Arc::clone(this);
            let name = format!("{}_{}", this.prefix, state.started);
            let spawned = std::thread::Builder::new()
                .name(name)
                .spawn(move || pool.work());
            match spawned {
                Ok(thread) => {
                    state.started += 1;
                    state.live += 1;
                    state.threads.push(thread);
                }
                // The threads there are will come to it.
                Err(_) if state.live > 0 => {}
                Err(error) => {
                    let work = state.queue.pop_back();
                    drop(state);
                    drop(work);
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// What each thread does (`_worker`).
    fn work(self: &Arc<Self>) {
        let _ended = Ended(self);
        if let Some(initializer) = &self.initializer {
            let initialized = catch_unwind(AssertUnwindSafe(initializer))
                .unwrap_or_else(|panic| Err(Exception::from_panic(panic)));
            if let Err(exception) = initialized {
                default_exception_handler(&ExceptionContext::new(
                    "Exception in initializer:",
                    Some(exception),
                ));
                self.broken();
                return;
            }
        }
        let mut state = self.lock();
        loop {
            if let Some(work) = state.queue.pop_front() {
                drop(state);
                // The function's own panic is its job's; this is one in the drop of what it left.
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work.run())) {
                    default_exception_handler(&ExceptionContext::new(
                        "Exception in worker",
                        Some(Exception::from_panic(panic)),
                    ));
                }
                state = self.lock();
                continue;
            }
            if state.is_shut {
                return;
            }
            state.idle += 1;
            loop {
                state = self
                    .work_or_end
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                if state.called > 0 {
                    state.called -= 1;
                    break;
                }
                if state.is_shut {
                    state.idle -= 1;
                    break;
                }
            }
        }
    }

    fn shutdown(&self, cancel_futures: bool) {
        let mut state = self.lock();
        state.is_shut = true;
        let cancelled = if cancel_futures {
            std::mem::take(&mut state.queue)
        } else {
            VecDeque::new()
        };
        drop(state);
        self.work_or_end.notify_all();
        // Dropping work cancels its job, which may call anything.
        drop(cancelled);
    }

    /// An initializer failed (`_initializer_failed`).
    fn broken(&self) {
        let mut state = self.lock();
        state.is_broken = true;
        state.is_shut = true;
        let failed = std::mem::take(&mut state.queue);
        drop(state);
        self.work_or_end.notify_all();
        for work in failed {
            work.fail(BrokenThreadPool);
        }
    }

    /// Blocks until every thread has ended, except this one where it is a thread of the pool.
    fn join(&self) {
        let here = std::thread::current().id();
        let mut mine = 0;
        loop {
            let thread = self.lock().threads.pop();
            match thread {
                None => break,
                Some(thread) if thread.thread().id() == here => mine = 1,
                // A thread ends without a panic: all that it calls is caught.
                Some(thread) => drop(thread.join()),
            }
        }
        // Somebody else may be joining the rest.
        let mut state = self.lock();
        while state.live > mine {
            state = self
                .thread_ended
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a thread has ended.
struct Ended<'a>(&'a Pool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().live -= 1;
        self.0.thread_ended.notify_all();
    }
}

fn default_workers() -> usize {
    let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
    (cpus + 4).min(32)
}
