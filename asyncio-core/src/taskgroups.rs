//! `task_group`: tasks that end before the scope that started them (`asyncio/taskgroups.py`).

use std::fmt;
use std::future::{Future as StdFuture, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as PollContext, Poll, Waker};

use crate::base_events;
use crate::cell::{self, Callback, CellRef, FAILED, TaskRef, Waiter, Wakeup, Watcher};
use crate::contextvars::Context;
use crate::current::{self, Frame};
use crate::events::ExceptionContext;
use crate::exception_group::{ExceptionGroup, Origin};
use crate::exceptions::{CancelledError, Exception, Result, RuntimeError};
use crate::runners::workers;
use crate::scoped::Scoped;
use crate::tasks::{Task, TaskBuilder, uncancel};

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
/// A clone may be given to the tasks, which may start more of them as long as some are running.
#[derive(Clone)]
pub struct TaskGroup {
    shared: Arc<Shared>,
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
        // Held open meanwhile, so that the parent is not cancelled when it has left the group.
        let Some(_open) = self.hold() else { return };
        self.lock().aborting = true;
        self.shared.cancel_children();
        self.shared.cancel_parent();
    }

    /// A group whose parent is the task that runs here, or what polls us where that is no task of ours.
    pub(crate) fn enter() -> Result<Self, RuntimeError> {
        let parent = current::with(|frame| frame.and_then(Frame::task).cloned());
        if parent.is_none() && tokio::runtime::Handle::try_current().is_err() {
            return Err(RuntimeError::new(
                "TaskGroup cannot determine the parent task",
            ));
        }
        Ok(Self {
            shared: Arc::new(Shared {
                parent,
                state: Mutex::default(),
            }),
        })
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
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
            self.shared.child_ended(child.cell());
            return Ok(task);
        }
        place.adopt(&child);
        Ok(task)
    }

    /// A place for a task that is about to be started, or why none can be.
    pub(crate) fn place(&self) -> Result<Place<'_>, RuntimeError> {
        let why = {
            let mut state = self.lock();
            if state.is_finished() {
                "is finished"
            } else if state.aborting {
                "is shutting down"
            } else {
                return Ok(Place::new(&self.shared, &mut state));
            }
        };
        Err(RuntimeError::new(format!("{self:?} {why}")))
    }

    /// Holds the group open; `None` when it is finished.
    fn hold(&self) -> Option<Place<'_>> {
        let mut state = self.lock();
        (!state.is_finished()).then(|| Place::new(&self.shared, &mut state))
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
        if self.shared.parent.is_none() {
            // There is no task to be cancelled: the body is dropped, as Rust does.
            let mut state = self.lock();
            if state.parent_cancel_requested {
                drop(state);
                body.as_mut().clear();
                return Poll::Ready(Err(CancelledError::new().into()));
            }
            let old = state.body_waker.replace(cx.waker().clone());
            drop(state);
            drop(old);
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
            let aborting = {
                let mut state = self.lock();
                state.exiting = true;
                state.note_base_error(error);
                std::mem::replace(&mut state.aborting, true)
            };
            if !aborting {
                self.shared.cancel_children();
            }
        } else {
            self.lock().exiting = true;
        }
        let mut swallowed = None;
        let mut join = Join::default();
        while let Err(cancelled) = poll_fn(|cx| join.poll(&self.shared, cx)).await {
            let aborting = std::mem::replace(&mut self.lock().aborting, true);
            if aborting {
                // The tasks are being cancelled already: the wait for them goes on.
                swallowed.get_or_insert(cancelled);
            } else {
                propagate = Some(cancelled.into());
                self.shared.cancel_children();
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
        let (base_error, mut errors, parent_cancel_requested) = {
            let mut state = self.lock();
            state.concluded = true;
            (
                state.base_error.take(),
                std::mem::take(&mut state.errors),
                state.parent_cancel_requested,
            )
        };
        let parent = self.shared.parent.as_ref();
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

impl fmt::Debug for TaskGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.write_str("<TaskGroup")?;
        if state.live > 0 {
            write!(f, " tasks={}", state.live)?;
        }
        if !state.errors.is_empty() {
            write!(f, " errors={}", state.errors.len())?;
        }
        f.write_str(if state.aborting {
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
        let (children, ours) = {
            let mut state = self.0.lock();
            if state.concluded {
                return;
            }
            state.concluded = true;
            state.exiting = true;
            state.aborting = true;
            (state.children(), state.parent_cancel_requested)
        };
        if let Some(parent) = &self.0.shared.parent
            && ours
        {
            uncancel(parent);
        }
        for child in children {
            cell::kill(&child);
        }
    }
}

/// Where a task is going to be in its group. While somebody has it the group does not end, whichever
/// threads its other tasks end on.
pub(crate) struct Place<'a> {
    shared: &'a Arc<Shared>,
    /// Until a task has taken it.
    number: Option<u32>,
}

impl<'a> Place<'a> {
    fn new(shared: &'a Arc<Shared>, state: &mut State) -> Self {
        Self {
            shared,
            number: Some(state.reserve()),
        }
    }

    /// Has a task belong to the group that is not done.
    pub(crate) fn adopt(mut self, child: &TaskRef) {
        let Some(number) = self.number.take() else {
            return;
        };
        let (aborting, concluded) = {
            let mut state = self.shared.lock();
            state.fill(number, child.clone());
            (state.aborting, state.concluded)
        };
        let watcher = Arc::clone(self.shared) as Arc<dyn Watcher>;
        cell::add_callback(child.cell(), Callback::Watch(watcher, number));
        if concluded {
            // The group was dropped meanwhile, with its other tasks.
            cell::kill(child);
        } else if aborting {
            // Its first steps have ended the group, or another thread has.
            cell::cancel(child.cell(), &None);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.shared.leave(number);
        }
    }
}

/// Waits until no task of a group is left; a cancellation ends one wait, and the next may begin.
#[derive(Default)]
struct Join {
    waiter: Waiter,
}

impl Join {
    fn poll(&mut self, shared: &Shared, cx: &PollContext<'_>) -> Poll<Result<(), CancelledError>> {
        loop {
            if self.waiter.is_waiting() {
                match self.waiter.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(cancelled)) => return Poll::Ready(Err(cancelled)),
                }
            }
            if shared.lock().live == 0 {
                return Poll::Ready(Ok(()));
            }
            let wakeup = self.waiter.begin(cx);
            let mut state = shared.lock();
            if state.live > 0 {
                state.on_completed = Some(wakeup);
                return Poll::Pending;
            }
            drop(state);
            self.waiter.give_up();
        }
    }
}

struct Shared {
    /// `None`: the group was entered by something that is no task of ours.
    parent: Option<TaskRef>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    exiting: bool,
    aborting: bool,
    parent_cancel_requested: bool,
    /// The outcome has been told, which has settled the parent's count, or the scope was dropped.
    concluded: bool,
    /// The tasks that are not done, each at the number of its callback, with the order of creation.
    tasks: Vec<(u64, Option<TaskRef>)>,
    free: Vec<u32>,
    made: u64,
    /// How many tasks are not done, or are being started.
    live: usize,
    errors: Vec<(Exception, Option<Origin>)>,
    /// The first KeyboardInterrupt or SystemExit.
    base_error: Option<Exception>,
    on_completed: Option<Wakeup>,
    /// Who polls the body, where that is no task of ours.
    body_waker: Option<Waker>,
}

impl State {
    /// Whether nothing can be added any more.
    const fn is_finished(&self) -> bool {
        self.exiting && self.live == 0
    }

    fn reserve(&mut self) -> u32 {
        self.live += 1;
        self.made += 1;
        if let Some(number) = self.free.pop() {
            self.tasks[number as usize] = (self.made, None);
            return number;
        }
        self.tasks.push((self.made, None));
        u32::try_from(self.tasks.len() - 1).unwrap_or(u32::MAX)
    }

    fn fill(&mut self, number: u32, task: TaskRef) {
        if let Some((_, place)) = self.tasks.get_mut(number as usize) {
            *place = Some(task);
        }
    }

    fn remove(&mut self, number: u32) -> Option<TaskRef> {
        let removed = self.tasks.get_mut(number as usize)?.1.take();
        self.free.push(number);
        self.live -= 1;
        removed
    }

    /// The tasks that are not done, in the order of their creation.
    fn children(&self) -> Vec<TaskRef> {
        let started = |(made, task): &(u64, Option<TaskRef>)| Some((*made, task.clone()?));
        let mut children: Vec<_> = self.tasks.iter().filter_map(started).collect();
        children.sort_unstable_by_key(|(made, _)| *made);
        children.into_iter().map(|(_, task)| task).collect()
    }

    fn note_base_error(&mut self, error: &Exception) {
        if error.escapes_the_loop() {
            self.base_error.get_or_insert_with(|| error.clone());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancels every task of the group, which is aborting (`_abort`).
    fn cancel_children(&self) {
        let children = self.lock().children();
        for child in children {
            if !child.base.is_done() {
                cell::cancel(child.cell(), &None);
            }
        }
    }

    fn cancel_parent(&self) {
        let (first, waker) = {
            let mut state = self.lock();
            let first = !std::mem::replace(&mut state.parent_cancel_requested, true);
            (first, state.body_waker.take())
        };
        if !first {
            return;
        }
        if let Some(parent) = &self.parent {
            cell::cancel(parent.cell(), &None);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Gives a place up. The last one that does ends the wait for them.
    fn leave(&self, number: u32) {
        let (removed, wakeup) = {
            let mut state = self.lock();
            let removed = state.remove(number);
            let wakeup = (state.live == 0).then(|| state.on_completed.take());
            (removed, wakeup.flatten())
        };
        drop(removed);
        if let Some(wakeup) = wakeup {
            wakeup.wake();
        }
    }

    /// A task of the group has ended (`_on_task_done`).
    fn child_ended(&self, child: &CellRef) {
        if !child.has(FAILED) {
            return;
        }
        let Ok(Some(error)) = cell::error(child) else {
            return;
        };
        let aborts = {
            let mut state = self.lock();
            if state.concluded {
                // Dropped: nobody collects the errors any more.
                return;
            }
            state.note_base_error(&error);
            let origin = child.as_task().map(|task| Origin {
                name: task.name(),
                spawned_at: task.spawned_at,
            });
            state.errors.push((error.clone(), origin));
            let aborts = !state.aborting && !state.parent_cancel_requested;
            state.aborting |= aborts;
            aborts
        };
        if let Some(parent) = &self.parent
            && parent.base.is_done()
        {
            let message = "Task has errored out but its parent task is already completed";
            let name = child.as_task().map(|task| task.name());
            let context = ExceptionContext::new(message, Some(error)).with_task_name(name);
            match child.home().core() {
                Some(core) => base_events::call_exception_handler(core, &context),
                None => workers::call_exception_handler(&context),
            }
            return;
        }
        if aborts {
            self.cancel_children();
            self.cancel_parent();
        }
    }
}

impl Watcher for Shared {
    fn done(&self, child: &CellRef, number: u32) {
        let parent = self.parent.as_ref();
        if parent.is_some_and(|parent| parent.cell().is_here()) {
            // In CPython's order: the parent is woken, and runs in a later turn.
            self.leave(number);
            self.child_ended(child);
        } else {
            // Once it is woken the parent may conclude at once, on another thread.
            self.child_ended(child);
            self.leave(number);
        }
    }
}
