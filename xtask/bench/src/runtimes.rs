//! The places to run. Each hands a workload to a task of its own, never to `block_on` itself, whose
//! future tokio wakes at a higher price than a task; the time is taken inside. All of tokio is enabled,
//! as it is in our loop and in programs.

use std::future::Future;
use std::time::{Duration, Instant};

/// What a side measured.
pub(crate) struct Measured {
    pub(crate) time: Duration,
    /// For rows about memory: bytes of one operation.
    pub(crate) bytes: Option<f64>,
}

impl From<Duration> for Measured {
    fn from(time: Duration) -> Self {
        Self { time, bytes: None }
    }
}

/// Runs on a loop of ours.
pub(crate) fn ours<F>(workload: impl FnOnce() -> F + 'static) -> Measured
where
    F: Future<Output = asyncio_core::Result<()>> + 'static,
{
    on_loop(false, workload)
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
