//! `task_group`: tasks that end before the scope that started them (`asyncio/taskgroups.py`).

use std::fmt;
use std::future::{Future as StdFuture, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::{Context as PollContext, Poll};

use self::members::Members;
use crate::cell::{self, Outer, TaskRef, Waiter};
use crate::contextvars::Context;
use crate::current::{self, Frame};
use crate::exception_group::ExceptionGroup;
use crate::exceptions::{CancelledError, Exception, Result, RuntimeError};
use crate::loop_cell::{Core, Mail};
use crate::scoped::Scoped;
use crate::tasks::{Task, TaskBuilder, uncancel};

mod members;

/// Runs a function with a group of tasks, and ends when they all have ended
/// (`async with asyncio.TaskGroup()`).
///
/// The function gets a [`TaskGroup`] to start tasks with. When one of them fails, the others and the
/// function itself are cancelled and awaited, and all exceptions are raised together, as an
/// [`ExceptionGroup`]. Being cancelled is not failing. A panic is an exception as any other.
///
/// ```
/// use asyncio_core::{Result, run, sleep, task_group};
///
/// # fn main() -> Result<()> {
/// let (one, two) = run(async {
///     task_group(async |group| {
///         let one = group.create_task(async { Ok(1) });
///         let two = group.create_task(async {
///             sleep(0.001).await?;
///             Ok(2)
///         });
///         Ok((one.await?, two.await?))
///     })
///     .await
/// })?;
/// assert_eq!(one + two, 3);
/// # Ok(())
/// # }
/// ```
///
/// The tasks must own what they use, or share it; for tasks that borrow there is
/// [`scope`](crate::scope).
///
/// ```
/// # use asyncio_core::{Result, ValueError, run, sleep, task_group};
/// # fn main() {
/// # let result: Result<()> = run(async {
/// task_group(async |group| {
///     group.create_task(async { sleep(3600).await }); // is cancelled
///     group.create_task::<(), _>(async { Err(ValueError::new("odd").into()) });
///     Ok(())
/// })
/// .await
/// # });
/// # let error = result.unwrap_err();
/// # assert_eq!(error.as_group().map(|group| group.exceptions().len()), Some(1));
/// # }
/// ```
///
/// # Errors
///
/// An [`ExceptionGroup`] of what the tasks, then the function itself, failed with;
/// [`CancelledError`] when the task was cancelled from outside and nothing failed;
/// [`KeyboardInterrupt`](crate::KeyboardInterrupt) and [`SystemExit`](crate::SystemExit) as they are;
/// [`TaskGroupCancelled`] when [`TaskGroup::cancel`] kept the function from returning a value;
/// [`RuntimeError`] where no loop and no tokio runtime runs.
///
/// # Cancel safety
///
/// Cancelling the task cancels the group's tasks, and the error arrives when they have ended. When the
/// group is dropped its tasks are not polled any more: they are dropped with it, on a tokio runtime by
/// the thread that is polling them.
///
/// # asyncio
///
/// The function may be an async closure or any function that returns a future; a name of its own for
/// each of the two is not needed.
pub async fn task_group<T, F, Fut>(body: F) -> Result<T>
where
    F: FnOnce(TaskGroup) -> Fut,
    Fut: StdFuture<Output = Result<T>>,
{
    let group = TaskGroup::enter()?;
    group.clone().run(async move { body(group).await }).await
}

/// A group of tasks that is open; see [`task_group`]. Clones are the same group.
///
/// A clone may be given to the tasks, which may start more of them as long as some are running. The
/// group of a task of an event loop starts tasks on that loop's thread only; on a tokio runtime any
/// thread may.
#[derive(Clone)]
pub struct TaskGroup {
    members: Outer<Members>,
    /// `None`: the group was entered by something that is no task of ours.
    parent: Option<TaskRef>,
}

/// A group was cancelled by [`TaskGroup::cancel`] and its function, interrupted by that, has no value.
///
/// # asyncio
///
/// There the block is left as if it had come to its end, which gives no value anyway. Where the function
/// returns nothing, or something that can be made up, match on this error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskGroupCancelled;

impl fmt::Display for TaskGroupCancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task group was cancelled before its function returned")
    }
}

impl std::error::Error for TaskGroupCancelled {}

impl TaskGroup {
    /// Starts a task in the group (`TaskGroup.create_task`).
    ///
    /// When the group is finished or shutting down the future is dropped, and the task has failed
    /// already, with a [`RuntimeError`]; see [`try_create_task`](Self::try_create_task).
    ///
    /// ```
    /// # use asyncio_core::{Result, run, task_group};
    /// # fn main() -> Result<()> {
    /// run(async {
    ///     task_group(async |group| {
    ///         let inner = group.clone();
    ///         group.create_task(async move {
    ///             inner.create_task(async { Ok("a sibling") }).await
    ///         });
    ///         Ok(())
    ///     })
    ///     .await
    /// })
    /// # }
    /// ```
    #[track_caller]
    pub fn create_task<T, F>(&self, future: F) -> Task<T>
    where
        F: StdFuture<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        self.builder().spawn(future)
    }

    /// As [`create_task`](Self::create_task), but where no task can be started the error is returned
    /// at once.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] when the group is finished or shutting down, and where no loop and no tokio
    /// runtime runs.
    #[track_caller]
    pub fn try_create_task<T, F>(&self, future: F) -> Result<Task<T>, RuntimeError>
    where
        F: StdFuture<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        self.start(TaskBuilder::at(Location::caller()), future, true)
    }

    /// As [`create_task`](Self::create_task), for a future that must stay on this thread.
    #[track_caller]
    pub fn create_local_task<T, F>(&self, future: F) -> Task<T>
    where
        F: StdFuture<Output = Result<T>> + 'static,
        T: 'static,
    {
        self.builder().spawn_local(future)
    }

    /// As [`try_create_task`](Self::try_create_task), for a future that must stay on this thread.
    ///
    /// # Errors
    ///
    /// As of `try_create_task`.
    #[track_caller]
    pub fn try_create_local_task<T, F>(&self, future: F) -> Result<Task<T>, RuntimeError>
    where
        F: StdFuture<Output = Result<T>> + 'static,
        T: 'static,
    {
        self.start(TaskBuilder::at(Location::caller()), future, false)
    }

    /// The keyword arguments of `create_task`: a name, a context, an eager start.
    ///
    /// ```
    /// # use asyncio_core::{Result, run, task_group};
    /// # fn main() -> Result<()> {
    /// run(async {
    ///     task_group(async |group| {
    ///         let task = group.builder().name("fetch").spawn(async { Ok(7) });
    ///         assert_eq!(task.get_name(), "fetch");
    ///         task.await
    ///     })
    ///     .await
    ///     .map(drop)
    /// })
    /// # }
    /// ```
    #[track_caller]
    pub fn builder(&self) -> TaskGroupBuilder {
        TaskGroupBuilder {
            group: self.clone(),
            builder: TaskBuilder::at(Location::caller()),
        }
    }

    /// Cancels the tasks of the group and its function, and has the group end without an error for that
    /// (`TaskGroup.cancel`, 3.15). Without effect once the group is finished.
    ///
    /// ```
    /// use asyncio_core::{Result, run, sleep, task_group};
    ///
    /// # fn main() -> Result<()> {
    /// run(async {
    ///     task_group(async |group| {
    ///         group.create_task(async { sleep(3600).await });
    ///         group.cancel();
    ///         Ok(())
    ///     })
    ///     .await
    /// })
    /// # }
    /// ```
    pub fn cancel(&self) {
        if !self.members.cell().is_reachable() {
            let group = self.clone();
            // A loop that is closed has no groups any more.
            let cancel = Mail::Run(Box::new(move |_: &Core| group.cancel()));
            drop(self.members.cell().home().post(cancel));
            return;
        }
        // Held open meanwhile, so that the parent is not cancelled when it has left the group.
        let Some(_open) = self.hold() else { return };
        self.members.with(|members| members.aborting = true);
        members::cancel_children(&self.members);
        members::cancel_parent(&self.members);
    }

    /// A group whose parent is the task that runs here, or what polls us where that is no task of ours.
    pub(crate) fn enter() -> Result<Self, RuntimeError> {
        let (parent, members) = current::with(|frame| {
            let parent = frame.and_then(Frame::task).cloned();
            // Who is no task of ours may poll from any thread.
            let core = frame.and_then(Frame::core).filter(|_| parent.is_some());
            let members = Outer::new(core, Members::of(parent.clone()), true);
            (parent, members)
        });
        if parent.is_none() && tokio::runtime::Handle::try_current().is_err() {
            return Err(RuntimeError::new(
                "TaskGroup cannot determine the parent task",
            ));
        }
        Ok(Self { members, parent })
    }

    /// Runs the function that the group was made for, to the end of the group.
    pub(crate) async fn run<T>(self, body: impl StdFuture<Output = Result<T>>) -> Result<T> {
        let scope = Scope(self);
        let group = &scope.0;
        let outcome = {
            let mut body = pin!(Scoped::new(body));
            poll_fn(|cx| group.poll_body(body.as_mut(), cx)).await
        };
        group.exit(outcome).await
    }

    fn start<T, F>(
        &self,
        builder: TaskBuilder,
        future: F,
        is_send: bool,
    ) -> Result<Task<T>, RuntimeError>
    where
        F: StdFuture<Output = Result<T>> + 'static,
        T: 'static,
    {
        let place = match self.place() {
            Ok(place) => place,
            Err(error) => {
                drop(future);
                return Err(error);
            }
        };
        let task = builder.start(future, is_send);
        let Some(child) = task.typed().as_task().cloned() else {
            // It could not be started, and says why.
            return match task.exception() {
                Ok(Some(error)) => Err(RuntimeError::new(error.to_string())),
                _ => Ok(task),
            };
        };
        if child.base.is_done() {
            // It ran to its end at once.
            members::child_ended(&self.members, child.cell());
            return Ok(task);
        }
        place.adopt(&child);
        Ok(task)
    }

    /// A place for a task that is about to be started, or why none can be.
    pub(crate) fn place(&self) -> Result<Place<'_>, RuntimeError> {
        let reserved = self.members.with(|members| {
            if members.is_finished() {
                Err("is finished")
            } else if members.aborting {
                Err("is shutting down")
            } else {
                Ok(members.reserve())
            }
        });
        match reserved {
            Some(Ok(number)) => Ok(Place::new(&self.members, number)),
            Some(Err(why)) => Err(RuntimeError::new(format!("{self:?} {why}"))),
            None => Err(elsewhere()),
        }
    }

    /// Holds the group open; `None` when it is finished.
    fn hold(&self) -> Option<Place<'_>> {
        let reserved = self
            .members
            .with(|members| (!members.is_finished()).then(|| members.reserve()));
        Some(Place::new(&self.members, reserved??))
    }

    /// Polls the function that the group was made for; a panic is an exception too.
    fn poll_body<T, B>(
        &self,
        mut body: Pin<&mut Scoped<B>>,
        cx: &mut PollContext<'_>,
    ) -> Poll<Result<T>>
    where
        B: StdFuture<Output = Result<T>>,
    {
        if self.parent.is_none() {
            // There is no task to be cancelled: the body is dropped, as Rust does.
            let waker = cx.waker().clone();
            let old = self.members.with(|members| {
                let cancelled = members.parent_cancel_requested;
                (!cancelled).then(|| members.body_waker.replace(waker))
            });
            if let Some(None) = old {
                body.as_mut().clear();
                return Poll::Ready(Err(CancelledError::new().into()));
            }
        }
        match body.poll_caught(cx) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Ok(outcome))) => Poll::Ready(outcome),
            Ok(Poll::Ready(Err(cancelled))) => Poll::Ready(Err(cancelled.into())),
            Err(panic) => Poll::Ready(Err(Exception::from_panic(panic))),
        }
    }

    /// Waits for the tasks and says how it ended (`TaskGroup.__aexit__`).
    async fn exit<T>(&self, outcome: Result<T>) -> Result<T> {
        let mut propagate = None;
        if let Err(error) = &outcome {
            if error.is_cancelled() {
                propagate = Some(error.clone());
            }
            let aborting = self.members.with(|members| {
                members.exiting = true;
                members.note_base_error(error);
                std::mem::replace(&mut members.aborting, true)
            });
            if aborting == Some(false) {
                members::cancel_children(&self.members);
            }
        } else {
            self.members.with(|members| members.exiting = true);
        }
        let mut swallowed = None;
        let mut join = Join::default();
        while let Err(cancelled) = poll_fn(|cx| join.poll(&self.members, cx)).await {
            let aborting = self
                .members
                .with(|members| std::mem::replace(&mut members.aborting, true));
            if aborting != Some(false) {
                // The tasks are being cancelled already: the wait for them goes on.
                swallowed.get_or_insert(cancelled);
            } else {
                propagate = Some(cancelled.into());
                members::cancel_children(&self.members);
            }
        }
        self.conclude(outcome, propagate, swallowed)
    }

    /// Says how the group ended, all tasks having ended.
    fn conclude<T>(
        &self,
        outcome: Result<T>,
        mut propagate: Option<Exception>,
        swallowed: Option<CancelledError>,
    ) -> Result<T> {
        let state = self.members.with(|members| {
            members.concluded = true;
            (
                members.base_error.take(),
                std::mem::take(&mut members.errors),
                members.parent_cancel_requested,
            )
        });
        let Some((base_error, mut errors, parent_cancel_requested)) = state else {
            return Err(elsewhere().into());
        };
        let parent = self.parent.as_ref();
        if let Some(error) = base_error {
            return Err(error);
        }
        if parent_cancel_requested {
            if parent.is_none_or(|parent| uncancel(parent) == 0) {
                // No request is left but ours.
                propagate = None;
            } else if propagate.is_none() {
                // Somebody else's was swallowed while we waited.
                propagate = swallowed.map(Into::into);
            }
        }
        if errors.is_empty()
            && let Some(cancelled) = propagate
        {
            return Err(cancelled);
        }
        let value = match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                if !error.is_cancelled() {
                    errors.push((error, None));
                }
                None
            }
        };
        if let Some(group) = ExceptionGroup::of_tasks("unhandled errors in a TaskGroup", errors) {
            if let Some(parent) = parent
                && parent.cancelling() > 0
            {
                // The request from outside is raised at the next await after the group.
                uncancel(parent);
                cell::cancel(parent.cell(), &None);
            }
            return Err(group.into());
        }
        value.ok_or_else(|| TaskGroupCancelled.into())
    }
}

impl TaskGroup {
    /// Ends the tasks with the group, unless it has told its outcome.
    fn take_along(&self) {
        let left = self.members.with(|members| {
            if members.concluded {
                return None;
            }
            members.concluded = true;
            members.exiting = true;
            members.aborting = true;
            Some((members.children(), members.parent_cancel_requested))
        });
        let Some(Some((children, ours))) = left else {
            return;
        };
        if let Some(parent) = &self.parent
            && ours
        {
            uncancel(parent);
        }
        for child in children {
            cell::kill(&child);
        }
    }
}

fn elsewhere() -> RuntimeError {
    RuntimeError::new("a task group is of use on the thread of its event loop only")
}

impl fmt::Debug for TaskGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self
            .members
            .with(|members| (members.live, members.errors.len(), members.aborting));
        f.write_str("<TaskGroup")?;
        // Another thread than its loop's is not told.
        let Some((live, errors, aborting)) = state else {
            return f.write_str(" elsewhere>");
        };
        if live > 0 {
            write!(f, " tasks={live}")?;
        }
        if errors > 0 {
            write!(f, " errors={errors}")?;
        }
        f.write_str(if aborting {
            " cancelling>"
        } else {
            " entered>"
        })
    }
}

/// How a task of a group is to be made; see [`TaskGroup::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it spawns"]
pub struct TaskGroupBuilder {
    group: TaskGroup,
    builder: TaskBuilder,
}

impl TaskGroupBuilder {
    /// The task's name; see [`TaskBuilder::name`].
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.builder = self.builder.name(name);
        self
    }

    /// The context the task runs in; see [`TaskBuilder::context`].
    pub fn context(mut self, context: Context) -> Self {
        self.builder = self.builder.context(context);
        self
    }

    /// Whether the task runs up to its first wait at once; see [`TaskBuilder::eager_start`].
    pub fn eager_start(mut self, eager: bool) -> Self {
        self.builder = self.builder.eager_start(eager);
        self
    }

    /// Starts the task; see [`TaskGroup::create_task`].
    pub fn spawn<T, F>(self, future: F) -> Task<T>
    where
        F: StdFuture<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        started(self.group.start(self.builder, future, true))
    }

    /// Starts the task, with a future that must stay on this thread.
    pub fn spawn_local<T, F>(self, future: F) -> Task<T>
    where
        F: StdFuture<Output = Result<T>> + 'static,
        T: 'static,
    {
        started(self.group.start(self.builder, future, false))
    }
}

fn started<T: 'static>(task: Result<Task<T>, RuntimeError>) -> Task<T> {
    task.unwrap_or_else(|error| Task::failed(error.into()))
}

/// The group while its function runs and its tasks are awaited. Dropped before that is over, it takes
/// the tasks along.
struct Scope(TaskGroup);

impl Drop for Scope {
    fn drop(&mut self) {
        let group = &self.0;
        if group.members.cell().is_reachable() {
            group.take_along();
            return;
        }
        let group = group.clone();
        // A loop that is closed has no tasks any more.
        let take_along = Mail::Run(Box::new(move |_: &Core| group.take_along()));
        drop(self.0.members.cell().home().post(take_along));
    }
}

/// Where a task is going to be in its group. While somebody has it the group does not end, whichever
/// threads its other tasks end on.
pub(crate) struct Place<'a> {
    group: &'a Outer<Members>,
    /// Until a task has taken it.
    number: Option<u32>,
}

impl<'a> Place<'a> {
    const fn new(group: &'a Outer<Members>, number: u32) -> Self {
        Self {
            group,
            number: Some(number),
        }
    }

    /// Has a task belong to the group that is not done.
    pub(crate) fn adopt(mut self, child: &TaskRef) {
        if let Some(number) = self.number.take() {
            members::adopt(self.group, number, child);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            members::leave(self.group, number);
        }
    }
}

/// Waits until no task of a group is left; a cancellation ends one wait, and the next may begin.
#[derive(Default)]
struct Join {
    waiter: Waiter,
}

impl Join {
    fn poll(
        &mut self,
        group: &Outer<Members>,
        cx: &PollContext<'_>,
    ) -> Poll<Result<(), CancelledError>> {
        loop {
            if self.waiter.is_waiting() {
                match self.waiter.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(cancelled)) => return Poll::Ready(Err(cancelled)),
                }
            }
            // Elsewhere than at home there is nothing to be found out: `conclude` says so.
            if group.with(|members| members.live).unwrap_or(0) == 0 {
                return Poll::Ready(Ok(()));
            }
            let mut wakeup = Some(self.waiter.begin(cx));
            let waits = group.with(|members| {
                let waits = members.live > 0;
                if waits {
                    std::mem::swap(&mut members.on_completed, &mut wakeup);
                }
                waits
            });
            drop(wakeup);
            if waits == Some(true) {
                return Poll::Pending;
            }
            self.waiter.give_up();
        }
    }
}
