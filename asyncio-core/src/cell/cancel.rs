//! `cancel()`: a request on its way to the innermost future, at once and without recursion.

use std::sync::atomic::Ordering;
use std::task::Waker;

use super::family;
use super::header::{Failure, MUST_CANCEL, REQUESTED, RUNNING, SCHEDULED, UNRETRIEVED, VISITING};
use super::outcome::fail;
use super::refs::{CellRef, TaskRef};
use super::step::schedule;
use super::waits::State;
use crate::exceptions::Message;
use crate::loop_cell::Mail;

/// Cancels a future or task (`Future.cancel`, `Task.cancel`); whether the request was accepted.
///
/// A task forwards the request to what it waits for, and that may be a task again: the whole path is
/// walked here, with a stack on the heap, because it may be longer than a thread's stack is deep. A
/// path that comes back to a task it has passed (tasks that await each other in a circle) ends
/// there, and the task before it raises the error itself.
pub(crate) fn cancel(cell: &CellRef, message: &Message) -> bool {
    cancel_from(None, cell, message)
}

/// Forwards a request to the waits of a task; whether one of them accepted it.
pub(super) fn cancel_waits(task: &TaskRef, message: &Message) -> bool {
    let slots = task.cell().access(|| {
        let slots = cancel_slots(task, message);
        if !slots.targets.is_empty() {
            task.base.set(VISITING);
        }
        slots
    });
    let Some(slots) = slots else { return false };
    let (mut accepted, targets) = slots.wake(task);
    for target in targets.iter().rev() {
        accepted |= cancel_from(Some(task), target, message);
    }
    if !targets.is_empty() {
        task.cell().access(|| task.base.clear(VISITING));
    }
    accepted
}

/// `origin`: a task whose waits are being asked, for the path may come back to it.
fn cancel_from(origin: Option<&TaskRef>, cell: &CellRef, message: &Message) -> bool {
    match visit(cell, message, origin, &[]) {
        Visit::Answer(accepted) => accepted,
        Visit::Forward(level) => walk(origin, level, message),
    }
}

enum Visit {
    Answer(bool),
    /// The answer is that of the cells this one waits for.
    Forward(Level),
}

/// A task whose waits are being asked, or a future whose children are.
struct Level {
    cell: CellRef,
    /// Still to be asked, the next one last.
    targets: Vec<CellRef>,
    accepted: bool,
}

fn walk(origin: Option<&TaskRef>, first: Level, message: &Message) -> bool {
    let mut levels = vec![first];
    loop {
        let Some(target) = levels.last_mut().map(|level| level.targets.pop()) else {
            return true;
        };
        if let Some(target) = target {
            match visit(&target, message, origin, &levels) {
                Visit::Forward(below) => levels.push(below),
                Visit::Answer(accepted) => {
                    if let Some(level) = levels.last_mut() {
                        level.accepted |= accepted;
                    }
                }
            }
            continue;
        }
        let Some(level) = levels.pop() else {
            return true;
        };
        let accepted = level.leave(message);
        match levels.last_mut() {
            Some(above) => above.accepted |= accepted,
            None => return accepted,
        }
    }
}

impl Level {
    /// All have been asked; whether the request was accepted.
    fn leave(self, message: &Message) -> bool {
        let task = self.cell.as_task();
        let raises = self.cell.access(|| {
            self.cell.clear(VISITING);
            task.is_some_and(|task| !self.accepted && must_cancel(task, message))
        });
        let Some(task) = task else {
            if self.accepted {
                family::accepted(&self.cell);
            }
            return self.accepted;
        };
        if raises == Some(true) {
            schedule(task);
        }
        // A task that is not done always accepts: if nothing below did, it raises the error itself.
        true
    }
}

fn visit(cell: &CellRef, message: &Message, origin: Option<&TaskRef>, path: &[Level]) -> Visit {
    let Some(task) = cell.as_task() else {
        return visit_future(cell, message, path);
    };
    let slots = cell.access(|| {
        cell.clear(UNRETRIEVED);
        if cell.is_done() || cell.has(VISITING) && (origin == Some(task) || is_on(path, cell)) {
            return None;
        }
        // Relaxed: written under this access only; other threads merely look at the number.
        task.cancels
            .store(task.cancelling().saturating_add(1), Ordering::Relaxed);
        task.base.set(REQUESTED);
        let mut slots = cancel_slots(task, message);
        if !slots.targets.is_empty() {
            task.base.set(VISITING);
        } else if !slots.accepted {
            slots.schedule |= must_cancel(task, message);
        }
        Some(slots)
    });
    match slots {
        None => Visit::Answer(send(cell, message)),
        Some(None) => Visit::Answer(false),
        Some(Some(slots)) => {
            let (accepted, targets) = slots.wake(task);
            if targets.is_empty() {
                return Visit::Answer(true);
            }
            Visit::Forward(Level {
                cell: cell.clone(),
                targets,
                accepted,
            })
        }
    }
}

fn visit_future(cell: &CellRef, message: &Message, path: &[Level]) -> Visit {
    if !cell.is_done()
        && let Some(mut targets) = family::forwards_to(cell)
    {
        let entered = cell.access(|| {
            if targets.is_empty() || cell.is_done() || cell.has(VISITING) && is_on(path, cell) {
                return false;
            }
            cell.set(VISITING);
            true
        });
        if entered != Some(true) {
            return Visit::Answer(false);
        }
        targets.reverse();
        return Visit::Forward(Level {
            cell: cell.clone(),
            targets,
            accepted: false,
        });
    }
    if cell.access(|| cell.clear(UNRETRIEVED)).is_none() {
        return Visit::Answer(send(cell, message));
    }
    let cancelled = fail(
        cell,
        Failure::Cancelled {
            saved: None,
            message: message.clone(),
        },
    );
    if cancelled {
        family::cancelled(cell);
    }
    Visit::Answer(cancelled)
}

/// Has the cell's loop, which is another thread's, cancel it.
///
/// The answer is that of this moment; at home the request may find the cell done.
fn send(cell: &CellRef, message: &Message) -> bool {
    !cell.is_done()
        && cell
            .home()
            .post(Mail::Cancel(cell.clone(), message.clone()))
            .is_ok()
}

/// Whether a task or future is one of those being asked.
///
/// `VISITING` says so nearly always; but several threads may cancel along the same path, and then
/// the flag may be another's.
fn is_on(path: &[Level], cell: &CellRef) -> bool {
    path.iter().any(|level| level.cell == *cell)
}

/// What became of a task's waits when they were cancelled.
struct Slots {
    accepted: bool,
    schedule: bool,
    wakers: Vec<Waker>,
    /// The futures that the other waits wait for, the oldest wait's last.
    targets: Vec<CellRef>,
}

impl Slots {
    /// Wakes those who are to find out; not within `access`.
    fn wake(self, task: &TaskRef) -> (bool, Vec<CellRef>) {
        if self.schedule {
            schedule(task);
        }
        self.wakers.into_iter().for_each(Waker::wake);
        (self.accepted, self.targets)
    }
}

/// Cancels the waits that need nobody else, and names the futures the others wait for; within
/// `access`.
fn cancel_slots(task: &TaskRef, message: &Message) -> Slots {
    let mut slots = Slots {
        accepted: false,
        schedule: false,
        wakers: Vec::new(),
        targets: Vec::new(),
    };
    task.with_waits(|waits| {
        waits.for_each(|slot, waker| {
            if slot.state != State::Pending {
                return;
            }
            if let Some((target, _)) = &slot.target {
                slots.targets.push(target.clone());
                return;
            }
            slot.state = State::Cancelled;
            slot.message.clone_from(message);
            slots.accepted = true;
            match waker.take() {
                None => slots.schedule = true,
                Some(waker) => slots.wakers.push(waker),
            }
        });
    });
    slots.targets.reverse();
    slots
}

/// Nothing accepted the request: the task raises CancelledError at its next step. Whether that step
/// has to be scheduled; within `access`.
///
/// A task that waits for something foreign, or for itself by way of others, has no step coming.
fn must_cancel(task: &TaskRef, message: &Message) -> bool {
    task.base.set(MUST_CANCEL);
    // What is dropped here is a message, which calls nothing.
    task.message.set(message.clone());
    !task.base.has(SCHEDULED | RUNNING)
}
