//! One step of a task (`Task.__step`), and what schedules it.
#![expect(
    unsafe_code,
    reason = "a step polls through the cell's table; wakers are raw references"
)]

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;
use std::task::{Context as PollContext, Poll, RawWaker, RawWakerVTable, Waker};

use super::cancel::{Answer, cancel_waits};
use super::header::{
    DONE, FINISHED, Failure, Header, KILLED, MUST_CANCEL, Polled, REARMED, REQUESTED, RUNNING,
    SCHEDULED, SCOPED, STARTED,
};
use super::outcome::{dispatch_all, fail_task, finish, peek_cancelled};
use super::refs::{CellRef, TaskRef};
use super::waits::{SlotId, State};
use crate::contextvars::Slot;
use crate::current::{self, Delivery, Frame};
use crate::exceptions::{CancelledError, Message};
use crate::loop_cell::{Core, Mail};
use crate::ready::Ready;

/// Has a task stepped soon, unless that is settled already: on its loop in the next iteration, on a
/// tokio runtime when its turn comes. From any thread.
#[inline]
pub(crate) fn schedule(task: &TaskRef) {
    if let Some(core) = task.cell().home().core() {
        if !task.base.has(SCHEDULED | DONE | SCOPED) {
            task.base.set(SCHEDULED);
            core.push(Ready::Step(task.clone()));
        } else if task.base.has(SCOPED) {
            wake_driver(task);
        }
        return;
    }
    schedule_elsewhere(task);
}

#[cold]
fn schedule_elsewhere(task: &TaskRef) {
    if task.base.is_done() {
        return;
    }
    let shared = task.cell().access(|| wake_driver(task));
    if shared.is_none() && !task.wake_sent.swap(true, Ordering::AcqRel) {
        // AcqRel: whoever finds the flag set did what it woke for before the loop clears the flag
        // and steps the task.
        let unread = task.cell().home().post(Mail::Wake(task.clone()));
        drop(unread);
    }
}

/// Wakes the tokio task, or the scope, that polls this one; within `access`.
///
/// That is no call to a user's code, and it takes no lock that is held while ours is taken: the
/// waker is tokio's own.
fn wake_driver(task: &TaskRef) {
    if task.base.has(SCHEDULED | DONE) {
        return;
    }
    task.base.set(SCHEDULED);
    task.driver.with(|waker| {
        if let Some(waker) = waker {
            waker.wake_by_ref();
        }
    });
}

/// Tells a wait that what it waits for is there; whether it was still waiting, as far as can be
/// told from this thread.
pub(crate) fn wake_slot(task: &TaskRef, id: SlotId) -> bool {
    let woken = task.cell().access(|| {
        let (woken, waker) = task.with_waits(|waits| match waits.get(id) {
            Some(slot) if slot.state == State::Pending => {
                slot.state = State::Woken;
                slot.woken = true;
                (true, waits.waker(id).and_then(Option::take))
            }
            _ => (false, None),
        });
        (woken, waker)
    });
    match woken {
        None => task
            .cell()
            .home()
            .post(Mail::WakeSlot(task.clone(), id))
            .is_ok(),
        Some((false, _)) => false,
        Some((true, None)) => {
            schedule(task);
            true
        }
        Some((true, Some(waker))) => {
            waker.wake();
            true
        }
    }
}

/// Runs a task's next step; by its loop, from the ready queue.
pub(crate) fn step(core: &Core, task: &TaskRef) {
    let waker = task_waker(task);
    run(Some(core), task, &waker, ready);
}

/// Runs a new task up to its first wait at once (`Task.__eager_start`).
pub(crate) fn start_eagerly(core: Option<&Core>, task: &TaskRef) {
    let waker = task_waker(task);
    run(core, task, &waker, ready);
}

/// Runs a task's next step for the tokio task that drives it; whether it has ended.
pub(crate) fn step_driven(task: &TaskRef, waker: &Waker) -> bool {
    set_driver(task, waker);
    run(None, task, waker, ready);
    task.base.is_done()
}

/// Runs the next step of a task whose future lives in a scope, which polls it: by a function that says
/// when the future in the cell will be ready. Whether the task has ended.
pub(crate) fn step_scoped(
    task: &TaskRef,
    waker: &Waker,
    poll: impl FnOnce(&mut PollContext<'_>) -> Poll<()>,
) -> bool {
    set_driver(task, waker);
    current::with(|frame| run(frame.and_then(Frame::core), task, waker, poll));
    task.base.is_done()
}

/// The future lies in the cell.
const fn ready(_: &mut PollContext<'_>) -> Poll<()> {
    Poll::Ready(())
}

fn set_driver(task: &TaskRef, waker: &Waker) {
    task.cell().access(|| {
        task.driver.with(|known| {
            // Cloning and dropping tokio's own waker calls nothing of a user's.
            if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
                *known = Some(waker.clone());
            }
        });
    });
}

/// Drops the future of a task that the end of its loop or runtime leaves unfinished, and ends it.
pub(crate) fn drop_unfinished(core: Option<&Core>, task: &TaskRef) {
    if !task.base.is_done() {
        in_frame(core, task, |_| {
            end_cancelled(core, task, CancelledError::new())
        });
    }
}

/// Has a task never polled again: its future is dropped, here and now where that can be, else by the
/// thread that is polling it or is about to.
pub(crate) fn kill(task: &TaskRef) {
    let running = task.cell().access(|| {
        task.base.set(KILLED);
        task.base.has(RUNNING)
    });
    match task.cell().home().core() {
        Some(core) if running == Some(false) => drop_unfinished(Some(core), task),
        None if running == Some(false) && task.base.has(SCOPED) => drop_unfinished(None, task),
        _ => schedule(task),
    }
}

/// What a step finds when it begins.
enum Begin {
    /// The task has ended meanwhile.
    Stale,
    /// The error would be thrown into a coroutine that has not begun, whose body then never runs; or
    /// the task's group was dropped.
    NeverRuns(Message),
    Run {
        requested: bool,
    },
}

#[inline]
fn run(
    core: Option<&Core>,
    task: &TaskRef,
    waker: &Waker,
    poll: impl FnOnce(&mut PollContext<'_>) -> Poll<()>,
) {
    let begin = task.cell().access(|| {
        task.base.clear(SCHEDULED);
        if task.base.is_done() {
            Begin::Stale
        } else if task.base.has(KILLED) || task.base.has(MUST_CANCEL) && !task.base.has(STARTED) {
            Begin::NeverRuns(task.message.take())
        } else {
            task.base.set(RUNNING | STARTED);
            Begin::Run {
                requested: task.base.has(REQUESTED),
            }
        }
    });
    match begin {
        None | Some(Begin::Stale) => {}
        Some(Begin::NeverRuns(message)) => in_frame(core, task, |_| {
            end_cancelled(core, task, CancelledError::from_message(message));
        }),
        Some(Begin::Run { requested }) => in_frame(core, task, |frame| {
            if requested {
                prepare(task, &frame.delivery);
            }
            let mut context = PollContext::from_waker(waker);
            let polled = match poll(&mut context) {
                Poll::Pending => Polled::Pending,
                // SAFETY: the future is alive because the task is not done, and nobody else polls it: a
                // step runs from the ready queue, by the one tokio task that drives it, or right after
                // the task was made.
                Poll::Ready(()) => unsafe {
                    (task.base.vtable.poll)(task.cell().ptr(), &mut context)
                },
            };
            match polled {
                Polled::Pending => suspended(core, task, &frame.delivery),
                Polled::Value => ended_with_value(core, task),
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
                        if exception.escapes_the_loop()
                            && let Some(core) = core
                        {
                            core.escape(exception.clone());
                        }
                        end(core, task, Failure::Error(exception));
                    }
                },
            }
        }),
    }
}

fn ended_with_value(core: Option<&Core>, task: &TaskRef) {
    disown(core, task);
    let finished = task.cell().access(|| {
        task.base.clear(RUNNING);
        if task.base.has(MUST_CANCEL) {
            return Err(task.message.take());
        }
        Ok(finish(task.cell(), FINISHED))
    });
    match finished {
        Some(Ok(callbacks)) => dispatch_all(task.cell(), callbacks),
        // Cancelled in its very last stretch: the value is lost (`super().cancel` in
        // `__step_run_and_handle_result`).
        Some(Err(message)) => fail_task(
            task,
            Failure::Cancelled {
                saved: None,
                message,
            },
        ),
        None => {}
    }
}

/// Settles, before a step, which waits raise CancelledError in it.
#[cold]
fn prepare(task: &TaskRef, delivery: &Delivery) {
    delivery.rearmed.set(task.base.has(REARMED));
    // A wait that is cancelled itself, or whose future was, raises that by itself. The futures are
    // looked at one by one and not from within `access`: they have locks of their own.
    let mut own = None;
    let mut woken = Vec::new();
    task.cell().access(|| {
        task.with_waits(|waits| {
            waits.for_each(|slot, _| match (slot.state, &slot.target) {
                (State::Cancelled, _) if own.is_none() => own = Some(slot.message.clone()),
                (State::Woken, Some(target)) => woken.push(target.clone()),
                _ => {}
            });
        });
    });
    let own = own.or_else(|| {
        woken
            .iter()
            .find_map(peek_cancelled)
            .map(CancelledError::into_message)
    });
    let mut wakers = Vec::new();
    let due = task.cell().access(|| {
        let must_cancel = task.base.has(MUST_CANCEL);
        task.base.clear(MUST_CANCEL);
        if own.is_some() || !must_cancel {
            return own;
        }
        // It stays with the task: a gather that is cancelled looks at it when the task has ended.
        let message = shared(&task.message);
        task.with_waits(|waits| {
            waits.for_each(|slot, waker| {
                slot.state = State::Thrown;
                slot.message.clone_from(&message);
                wakers.extend(waker.take());
            });
        });
        delivery.thrown.set(true);
        Some(message)
    });
    if let Some(message) = due.flatten() {
        delivery.due.set(true);
        delivery.set_message(message);
    }
    wakers.into_iter().for_each(Waker::wake);
}

/// Settles, after a step that did not end, what becomes of a request that it left over.
fn suspended(core: Option<&Core>, task: &TaskRef, delivery: &Delivery) {
    if delivery.is_stuck_since((0, 0)) {
        // Something foreign is in the way: it is cancelled as Rust does, by dropping it. Here the
        // innermost scope is the task itself.
        end_cancelled(core, task, CancelledError::from_message(delivery.message()));
        return;
    }
    let left_over = delivery.due.get() && delivery.taken.get() == 0;
    let message = task.cell().access(|| {
        task.base.clear(RUNNING | REARMED);
        if left_over {
            // The foreign future was done after all, and the task went on to wait for something
            // else. A request that was only put off has not met anything foreign yet.
            let rearmed = if delivery.put_off.get() { 0 } else { REARMED };
            task.base.set(MUST_CANCEL | rearmed);
            task.message.set(delivery.message());
        }
        task.base.has(MUST_CANCEL).then(|| shared(&task.message))
    });
    if let Some(Some(message)) = message {
        match cancel_waits(task, &message) {
            Answer::Accepted => {
                task.cell().access(|| task.base.clear(MUST_CANCEL));
            }
            Answer::Refused => {}
            Answer::Unheard => schedule(task),
        }
    }
}

#[cold]
fn end_cancelled(core: Option<&Core>, task: &TaskRef, error: CancelledError) {
    if task.base.future_alive.get() {
        // SAFETY: the future is alive and not being polled: this is its step, or its runtime's end.
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

fn end(core: Option<&Core>, task: &TaskRef, failure: Failure) {
    disown(core, task);
    fail_task(task, failure);
}

/// Gives up the loop's own reference to a task that has ended.
fn disown(core: Option<&Core>, task: &TaskRef) {
    if let Some(core) = core {
        let owned = core.tasks.borrow_mut().remove(task.owned.get());
        drop(owned);
    }
}

fn in_frame(core: Option<&Core>, task: &TaskRef, function: impl FnOnce(&Frame)) {
    let context: &Cell<Slot> = &task.context;
    let loop_cell = core.map_or(ptr::null(), |core| core.loop_cell().as_ptr().cast_const());
    Frame::run(loop_cell, Some(task), context, function);
}

fn shared(message: &Cell<Message>) -> Message {
    let taken = message.take();
    message.set(taken.clone());
    taken
}

/// The waker that steps a task; borrowed, so that a step counts no reference for it.
fn task_waker(task: &TaskRef) -> ManuallyDrop<Waker> {
    let raw = RawWaker::new(task.cell().ptr().as_ptr().cast_const().cast(), &WAKER);
    // SAFETY: the table keeps the contract of wakers: `clone` counts a reference, `wake` and `drop`
    // give one up, and all of them may be called on any thread. This one gives none up.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw) })
}

/// Whether a waker has this task stepped: its own, or that of the tokio task that drives it.
#[inline]
pub(crate) fn is_task_waker(waker: &Waker, task: &TaskRef) -> bool {
    let own = ptr::eq(waker.data(), task.cell().ptr().as_ptr().cast_const().cast())
        && ptr::eq(waker.vtable(), &raw const WAKER);
    own || (task.base.is_driven() || task.base.has(SCOPED)) && is_driver(waker, task)
}

fn is_driver(waker: &Waker, task: &TaskRef) -> bool {
    let is_it = || {
        task.driver
            .with(|known| known.as_ref().is_some_and(|known| known.will_wake(waker)))
    };
    task.cell().access(is_it).unwrap_or(false)
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
    schedule(&task);
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: passed on.
    let task = unsafe { borrow(data) };
    schedule(&task);
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: passed on; the waker gives its reference up.
    drop(ManuallyDrop::into_inner(unsafe { borrow(data) }));
}
