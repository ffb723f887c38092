//! Tasks (`asyncio/tasks.py`).

mod alarm;
mod as_completed;
mod child;
mod driven;
mod ensure;
mod factory;
mod gather;
mod handle;
mod shield;
mod sleep;
mod task;
mod threadsafe;
mod wait;
mod wait_for;

pub use as_completed::{
    AsCompleted, AsCompletedIter, NextCompleted, as_completed, as_completed_local,
};
pub use child::Waitable;
pub use ensure::{ensure_future, ensure_local_future, wrap_future};
pub use factory::{TaskFactory, create_eager_task_factory, eager_task_factory};
pub use gather::{Gather, GatherLocal, Gathering, gather, gather_iter, gather_local};
pub use handle::{TaskHandle, all_tasks, current_task, try_all_tasks};
pub use shield::{shield, shield_local};
pub use sleep::{Sleep, sleep};
pub use task::{Task, TaskBuilder, create_local_task, create_task, try_create_task};
pub use threadsafe::{RunsThreadsafe, run_coroutine_threadsafe};
pub use wait::{ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, ReturnWhen, Wait, wait};
pub use wait_for::{wait_for, wait_for_local};

pub(crate) use alarm::tokio_sleep;
pub(crate) use handle::uncancel;
pub(crate) use task::spawn;
