//! What the tests share.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use asyncio_core::{
    CancelledError, EventLoop, Exception, ExceptionContext, Result, Runner, Task, create_task,
    get_running_loop, sleep,
};

/// Runs a program on a loop whose clock jumps.
pub(crate) fn run_virtual<T: 'static>(
    main: impl Future<Output = Result<T>> + 'static,
) -> Result<T> {
    let runner = Runner::builder().virtual_clock(true).build()?;
    let result = runner.run(main);
    runner.close()?;
    result
}

/// Gives way a number of times.
pub(crate) async fn turns(count: usize) -> Result<()> {
    for _ in 0..count {
        sleep(0).await?;
    }
    Ok(())
}

/// What happened, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, entry: impl Into<String>) {
        self.0.borrow_mut().push(entry.into());
    }

    /// How much has happened.
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// What happened so far; the log is empty afterwards.
    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// What a loop's exception handler was told.
#[derive(Clone, Default)]
pub(crate) struct Reports(Rc<RefCell<Vec<ExceptionContext>>>);

impl Reports {
    /// Listens to a loop.
    pub(crate) fn of(event_loop: &EventLoop) -> Result<Self> {
        let reports = Self::default();
        let told = Rc::clone(&reports.0);
        event_loop.set_exception_handler(Some(Box::new(move |_, context| {
            told.borrow_mut().push(context.clone());
        })))?;
        Ok(reports)
    }

    /// Listens to the running loop.
    pub(crate) fn of_running() -> Result<Self> {
        Self::of(&get_running_loop()?)
    }

    pub(crate) fn take(&self) -> Vec<ExceptionContext> {
        self.0.take()
    }

    /// The reports so far as "message: exception"; there are none afterwards.
    pub(crate) fn take_lines(&self) -> Vec<String> {
        self.take().iter().map(line).collect()
    }
}

fn line(context: &ExceptionContext) -> String {
    match context.exception() {
        None => context.message().to_owned(),
        Some(exception) => format!("{}: {exception}", context.message()),
    }
}

/// Counts how many of the values it hands out are alive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alive(Arc<AtomicUsize>);

/// A value that is counted as long as it lives, and may go anywhere.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Alive {
    pub(crate) fn one(&self) -> Counted {
        self.0.fetch_add(1, Ordering::SeqCst);
        Counted(Arc::clone(&self.0))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Counted {
    /// Does nothing, but has a future that calls it hold the value until then.
    pub(crate) fn touch(&self) {}
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs a function on a thread whose stack is far too small for deep recursion.
pub(crate) fn on_small_stack<T: Send + 'static>(
    function: impl FnOnce() -> T + Send + 'static,
) -> T {
    let thread = std::thread::Builder::new()
        .stack_size(256 * 1024)
        .spawn(function)
        .expect("a thread can be spawned");
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The message of a cancellation; panics where the exception is something else.
#[track_caller]
pub(crate) fn cancel_message(exception: &Exception) -> Option<String> {
    exception
        .downcast_ref::<CancelledError>()
        .unwrap_or_else(|| panic!("{exception:?} is no cancellation"))
        .message()
        .map(str::to_owned)
}

/// The error of a result that must not be a value.
#[track_caller]
pub(crate) fn error_of<T>(result: Result<T, impl Into<Exception>>) -> Exception {
    match result {
        Ok(_) => panic!("a value where an error was expected"),
        Err(error) => error.into(),
    }
}

/// Whether a result is this kind of error.
pub(crate) fn fails_with<E: std::error::Error + 'static, T>(
    result: Result<T, impl Into<Exception>>,
) -> bool {
    result.is_err_and(|error| error.into().is::<E>())
}

/// Whether something that is measured comes below a bound in one of several attempts: a machine that
/// is busy with other things may delay any one of them.
pub(crate) fn comes_below(
    bound: Duration,
    mut attempt: impl FnMut() -> Result<Duration>,
) -> Result<bool> {
    for _ in 0..20 {
        if attempt()? < bound {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Runs a program as a task on tokio runtimes with two and with four threads, one after the other.
pub(crate) fn on_tokio<F>(program: impl Fn() -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    for threads in [2, 4] {
        on_threads(threads, program())?;
    }
    Ok(())
}

/// As `on_tokio`, and on runners with many threads too.
pub(crate) fn on_many_threads<F>(program: impl Fn() -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    on_tokio(&program)?;
    for threads in [2, 4] {
        let runner = Runner::builder().worker_threads(threads).build()?;
        let result = runner.run(asyncio_core::timeout(60, program()));
        runner.close()?;
        result?;
    }
    Ok(())
}

/// A task that has taken its first step by the time this returns.
pub(crate) async fn begun<T, F>(program: impl FnOnce() -> F + Send + 'static) -> Result<Task<T>>
where
    F: Future<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let task = create_task(async move {
        let _ = sender.send(());
        program().await
    });
    receiver.await?;
    Ok(task)
}

/// Waits, in real time, until something is so.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) -> Result<()> {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never is");
        sleep(0.001).await?;
    }
    Ok(())
}

/// Runs a program as a task on a tokio runtime with so many threads. What hangs has failed.
pub(crate) fn on_threads<T: Send + 'static>(
    threads: usize,
    program: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async move {
        let main = create_task(program);
        tokio::time::timeout(Duration::from_secs(60), main).await
    });
    // What the program left behind must not hold the test up.
    runtime.shutdown_timeout(Duration::from_secs(10));
    ended?
}
