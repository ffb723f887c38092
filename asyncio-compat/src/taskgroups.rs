//! Task groups (`asyncio.taskgroups`).

pub use asyncio_core::{TaskGroup, TaskGroupBuilder, TaskGroupCancelled, task_group};
