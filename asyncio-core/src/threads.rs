//! `to_thread`: a blocking function on another thread (`asyncio/threads.py`).

use std::future::Future as StdFuture;

use tokio::runtime::Handle as Runtime;

use crate::contextvars::Slot;
use crate::current;
use crate::debug::Unpolled;
use crate::events::with_running;
use crate::exceptions::{Result, RuntimeError};
use crate::executors::{Executor, Work, default_executor, submit};

/// Runs a blocking function on another thread and awaits its result (`asyncio.to_thread`).
///
/// On an event loop that is a thread of the loop's own pool, see
/// [`EventLoop::set_default_executor`](crate::EventLoop::set_default_executor); on a tokio runtime it
/// is one of `spawn_blocking`'s. The function runs in a copy of the current context, so that it sees
/// the context variables. A panic in it is the caller's exception.
///
/// ```
/// use asyncio_core::{Result, run, to_thread};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let manifest = to_thread(|| Ok(std::fs::read_to_string("Cargo.toml")?)).await?;
///     assert!(manifest.contains("[package]"));
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// What the function fails with; [`CancelledError`](crate::CancelledError) when the task is
/// cancelled; [`RuntimeError`] where nothing runs and once the loop's pool is shut down.
///
/// # Cancel safety
///
/// When the task is cancelled, or the future dropped, a function that no thread has begun never
/// begins. One that has runs to its end, and its result is dropped.
#[track_caller]
pub fn to_thread<T, F>(function: F) -> impl StdFuture<Output = Result<T>> + Send
where
    F: FnOnce() -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    let unpolled = Unpolled::new(&"to_thread");
    async move {
        unpolled.polled();
        let values = current::values();
        let function = move || current::in_context(Slot::own(values), function);
        let job = match with_running(default_executor) {
            Some(executor) => submit(&executor?, function),
            None => match Runtime::try_current() {
                Ok(runtime) => submit(&Blocking(runtime), function),
                Err(_) => return Err(RuntimeError::new("no running event loop").into()),
            },
        };
        job.cancelled_on_drop().await
    }
}

/// The threads of a tokio runtime.
struct Blocking(Runtime);

impl Executor for Blocking {
    fn execute(&self, work: Work) -> Result<()> {
        drop(self.0.spawn_blocking(|| work.run()));
        Ok(())
    }

    fn shutdown(&self, _: bool, _: bool) {}
}
