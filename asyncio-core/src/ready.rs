//! What the loop has to run: one entry for each of CPython's handles.

use std::sync::Arc;
use std::task::Waker;

use crate::cell::{CellRef, DoneCall, SlotId, TaskRef, Watcher};
use crate::contextvars::Slot;
use crate::exceptions::Result;
use crate::slab::Key;

/// One entry of the ready queue.
pub(crate) enum Ready {
    /// A task's next step.
    Step(TaskRef),
    /// A `call_soon` or a timer of `call_later` that is due; gone from its slab when cancelled.
    Call(Key),
    /// A done callback.
    Done(CellRef, Box<dyn DoneCall>),
    /// A sleep that is over: its task resumes a turn later.
    Slept(TaskRef, SlotId),
    /// Something foreign that waits for a future of ours.
    Wake(Waker),
    /// A future hears that a child of its, the second one, is done, and what its number is.
    Family(CellRef, CellRef, u32),
    /// Somebody who watches several futures hears of one.
    Watch(Arc<dyn Watcher>, CellRef, u32),
    /// A `timeout` is due; gone from its slab when it was left or rescheduled.
    Timeout(Key),
    /// The future that `run_until_complete` waits for is done.
    Stop(CellRef),
}

/// What a timer does when it is due.
pub(crate) enum TimerAction {
    Sleep(TaskRef, SlotId),
    Call(Key),
    Timeout(Key),
}

impl From<TimerAction> for Ready {
    fn from(action: TimerAction) -> Self {
        match action {
            TimerAction::Sleep(task, slot) => Self::Slept(task, slot),
            TimerAction::Call(key) => Self::Call(key),
            TimerAction::Timeout(key) => Self::Timeout(key),
        }
    }
}

/// A function that waits to be called, with its context.
pub(crate) struct Call {
    pub(crate) function: Box<dyn Function>,
    pub(crate) context: Slot,
}

/// A function to be called once, with a name for people.
pub(crate) trait Function {
    fn call(self: Box<Self>) -> Result<()>;

    fn name(&self) -> &'static str;
}
