//! Tasks and what waits for them (`asyncio.tasks`).

pub use asyncio_core::{
    ALL_COMPLETED, AsCompleted, FIRST_COMPLETED, FIRST_EXCEPTION, Gather, ReturnWhen, Sleep, Task,
    TaskBuilder, TaskHandle, Wait, all_tasks, as_completed, create_eager_task_factory, create_task,
    current_task, eager_task_factory, ensure_future, gather, run_coroutine_threadsafe, shield,
    sleep, wait, wait_for,
};
