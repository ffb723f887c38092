//! `Task`: a coroutine that the loop runs, and what makes one.

use std::fmt;
use std::future::{Future as StdFuture, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as PollContext, Poll};

use tokio::runtime::Handle as Runtime;

use super::handle::TaskHandle;
use crate::cell::{self, TaskParts, TaskRef, Typed};
use crate::contextvars::{Context, Slot};
use crate::current::{self, Frame};
use crate::events::{CallbackResult, with_running};
use crate::exceptions::{Exception, Result, RuntimeError};
use crate::futures::{CallbackId, callback_elsewhere, remove_done_callback, state_name};
use crate::loop_cell::Core;
use crate::primitives::Cell;
use crate::runners::workers::{self, Workers};

/// A coroutine that runs on its own (`asyncio.Task`), and a future of its result.
///
/// A task runs whether or not anybody awaits it; dropping the handle lets it run on. An exception
/// that nobody retrieves is reported to the loop's exception handler when the last handle is gone.
///
/// Several may await a task whose value is [`Clone`]: await a clone, or `&task`.
///
/// ```
/// use asyncio_core::{Result, create_task, run, sleep};
///
/// # fn main() -> Result<()> {
/// let sum = run(async {
///     let one = create_task(async { Ok(1) });
///     let two = create_task(async {
///         sleep(0).await?;
///         Ok(2)
///     });
///     Ok(one.await? + two.await?)
/// })?;
/// assert_eq!(sum, 3);
/// # Ok(())
/// # }
/// ```
///
/// A task that is cancelled between the end of what it awaits and its own next step raises
/// `CancelledError` and does not see the result; other handles still have it.
///
/// ```
/// # use asyncio_core::{Result, create_task, run, sleep};
/// # fn main() -> Result<()> {
/// # run(async {
/// let child = create_task(async {
///     sleep(0).await?;
///     Ok("value")
/// });
/// let awaited = child.clone();
/// let parent = create_task(async move { awaited.await });
/// sleep(0).await?;
/// sleep(0).await?; // the child is done, the parent has not resumed yet
/// assert!(child.done() && !parent.done());
/// parent.cancel();
/// assert!(parent.await.is_err_and(|error| error.is_cancelled()));
/// assert_eq!(child.await?, "value"); // only the parent has lost it
/// # Ok(())
/// # })
/// # }
/// ```
///
/// # Cancel safety
///
/// Dropping a task that is being awaited gives up the wait; the task runs on. Cancelling a task that
/// awaits this one cancels this one, as in Python.
///
/// # asyncio
///
/// The loop holds a task until it is done; in Python only a weak reference is kept.
pub struct Task<T> {
    inner: Typed<T>,
}

/// Starts a task (`asyncio.create_task`); its first step runs in the loop's next iteration.
///
/// Where no loop of this crate runs but a tokio runtime does, the task runs there: everything but the
/// order between tasks is the same. Where neither does, the task is failed already, with a
/// [`RuntimeError`]; see [`try_create_task`].
///
/// ```
/// # use asyncio_core::{Result, create_task, run};
/// # fn main() -> Result<()> {
/// assert_eq!(run(async { create_task(async { Ok("done") }).await })?, "done");
/// # Ok(())
/// # }
/// ```
///
/// ```
/// use asyncio_core::{Result, create_task, sleep};
///
/// #[tokio::main]
/// async fn main() -> Result<()> {
///     let hour = create_task(async { sleep(3600).await });
///     sleep(0.01).await?;
///     hour.cancel();
///     assert!(hour.await.is_err_and(|error| error.is_cancelled()));
///     Ok(())
/// }
/// ```
#[track_caller]
pub fn create_task<T, F>(future: F) -> Task<T>
where
    F: StdFuture<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    Task::builder().spawn(future)
}

/// As [`create_task`], but where there is nothing to run a task the error is returned at once.
///
/// ```
/// # use asyncio_core::try_create_task;
/// assert!(try_create_task(async { Ok(()) }).is_err(), "nothing runs tasks here");
/// ```
///
/// # Errors
///
/// [`RuntimeError`] when neither an event loop nor a tokio runtime runs on this thread.
#[track_caller]
pub fn try_create_task<T, F>(future: F) -> Result<Task<T>, RuntimeError>
where
    F: StdFuture<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let builder = Task::builder();
    if with_running(|_| ()).is_none() {
        runtime(true)?;
    }
    Ok(builder.spawn(future))
}

/// As [`create_task`], for a future that must stay on this thread.
///
/// It needs an event loop: on a tokio runtime, which may move a task to another thread, the task is
/// failed already, with a [`RuntimeError`].
///
/// ```
/// # use asyncio_core::{Result, create_local_task, run};
/// # use std::rc::Rc;
/// # fn main() -> Result<()> {
/// let count = run(async {
///     let shared = Rc::new(());
///     let theirs = Rc::clone(&shared);
///     create_local_task(async move { Ok(Rc::strong_count(&theirs)) }).await
/// })?;
/// assert_eq!(count, 2);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn create_local_task<T, F>(future: F) -> Task<T>
where
    F: StdFuture<Output = Result<T>> + 'static,
    T: 'static,
{
    Task::builder().spawn_local(future)
}

impl Task<()> {
    /// The keyword arguments of `create_task`: a name, a context, an eager start.
    ///
    /// ```
    /// # use asyncio_core::{Result, Task, run};
    /// # fn main() -> Result<()> {
    /// run(async {
    ///     let task = Task::builder().name("fetch").eager_start(true).spawn(async { Ok(7) });
    ///     assert!(task.done(), "it ran at once, up to its end");
    ///     assert_eq!(task.get_name(), "fetch");
    ///     assert_eq!(task.await?, 7);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[track_caller]
    pub fn builder() -> TaskBuilder {
        TaskBuilder {
            name: None,
            context: None,
            eager: false,
            location: Location::caller(),
        }
    }
}

impl<T: 'static> Task<T> {
    pub(crate) const fn of(inner: Typed<T>) -> Self {
        Self { inner }
    }

    /// Has a function called once the task is done, a turn of the loop later
    /// (`Task.add_done_callback`); where it is done already, in the next turn.
    ///
    /// The function runs in a copy of the context in which it was added, on the task's loop, or on
    /// the tokio runtime that ran the task.
    ///
    /// ```
    /// # use asyncio_core::{Result, create_task, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let task = create_task(async { Ok(7) });
    /// task.add_done_callback(|task| println!("ended with {:?}", task.result()));
    /// task.await?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn add_done_callback<R: CallbackResult>(
        &self,
        function: impl FnOnce(&Self) -> R + Send + 'static,
    ) -> CallbackId {
        let call = move |inner| function(&Self { inner }).into_result();
        CallbackId(
            self.inner
                .add_done_callback(Slot::own(current::values()), call),
        )
    }

    /// As [`add_done_callback`](Self::add_done_callback), in this context.
    pub fn add_done_callback_in<R: CallbackResult>(
        &self,
        context: &Context,
        function: impl FnOnce(&Self) -> R + Send + 'static,
    ) -> CallbackId {
        let call = move |inner| function(&Self { inner }).into_result();
        CallbackId(
            self.inner
                .add_done_callback(Slot::shared(context.clone()), call),
        )
    }

    /// As [`add_done_callback`](Self::add_done_callback), for a function that must stay on this
    /// thread.
    ///
    /// ```
    /// # use asyncio_core::{Result, create_task, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// # use std::{cell::Cell, rc::Rc};
    /// let calls = Rc::new(Cell::new(0));
    /// let counted = Rc::clone(&calls);
    /// let task = create_task(async { Ok(()) });
    /// task.add_local_done_callback(move |_| counted.set(counted.get() + 1))?;
    /// task.await?;
    /// assert_eq!(calls.get(), 1);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] where this is not the thread of the task's event loop.
    pub fn add_local_done_callback<R: CallbackResult>(
        &self,
        function: impl FnOnce(&Self) -> R + 'static,
    ) -> Result<CallbackId, RuntimeError> {
        let call = move |inner| function(&Self { inner }).into_result();
        let added = self
            .inner
            .add_local_done_callback(Slot::own(current::values()), call);
        added.map(CallbackId).ok_or_else(callback_elsewhere)
    }

    /// The exception, if the task ended with one (`Task.exception`).
    ///
    /// ```
    /// # use asyncio_core::{Result, ValueError, create_task, run, sleep};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let task = create_task::<(), _>(async { Err(ValueError::new("odd").into()) });
    /// sleep(0).await?;
    /// assert!(task.exception()?.is_some_and(|error| error.is::<ValueError>()));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`CancelledError`](crate::CancelledError) when it was cancelled,
    /// [`InvalidStateError`](crate::InvalidStateError) when it is not done, [`RuntimeError`] on
    /// another thread than its loop's.
    pub fn exception(&self) -> Result<Option<Exception>> {
        cell::error(self.inner.cell())
    }

    /// A task on this loop in this context, as `Runner` makes its main task.
    pub(crate) fn spawn_on<F>(
        core: &Core,
        future: F,
        context: Context,
        location: &'static Location<'static>,
    ) -> Self
    where
        F: StdFuture<Output = Result<T>> + 'static,
    {
        let builder = TaskBuilder {
            name: None,
            context: Some(context),
            eager: false,
            location,
        };
        builder.start_on(core, future, false)
    }

    pub(crate) fn into_typed(self) -> Typed<T> {
        self.inner
    }

    /// What a call that cannot start a task returns: done already, with the error.
    pub(crate) fn failed(exception: Exception) -> Self {
        Self::of(Typed::failed(exception))
    }
}

impl<T> Task<T> {
    /// Asks the task to end (`Task.cancel`); false when it is done already.
    ///
    /// The innermost future that the task awaits is cancelled at once, and in the next turn the task
    /// finds [`CancelledError`](crate::CancelledError) at its await. It may clean up, with awaits,
    /// and pass the error on, or go on and so refuse.
    ///
    /// ```
    /// # use asyncio_core::{Result, create_task, run, sleep};
    /// # fn main() -> Result<()> {
    /// run(async {
    ///     let task = create_task(async {
    ///         let slept = sleep(3600).await; // the request is delivered here
    ///         sleep(0).await?; // the clean-up may await
    ///         slept // and the error goes on
    ///     });
    ///     sleep(0).await?;
    ///     assert!(task.cancel());
    ///     assert!((&task).await.is_err_and(|error| error.is_cancelled()));
    ///     assert!(task.cancelled());
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// A task that is cancelled before its first step never begins.
    ///
    /// ```
    /// # use asyncio_core::{Result, create_task, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let task = create_task::<(), _>(async { panic!("never begins") });
    /// task.cancel();
    /// assert!(task.await.is_err_and(|error| error.is_cancelled()));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn cancel(&self) -> bool {
        self.inner.cancel(None)
    }

    /// As [`cancel`](Self::cancel), with a message for the `CancelledError`.
    ///
    /// ```
    /// # use asyncio_core::{Result, create_task, run, sleep};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let task = create_task(async { sleep(3600).await });
    /// sleep(0).await?;
    /// task.cancel_with_message("shutting down");
    /// let error = task.await.expect_err("it was cancelled");
    /// assert_eq!(error.to_string(), "cancelled: shutting down");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn cancel_with_message(&self, message: impl Into<String>) -> bool {
        self.inner.cancel(Some(message.into()))
    }

    /// Takes one request to cancel back (`Task.uncancel`); how many are left.
    ///
    /// Who catches a `CancelledError` and goes on for good says so with this: scopes outside tell by the
    /// count whether a cancellation is theirs.
    ///
    /// ```
    /// # use asyncio_core::{Result, create_task, current_task, run, sleep};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let task = create_task(async {
    ///     let me = current_task().expect("a coroutine runs in a task");
    ///     if sleep(3600).await.is_err() {
    ///         me.uncancel(); // answered: this task goes on
    ///     }
    ///     sleep(0).await?;
    ///     Ok(me.cancelling())
    /// });
    /// sleep(0).await?;
    /// task.cancel();
    /// assert_eq!(task.await?, 0);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn uncancel(&self) -> u32 {
        self.task().map_or(0, super::handle::uncancel)
    }

    /// How many requests to cancel there have been, less those taken back (`Task.cancelling`).
    #[must_use]
    pub fn cancelling(&self) -> u32 {
        self.task().map_or(0, |task| task.cancelling())
    }

    /// Whether the task has ended (`Task.done`).
    #[must_use]
    pub fn done(&self) -> bool {
        self.inner.done()
    }

    /// Whether the task ended by being cancelled (`Task.cancelled`).
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.inner.cancelled()
    }

    /// Takes a done callback back (`Task.remove_done_callback`); how many were removed.
    pub fn remove_done_callback(&self, id: CallbackId) -> usize {
        remove_done_callback(self.inner.cell(), id)
    }

    /// The task's name (`Task.get_name`), "Task-1" and so on where it was given none.
    #[must_use]
    pub fn get_name(&self) -> String {
        self.task().map_or_else(String::new, |task| task.name())
    }

    /// Names the task (`Task.set_name`).
    pub fn set_name(&self, name: impl Into<String>) {
        if let Some(task) = self.task() {
            task.set_name(Arc::from(name.into()));
        }
    }

    /// The context the task runs in (`Task.get_context`); `None` on another thread than its loop's.
    #[must_use]
    pub fn get_context(&self) -> Option<Context> {
        self.task().and_then(super::handle::context)
    }

    /// The untyped handle, as [`current_task`](crate::current_task) returns it; `None` for a task
    /// that never was one because no loop was running.
    ///
    /// ```
    /// # use asyncio_core::{Result, create_task, current_task, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let task = create_task(async { Ok(current_task()) });
    /// let handle = task.handle();
    /// assert_eq!(task.await?, handle);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    #[must_use]
    pub fn handle(&self) -> Option<TaskHandle> {
        self.task().map(|task| TaskHandle::of(task.clone()))
    }

    /// Whether two handles are of the same task.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.inner.cell().same_as(other.inner.cell())
    }

    fn task(&self) -> Option<&TaskRef> {
        self.inner.as_task()
    }

    pub(crate) const fn typed(&self) -> &Typed<T> {
        &self.inner
    }
}

impl<T: Clone + 'static> Task<T> {
    /// The value (`Task.result`).
    ///
    /// ```
    /// # use asyncio_core::{Result, create_task, run, sleep};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let task = create_task(async { Ok(7) });
    /// assert!(task.result().is_err(), "it is not done");
    /// sleep(0).await?;
    /// assert_eq!(task.result()?, 7);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The exception the task ended with; [`CancelledError`](crate::CancelledError) when it was
    /// cancelled, [`InvalidStateError`](crate::InvalidStateError) when it is not done,
    /// [`RuntimeError`] on another thread than its loop's.
    pub fn result(&self) -> Result<T> {
        self.inner.result()
    }
}

impl<T: Clone> Clone for Task<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<T: 'static> StdFuture for Task<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<Self::Output> {
        self.get_mut().inner.poll(cx)
    }
}

impl<T: Clone + 'static> IntoFuture for &Task<T> {
    type Output = Result<T>;
    type IntoFuture = Task<T>;

    fn into_future(self) -> Self::IntoFuture {
        self.clone()
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task() {
            Some(task) => super::handle::show(task, f),
            None => write!(f, "<Task {}>", state_name(self.inner.cell())),
        }
    }
}

/// How a task is to be made; see [`Task::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it spawns"]
pub struct TaskBuilder {
    pub(super) name: Option<Arc<str>>,
    context: Option<Context>,
    pub(super) eager: bool,
    location: &'static Location<'static>,
}

impl TaskBuilder {
    /// A builder for what is spawned at this place on somebody's behalf.
    pub(crate) const fn at(location: &'static Location<'static>) -> Self {
        Self {
            name: None,
            context: None,
            eager: false,
            location,
        }
    }

    /// The task's name; "Task-1" and so on where none is given, "Task" on a tokio runtime.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(Arc::from(name.into()));
        self
    }

    /// The context the task runs in, shared with whoever holds it; by default a copy of the current
    /// one.
    ///
    /// ```
    /// # use asyncio_core::{Context, ContextVar, Result, Task, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// let context = Context::new();
    /// let task = Task::builder().context(context.clone()).spawn(async {
    ///     USER.set("ada")?;
    ///     Ok(())
    /// });
    /// task.await?;
    /// assert_eq!(context.get(&USER), Some("ada"));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn context(mut self, context: Context) -> Self {
        self.context = Some(context);
        self
    }

    /// Whether the task runs up to its first wait at once, before this returns; off by default.
    ///
    /// ```
    /// # use asyncio_core::{Result, Task, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let eager = Task::builder().eager_start(true).spawn(async { Ok(7) });
    /// assert!(eager.done(), "there was nothing to wait for");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # asyncio
    ///
    /// Where the loop is not running the start is not eager, as in Python.
    pub const fn eager_start(mut self, eager: bool) -> Self {
        self.eager = eager;
        self
    }

    /// Starts the task; see [`create_task`].
    pub fn spawn<T, F>(self, future: F) -> Task<T>
    where
        F: StdFuture<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        self.start(future, true)
    }

    /// Starts the task, with a future that must stay on this thread; see [`create_local_task`].
    pub fn spawn_local<T, F>(self, future: F) -> Task<T>
    where
        F: StdFuture<Output = Result<T>> + 'static,
        T: 'static,
    {
        self.start(future, false)
    }

    #[inline]
    pub(crate) fn start<T, F>(self, future: F, is_send: bool) -> Task<T>
    where
        F: StdFuture<Output = Result<T>> + 'static,
        T: 'static,
    {
        current::with(|frame| match frame.and_then(Frame::core) {
            Some(core) => self.start_on(core, future, is_send),
            None if is_send && is_in_tokio_task() => self.start_driven(None, future),
            None => match runtime(is_send) {
                Ok(runtime) => self.start_driven(Some(&runtime), future),
                Err(error) => Task::of(Typed::failed(error.into())),
            },
        })
    }

    #[inline]
    fn start_on<T, F>(mut self, core: &Core, future: F, is_send: bool) -> Task<T>
    where
        F: StdFuture<Output = Result<T>> + 'static,
        T: 'static,
    {
        if core.task_factory.borrow().is_some() {
            self = self.through_factory(core);
        }
        let eager = self.eager && core.running.get();
        let inner = Typed::task(
            Some(core),
            future,
            self.parts(Numbering::Loop(core), is_send),
        );
        if let Some(task) = inner.as_task() {
            core.tasks.borrow_mut().insert(task.clone_here());
            if eager {
                cell::start_eagerly(Some(core), task);
            } else {
                cell::schedule_here(core, task);
            }
        }
        Task::of(inner)
    }

    #[cold]
    fn through_factory(self, core: &Core) -> Self {
        // Taken out first: the factory may set another one.
        let factory = core.task_factory.borrow().clone();
        match factory {
            Some(factory) => factory(self),
            None => self,
        }
    }

    #[inline(always)]
    pub(super) fn parts(self, numbering: Numbering<'_>, value_is_send: bool) -> TaskParts {
        let (number, name) = match (numbering, self.name) {
            (Numbering::Loop(core), None) => (count(&core.tasks_numbered), None),
            (Numbering::Loop(core), Some(name)) => {
                let made = count(&core.tasks_named);
                (core.tasks_numbered.get(), Some((name, made)))
            }
            (Numbering::Workers(workers), None) => (workers.count_name(), None),
            (Numbering::Workers(_), Some(name)) => (0, Some((name, 0))),
            (Numbering::None, name) => (0, name.map(|name| (name, 0))),
        };
        let context = match self.context {
            Some(context) => Slot::shared(context),
            None => Slot::own(current::values()),
        };
        TaskParts {
            context,
            number,
            name,
            spawned_at: self.location,
            value_is_send,
        }
    }
}

/// Who numbers a new task.
pub(super) enum Numbering<'a> {
    Loop(&'a Core),
    Workers(&'a Workers),
    /// On a tokio runtime of somebody else's tasks are not counted.
    None,
}

/// Whether this runs in a task of a tokio runtime that is none of ours. `tokio::spawn` finds that runtime
/// by itself then: a handle of it is counted by all its threads, so none is taken where it can be helped.
#[inline]
fn is_in_tokio_task() -> bool {
    tokio::task::try_id().is_some() && !workers::is_here()
}

/// The tokio runtime to spawn on where neither a loop of ours runs nor a task of somebody else's runtime.
#[inline(never)]
fn runtime(is_send: bool) -> Result<Runtime, RuntimeError> {
    let runtime = Runtime::try_current().map_err(|_| no_loop())?;
    if !is_send {
        return Err(RuntimeError::new(
            "a local task needs an event loop: a tokio runtime may move it to another thread",
        ));
    }
    Ok(runtime)
}

/// Starts a task on a loop whose thread this is, whether it is running or not.
pub(crate) fn spawn<T, F>(core: &Core, future: F, location: &'static Location<'static>) -> Task<T>
where
    F: StdFuture<Output = Result<T>> + 'static,
    T: 'static,
{
    let builder = TaskBuilder {
        name: None,
        context: None,
        eager: false,
        location,
    };
    builder.start_on(core, future, false)
}

pub(super) fn count(counter: &Cell<u64>) -> u64 {
    counter.set(counter.get() + 1);
    counter.get()
}

fn no_loop() -> RuntimeError {
    RuntimeError::new("no running event loop")
}
