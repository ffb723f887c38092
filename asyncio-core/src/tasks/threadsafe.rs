//! `run_coroutine_threadsafe`: a coroutine for somebody else's loop, and its result back here.

use std::future::Future as StdFuture;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};

use tokio::runtime::Handle as Runtime;

use super::task::TaskBuilder;
use crate::base_events::failed_callback;
use crate::contextvars::Slot;
use crate::current;
use crate::events::EventLoop;
use crate::exceptions::{Exception, Result, RuntimeError};
use crate::executors::Job;
use crate::runners::MultiThreadRunner;

/// Runs a coroutine on a loop from another thread (`asyncio.run_coroutine_threadsafe`), and returns a
/// [`Job`] of its result, which any thread may block for, await, or cancel.
///
/// It becomes a task there, in a copy of the context of here. Cancelling the job cancels the task, and
/// when the task is cancelled the job is, too.
///
/// ```
/// use asyncio_core::{Result, get_running_loop, run, run_coroutine_threadsafe, sleep, to_thread};
///
/// async fn add(a: u32, b: u32) -> Result<u32> {
///     sleep(0.001).await?;
///     Ok(a + b)
/// }
///
/// # fn main() -> Result<()> {
/// let sum = run(async {
///     let event_loop = get_running_loop()?;
///     to_thread(move || {
///         // Blocks this thread, while the loop runs the coroutine on its own.
///         run_coroutine_threadsafe(add(1, 2), &event_loop).result(5)
///     })
///     .await
/// })?;
/// assert_eq!(sum, 3);
/// # Ok(())
/// # }
/// ```
///
/// The place may also be a [`MultiThreadRunner`], or any tokio runtime by its handle:
///
/// ```
/// # use asyncio_core::{Result, Runner, run_coroutine_threadsafe, sleep};
/// # fn main() -> Result<()> {
/// let background = Runner::builder().worker_threads(2).build()?;
/// let job = run_coroutine_threadsafe(async { sleep(0.001).await }, &background);
/// job.result(5)?;
/// background.close()
/// # }
/// ```
///
/// Where the loop is closed the job has failed already, with a [`RuntimeError`]; a loop that is closed
/// before it has run the coroutine, and a runtime that ends before, leave the job cancelled.
#[track_caller]
pub fn run_coroutine_threadsafe<T, F, P>(coroutine: F, place: &P) -> Job<T>
where
    F: StdFuture<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
    P: RunsThreadsafe + ?Sized,
{
    let builder = TaskBuilder::at(Location::caller());
    let place = match place.place() {
        Ok(place) => place,
        Err(error) => return Job::failed(error.into()),
    };
    let job = Job::pending();
    let (chain, back) = (Chain(job.share()), place.clone());
    let start = move || {
        let started = catch_unwind(AssertUnwindSafe(|| builder.start(coroutine, true)));
        let task = match started {
            Ok(task) => task,
            Err(panic) => {
                // A task factory's: the loop's handler and whoever waits are both told.
                let exception = Exception::from_panic(panic);
                chain.0.settle(Err(exception.clone()));
                return Err(exception);
            }
        };
        if let Some(handle) = task.handle() {
            chain.0.add_done_callback(move |job| {
                if job.cancelled() {
                    let cancel = move || {
                        handle.cancel();
                        Ok(())
                    };
                    // What is closed has ended its tasks.
                    let _ = back.call(cancel);
                }
            });
        }
        task.add_done_callback(move |task| {
            if task.cancelled() {
                chain.0.cancel();
            } else if !chain.0.done() {
                chain.0.settle(task.typed().take_result());
            }
        });
        Ok(())
    };
    match place.call(start) {
        Ok(()) => job,
        Err(error) => Job::failed(error.into()),
    }
}

/// Where [`run_coroutine_threadsafe`] can run a coroutine: an [`EventLoop`], a [`MultiThreadRunner`], or
/// a tokio runtime by its handle.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not run coroutines for other threads",
    label = "an `EventLoop`, a `MultiThreadRunner` or a tokio `Handle` is wanted here",
    note = "the loop of a `Runner` is `&runner.get_loop()?`, that of an `OwnedEventLoop` is \
            `&*event_loop`"
)]
pub trait RunsThreadsafe {
    #[doc(hidden)]
    fn place(&self) -> Result<Place, RuntimeError>;
}

impl RunsThreadsafe for EventLoop {
    fn place(&self) -> Result<Place, RuntimeError> {
        Ok(Place(Inner::Loop(self.clone())))
    }
}

impl RunsThreadsafe for MultiThreadRunner {
    fn place(&self) -> Result<Place, RuntimeError> {
        self.handle()?.place()
    }
}

impl RunsThreadsafe for Runtime {
    fn place(&self) -> Result<Place, RuntimeError> {
        Ok(Place(Inner::Runtime(self.clone())))
    }
}

/// A place that calls functions for other threads.
#[expect(
    unnameable_types,
    reason = "it stands in the hidden part of a public trait, which is ours alone to implement"
)]
#[derive(Clone, Debug)]
pub struct Place(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Loop(EventLoop),
    Runtime(Runtime),
}

impl Place {
    /// Has a function called there, in a copy of the context of here.
    fn call(
        &self,
        function: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<(), RuntimeError> {
        match &self.0 {
            Inner::Loop(event_loop) => event_loop.call_soon_threadsafe(function).map(drop),
            Inner::Runtime(runtime) => {
                let values = current::values();
                drop(runtime.spawn(async move {
                    if let Err(exception) = current::in_context(Slot::own(values), function) {
                        failed_callback(None, exception, None);
                    }
                }));
                Ok(())
            }
        }
    }
}

/// The end of a job that its coroutine holds: when it goes without a result the job is cancelled.
struct Chain<T>(Job<T>);

impl<T> Drop for Chain<T> {
    fn drop(&mut self) {
        // Without effect on a job that is done.
        self.0.cancel();
    }
}
