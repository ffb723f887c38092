//! `TaskHandle`: a task without the type of its value; `current_task` and `all_tasks`.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::task::Task;
use crate::cell::{self, Callback, CellRef, DoneCall, MUST_CANCEL, TaskRef};
use crate::contextvars::Context;
use crate::current::{self, Frame};
use crate::events::{EventLoop, with_running};
use crate::exceptions::{Exception, Result, RuntimeError};
use crate::futures::state_name;
use crate::loop_cell::{Core, Mail};
use crate::runners::workers;

/// A task, whatever its value: what can be done with one without its result.
///
/// Two handles are equal when they are of the same task.
///
/// ```
/// use asyncio_core::{Result, current_task, run};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let me = current_task().expect("main is a task");
///     assert_eq!(me.get_name(), "Task-1");
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TaskHandle {
    task: TaskRef,
}

/// The task that is running (`asyncio.current_task`); `None` in a callback and outside of any loop.
///
/// ```
/// # use asyncio_core::{Result, current_task, get_running_loop, run, sleep};
/// # fn main() -> Result<()> {
/// # run(async {
/// let main = current_task().expect("main is a task");
/// let event_loop = get_running_loop()?;
/// event_loop.call_soon(|| assert!(current_task().is_none(), "a callback is no task"))?;
/// sleep(0).await?;
/// assert_eq!(current_task(), Some(main));
/// # Ok(())
/// # })
/// # }
/// ```
#[must_use]
pub fn current_task() -> Option<TaskHandle> {
    current::with(|frame| frame.and_then(Frame::task).cloned()).map(TaskHandle::of)
}

/// The tasks of the running loop that are not done (`asyncio.all_tasks`), in the order in which they
/// were made.
///
/// On the threads of a [`MultiThreadRunner`](crate::MultiThreadRunner) they are the runner's. On any
/// other tokio runtime nobody counts them, and the list is empty; [`try_all_tasks`] says so.
///
/// ```
/// # use asyncio_core::{Result, all_tasks, create_task, run, sleep};
/// # fn main() -> Result<()> {
/// # run(async {
/// let _hour = create_task(async { sleep(3600).await });
/// let names: Vec<String> = all_tasks().iter().map(|task| task.get_name()).collect();
/// assert_eq!(names, ["Task-1", "Task-2"]);
/// # Ok(())
/// # })
/// # }
/// ```
///
/// # asyncio
///
/// Where no loop runs Python raises a `RuntimeError`, as `try_all_tasks` does. Counting the tasks of
/// runtimes that are not ours would cost each of them a lock or two, whether anybody asks or not.
#[must_use]
pub fn all_tasks() -> Vec<TaskHandle> {
    try_all_tasks().unwrap_or_default()
}

/// As [`all_tasks`], but where nobody counts the tasks the answer is an error and not an empty list.
///
/// ```
/// # use asyncio_core::{Result, create_task, sleep, try_all_tasks};
/// #[tokio::main]
/// async fn main() -> Result<()> {
///     let hour = create_task(async { sleep(3600).await });
///     assert!(try_all_tasks().is_err(), "this runtime is not ours");
///     hour.cancel();
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// [`RuntimeError`] where neither an event loop runs nor a [`MultiThreadRunner`]'s thread.
///
/// [`MultiThreadRunner`]: crate::MultiThreadRunner
pub fn try_all_tasks() -> Result<Vec<TaskHandle>, RuntimeError> {
    if let Some(tasks) = with_running(TaskHandle::all) {
        return Ok(tasks);
    }
    match workers::here() {
        Some(workers) => Ok(workers.tasks()),
        None => Err(RuntimeError::new("no running event loop")),
    }
}

impl TaskHandle {
    pub(crate) const fn of(task: TaskRef) -> Self {
        Self { task }
    }

    pub(crate) const fn task(&self) -> &TaskRef {
        &self.task
    }

    /// The tasks of a loop that are not done, in the order in which they were made.
    pub(crate) fn all(core: &Core) -> Vec<Self> {
        let tasks = core.tasks.borrow().in_order();
        tasks.into_iter().map(Self::of).collect()
    }

    /// Has a function called in the turn after the task is done.
    pub(crate) fn call_when_done(&self, function: impl FnOnce() + 'static) {
        let call = Box::new(WhenDone(function));
        cell::add_callback(self.task.cell(), Callback::Call(call));
    }

    /// Asks the task to end; see [`Task::cancel`](crate::Task::cancel).
    ///
    /// ```
    /// # use asyncio_core::{Result, all_tasks, create_task, current_task, run, sleep};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let _sleeper = create_task(async { sleep(3600).await });
    /// let me = current_task();
    /// for task in all_tasks() {
    ///     if Some(&task) != me.as_ref() {
    ///         task.cancel();
    ///     }
    /// }
    /// sleep(0).await?;
    /// sleep(0).await?;
    /// assert_eq!(all_tasks().len(), 1);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn cancel(&self) -> bool {
        cell::cancel(self.task.cell(), &None)
    }

    /// As [`cancel`](Self::cancel), with a message for the `CancelledError`.
    pub fn cancel_with_message(&self, message: impl Into<String>) -> bool {
        cell::cancel(self.task.cell(), &Some(Arc::new(message.into())))
    }

    /// Takes one request to cancel back (`Task.uncancel`); how many are left.
    pub fn uncancel(&self) -> u32 {
        uncancel(&self.task)
    }

    /// How many requests to cancel there have been, less those taken back (`Task.cancelling`).
    #[must_use]
    pub fn cancelling(&self) -> u32 {
        self.task.cancelling()
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn done(&self) -> bool {
        self.task.base.is_done()
    }

    /// Whether the task ended by being cancelled.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.task.base.has(cell::CANCELLED)
    }

    /// The exception, if the task ended with one; see [`Task::exception`](crate::Task::exception).
    ///
    /// # Errors
    ///
    /// As of `Task::exception`.
    pub fn exception(&self) -> Result<Option<Exception>> {
        cell::error(self.task.cell())
    }

    /// The task's name.
    #[must_use]
    pub fn get_name(&self) -> String {
        self.task.name()
    }

    /// Names the task.
    pub fn set_name(&self, name: impl Into<String>) {
        self.task.set_name(Arc::from(name.into()));
    }

    /// The loop that runs the task; `None` for a task on a tokio runtime.
    #[must_use]
    pub fn get_loop(&self) -> Option<EventLoop> {
        self.task.cell().home().handle().map(EventLoop::of)
    }

    /// The context the task runs in; `None` on another thread than its loop's.
    #[must_use]
    pub fn get_context(&self) -> Option<Context> {
        context(&self.task)
    }
}

impl<T> Task<T> {
    /// The loop that runs the task (`Task.get_loop`); `None` for a task on a tokio runtime, and for one
    /// that could not be made.
    ///
    /// ```
    /// # use asyncio_core::{Result, create_task, get_running_loop, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let task = create_task(async { Ok(()) });
    /// assert_eq!(task.get_loop(), Some(get_running_loop()?));
    /// # task.await
    /// # })
    /// # }
    /// ```
    #[must_use]
    pub fn get_loop(&self) -> Option<EventLoop> {
        self.typed().cell().home().handle().map(EventLoop::of)
    }
}

impl Hash for TaskHandle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.task.cell().address().hash(state);
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.task, f)
    }
}

/// A done callback of our own, which needs no context.
struct WhenDone<C>(C);

impl<C: FnOnce()> DoneCall for WhenDone<C> {
    fn call(self: Box<Self>, _: CellRef) {
        (self.0)();
    }
}

/// `Task.uncancel`: reaching zero takes back a cancellation that has not been raised yet (3.13).
pub(crate) fn uncancel(task: &TaskRef) -> u32 {
    let change = || {
        // Relaxed: written under `access` only; other threads merely look at the number.
        let left = task.cancelling().saturating_sub(1);
        task.cancels.store(left, Ordering::Relaxed);
        if left == 0 {
            task.base.clear(MUST_CANCEL);
        }
        left
    };
    match task.cell().access(change) {
        Some(left) => {
            if left == 0 {
                current::with(|frame| {
                    // Nor is one raised later that this very step has found nobody to raise.
                    if let Some(frame) = frame.filter(|frame| frame.task() == Some(task)) {
                        frame.delivery.due.set(false);
                    }
                });
            }
            left
        }
        None => {
            let away = task.clone();
            let change = move |_: &Core| {
                uncancel(&away);
            };
            // Where the loop is closed by now the count is of no interest any more.
            let _ = task.cell().home().post(Mail::Run(Box::new(change)));
            task.cancelling().saturating_sub(1)
        }
    }
}

/// The task's context as an object; `None` while a task of another thread may be using it.
pub(super) fn context(task: &TaskRef) -> Option<Context> {
    let is_current = current::with(|frame| frame.and_then(Frame::task) == Some(task));
    if !is_current && !task.cell().is_here() {
        return None;
    }
    let mut slot = task.context.take();
    let context = slot.share();
    task.context.set(slot);
    Some(context)
}

pub(super) fn show(task: &TaskRef, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let state = state_name(task.cell());
    write!(
        f,
        "<Task {state} name={:?} spawned at {}>",
        task.name(),
        task.spawned_at
    )
}
