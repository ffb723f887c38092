//! One step of a task (`Task.__step`), and what schedules it.
#![expect(
    unsafe_code,
    reason = "a step polls through the cell's table; wakers are raw references"
)]

use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;
use std::task::{Context as PollContext, Poll, RawWaker, RawWakerVTable, Waker};

use super::cancel::{Answer, cancel_waits};
use super::driver::Poller;
use super::header::{
    DONE, FINISHED, Failure, Header, KILLED, MUST_CANCEL, Polled, REARMED, REQUESTED, RUNNING,
    SCHEDULED, SCOPED, STARTED,
};
use super::outcome::{dispatch_all, fail_task, finish, peek_cancelled};
use super::refs::{CellRef, TaskRef};
use super::waits::{RAISED, SlotId, State};
use crate::contextvars::Slot;
use crate::current::{self, Delivery, Frame};
use crate::exceptions::{CancelledError, Message};
use crate::loop_cell::{Core, Mail};
use crate::primitives::Cell;

/// Has a task stepped soon, unless that is settled already: on its loop in the next iteration, on a
/// tokio runtime when its turn comes. From any thread.
#[inline]
pub(crate) fn schedule(task: &TaskRef) {
    match task.cell().home().core() {
        Some(core) => schedule_here(core, task),
        None => schedule_elsewhere(task),
    }
}

/// As [`schedule`], for who has the task's loop at hand.
#[inline]
pub(crate) fn schedule_here(core: &Core, task: &TaskRef) {
    let flags = task.base.flags();
    if flags & (SCHEDULED | DONE | SCOPED) == 0 {
        task.base.set_flags(flags | SCHEDULED);
        core.push_step(task.clone_here());
    } else if flags & SCOPED != 0 {
        schedule_scoped(task);
    }
}

#[cold]
fn schedule_scoped(task: &TaskRef) {
    tell(task, schedule_driven(task).as_ref());
}

#[cold]
fn schedule_elsewhere(task: &TaskRef) {
    if task.base.is_done() {
        return;
    }
    match task.cell().access(|| schedule_driven(task)) {
        Some(poller) => tell(task, poller.as_ref()),
        // Release, with the Acquire where the loop clears the flag: whoever finds it set did what it woke
        // for before that, and the step that follows sees it.
        None if task.base.wake_sent.swap(true, Ordering::Release) => {}
        None => {
            let unread = task.cell().home().post(Mail::Wake(task.clone()));
            drop(unread);
        }
    }
}

/// Has a task stepped soon that a tokio task or a scope polls; within `access`. Who that is, to be told
/// when `access` is over: `None` where that has been done already, or where a step is under way, which
/// sees to it when it ends.
#[inline]
fn schedule_driven(task: &TaskRef) -> Option<Poller> {
    let flags = task.base.flags();
    if flags & (SCHEDULED | DONE) != 0 {
        return None;
    }
    task.base.set_flags(flags | SCHEDULED);
    if flags & RUNNING != 0 {
        return None;
    }
    task.driver()?.poller()
}

/// Wakes who polls a task.
pub(super) fn tell(task: &TaskRef, poller: Option<&Poller>) {
    if let Some(driver) = task.driver()
        && let Some(poller) = poller
    {
        driver.wake(poller);
    }
}

/// Tells a wait that what it waits for is there; whether it was still waiting, as far as can be
/// told from this thread.
#[inline]
pub(crate) fn wake_slot(task: &TaskRef, id: SlotId) -> bool {
    if let Some(core) = task.cell().home().core()
        && task.wake_first(id)
    {
        schedule_here(core, task);
        return true;
    }
    wake_any_slot(task, id)
}

/// The first half of [`wake_slot`], for a wait of the loop that is running here which the task polls by
/// itself: what is left is to put its step into the ready queue of the loop that comes back, and nothing
/// is called or given up by either. `None` where it is not that, and nothing done.
#[inline]
pub(super) fn wake_slot_here<'a>(frame: &'a Frame, task: &TaskRef, id: SlotId) -> Option<&'a Core> {
    let core = frame.core()?;
    if !frame.is_home_of(task.cell()) || !core.polling.get() {
        return None;
    }
    let flags = task.base.flags();
    if flags & (SCHEDULED | DONE | SCOPED) != 0 || !task.wake_first(id) {
        return None;
    }
    task.base.set_flags(flags | SCHEDULED);
    Some(core)
}

/// As [`wake_slot`], for a wait that a task on a tokio runtime polls by itself; nothing is called. Who
/// polls that task is still to be told, if anybody; `None` where it is not that, and nothing done.
#[inline]
pub(super) fn wake_driven_slot(task: &TaskRef, id: SlotId) -> Option<Option<Poller>> {
    if !task.base.is_driven() {
        return None;
    }
    let woken = task
        .cell()
        .access(|| task.wake_first(id).then(|| schedule_driven(task)));
    woken.flatten()
}

#[inline(never)]
fn wake_any_slot(task: &TaskRef, id: SlotId) -> bool {
    match task.cell().access(|| task.wake_wait(id)) {
        None => task
            .cell()
            .home()
            .post(Mail::WakeSlot(task.clone(), id))
            .is_ok(),
        Some(None) => false,
        Some(Some(None)) => {
            schedule(task);
            true
        }
        Some(Some(Some(waker))) => {
            waker.wake();
            true
        }
    }
}

/// Runs a task's next step; by its loop, from the ready queue.
#[inline]
pub(crate) fn step(core: &Core, task: &TaskRef) {
    let waker = task_waker(task);
    let flags = task.base.flags();
    if flags & (DONE | KILLED | MUST_CANCEL | REQUESTED) != 0 {
        return step_asked(core, task, &waker);
    }
    // Nobody asks anything of the task: the short way of nearly all steps. This is its home.
    task.base.set_flags(flags & !SCHEDULED | RUNNING | STARTED);
    in_frame(Some(core), task, |frame| {
        let mut context = PollContext::from_waker(&waker);
        // SAFETY: as in `run`.
        let polled = unsafe { (task.base.vtable.poll)(task.cell().ptr(), &mut context) };
        if let Polled::Pending = polled {
            let flags = task.base.flags();
            if flags & MUST_CANCEL == 0 {
                task.base.set_flags(flags & !(RUNNING | REARMED));
                return;
            }
        }
        polled_to(Some(core), task, frame, None, polled);
    });
}

#[inline(never)]
fn step_asked(core: &Core, task: &TaskRef, waker: &Waker) {
    run(Some(core), task, waker, None, ready);
}

/// Runs a new task up to its first wait at once (`Task.__eager_start`).
pub(crate) fn start_eagerly(core: Option<&Core>, task: &TaskRef) {
    let waker = task_waker(task);
    run(core, task, &waker, None, ready);
}

/// Runs a task's next step for the tokio task that drives it; whether it has ended.
pub(crate) fn step_driven(task: &TaskRef, waker: &Waker) -> bool {
    run(None, task, waker, Some(waker), ready);
    task.base.is_done()
}

/// Runs the next step of a task whose future lives in a scope, which polls it: by a function that says
/// when the future in the cell will be ready. Whether the task has ended.
pub(crate) fn step_scoped(
    task: &TaskRef,
    waker: &Waker,
    poll: impl FnOnce(&mut PollContext<'_>) -> Poll<()>,
) -> bool {
    let core =
        |frame: Option<&Frame>| run(frame.and_then(Frame::core), task, waker, Some(waker), poll);
    current::with(core);
    task.base.is_done()
}

/// The future lies in the cell.
const fn ready(_: &mut PollContext<'_>) -> Poll<()> {
    Poll::Ready(())
}

/// Keeps the waker of who polls a task for its next wake; within `access`. The wake may have come already,
/// during the step.
///
/// That is done after the step and not before, because many tasks have but one.
#[inline]
fn drive(task: &TaskRef, waker: &Waker) {
    if let Some(driver) = task.driver() {
        driver.keep(waker);
    }
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
        /// The wait that the wake was for, where it could be ended already.
        ended: SlotId,
    },
}

#[inline]
fn run(
    core: Option<&Core>,
    task: &TaskRef,
    waker: &Waker,
    driver: Option<&Waker>,
    poll: impl FnOnce(&mut PollContext<'_>) -> Poll<()>,
) {
    let begin = task.cell().access(|| {
        let flags = task.base.flags();
        if flags & (DONE | KILLED | MUST_CANCEL | REQUESTED) != 0 {
            return begin_asked(task);
        }
        task.base.set_flags(flags & !SCHEDULED | RUNNING | STARTED);
        Begin::Run {
            requested: false,
            ended: task.end_if_woken(),
        }
    });
    let Some(Begin::Run { requested, ended }) = begin else {
        if let Some(Begin::NeverRuns(message)) = begin {
            in_frame(core, task, |_| {
                end_cancelled(core, task, CancelledError::from_message(message));
            });
        }
        return;
    };
    in_frame(core, task, |frame| {
        frame.ended.set(ended);
        if requested {
            prepare(task, &frame.delivery);
        }
        let mut context = PollContext::from_waker(waker);
        let polled = frame.polling(waker, || match poll(&mut context) {
            Poll::Pending => Polled::Pending,
            // SAFETY: the future is alive because the task is not done, and nobody else polls it: a
            // step runs from the ready queue, by the one tokio task that drives it, or right after
            // the task was made.
            Poll::Ready(()) => unsafe { (task.base.vtable.poll)(task.cell().ptr(), &mut context) },
        });
        polled_to(core, task, frame, driver, polled);
    });
}

/// Begins a step of a task of which somebody asks something, or which has ended; within `access`.
#[cold]
fn begin_asked(task: &TaskRef) -> Begin {
    task.base.clear(SCHEDULED);
    if task.base.is_done() {
        return Begin::Stale;
    }
    if task.base.has(KILLED) || task.base.has(MUST_CANCEL) && !task.base.has(STARTED) {
        return Begin::NeverRuns(task.take_message());
    }
    task.base.set(RUNNING | STARTED);
    let requested = task.base.has(REQUESTED);
    let ended = if requested {
        SlotId::NONE
    } else {
        task.end_if_woken()
    };
    Begin::Run { requested, ended }
}

/// Does what follows from what a step's poll came to. `driver`: who polls the task, where its loop does
/// not.
fn polled_to(
    core: Option<&Core>,
    task: &TaskRef,
    frame: &Frame,
    driver: Option<&Waker>,
    polled: Polled,
) {
    match polled {
        Polled::Pending => suspended(core, task, &frame.delivery, driver),
        Polled::Value => ended_with_value(core, task),
        Polled::Error(exception) => match exception.into_cancelled() {
            Ok(error) => {
                end(core, task, Failure::Raised(error));
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
}

fn ended_with_value(core: Option<&Core>, task: &TaskRef) {
    disown(core, task);
    let flags = task.base.flags();
    if core.is_some() && flags & MUST_CANCEL == 0 && task.cell().is_here() {
        task.base.set_flags(flags & !RUNNING | FINISHED);
        return dispatch_all(task.cell(), task.base.callbacks.take());
    }
    let finished = task.cell().access(|| {
        task.base.clear(RUNNING);
        if task.base.has(MUST_CANCEL) {
            return Err(task.take_message());
        }
        Ok(finish(task.cell(), FINISHED))
    });
    match finished {
        Some(Ok(callbacks)) => dispatch_all(task.cell(), callbacks),
        // Cancelled in its very last stretch: the value is lost (`super().cancel` in
        // `__step_run_and_handle_result`).
        Some(Err(message)) => fail_task(task, Failure::Cancelled(message)),
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
        task.each_wait(|slot, extra| match slot.state.get() {
            State::Cancelled => {
                slot.mark(RAISED);
                own.get_or_insert_with(|| extra.message.clone());
            }
            State::Woken => woken.extend(slot.target()),
            _ => {}
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
        let message = task.message();
        task.each_wait(|slot, extra| {
            slot.state.set(State::Thrown);
            extra.message.clone_from(&message);
            wakers.extend(extra.waker.take());
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
#[inline]
fn suspended(core: Option<&Core>, task: &TaskRef, delivery: &Delivery, driver: Option<&Waker>) {
    if delivery.due.get() {
        return suspended_when_due(core, task, delivery, driver);
    }
    let left_over = task.cell().access(|| {
        let flags = task.base.flags();
        task.base.set_flags(flags & !(RUNNING | REARMED));
        if let Some(waker) = driver {
            drive(task, waker);
        }
        let message = (flags & MUST_CANCEL != 0).then(|| task.message());
        (flags & SCHEDULED != 0, message)
    });
    if let Some((woken, message)) = left_over
        && (woken || message.is_some())
    {
        left(task, driver.filter(|_| woken), message);
    }
}

/// As `suspended`, where the step had to deliver a request.
#[cold]
fn suspended_when_due(
    core: Option<&Core>,
    task: &TaskRef,
    delivery: &Delivery,
    driver: Option<&Waker>,
) {
    if delivery.is_stuck_since((0, 0)) {
        // Something foreign is in the way: it is cancelled as Rust does, by dropping it. Here the
        // innermost scope is the task itself.
        end_cancelled(core, task, CancelledError::from_message(delivery.message()));
        return;
    }
    let left_over = delivery.taken.get() == 0;
    let mut woken = false;
    let message = task.cell().access(|| {
        task.base.clear(RUNNING | REARMED);
        if let Some(waker) = driver {
            drive(task, waker);
            woken = task.base.has(SCHEDULED);
        }
        if left_over {
            // The foreign future was done after all, and the task went on to wait for something
            // else. A request that was only put off has not met anything foreign yet.
            let rearmed = if delivery.put_off.get() { 0 } else { REARMED };
            task.base.set(MUST_CANCEL | rearmed);
            task.set_message(delivery.message());
        }
        task.base.has(MUST_CANCEL).then(|| task.message())
    });
    left(task, driver.filter(|_| woken), message.flatten());
}

/// Does what is left of a step where no lock is held: wakes who is to poll again, and passes a request on
/// to what the task waits for now.
#[cold]
fn left(task: &TaskRef, woken: Option<&Waker>, message: Option<Message>) {
    if let Some(driver) = woken {
        driver.wake_by_ref();
    }
    if let Some(message) = message {
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
    end(core, task, Failure::Raised(error));
}

fn end(core: Option<&Core>, task: &TaskRef, failure: Failure) {
    disown(core, task);
    fail_task(task, failure);
}

/// Gives up the loop's own reference to a task that has ended, or those that the task has to itself.
#[inline]
fn disown(core: Option<&Core>, task: &TaskRef) {
    if let Some(core) = core {
        let owned = core.tasks.borrow_mut().remove(task);
        if let Some(owned) = owned {
            owned.into_cell().drop_here();
        }
    } else {
        task.empty_stock();
    }
}

fn in_frame(core: Option<&Core>, task: &TaskRef, function: impl FnOnce(&Frame)) {
    let context: &Cell<Slot> = &task.context;
    let loop_cell = core.map_or(ptr::null(), |core| core.loop_cell().as_ptr().cast_const());
    Frame::run(loop_cell, Some(task), context, function);
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
    is_own_waker(waker, task)
        || (task.base.is_driven() || task.base.has(SCOPED)) && is_driver(waker, task)
}

/// As [`is_task_waker`], for the task of the innermost frame.
#[inline]
pub(super) fn is_waker_of_frame(waker: &Waker, frame: &Frame, task: &TaskRef) -> bool {
    is_own_waker(waker, task)
        || (task.base.is_driven() || task.base.has(SCOPED)) && frame.is_polled_with(waker)
}

/// Whether a waker is the task's own.
#[inline]
pub(crate) fn is_own_waker(waker: &Waker, task: &TaskRef) -> bool {
    ptr::eq(waker.data(), task.cell().ptr().as_ptr().cast_const().cast())
        && ptr::eq(waker.vtable(), &raw const WAKER)
}

/// Whether the waker is that of whoever is polling this task, which its loop does not poll.
fn is_driver(waker: &Waker, task: &TaskRef) -> bool {
    current::with(|frame| {
        frame.is_some_and(|frame| frame.task() == Some(task) && frame.is_polled_with(waker))
    })
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
