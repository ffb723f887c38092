//! Waiting for a cell: the leaf behind every awaited future and task.

use std::task::{Context as PollContext, Poll};

use super::callbacks::{Callback, Token};
use super::header::{REQUESTED, UNRETRIEVED};
use super::outcome::{add_callback, peek_cancelled, remove_callback};
use super::refs::{CellRef, TaskRef};
use super::step::{is_task_waker, schedule};
use super::waits::{SlotId, State};
use crate::current::{self, Frame};
use crate::exceptions::{CancelledError, Result, RuntimeError};
use crate::loop_cell::Mail;

/// One wait for one cell. Dropping it gives the wait up and nothing else.
#[derive(Default)]
pub(crate) struct CellWait {
    state: Registration,
}

#[derive(Default)]
enum Registration {
    #[default]
    None,
    /// In a slot of a task.
    Slot { task: TaskRef, id: SlotId },
    /// Polled by something that is no task of ours.
    Outside { cell: CellRef, token: Token },
    /// A task awaiting itself, found out in this turn.
    Itself { turn: u64 },
}

impl CellWait {
    pub(crate) const fn new() -> Self {
        Self {
            state: Registration::None,
        }
    }

    /// Waits until the cell is done; an error is one of the wait itself, not the cell's.
    pub(crate) fn poll(&mut self, cell: &CellRef, cx: &mut PollContext<'_>) -> Poll<Result<()>> {
        current::with(|frame| match frame.and_then(Frame::task) {
            Some(task) if cell.is_here() => self.poll_in_task(cell, task, cx),
            _ => self.poll_outside(cell, cx),
        })
    }

    fn poll_in_task(
        &mut self,
        cell: &CellRef,
        current: &TaskRef,
        cx: &mut PollContext<'_>,
    ) -> Poll<Result<()>> {
        match &self.state {
            Registration::Slot { task, id } if task == current => {
                let id = *id;
                match current.with_waits(|waits| waits.state(id)) {
                    State::Pending => {
                        if refresh_waker(current, id, cx) {
                            return Poll::Pending;
                        }
                        self.give_up();
                    }
                    State::Thrown | State::Cancelled => {
                        // The future's own outcome is passed over, as `__wakeup` does.
                        cell.clear(UNRETRIEVED);
                        let message = end(current, id);
                        self.state = Registration::None;
                        take_delivery(current);
                        return Poll::Ready(Err(CancelledError::from_message(message).into()));
                    }
                    State::Woken | State::Free => {
                        end(current, id);
                        self.state = Registration::None;
                        if current.base.has(REQUESTED) && peek_cancelled(cell).is_some() {
                            take_delivery(current);
                        }
                    }
                }
            }
            Registration::Itself { turn } => {
                let turn = *turn;
                return self.poll_itself(current, turn);
            }
            Registration::None => {}
            Registration::Slot { .. } | Registration::Outside { .. } => self.give_up(),
        }
        if cell.is_done() {
            return Poll::Ready(Ok(()));
        }
        let Some(core) = cell.home().core() else {
            return Poll::Ready(Err(gone()));
        };
        began();
        if cell == current.cell() {
            // It yields itself to itself; the complaint comes with the next step.
            self.state = Registration::Itself {
                turn: core.turn.get(),
            };
            schedule(current);
            return Poll::Pending;
        }
        let waker = (!is_task_waker(cx.waker(), current)).then(|| cx.waker().clone());
        let id = current.with_waits(|waits| waits.begin(waker, Some(cell.clone())));
        let token = add_callback(
            core,
            cell,
            Callback::Task {
                task: current.clone(),
                slot: id,
            },
        );
        current.with_waits(|waits| {
            if let Some((_, known)) = waits.get(id).and_then(|slot| slot.target.as_mut()) {
                *known = token;
            }
        });
        self.state = Registration::Slot {
            task: current.clone(),
            id,
        };
        Poll::Pending
    }

    fn poll_itself(&mut self, current: &TaskRef, turn: u64) -> Poll<Result<()>> {
        let core = current.cell().home().core();
        if core.is_some_and(|core| core.turn.get() == turn) {
            return Poll::Pending;
        }
        self.state = Registration::None;
        if let Some(message) = thrown() {
            take_delivery(current);
            return Poll::Ready(Err(CancelledError::from_message(message).into()));
        }
        Poll::Ready(Err(RuntimeError::new("Task cannot await on itself").into()))
    }

    fn poll_outside(&mut self, cell: &CellRef, cx: &mut PollContext<'_>) -> Poll<Result<()>> {
        self.give_up();
        if cell.is_done() {
            return Poll::Ready(Ok(()));
        }
        let Some(core) = cell.home().core() else {
            return Poll::Ready(Err(gone()));
        };
        let token = add_callback(core, cell, Callback::Waker(cx.waker().clone()));
        self.state = Registration::Outside {
            cell: cell.clone(),
            token,
        };
        Poll::Pending
    }

    fn give_up(&mut self) {
        match std::mem::take(&mut self.state) {
            Registration::None | Registration::Itself { .. } => {}
            Registration::Slot { task, id } => end_anywhere(task, id),
            Registration::Outside { cell, token } => {
                if cell.is_here() {
                    remove_callback(&cell, token);
                }
            }
        }
    }
}

impl Drop for CellWait {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl std::fmt::Debug for CellWait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let waiting = !matches!(self.state, Registration::None);
        f.debug_struct("CellWait")
            .field("waiting", &waiting)
            .finish()
    }
}

/// Notes that something of ours began to wait in the step under way.
pub(crate) fn began() {
    current::with(|frame| {
        if let Some(frame) = frame {
            frame.delivery.begun.set(frame.delivery.begun.get() + 1);
        }
    });
}

/// Notes that a wait of ours raised the CancelledError that was due.
pub(crate) fn take_delivery(task: &TaskRef) {
    task.base.clear(REQUESTED);
    current::with(|frame| {
        if let Some(frame) = frame {
            frame.delivery.taken.set(frame.delivery.taken.get() + 1);
        }
    });
}

/// The message of a cancellation that every wait without a slot raises in this step.
pub(crate) fn thrown() -> Option<crate::exceptions::Message> {
    current::with(|frame| {
        let delivery = &frame?.delivery;
        delivery.thrown.get().then(|| delivery.message())
    })
}

/// Has the right waker woken for a wait that is polled again.
///
/// False when the wait has to begin anew: its slot is for the task's own waker and it is polled with
/// another one now.
#[must_use]
pub(crate) fn refresh_waker(task: &TaskRef, id: SlotId, cx: &PollContext<'_>) -> bool {
    let own = is_task_waker(cx.waker(), task);
    let (has_place, right) = task.with_waits(|waits| match waits.waker(id) {
        None => (false, own),
        Some(None) => (true, own),
        Some(Some(waker)) => (true, !own && waker.will_wake(cx.waker())),
    });
    if right || !has_place {
        return right;
    }
    // Cloned and dropped out here: a foreign waker may run anything.
    let mut waker = (!own).then(|| cx.waker().clone());
    task.with_waits(|waits| {
        if let Some(place) = waits.waker(id) {
            std::mem::swap(place, &mut waker);
        }
    });
    drop(waker);
    true
}

/// Ends a wait and returns the message its cancellation left; at home.
pub(crate) fn end(task: &TaskRef, id: SlotId) -> crate::exceptions::Message {
    let ended = task.with_waits(|waits| waits.end(id))?;
    if let Some((cell, token)) = &ended.target {
        remove_callback(cell, *token);
    }
    ended.message
}

/// Ends a wait from wherever it is dropped.
pub(crate) fn end_anywhere(task: TaskRef, id: SlotId) {
    if task.cell().is_here() {
        drop(end(&task, id));
    } else {
        let home = task.cell().clone();
        let unread = home.home().post(Mail::EndWait(task, id));
        drop(unread);
    }
}

fn gone() -> crate::exceptions::Exception {
    RuntimeError::new("a future can only be awaited on the thread of its event loop").into()
}
