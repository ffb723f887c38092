//! The places to run. Each hands a workload to a task of its own, never to `block_on` itself, whose
//! future tokio wakes at a higher price than a task; the time is taken inside. All of tokio is enabled,
//! as it is in our loop and in programs.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::measure::cpu_time;
use crate::memory;

/// What a side measured.
pub(crate) struct Measured {
    pub(crate) time: Duration,
    /// For rows about memory: bytes of one operation.
    pub(crate) bytes: Option<f64>,
    /// What else it took.
    pub(crate) taken: Taken,
}

/// What a workload took of the processor and of memory.
pub(crate) enum Taken {
    /// All that this process did meanwhile.
    All,
    Share(Share),
    /// It was another process.
    Unknown,
}

/// What a workload took of this process.
#[derive(Clone, Copy)]
pub(crate) struct Share {
    pub(crate) cpu: Duration,
    pub(crate) allocations: u64,
}

impl From<Duration> for Measured {
    fn from(time: Duration) -> Self {
        Self {
            time,
            bytes: None,
            taken: Taken::All,
        }
    }
}

impl Measured {
    /// Of another process, of which nothing else is known.
    pub(crate) fn elsewhere(time: Duration) -> Self {
        Self {
            taken: Taken::Unknown,
            ..time.into()
        }
    }
}

/// Measures what a workload takes after it has made what it needs.
pub(crate) struct Stopwatch {
    start: Instant,
    cpu: Duration,
    allocations: u64,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self {
            allocations: memory::allocations(),
            cpu: cpu_time(),
            start: Instant::now(),
        }
    }

    pub(crate) fn stop(self) -> Measured {
        let time = self.start.elapsed();
        Measured {
            taken: Taken::Share(Share {
                cpu: cpu_time() - self.cpu,
                allocations: memory::allocations() - self.allocations,
            }),
            ..time.into()
        }
    }
}

/// Runs on a loop of ours.
pub(crate) fn ours<F>(workload: impl FnOnce() -> F + 'static) -> Measured
where
    F: Future<Output = asyncio_core::Result<()>> + 'static,
{
    on_loop(false, workload)
}

/// Runs on a loop of ours what measures itself.
pub(crate) fn ours_within<F>(workload: impl FnOnce() -> F + 'static) -> Measured
where
    F: Future<Output = asyncio_core::Result<Measured>> + 'static,
{
    asyncio_core::run(async move { workload().await }).expect("the workload does not fail")
}

/// Runs on tokio's current-thread runtime what measures itself.
pub(crate) fn current_thread_within<F>(workload: impl FnOnce() -> F + Send + 'static) -> Measured
where
    F: Future<Output = Measured> + Send + 'static,
{
    let mut builder = tokio::runtime::Builder::new_current_thread();
    within(&builder.enable_all().build().expect("a runtime"), workload)
}

/// Runs on tokio's multi-thread runtime, with two workers, what measures itself.
pub(crate) fn multi_thread_within<F>(workload: impl FnOnce() -> F + Send + 'static) -> Measured
where
    F: Future<Output = Measured> + Send + 'static,
{
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let builder = builder.worker_threads(2).enable_all();
    within(&builder.build().expect("a runtime"), workload)
}

fn within<F>(
    runtime: &tokio::runtime::Runtime,
    workload: impl FnOnce() -> F + Send + 'static,
) -> Measured
where
    F: Future<Output = Measured> + Send + 'static,
{
    runtime
        .block_on(runtime.spawn(async move { workload().await }))
        .expect("the workload does not panic")
}

/// Runs on a loop of ours whose clock jumps.
pub(crate) fn ours_virtual<F>(workload: impl FnOnce() -> F + 'static) -> Measured
where
    F: Future<Output = asyncio_core::Result<()>> + 'static,
{
    on_loop(true, workload)
}

fn on_loop<F>(virtual_clock: bool, workload: impl FnOnce() -> F + 'static) -> Measured
where
    F: Future<Output = asyncio_core::Result<()>> + 'static,
{
    let timed = async move {
        let start = Instant::now();
        workload().await?;
        Ok(start.elapsed())
    };
    let runner = asyncio_core::Runner::builder()
        .virtual_clock(virtual_clock)
        .build();
    let time = runner.and_then(|runner| {
        let time = runner.run(timed)?;
        runner.close()?;
        Ok(time)
    });
    time.expect("the workload does not fail").into()
}

/// Runs on tokio's current-thread runtime.
pub(crate) fn current_thread<F>(workload: impl FnOnce() -> F + Send + 'static) -> Measured
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut builder = tokio::runtime::Builder::new_current_thread();
    spawned(&builder.enable_all().build().expect("a runtime"), workload)
}

/// Runs on a `LocalSet` of tokio's current-thread runtime.
pub(crate) fn local_set<F>(workload: impl FnOnce() -> F + 'static) -> Measured
where
    F: Future<Output = ()> + 'static,
{
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("a runtime");
    let set = tokio::task::LocalSet::new();
    let timed = async move {
        let start = Instant::now();
        workload().await;
        start.elapsed()
    };
    let task = set.spawn_local(timed);
    set.block_on(&runtime, task)
        .expect("the workload does not panic")
        .into()
}

/// Runs on tokio's multi-thread runtime, with two workers.
pub(crate) fn multi_thread<F>(workload: impl FnOnce() -> F + Send + 'static) -> Measured
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    spawned(
        &builder
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime"),
        workload,
    )
}

fn spawned<F>(
    runtime: &tokio::runtime::Runtime,
    workload: impl FnOnce() -> F + Send + 'static,
) -> Measured
where
    F: Future<Output = ()> + Send + 'static,
{
    let timed = async move {
        let start = Instant::now();
        workload().await;
        start.elapsed()
    };
    runtime
        .block_on(runtime.spawn(timed))
        .expect("the workload does not panic")
        .into()
}
