//! The one mechanism: cells that complete, tasks that wait for them, requests that cancel both.
//!
//! A *cell* is the heap object behind a `Future` or a `Task`: a head, and room for a future while it
//! runs and for its outcome after. Whoever waits for a cell registers a callback there and a *slot*
//! in its own task; completing a cell schedules the callbacks, cancelling a task looks through its
//! slots. Nothing else in the workspace waits, wakes or cancels.

mod callbacks;
mod cancel;
mod driver;
mod family;
mod header;
mod lazy;
mod local;
mod outcome;
mod refs;
mod registry;
mod step;
mod task;
mod typed;
mod wait;
mod waiter;
mod waits;

pub(crate) use callbacks::{Callback, DoneCall, SendCallback, Token, Watcher};
pub(crate) use cancel::cancel;
pub(crate) use family::{Outer, Part, let_go, tell};
pub(crate) use header::{CANCELLED, FAILED, Failure, LISTED, MUST_CANCEL, SCOPED, STARTED};
pub(crate) use outcome::{
    add_callback, error, fail, make_cancelled_error, mark_retrieved, peek, remove_call,
    remove_callback, remove_family, remove_stop,
};
pub(crate) use refs::{CellRef, Released, TaskRef};
pub(crate) use registry::Registry;
pub(crate) use step::{
    drop_unfinished, is_own_waker, is_task_waker, kill, schedule, schedule_here, start_eagerly,
    step, step_driven, step_scoped, wake_slot,
};
pub(crate) use task::TaskParts;
pub(crate) use typed::Typed;
pub(crate) use wait::{
    began, begin, end, end_anywhere, put_off, slot_state, take_delivery, was_just_cancelled,
    watched_state,
};
pub use waiter::{Untold, Waiter, Wakeup};
pub(crate) use waits::{SlotId, State};
