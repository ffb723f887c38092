//! Tasks (`asyncio/tasks.py`).

mod handle;
mod sleep;
mod task;

pub use handle::{TaskHandle, all_tasks, current_task};
pub use sleep::{Sleep, sleep};
pub use task::{Task, TaskBuilder, create_local_task, create_task, try_create_task};

pub(crate) use task::spawn;
