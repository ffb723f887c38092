//! Making a task of whatever is given: `ensure_future` and `wrap_future`.

use std::future::{Future as StdFuture, IntoFuture};
use std::panic::Location;

use super::task::{Numbering, Task, TaskBuilder};
use crate::cancellable::FutureExt;
use crate::cell::{self, Typed};
use crate::current::{self, Frame};
use crate::events::into_handle;
use crate::exceptions::{Exception, Result};
use crate::runners::workers;

/// A task of what is given (`asyncio.ensure_future`): a [`Task`] or a [`Future`](crate::Future) as it
/// is, anything else as a new task.
///
/// ```
/// use asyncio_core::{Result, create_task, ensure_future, run};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let task = create_task(async { Ok(1) });
///     let same = ensure_future(task.clone());
///     assert!(same.same_as(&task));
///     assert_eq!(ensure_future(async { Ok(2) }).await? + task.await?, 3);
///     Ok(())
/// })
/// # }
/// ```
///
/// # asyncio
///
/// A plain future comes back in the form of a task too: `cancel`, `done`, `await` are the future's,
/// and what only tasks have (a name, a context) is empty.
#[track_caller]
pub fn ensure_future<T, F>(future: F) -> Task<T>
where
    F: IntoFuture<Output = Result<T>>,
    F::IntoFuture: Send + 'static,
    T: Send + 'static,
{
    Spawner::new(true, Location::caller()).ensure(future.into_future())
}

/// As [`ensure_future`], for what must stay on this thread.
#[track_caller]
pub fn ensure_local_future<T, F>(future: F) -> Task<T>
where
    F: IntoFuture<Output = Result<T>>,
    F::IntoFuture: 'static,
    T: 'static,
{
    Spawner::new(false, Location::caller()).ensure(future.into_future())
}

/// A task of something foreign whose errors are its own, such as tokio's `JoinHandle`
/// (`asyncio.wrap_future`).
///
/// ```
/// use asyncio_core::{Result, run, wrap_future};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let join_handle = tokio::task::spawn_blocking(|| 6 * 7);
///     assert_eq!(wrap_future(join_handle).await?, 42);
///     Ok(())
/// })
/// # }
/// ```
///
/// # Cancel safety
///
/// Cancelling the task drops the foreign future. A `JoinHandle` is detached by that: what has begun
/// on a thread goes on, as in Python.
#[track_caller]
pub fn wrap_future<T, E, F>(future: F) -> Task<T>
where
    F: StdFuture<Output = Result<T, E>> + Send + 'static,
    E: Into<Exception> + Send,
    T: Send + 'static,
{
    let wrapped = async move { future.cancellable().await?.map_err(Into::into) };
    Spawner::new(true, Location::caller()).ensure(wrapped)
}

/// Starts what combinators are given.
#[expect(
    unnameable_types,
    reason = "it stands in the hidden part of a public trait, which is ours alone to implement"
)]
#[derive(Clone, Copy, Debug)]
pub struct Spawner {
    is_send: bool,
    location: &'static Location<'static>,
}

impl Spawner {
    /// `is_send`: what is spawned may go to any thread.
    pub(crate) const fn new(is_send: bool, location: &'static Location<'static>) -> Self {
        Self { is_send, location }
    }

    /// Whether what is spawned may go to any thread.
    pub(crate) const fn is_send(self) -> bool {
        self.is_send
    }

    /// The future as a task: as it is where it is a handle of ours.
    pub(crate) fn ensure<T, F>(self, future: F) -> Task<T>
    where
        F: StdFuture<Output = Result<T>> + 'static,
        T: 'static,
    {
        match into_handle(future) {
            Ok(handle) => Task::of(handle),
            Err(future) => TaskBuilder::at(self.location).start(future, self.is_send),
        }
    }
}

impl TaskBuilder {
    /// A task whose future lies elsewhere, in a scope that polls it; the one that is given here is
    /// ready when that is.
    pub(crate) fn start_scoped<F>(self, future: F) -> Task<()>
    where
        F: StdFuture<Output = Result<()>> + Send + 'static,
    {
        let inner = current::with(|frame| match frame.and_then(Frame::core) {
            Some(core) => {
                let parts = self.parts(Numbering::Loop(core), true);
                Typed::scoped_task(Some(core), future, parts)
            }
            None => {
                let workers = workers::here();
                let numbering = workers
                    .as_deref()
                    .map_or(Numbering::None, Numbering::Workers);
                Typed::scoped_task(None, future, self.parts(numbering, true))
            }
        });
        inner.cell().access(|| inner.cell().set(cell::SCOPED));
        Task::of(inner)
    }
}
