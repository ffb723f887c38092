//! asyncio for Rust.
mod base_events;
mod cancellable;
mod cell;
mod contextvars;
mod current;
mod events;
mod exception_group;
mod exceptions;
mod futures;
mod loop_cell;
mod memory;
mod ready;
mod runners;
#[cfg(unix)]
mod signals;
mod slab;
mod tasks;
mod time;
mod timers;

pub use cancellable::{Cancellable, FutureExt};
pub use contextvars::{Context, ContextVar, Token, copy_context};
pub use events::{
    CallbackResult, ClockHold, EventLoop, EventLoopBuilder, ExceptionContext, ExceptionHandler,
    Handle, OwnedEventLoop, TimerHandle, get_running_loop, new_event_loop,
};
pub use exception_group::ExceptionGroup;
pub use exceptions::{
    CancelledError, Exception, InvalidStateError, KeyboardInterrupt, PanicError, Result,
    RuntimeError, SystemExit, TimeoutError, ValueError,
};
pub use futures::{CallbackId, Future};
pub use runners::{Runner, RunnerBuilder, run};
pub use tasks::{
    Sleep, Task, TaskBuilder, TaskHandle, all_tasks, create_local_task, create_task, current_task,
    sleep, try_create_task,
};
pub use time::Delay;
