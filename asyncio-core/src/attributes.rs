//! What `#[asyncio_core::main]` and `#[asyncio_core::test]` call.

use std::future::Future as StdFuture;
use std::num::NonZero;
use std::process::ExitCode;

use crate::events::CallbackResult;
use crate::exceptions::{Exception, PanicError, Result};
use crate::exit::exit_code;
use crate::runners::{Runner, RunnerBuilder};

/// What stands in the attribute's parentheses.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the attributes write it down")]
pub struct Settings {
    /// Debug mode, where it was said.
    pub debug: Option<bool>,
    /// A clock that jumps.
    pub virtual_clock: bool,
    /// What the order is drawn with, where chance decides it.
    pub seed: Option<u64>,
    /// The function, with the modules that it is in: a test is started again by this name.
    pub name: &'static str,
}

/// Runs a program, and ends as its result says.
pub fn main<R, F>(settings: Settings, program: impl FnOnce() -> F + 'static) -> ExitCode
where
    F: StdFuture<Output = R> + 'static,
    R: CallbackResult,
{
    crate::init();
    exit_code(run(settings, program))
}

/// The same, on so many threads.
pub fn main_on_threads<R, F>(
    settings: Settings,
    count: Option<usize>,
    program: impl FnOnce() -> F + Send + 'static,
) -> ExitCode
where
    F: StdFuture<Output = R> + Send + 'static,
    R: CallbackResult,
{
    crate::init();
    exit_code(run_on_threads(settings, count, program))
}

/// Runs a test; a panic in it is one of the test's thread.
///
/// # Errors
///
/// What the test returned.
///
/// # Panics
///
/// When the test did.
pub fn test<R, F>(settings: Settings, program: impl FnOnce() -> F + 'static) -> Result<()>
where
    F: StdFuture<Output = R> + 'static,
    R: CallbackResult,
{
    init_test(settings);
    panicking(run(settings, program))
}

/// The same, on so many threads.
///
/// # Errors
///
/// What the test returned.
///
/// # Panics
///
/// When the test did.
pub fn test_on_threads<R, F>(
    settings: Settings,
    count: Option<usize>,
    program: impl FnOnce() -> F + Send + 'static,
) -> Result<()>
where
    F: StdFuture<Output = R> + Send + 'static,
    R: CallbackResult,
{
    init_test(settings);
    panicking(run_on_threads(settings, count, program))
}

/// As [`crate::init`], for a test, as which a worker process is started.
fn init_test(settings: Settings) {
    #[cfg(all(feature = "process-pool", unix))]
    if let Some((_, test)) = settings.name.split_once("::") {
        crate::executors::init(crate::executors::Start::Test(test));
    }
    #[cfg(not(all(feature = "process-pool", unix)))]
    let _ = settings;
}

fn panicking(result: Result<()>) -> Result<()> {
    let error = result.as_ref().err();
    if let Some(panic) = error.and_then(Exception::downcast_ref::<PanicError>) {
        // It has been printed where it happened.
        std::panic::resume_unwind(Box::new(panic.message().to_owned()));
    }
    result
}

fn run<R, F>(settings: Settings, program: impl FnOnce() -> F + 'static) -> Result<()>
where
    F: StdFuture<Output = R> + 'static,
    R: CallbackResult,
{
    let runner = settings.builder().build()?;
    let result = runner.run(async { program().await.into_result() });
    let closed = runner.close();
    result?;
    closed
}

fn run_on_threads<R, F>(
    settings: Settings,
    count: Option<usize>,
    program: impl FnOnce() -> F + Send + 'static,
) -> Result<()>
where
    F: StdFuture<Output = R> + Send + 'static,
    R: CallbackResult,
{
    let processors = || std::thread::available_parallelism().map_or(1, NonZero::get);
    let count = count.unwrap_or_else(processors);
    let runner = settings.builder().worker_threads(count).build()?;
    let result = runner.run(async { program().await.into_result() });
    let closed = runner.close();
    result?;
    closed
}

impl Settings {
    fn builder(self) -> RunnerBuilder {
        let mut builder = Runner::builder().virtual_clock(self.virtual_clock);
        if let Some(debug) = self.debug {
            builder = builder.debug(debug);
        }
        if let Some(seed) = self.seed {
            builder = builder.shuffle(seed);
        }
        builder
    }
}
