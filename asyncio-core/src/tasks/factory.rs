//! Task factories: how the tasks of a loop are made (`loop.set_task_factory`).

use super::task::TaskBuilder;

/// Decides how each task of a loop is made: it gets what was asked for and returns what is done.
///
/// # asyncio
///
/// In Python a factory makes the task, and may return anything at all; here tasks are of one type,
/// and a factory sets what can differ: the name, the context, the eager start.
pub type TaskFactory = dyn Fn(TaskBuilder) -> TaskBuilder;

/// The factory whose tasks run up to their first wait at once (`asyncio.eager_task_factory`).
///
/// ```
/// use asyncio_core::{Result, create_task, eager_task_factory, get_running_loop, run};
///
/// # fn main() -> Result<()> {
/// run(async {
///     get_running_loop()?.set_task_factory(Some(Box::new(eager_task_factory)))?;
///     let task = create_task(async { Ok(7) });
///     assert!(task.done(), "it ran to its end while it was made");
///     assert_eq!(task.await?, 7);
///     Ok(())
/// })
/// # }
/// ```
pub fn eager_task_factory(builder: TaskBuilder) -> TaskBuilder {
    builder.eager_start(true)
}

/// A factory that does what another one does and starts the tasks eagerly
/// (`asyncio.create_eager_task_factory`).
///
/// ```
/// use asyncio_core::{Result, create_eager_task_factory, create_task, get_running_loop, run};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let factory = create_eager_task_factory(|builder| builder.name("worker"));
///     get_running_loop()?.set_task_factory(Some(factory))?;
///     let task = create_task(async { Ok(()) });
///     assert!(task.done());
///     assert_eq!(task.get_name(), "worker");
///     task.await
/// })
/// # }
/// ```
pub fn create_eager_task_factory(
    custom: impl Fn(TaskBuilder) -> TaskBuilder + 'static,
) -> Box<TaskFactory> {
    Box::new(move |builder| custom(builder).eager_start(true))
}
