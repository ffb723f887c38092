//! What the loop has to run: one entry for each of CPython's handles.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use crate::cell::{CellRef, DoneCall, SlotId, TaskRef, Watcher};
use crate::contextvars::Slot;
use crate::exceptions::Result;
use crate::slab::Key;

/// The ready queue: first in, first out.
///
/// Nearly all entries are steps, and those are a pointer each. One type for all would be four words,
/// put together on the stack and copied from there as a whole, for which the processor waits: that
/// was a quarter of a bare step.
#[derive(Default)]
pub(crate) struct ReadyQueue {
    /// `None` stands for the next one of `others`.
    order: VecDeque<Option<TaskRef>>,
    others: VecDeque<Ready>,
}

impl ReadyQueue {
    pub(crate) const fn new() -> Self {
        Self {
            order: VecDeque::new(),
            others: VecDeque::new(),
        }
    }

    #[inline]
    pub(crate) fn push_step(&mut self, task: TaskRef) {
        self.order.push_back(Some(task));
    }

    pub(crate) fn push(&mut self, ready: Ready) {
        if let Ready::Step(task) = ready {
            return self.push_step(task);
        }
        self.order.push_back(None);
        self.others.push_back(ready);
    }

    /// Takes out the next entry: the task where it is a step, otherwise `None`, and
    /// [`take_other`](Self::take_other) has it.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Option<TaskRef>> {
        self.order.pop_front()
    }

    pub(crate) fn take_other(&mut self) -> Option<Ready> {
        self.others.pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Takes out everything.
    pub(crate) fn take_all(&mut self) -> VecDeque<Ready> {
        let Self { order, others } = std::mem::take(self);
        let mut others = others.into_iter();
        order
            .into_iter()
            .filter_map(|step| step.map(Ready::Step).or_else(|| others.next()))
            .collect()
    }
}

impl Extend<Ready> for ReadyQueue {
    fn extend<I: IntoIterator<Item = Ready>>(&mut self, entries: I) {
        entries.into_iter().for_each(|ready| self.push(ready));
    }
}

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
