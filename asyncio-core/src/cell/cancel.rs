//! `cancel()`: a request on its way to the innermost future, at once and without recursion.

use std::sync::atomic::Ordering;
use std::task::Waker;

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
    if !cell.is_here() {
        if cell.is_done() {
            return false;
        }
        // The answer is that of this moment; at home the request may find the cell done.
        let posted = cell
            .home()
            .post(Mail::Cancel(cell.clone(), message.clone()));
        return posted.is_ok();
    }
    match visit(cell, message) {
        Visit::Answer(accepted) => accepted,
        Visit::Forward(level) => walk(level, message),
    }
}

/// Forwards a request to the waits of a task; whether one of them accepted it.
pub(super) fn cancel_waits(task: &TaskRef, message: &Message) -> bool {
    let (accepted, targets) = cancel_slots(task, message);
    if targets.is_empty() {
        return accepted;
    }
    let mut any = accepted;
    task.base.set(VISITING);
    for target in targets {
        any |= cancel(&target, message);
    }
    task.base.clear(VISITING);
    any
}

enum Visit {
    Answer(bool),
    /// The answer is that of the cells this one waits for.
    Forward(Level),
}

/// A task whose waits are being asked.
struct Level {
    task: TaskRef,
    /// Still to be asked, the next one last.
    targets: Vec<CellRef>,
    accepted: bool,
}

fn walk(first: Level, message: &Message) -> bool {
    let mut levels = vec![first];
    loop {
        let Some(level) = levels.last_mut() else {
            return true;
        };
        if let Some(target) = level.targets.pop() {
            match visit(&target, message) {
                Visit::Answer(accepted) => level.accepted |= accepted,
                Visit::Forward(below) => levels.push(below),
            }
            continue;
        }
        let Some(level) = levels.pop() else {
            return true;
        };
        level.task.base.clear(VISITING);
        if !level.accepted {
            raise_at_next_step(&level.task, message);
        }
        // A task that is not done always accepts: if nothing below did, it raises the error itself.
        if let Some(above) = levels.last_mut() {
            above.accepted = true;
        }
    }
}

fn visit(cell: &CellRef, message: &Message) -> Visit {
    if !cell.is_here() {
        return Visit::Answer(cancel(cell, message));
    }
    cell.clear(UNRETRIEVED);
    if cell.is_done() {
        return Visit::Answer(false);
    }
    let Some(task) = cell.as_task() else {
        if let Some(core) = cell.home().core() {
            fail(
                core,
                cell,
                Failure::Cancelled {
                    saved: None,
                    message: message.clone(),
                },
            );
        }
        return Visit::Answer(true);
    };
    if task.base.has(VISITING) {
        return Visit::Answer(false);
    }
    // Relaxed: written at home only; other threads merely look at the number.
    task.cancels
        .store(task.cancelling().saturating_add(1), Ordering::Relaxed);
    task.base.set(REQUESTED);
    let (accepted, targets) = cancel_slots(task, message);
    if targets.is_empty() {
        if !accepted {
            raise_at_next_step(task, message);
        }
        return Visit::Answer(true);
    }
    task.base.set(VISITING);
    Visit::Forward(Level {
        task: task.clone(),
        targets,
        accepted,
    })
}

/// Cancels the waits that need nobody else, and names the futures the others wait for, last first.
fn cancel_slots(task: &TaskRef, message: &Message) -> (bool, Vec<CellRef>) {
    let mut targets = Vec::new();
    let mut wakers: Vec<Waker> = Vec::new();
    let mut accepted = false;
    let mut scheduled = false;
    task.with_waits(|waits| {
        waits.for_each(|slot, waker| {
            if slot.state != State::Pending {
                return;
            }
            if let Some((target, _)) = &slot.target {
                targets.push(target.clone());
                return;
            }
            slot.state = State::Cancelled;
            slot.message.clone_from(message);
            accepted = true;
            match waker.take() {
                None => scheduled = true,
                Some(waker) => wakers.push(waker),
            }
        });
    });
    targets.reverse();
    if scheduled {
        schedule(task);
    }
    wakers.into_iter().for_each(Waker::wake);
    (accepted, targets)
}

/// Nothing accepted the request: the task raises CancelledError at its next step.
fn raise_at_next_step(task: &TaskRef, message: &Message) {
    task.base.set(MUST_CANCEL);
    let old = task.message.replace(message.clone());
    drop(old);
    // A task that waits for something foreign, or for itself by way of others, has no step coming.
    if !task.base.has(SCHEDULED | RUNNING) {
        schedule(task);
    }
}
