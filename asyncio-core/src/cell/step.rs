//! One step of a task (`Task.__step`), and what schedules it.
#![expect(
    unsafe_code,
    reason = "a step polls through the cell's table; wakers are raw references"
)]

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::task::{Context as PollContext, RawWaker, RawWakerVTable, Waker};

use super::cancel::cancel_waits;
use super::header::{
    FINISHED, FUTURE_ALIVE, Failure, Header, MUST_CANCEL, Polled, REQUESTED, RUNNING, SCHEDULED,
    STARTED,
};
use super::outcome::{fail, finish, peek_cancelled};
use super::refs::{CellRef, TaskRef};
use super::waits::{SlotId, State};
use crate::contextvars::Slot;
use crate::current::{Delivery, Frame};
use crate::exceptions::{CancelledError, Message};
use crate::loop_cell::{Core, Mail};
use crate::ready::Ready;

/// Has a task stepped in the next iteration, unless that is settled already; at home.
#[inline]
pub(crate) fn schedule(task: &TaskRef) {
    if task.base.has(SCHEDULED | super::header::DONE) {
        return;
    }
    if let Some(core) = task.cell().home().core() {
        task.base.set(SCHEDULED);
        core.push(Ready::Step(task.clone()));
    }
}

/// Tells a wait that what it waits for is there; whether it was still waiting.
pub(crate) fn wake_slot(task: &TaskRef, id: SlotId) -> bool {
    if !task.cell().is_here() {
        return task
            .cell()
            .home()
            .post(Mail::WakeSlot(task.clone(), id))
            .is_ok();
    }
    let woken = task.with_waits(|waits| match waits.get(id) {
        Some(slot) if slot.state == State::Pending => {
            slot.state = State::Woken;
            Some(waits.waker(id).and_then(Option::take))
        }
        _ => None,
    });
    match woken {
        None => return false,
        Some(None) => schedule(task),
        Some(Some(waker)) => waker.wake(),
    }
    true
}

/// Runs a task's next step; at home, from the ready queue.
pub(crate) fn step(core: &Core, task: &TaskRef) {
    task.base.clear(SCHEDULED);
    if task.base.is_done() {
        return;
    }
    if task.base.has(MUST_CANCEL) && !task.base.has(STARTED) {
        // The error would be thrown into a coroutine that has not begun: its body never runs.
        let message = task.message.take();
        in_frame(core, task, |_| {
            end_cancelled(core, task, CancelledError::from_message(message))
        });
        return;
    }
    run(core, task);
}

/// Runs a new task up to its first wait at once (`Task.__eager_start`); at home.
pub(crate) fn start_eagerly(core: &Core, task: &TaskRef) {
    run(core, task);
}

/// Drops the future of a task that the loop's end leaves unfinished, and ends the task.
pub(crate) fn drop_unfinished(core: &Core, task: &TaskRef) {
    if !task.base.is_done() {
        in_frame(core, task, |_| {
            end_cancelled(core, task, CancelledError::new())
        });
    }
}

fn run(core: &Core, task: &TaskRef) {
    in_frame(core, task, |frame| {
        if task.base.has(REQUESTED) {
            prepare(task, &frame.delivery);
        }
        task.base.set(RUNNING | STARTED);
        let waker = task_waker(task);
        let mut context = PollContext::from_waker(&waker);
        // SAFETY: this is the task's home, its future is alive because it is not done, and nobody
        // is polling it: a step runs from the ready queue or right after the task was made.
        let polled = unsafe { (task.base.vtable.poll)(task.cell().ptr(), &mut context) };
        task.base.clear(RUNNING);
        match polled {
            Polled::Pending => suspended(core, task, &frame.delivery),
            Polled::Value if task.base.has(MUST_CANCEL) => {
                // Cancelled in its very last stretch: the value is lost (`super().cancel` in
                // `__step_run_and_handle_result`).
                let message = task.message.take();
                end(
                    core,
                    task,
                    Failure::Cancelled {
                        saved: None,
                        message,
                    },
                );
            }
            Polled::Value => {
                disown(core, task);
                finish(core, task.cell(), FINISHED);
            }
            Polled::Error(exception) => match exception.into_cancelled() {
                Ok(error) => {
                    end(
                        core,
                        task,
                        Failure::Cancelled {
                            saved: Some(error),
                            message: None,
                        },
                    );
                }
                Err(exception) => {
                    if exception.escapes_the_loop() {
                        core.escape(exception.clone());
                    }
                    end(core, task, Failure::Error(exception));
                }
            },
        }
    });
}

/// Settles, before a step, which waits raise CancelledError in it.
fn prepare(task: &TaskRef, delivery: &Delivery) {
    let mut wakers = Vec::new();
    let due = task.with_waits(|waits| {
        // A wait that is cancelled itself, or whose future was, raises that by itself.
        let mut own = None;
        waits.for_each(|slot, _| {
            if own.is_none() {
                own = match (slot.state, &slot.target) {
                    (State::Cancelled, _) => Some(slot.message.clone()),
                    (State::Woken, Some((target, _))) => {
                        peek_cancelled(target).map(CancelledError::into_message)
                    }
                    _ => None,
                };
            }
        });
        if own.is_some() || !task.base.has(MUST_CANCEL) {
            return own;
        }
        let message = task.message.take();
        waits.for_each(|slot, waker| {
            slot.state = State::Thrown;
            slot.message.clone_from(&message);
            wakers.extend(waker.take());
        });
        delivery.thrown.set(true);
        Some(message)
    });
    task.base.clear(MUST_CANCEL);
    if let Some(message) = due {
        delivery.due.set(true);
        delivery.set_message(message);
    }
    wakers.into_iter().for_each(Waker::wake);
}

/// Settles, after a step that did not end, what becomes of a request that it left over.
fn suspended(core: &Core, task: &TaskRef, delivery: &Delivery) {
    if delivery.is_stuck_since((0, 0)) {
        // Something foreign is in the way: it is cancelled as Rust does, by dropping it. Here the
        // innermost scope is the task itself.
        let error = CancelledError::from_message(delivery.message());
        end_cancelled(core, task, error);
        return;
    }
    if delivery.due.get() && delivery.taken.get() == 0 {
        // The foreign future was done after all, and the task went on to wait for something else.
        task.base.set(MUST_CANCEL);
        task.message.set(delivery.message());
    }
    if task.base.has(MUST_CANCEL) {
        let message = shared(&task.message);
        if cancel_waits(task, &message) {
            task.base.clear(MUST_CANCEL);
        } else {
            schedule(task);
        }
    }
}

fn end_cancelled(core: &Core, task: &TaskRef, error: CancelledError) {
    if task.base.has(FUTURE_ALIVE) {
        // SAFETY: this is the task's home, and its future is alive and not being polled.
        let dropped = unsafe { (task.base.vtable.drop_future)(task.cell().ptr()) };
        if let Err(panic) = dropped {
            end(core, task, Failure::Error(panic));
            return;
        }
    }
    end(
        core,
        task,
        Failure::Cancelled {
            saved: Some(error),
            message: None,
        },
    );
}

fn end(core: &Core, task: &TaskRef, failure: Failure) {
    disown(core, task);
    fail(core, task.cell(), failure);
}

/// Gives up the loop's own reference to a task that has ended.
fn disown(core: &Core, task: &TaskRef) {
    let owned = core.tasks.borrow_mut().remove(task.owned.get());
    drop(owned);
}

fn in_frame(core: &Core, task: &TaskRef, function: impl FnOnce(&Frame)) {
    let context: &Cell<Slot> = &task.context;
    Frame::run(
        core.loop_cell().as_ptr(),
        Some(task.clone()),
        context,
        function,
    );
}

fn shared(message: &Cell<Message>) -> Message {
    let taken = message.take();
    message.set(taken.clone());
    taken
}

/// The waker that steps a task; borrowed, so that a step counts no reference for it.
pub(crate) fn task_waker(task: &TaskRef) -> ManuallyDrop<Waker> {
    let raw = RawWaker::new(task.cell().ptr().as_ptr().cast_const().cast(), &WAKER);
    // SAFETY: the table keeps the contract of wakers: `clone` counts a reference, `wake` and `drop`
    // give one up, and all of them may be called on any thread. This one gives none up.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw) })
}

/// Whether a waker is that of this task.
pub(crate) fn is_task_waker(waker: &Waker, task: &TaskRef) -> bool {
    std::ptr::eq(waker.data(), task.cell().ptr().as_ptr().cast_const().cast())
        && std::ptr::eq(waker.vtable(), &raw const WAKER)
}

static WAKER: RawWakerVTable = RawWakerVTable::new(clone_waker, wake, wake_by_ref, drop_waker);

/// # Safety
///
/// As of all four: the pointer is that of a task's cell, kept alive by the waker.
unsafe fn borrow(data: *const ()) -> ManuallyDrop<TaskRef> {
    // SAFETY: it was made of a `NonNull` in `task_waker`.
    let ptr = unsafe { NonNull::new_unchecked(data.cast_mut()) }.cast::<Header>();
    // SAFETY: the waker's reference is lent, not taken: `ManuallyDrop`.
    ManuallyDrop::new(TaskRef::of(unsafe { CellRef::from_counted(ptr) }))
}

unsafe fn clone_waker(data: *const ()) -> RawWaker {
    // SAFETY: passed on.
    let task = unsafe { borrow(data) };
    let ptr = TaskRef::clone(&task).into_cell().into_ptr();
    RawWaker::new(ptr.as_ptr().cast_const().cast(), &WAKER)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: passed on; the waker gives its reference up.
    let task = ManuallyDrop::into_inner(unsafe { borrow(data) });
    wake_task(&task);
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: passed on.
    let task = unsafe { borrow(data) };
    wake_task(&task);
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: passed on; the waker gives its reference up.
    drop(ManuallyDrop::into_inner(unsafe { borrow(data) }));
}

fn wake_task(task: &TaskRef) {
    if task.cell().is_here() {
        schedule(task);
    } else if !task.base.is_done() && !task.wake_sent.swap(true, Ordering::AcqRel) {
        // AcqRel: whoever finds the flag set did what it woke for before the loop clears the flag
        // and steps the task.
        let unread = task.cell().home().post(Mail::Wake(task.clone()));
        drop(unread);
    }
}
