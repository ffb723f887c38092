//! `cancel()`: a request on its way to the innermost future, at once and without recursion.

use std::sync::atomic::Ordering;
use std::task::Waker;

use super::family;
use super::header::{Failure, MUST_CANCEL, REQUESTED, RUNNING, SCHEDULED, UNRETRIEVED, VISITING};
use super::outcome::fail;
use super::refs::{CellRef, TaskRef};
use super::step::schedule;
use super::waits::{ASKED, State};
use crate::exceptions::Message;
use crate::loop_cell::Mail;

/// Cancels a future or task (`Future.cancel`, `Task.cancel`); whether the request was accepted.
///
/// A task forwards the request to what it waits for, and that may be a task again: the whole path is
/// walked here, with a stack on the heap, because it may be longer than a thread's stack is deep. A
/// path that comes back to a task it has passed (tasks that await each other in a circle) ends
/// there, and the task before it raises the error itself.
pub(crate) fn cancel(cell: &CellRef, message: &Message) -> bool {
    cancel_from(None, cell, message) == Answer::Accepted
}

/// What became of a request that was forwarded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted,
    /// By futures that are done, or whose children all are: the wake is on its way.
    Refused,
    /// There was nobody to ask, or the path came back to itself: no wake is coming.
    Unheard,
}

impl Answer {
    /// The answer of all who were asked, of the answers so far and another one.
    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Accepted, _) | (_, Self::Accepted) => Self::Accepted,
            (Self::Unheard, _) | (_, Self::Unheard) => Self::Unheard,
            (Self::Refused, Self::Refused) => Self::Refused,
        }
    }

    const fn of(accepted: bool) -> Self {
        if accepted {
            Self::Accepted
        } else {
            Self::Refused
        }
    }
}

/// Forwards a request to the waits of a task.
pub(super) fn cancel_waits(task: &TaskRef, message: &Message) -> Answer {
    let slots = task.cell().access(|| {
        let slots = cancel_slots(task, message);
        if !slots.targets.is_empty() {
            task.base.set(VISITING);
        }
        slots
    });
    let Some(slots) = slots else {
        return Answer::Unheard;
    };
    let (accepted, targets) = slots.wake(task, message);
    let mut answer = match (accepted, targets.is_empty()) {
        (true, _) => Answer::Accepted,
        (false, true) => Answer::Unheard,
        (false, false) => Answer::Refused,
    };
    for target in targets.iter().rev() {
        answer = answer.and(cancel_from(Some(task), target, message));
    }
    if !targets.is_empty() {
        task.cell().access(|| task.base.clear(VISITING));
    }
    answer
}

/// `origin`: a task whose waits are being asked, for the path may come back to it.
fn cancel_from(origin: Option<&TaskRef>, cell: &CellRef, message: &Message) -> Answer {
    match visit(cell, message, origin, &[]) {
        Visit::Answer(answer) => answer,
        Visit::Forward(level) => walk(origin, level, message),
    }
}

enum Visit {
    Answer(Answer),
    /// The answer is that of the cells this one waits for.
    Forward(Level),
}

/// A task whose waits are being asked, or a future whose children are.
struct Level {
    cell: CellRef,
    /// Still to be asked, the next one last.
    targets: Vec<CellRef>,
    answer: Answer,
}

fn walk(origin: Option<&TaskRef>, first: Level, message: &Message) -> Answer {
    let mut levels = vec![first];
    loop {
        let Some(target) = levels.last_mut().map(|level| level.targets.pop()) else {
            return Answer::Unheard;
        };
        if let Some(target) = target {
            match visit(&target, message, origin, &levels) {
                Visit::Forward(below) => levels.push(below),
                Visit::Answer(answer) => {
                    if let Some(level) = levels.last_mut() {
                        level.answer = level.answer.and(answer);
                    }
                }
            }
            continue;
        }
        let Some(level) = levels.pop() else {
            return Answer::Unheard;
        };
        let answer = level.leave(message);
        match levels.last_mut() {
            Some(above) => above.answer = above.answer.and(answer),
            None => return answer,
        }
    }
}

impl Level {
    /// All have been asked.
    fn leave(self, message: &Message) -> Answer {
        let task = self.cell.as_task();
        let mut answer = self.answer;
        let raises = self.cell.access(|| {
            self.cell.clear(VISITING);
            let Some(task) = task.filter(|_| answer != Answer::Accepted) else {
                return false;
            };
            if self.cell.is_done() {
                // It ended on another thread, while those it had waited for were asked.
                answer = Answer::Refused;
                return false;
            }
            // A task that is not done always accepts: nothing below did, so it raises the error itself.
            // Refused on a loop: the wake of what was done already is on its way. Elsewhere the task
            // may have resumed meanwhile, on another thread, and gone on to its next wait.
            let has_no_wake = answer == Answer::Unheard || task.base.is_driven();
            answer = Answer::Accepted;
            must_cancel(task, message) && has_no_wake
        });
        match task {
            Some(task) if raises == Some(true) => schedule(task),
            None => family::answered(&self.cell, answer == Answer::Accepted),
            Some(_) => {}
        }
        answer
    }
}

fn visit(cell: &CellRef, message: &Message, origin: Option<&TaskRef>, path: &[Level]) -> Visit {
    let Some(task) = cell.as_task() else {
        return visit_future(cell, message, path);
    };
    let slots = cell.access(|| {
        cell.clear(UNRETRIEVED);
        if cell.is_done() {
            return Err(Answer::Refused);
        }
        if cell.has(VISITING) && (origin == Some(task) || is_on(path, cell)) {
            return Err(Answer::Unheard);
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
        Ok(slots)
    });
    match slots {
        None => send(cell, message).unwrap_or_else(|| visit(cell, message, origin, path)),
        Some(Err(answer)) => Visit::Answer(answer),
        Some(Ok(slots)) => {
            let (accepted, targets) = slots.wake(task, message);
            if targets.is_empty() {
                // As in `Slots::wake`.
                std::mem::forget(targets);
                return Visit::Answer(Answer::Accepted);
            }
            Visit::Forward(Level {
                cell: cell.clone(),
                targets,
                answer: Answer::of(accepted),
            })
        }
    }
}

fn visit_future(cell: &CellRef, message: &Message, path: &[Level]) -> Visit {
    if !cell.is_done()
        && let Some(mut targets) = family::forwards_to(cell)
    {
        let refused = cell.access(|| {
            if targets.is_empty() || cell.is_done() {
                return Some(Answer::Refused);
            }
            if cell.has(VISITING) && is_on(path, cell) {
                return Some(Answer::Unheard);
            }
            cell.set(VISITING);
            None
        });
        if let Some(Some(answer)) = refused {
            return Visit::Answer(answer);
        }
        family::asked(cell);
        targets.reverse();
        return Visit::Forward(Level {
            cell: cell.clone(),
            targets,
            answer: Answer::Refused,
        });
    }
    if cell.access(|| cell.clear(UNRETRIEVED)).is_none() {
        return send(cell, message).unwrap_or_else(|| visit_future(cell, message, path));
    }
    let cancelled = fail(cell, Failure::Cancelled(message.clone()));
    if cancelled {
        family::cancelled(cell);
    }
    Visit::Answer(Answer::of(cancelled))
}

/// Has the cell's loop, which is another thread's, cancel it. `None` where the loop was closed just now,
/// which leaves the cell to everybody.
///
/// The answer is that of this moment; at home the request may find the cell done.
fn send(cell: &CellRef, message: &Message) -> Option<Visit> {
    if cell.is_done() {
        return Some(Visit::Answer(Answer::Refused));
    }
    let mail = Mail::Cancel(cell.clone(), message.clone());
    cell.home().post(mail).ok()?;
    Some(Visit::Answer(Answer::Accepted))
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
    /// Futures of other threads' loops. Nobody waits for their answers: who knows when those loops
    /// come to it.
    abroad: Vec<CellRef>,
}

impl Slots {
    /// Wakes those who are to find out; not within `access`.
    fn wake(self, task: &TaskRef, message: &Message) -> (bool, Vec<CellRef>) {
        for cell in &self.abroad {
            if send(cell, message).is_none() {
                cancel(cell, message);
            }
        }
        if self.schedule {
            schedule(task);
        }
        // Where there is nothing to drop that is said, because finding out takes longer.
        if self.abroad.is_empty() {
            std::mem::forget(self.abroad);
        }
        if self.wakers.is_empty() {
            std::mem::forget(self.wakers);
        } else {
            self.wakers.into_iter().for_each(Waker::wake);
        }
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
        abroad: Vec::new(),
    };
    task.each_wait(|slot, extra| {
        if slot.state.get() != State::Pending {
            return;
        }
        extra.message.clone_from(message);
        if let Some(target) = slot.target() {
            if target.is_reachable() {
                slot.mark(ASKED);
                slots.targets.push(target);
                return;
            }
            slots.abroad.push(target);
        }
        slot.state.set(State::Cancelled);
        slots.accepted = true;
        match extra.waker.take() {
            None => slots.schedule = true,
            Some(waker) => slots.wakers.push(waker),
        }
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
    task.set_message(message.clone());
    !task.base.has(SCHEDULED | RUNNING)
}
