//! asyncio for Rust: the event loop, tasks and cancellation, as CPython has them.
//!
//! [`run`] drives a program on a single-threaded loop whose order is CPython's, iteration for
//! iteration. [`create_task`] starts what runs beside it. [`Task::cancel`] asks a task to end, and the
//! task finds `Err(`[`CancelledError`]`)` at the await where it stands: it can clean up, with awaits,
//! and pass the error on with `?`.
//!
//! The names and the semantics come from CPython 3.13's `asyncio` package, with what later versions
//! added, and each module here bears the name of the one it follows. What drives the loop is
//! [tokio](https://docs.rs/tokio): the whole loop is one future on a current-thread runtime, so that
//! tokio's sockets and timers, and every library built on them, work inside it.
//!
//! ```
//! use asyncio_core::{Result, create_task, run, sleep};
//!
//! # fn main() -> Result<()> {
//! run(async {
//!     let hour = create_task(async { sleep(3600).await });
//!     sleep(0.01).await?;
//!     hour.cancel();
//!     assert!(hour.await.is_err_and(|error| error.is_cancelled()));
//!     Ok(())
//! })
//! # }
//! ```
//!
//! # Vocabulary
//!
//! - The **event loop** ([`run`], [`Runner`]) is one of two places to run: one thread, the order of
//!   CPython, and if wanted a clock that jumps instead of waiting. Futures need not be `Send`.
//! - A **tokio runtime** (`#[tokio::main]`, a request handler of a server) is the other:
//!   [`create_task`], [`sleep`], cancellation and the rest do the same there, on as many threads as it
//!   has. Only the order between tasks is tokio's. [`RunnerBuilder::worker_threads`] makes one that
//!   ends as [`run`] does, and counts its tasks.
//! - A **coroutine** is any Rust future whose output is a [`Result`]. Like Python's it does nothing
//!   until it is awaited or made a task.
//! - A **task** is a coroutine that the loop runs on its own. [`Task`] is its handle and a future of
//!   its result; dropping the handle detaches the task, it does not stop it. [`TaskHandle`] is the same
//!   without the type of the value.
//! - A **future**, where it is ours ([`Future`]), is a result that somebody will set.
//! - An **iteration**, or turn, of the loop runs what was ready when it began, first come first
//!   served. What becomes ready meanwhile has its turn in the next one.
//! - A **request** to cancel is what [`Task::cancel`] makes; it is **delivered** when an await of the
//!   task ends with [`CancelledError`].
//! - A **foreign** future is one that is not made of anything in this workspace: a tokio socket, an
//!   HTTP call. It cannot be told of a request, and is dropped; see [`FutureExt::cancellable`].
//! - An **exception** ([`Exception`]) is any error at all, cheap to clone; what a task ends with when
//!   it does not end with a value.
//!
//! # Map
//!
//! | CPython's module | here |
//! | --- | --- |
//! | `asyncio.runners` | [`run`], [`Runner`]; on many threads [`MultiThreadRunner`] |
//! | `asyncio.events`, `asyncio.base_events` | [`EventLoop`], [`OwnedEventLoop`], [`get_running_loop`], [`new_event_loop`], [`Handle`], [`TimerHandle`] |
//! | `asyncio.futures` | [`Future`] |
//! | `asyncio.tasks` | [`Task`], [`TaskHandle`], [`create_task`], [`create_local_task`], [`sleep`], [`current_task`], [`all_tasks`], [`try_all_tasks`]; [`gather()`], [`wait()`], [`wait_for`], [`as_completed`], [`shield`], [`ensure_future`], [`wrap_future`]; [`eager_task_factory`], [`create_eager_task_factory`] |
//! | `asyncio.timeouts` | [`timeout`], [`timeout_at`], [`Timeout`] |
//! | `asyncio.taskgroups` | [`task_group`], [`TaskGroup`] |
//! | `asyncio.staggered` | [`staggered_race`] |
//! | `asyncio.threads`, `concurrent.futures` | [`to_thread`], [`run_coroutine_threadsafe`], [`Executor`], [`ThreadPoolExecutor`], [`Job`]; `ProcessPoolExecutor` |
//! | `asyncio.exceptions`, `ExceptionGroup`, `except*` | [`Exception`], [`CancelledError`], [`InvalidStateError`], [`TimeoutError`], [`ExceptionGroup`], [`except_star!`] |
//! | `contextvars` | [`ContextVar`], [`Context`], [`copy_context`] |
//!
//! Not from Python: [`FutureExt::cancellable`], which makes a foreign future an await that cancellation
//! can be caught at; [`scope`], a task group whose tasks borrow; [`Delay`], which lets delays be seconds or a [`Duration`](std::time::Duration);
//! [`RunnerBuilder::virtual_clock`] and [`ClockHold`], a clock that jumps instead of waiting;
//! [`RunnerBuilder::shuffle`], another order than CPython's.
//!
//! # What it does not do
//!
//! - It does no I/O of its own and opens no files; that is tokio's part, and that of the crates above
//!   this one.
//! - It cannot show who awaits whom, yet.
//! - It keeps nothing global. Any number of loops may exist, one running per thread, and nothing is
//!   left in a thread when its loop has ended.
//! - It does not panic where there is nothing to run on: the task that is returned has failed. And a
//!   panic in a task stays in that task, as its exception.
//!
//! # Features
//!
//! - `macros`, on by default: the attributes [`main`](macro@main) and [`test`](macro@test).
//! - `process-pool`: `ProcessPoolExecutor`, which runs functions in processes of their own, on Unix;
//!   their arguments and values go there by [serde](https://docs.rs/serde).

#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod attributes;
mod base_events;
mod cancellable;
mod cell;
mod contextvars;
mod current;
mod debug;
mod events;
mod except_star;
mod exception_group;
mod exceptions;
mod executors;
mod exit;
mod futures;
mod init;
mod loop_cell;
mod memory;
#[cfg(asyncio_loom)]
#[doc(hidden)]
pub mod models;
mod mutex;
mod pages;
mod primitives;
mod ready;
mod runners;
mod scope;
mod scoped;
mod shuffle;
#[cfg(unix)]
mod signals;
mod slab;
mod staggered;
mod taskgroups;
mod tasks;
mod threads;
mod time;
mod timeouts;
mod timers;
#[doc(hidden)]
pub mod waiting;

/// Runs an `async fn main` on an event loop, as [`run`] does, and ends the process as its result
/// says ([`exit_code`]).
///
/// The function returns nothing, or a [`Result`]`<()>`.
///
/// ```
/// use asyncio_core::{Result, sleep};
///
/// #[asyncio_core::main]
/// async fn main() -> Result<()> {
///     sleep(0.001).await
/// }
/// ```
///
/// In parentheses there may be
///
/// - `debug = true` for [debug mode](EventLoop::set_debug),
/// - `virtual_clock = true` for [a clock that jumps](RunnerBuilder::virtual_clock),
/// - `seed = 7`, or another number, for [an order that chance decides](RunnerBuilder::shuffle),
/// - `flavor = "multi_thread"` for [many threads](MultiThreadRunner) in the place of an event loop,
///   which is `flavor = "loop"`,
/// - `worker_threads = 4` for as many threads; as many as there are processors by default,
/// - `crate = path` where this crate goes by another name.
///
/// ```
/// use asyncio_core::{Result, create_task};
///
/// #[asyncio_core::main(worker_threads = 2)]
/// async fn main() -> Result<()> {
///     assert_eq!(create_task(async { Ok(7) }).await?, 7);
///     Ok(())
/// }
/// ```
///
/// A program that has a `ProcessPoolExecutor` is made ready for it; see [`init`].
#[cfg(feature = "macros")]
pub use asyncio_core_macros::main;
/// Runs an `async fn` on an event loop of its own, as a test.
///
/// The function returns nothing, or a [`Result`]`<()>`; `#[should_panic]` and the other attributes of
/// tests work as always.
///
/// ```
/// use asyncio_core::{Result, get_running_loop, sleep};
///
/// #[asyncio_core::test(virtual_clock = true)]
/// async fn an_hour_takes_no_time() -> Result<()> {
///     sleep(3600).await?;
///     assert_eq!(get_running_loop()?.time(), 3600.0);
///     Ok(())
/// }
/// # fn main() {}
/// ```
///
/// In parentheses there may be the same as for [`main`](macro@main). A test with a seed says nothing
/// of other orders; a loop over [`RunnerBuilder::shuffle`] tries many.
#[cfg(feature = "macros")]
pub use asyncio_core_macros::test;
pub use cancellable::{Cancellable, FutureExt};
pub use contextvars::{Context, ContextVar, Token, copy_context};
pub use events::{
    CallbackResult, ClockHold, EventLoop, EventLoopBuilder, ExceptionContext, ExceptionHandler,
    Handle, OwnedEventLoop, TimerHandle, get_running_loop, new_event_loop,
};
pub use except_star::ExceptStar;
pub use exception_group::ExceptionGroup;
pub use exceptions::{
    CancelledError, Exception, InvalidStateError, KeyboardInterrupt, PanicError, Result,
    RuntimeError, SystemExit, TimeoutError, ValueError,
};
#[cfg(all(feature = "process-pool", unix))]
pub use executors::{
    BrokenProcess, BrokenProcessPool, ProcessPoolBuilder, ProcessPoolExecutor, TransferError,
};
pub use executors::{BrokenThreadPool, Executor, Job, ThreadPoolBuilder, ThreadPoolExecutor, Work};
pub use exit::exit_code;
pub use futures::{CallbackId, Future};
pub use init::init;
pub use runners::{MultiThreadRunner, MultiThreadRunnerBuilder, Runner, RunnerBuilder, run};
pub use scope::{BorrowScope, ScopedTask, scope};
pub use staggered::{Race, staggered_race};
pub use taskgroups::{TaskGroup, TaskGroupBuilder, TaskGroupCancelled, task_group};
pub use tasks::{
    ALL_COMPLETED, AsCompleted, AsCompletedIter, FIRST_COMPLETED, FIRST_EXCEPTION, Gather,
    GatherLocal, Gathering, NextCompleted, ReturnWhen, RunsThreadsafe, Sleep, Task, TaskBuilder,
    TaskFactory, TaskHandle, Wait, Waitable, all_tasks, as_completed, as_completed_local,
    create_eager_task_factory, create_local_task, create_task, current_task, eager_task_factory,
    ensure_future, ensure_local_future, gather, gather_iter, gather_local,
    run_coroutine_threadsafe, shield, shield_local, sleep, try_all_tasks, try_create_task, wait,
    wait_for, wait_for_local, wrap_future,
};
pub use threads::to_thread;
pub use time::{Delay, MaybeDelay};
pub use timeouts::{Timeout, TimeoutScope, timeout, timeout_at, timeout_with};
