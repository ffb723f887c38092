//! `wait_for`: one future, with a timeout.

use std::future::{Future as StdFuture, IntoFuture};
use std::panic::Location;

use super::ensure::Spawner;
use super::wait::cancel_and_wait;
use crate::debug::Unpolled;
use crate::exceptions::{Result, TimeoutError};
use crate::time::MaybeDelay;
use crate::timeouts;

/// Awaits a future for so long at the most (`asyncio.wait_for`); `None` for as long as it takes.
///
/// The future is awaited here, in the task that calls: a coroutine becomes no task of its own. When
/// the time is over it is cancelled and awaited to its end; a value that it returns all the same is
/// the result.
///
/// ```
/// use asyncio_core::{Result, TimeoutError, run, sleep, wait_for};
///
/// # fn main() -> Result<()> {
/// run(async {
///     assert_eq!(wait_for(async { Ok(1) }, 10).await?, 1);
///     let late = wait_for(sleep(3600), 0.001).await;
///     assert!(late.is_err_and(|error| error.is::<TimeoutError>()));
///     wait_for(sleep(0.001), None).await
/// })
/// # }
/// ```
///
/// With a delay of zero or less only what is done already gives its value; anything else is cancelled,
/// and a coroutine never begins.
///
/// # Errors
///
/// [`TimeoutError`] when the time is over first; what the future ends with; `CancelledError` when the
/// task is cancelled; [`ValueError`](crate::ValueError) when the delay is not a number.
///
/// # Cancel safety
///
/// Dropping it drops the future, or its handle.
#[track_caller]
pub fn wait_for<T, F>(
    future: F,
    timeout: impl Into<MaybeDelay>,
) -> impl StdFuture<Output = Result<T>> + Send
where
    F: IntoFuture<Output = Result<T>>,
    F::IntoFuture: Send + 'static,
    T: Send + 'static,
{
    let (spawner, unpolled) = (
        Spawner::new(true, Location::caller()),
        Unpolled::new(&"wait_for"),
    );
    run(future.into_future(), timeout.into(), spawner, unpolled)
}

/// As [`wait_for`], for a future that must stay on this thread.
#[track_caller]
pub fn wait_for_local<T, F>(
    future: F,
    timeout: impl Into<MaybeDelay>,
) -> impl StdFuture<Output = Result<T>>
where
    F: IntoFuture<Output = Result<T>>,
    F::IntoFuture: 'static,
    T: 'static,
{
    let (spawner, unpolled) = (
        Spawner::new(false, Location::caller()),
        Unpolled::new(&"wait_for_local"),
    );
    run(future.into_future(), timeout.into(), spawner, unpolled)
}

async fn run<T, F>(
    future: F,
    timeout: MaybeDelay,
    spawner: Spawner,
    unpolled: Unpolled,
) -> Result<T>
where
    F: StdFuture<Output = Result<T>> + 'static,
    T: 'static,
{
    unpolled.polled();
    if timeout
        .seconds()
        .is_none_or(|seconds| seconds > 0.0 || seconds.is_nan())
    {
        return timeouts::timeout(timeout, future).await;
    }
    let task = spawner.ensure(future);
    if task.done() {
        return task.typed().take_result();
    }
    // Not awaited itself: so whoever cancels this wait cancels it, and not the task once more.
    cancel_and_wait(&task).await?;
    task.typed().take_result().map_err(|error| {
        if error.is_cancelled() {
            TimeoutError::new("the deadline passed").into()
        } else {
            error
        }
    })
}
