//! Completing a cell and asking for its outcome.
#![expect(
    unsafe_code,
    reason = "outcomes are read and written through the cell's table"
)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::runtime::Handle as Runtime;

use super::callbacks::{Callback, Callbacks, DoneCall, NO_TOKEN, SendCallback, Token};
use super::family::tell_detached;
use super::header::{CANCELLED, DONE, FAILED, FINISHED, Failure, LENT, UNRETRIEVED};
use super::refs::{CellRef, TaskRef};
use super::step::wake_slot;
use super::task::{Outcome, outcome};
use crate::base_events;
use crate::exceptions::{
    CancelledError, Exception, InvalidStateError, Message, Result, RuntimeError,
};
use crate::loop_cell::Mail;
use crate::primitives::{Cell, sleep_in_model, thread_local, wake_in_model, yield_now};
use crate::ready::Ready;

/// Stores a future's value and schedules the callbacks (`Future.set_result`).
///
/// The value comes back when the future is done already, and on another thread than its loop's.
///
/// # Safety
///
/// The cell is a future's, and its value is a `T`.
pub(crate) unsafe fn complete<T>(cell: &CellRef, value: T) -> Result<(), T> {
    let mut value = Some(value);
    let callbacks = cell.access(|| {
        if cell.is_done() {
            return None;
        }
        let value = value.take()?;
        // SAFETY: we are the cell's only user and the caller knows the type; what is there is
        // `None`, which needs no drop.
        unsafe { outcome::<T>(cell).write(Outcome::Value(value)) };
        Some(finish(cell, FINISHED))
    });
    if let Some(callbacks) = callbacks.flatten() {
        dispatch_all(cell, callbacks);
    }
    value.map_or(Ok(()), Err)
}

/// Ends a future without a value (`set_exception`, `cancel`); false when it is done already, and on
/// another thread than its loop's.
pub(crate) fn fail(cell: &CellRef, failure: Failure) -> bool {
    let callbacks = cell.access(|| {
        if cell.is_done() {
            return None;
        }
        let flags = failed_flags(&failure);
        // SAFETY: we are the cell's only user; a future's outcome is there from the start.
        unsafe { (cell.vtable.fail)(cell.ptr(), failure) };
        Some(finish(cell, flags))
    });
    let Some(callbacks) = callbacks.flatten() else {
        return false;
    };
    dispatch_all(cell, callbacks);
    true
}

/// Ends a task without a value; by its step, which alone uses the outcome until then.
pub(super) fn fail_task(task: &TaskRef, failure: Failure) {
    let cell = task.cell();
    let flags = failed_flags(&failure);
    // SAFETY: the future is gone and the task not done, so that nobody else looks at the outcome. A
    // value that was there already is dropped here, outside of any lock.
    unsafe { (cell.vtable.fail)(cell.ptr(), failure) };
    if let Some(callbacks) = cell.access(|| finish(cell, flags)) {
        dispatch_all(cell, callbacks);
    }
}

fn failed_flags(failure: &Failure) -> u32 {
    match failure {
        Failure::Error(_) => FINISHED | FAILED | UNRETRIEVED,
        Failure::Raised(_) | Failure::Cancelled(_) => CANCELLED,
    }
}

/// Marks a cell as done and takes its callbacks; within `access`.
pub(super) fn finish(cell: &CellRef, flags: u32) -> Callbacks {
    cell.set(flags);
    cell.callbacks.take()
}

/// Schedules callbacks, in order.
#[inline]
pub(super) fn dispatch_all(cell: &CellRef, callbacks: Callbacks) {
    // By far the most common: one task awaits this one, ours or, where there is no loop, tokio's.
    match callbacks {
        // There is nothing to drop; said so, because finding out takes longer than the rest.
        none @ Callbacks::None => std::mem::forget(none),
        Callbacks::One(Callback::Task { task, slot }) => {
            wake_slot(&task, slot);
        }
        Callbacks::One(Callback::Waker(waker)) if cell.is_driven() => waker.wake(),
        callbacks => dispatch_each(cell, callbacks),
    }
}

#[inline(never)]
fn dispatch_each(cell: &CellRef, callbacks: Callbacks) {
    callbacks.for_each(|callback| dispatch(cell, callback));
}

/// Adds a callback, or schedules it at once where the cell is done already.
///
/// On another thread than the cell's loop's it is sent there; that is for wakes only, because a
/// function may be bound to its thread.
pub(crate) fn add_callback(cell: &CellRef, callback: Callback) -> Token {
    let mut callback = Some(callback);
    let token = cell.access(|| {
        if cell.is_done() {
            return None;
        }
        let callback = callback.take()?;
        Some(cell.add_callback(callback))
    });
    if let Some(callback) = callback {
        if token.is_none() {
            return send_callback(cell, callback);
        }
        dispatch(cell, callback);
    }
    token.flatten().unwrap_or(NO_TOKEN)
}

/// Removes the callback with this token, if it is still waiting; from any thread.
pub(crate) fn remove_callback(cell: &CellRef, token: Token) {
    let removed = cell.access(|| {
        if cell.is_done() || token == NO_TOKEN {
            return None;
        }
        cell.change_callbacks(|callbacks| callbacks.remove(token))
    });
    if removed.is_none() && token != NO_TOKEN && !cell.is_done() {
        let mail = Mail::RemoveCallback(cell.clone(), token);
        if cell.home().post(mail).is_err() {
            // The loop was closed just now.
            remove_callback(cell, token);
        }
    }
}

/// Removes what tells a future that this child of its is done.
pub(crate) fn remove_family(cell: &CellRef, outer: &CellRef) {
    let removed = cell.access(|| cell.change_callbacks(|callbacks| callbacks.remove_family(outer)));
    drop(removed);
}

/// Removes the done callback with this number, and says whether it was there.
pub(crate) fn remove_call(cell: &CellRef, id: u64) -> bool {
    let removed = cell.access(|| cell.change_callbacks(|callbacks| callbacks.remove_call(id)));
    removed.flatten().is_some()
}

/// Removes what `run_until_complete` added.
pub(crate) fn remove_stop(cell: &CellRef) {
    let removed = cell.access(|| cell.change_callbacks(Callbacks::remove_stop));
    drop(removed);
}

/// Ends a cell that nobody knows of yet with an exception.
pub(super) fn born_failed(cell: &CellRef, exception: Exception) {
    // SAFETY: the caller has just made the cell, a future's, and is its only user.
    unsafe { (cell.vtable.fail)(cell.ptr(), Failure::Error(exception)) };
    cell.set(FINISHED | FAILED);
}

/// The value, taken or cloned, or why there is none (`Future.result`).
///
/// # Safety
///
/// The cell's value is a `T`.
pub(crate) unsafe fn retrieve<T>(cell: &CellRef, clone: Option<fn(&T) -> T>) -> Result<T> {
    if !cell.is_done() {
        return Err(InvalidStateError::new("Result is not set.").into());
    }
    // SAFETY: passed on.
    let taken = cell.access(|| unsafe { take_outcome(cell, clone) });
    // SAFETY: passed on.
    unsafe { retrieved(cell, taken, clone) }
}

/// As [`retrieve`], for the owner of the reference, once the cell is done.
///
/// # Safety
///
/// The cell's value is a `T`.
#[inline]
pub(crate) unsafe fn retrieve_mut<T>(cell: &mut CellRef, clone: Option<fn(&T) -> T>) -> Result<T> {
    // SAFETY: passed on.
    let taken = cell.access_mut(|cell| unsafe { take_outcome(cell, clone) });
    match (taken, clone) {
        (Some(Taken::Out(Outcome::Value(value))), None) => Ok(value),
        // SAFETY: passed on.
        (taken, clone) => unsafe { retrieved(cell, taken, clone) },
    }
}

/// What was found where the outcome stands.
enum Taken<T> {
    Out(Outcome<T>),
    /// Another thread is cloning the value.
    Lent,
}

/// # Safety
///
/// The cell is done, its value is a `T`, and the caller is its only user.
#[inline(always)]
unsafe fn take_outcome<T>(cell: &CellRef, clone: Option<fn(&T) -> T>) -> Taken<T> {
    let flags = cell.flags();
    if flags & LENT != 0 {
        return Taken::Lent;
    }
    // SAFETY: the caller's promise.
    let taken = take(unsafe { outcome::<T>(cell).as_mut() });
    let lent = match (&taken, clone) {
        (Outcome::Value(_), Some(_)) => LENT,
        _ => 0,
    };
    cell.set_flags(flags & !UNRETRIEVED | lent);
    Taken::Out(taken)
}

/// # Safety
///
/// The cell is done and its value is a `T`.
#[inline(never)]
unsafe fn retrieved<T>(
    cell: &CellRef,
    mut taken: Option<Taken<T>>,
    clone: Option<fn(&T) -> T>,
) -> Result<T> {
    loop {
        return match (taken, clone) {
            (None, _) => Err(not_here()),
            (Some(Taken::Lent), _) => {
                wait_for_value(cell)?;
                // SAFETY: passed on.
                taken = cell.access(|| unsafe { take_outcome(cell, clone) });
                continue;
            }
            (Some(Taken::Out(Outcome::Value(value))), None) => Ok(value),
            (Some(Taken::Out(Outcome::Value(value))), Some(clone)) => {
                let outer = LENDING.get();
                LENDING.set(true);
                let value = Some(value);
                let loan = Loan { cell, value, outer };
                // Out here, because it may call anything.
                loan.value.as_ref().map(clone).ok_or_else(already_taken)
            }
            (Some(Taken::Out(Outcome::Error(exception))), _) => Err(exception),
            (Some(Taken::Out(_)), _) => Err(already_taken()),
        };
    }
}

thread_local! {
    /// A value is being cloned on this thread.
    static LENDING: Cell<bool> = const { Cell::new(false) };
}

/// A value that is out to be cloned; it goes back also when that panics.
struct Loan<'a, T> {
    cell: &'a CellRef,
    value: Option<T>,
    outer: bool,
}

impl<T> Drop for Loan<'_, T> {
    fn drop(&mut self) {
        let Self { cell, value, outer } = self;
        LENDING.set(*outer);
        cell.access(|| {
            if let Some(value) = value.take() {
                // SAFETY: we are the cell's only user, and the value came from there. Whoever looked
                // meanwhile left the outcome as it is: `None`, which needs no drop.
                unsafe { outcome::<T>(cell).write(Outcome::Value(value)) };
            }
            cell.clear(LENT);
        });
        wake_in_model(cell.address());
    }
}

/// Waits until another thread has cloned the value.
///
/// A clone that asks for a value itself, its own perhaps, does not wait: two of them might wait for each
/// other.
#[cold]
fn wait_for_value(cell: &CellRef) -> Result<()> {
    if LENDING.get() {
        return Err(already_taken());
    }
    if !sleep_in_model(cell.address()) {
        yield_now();
    }
    Ok(())
}

/// The exception of a cell that is done (`Future.exception`); `Err` when cancelled or pending.
pub(crate) fn error(cell: &CellRef) -> Result<Option<Exception>> {
    if !cell.is_done() {
        return Err(InvalidStateError::new("Exception is not set.").into());
    }
    let error = cell.access(|| {
        cell.clear(UNRETRIEVED);
        // SAFETY: the cell is done, and we are its only user.
        unsafe { (cell.vtable.error)(cell.ptr(), true) }
    });
    match error {
        None => Err(not_here()),
        Some(Some(cancelled)) if cell.has(CANCELLED) => Err(cancelled),
        Some(error) => Ok(error),
    }
}

/// The error of who was cancelled by way of this one (`Future._make_cancelled_error`).
pub(crate) fn make_cancelled_error(cell: &CellRef) -> Exception {
    if cell.has(CANCELLED)
        && let Err(error) = error(cell)
    {
        return error;
    }
    // A task that was cancelled and went on keeps the message it was cancelled with.
    let message = cell.as_task().and_then(TaskRef::cancel_message);
    CancelledError::from_message(message).into()
}

/// The message with which a cell was cancelled that is done, whatever its coroutine raised.
///
/// # Safety
///
/// The cell's value is a `T`.
pub(crate) unsafe fn cancelled_message<T>(cell: &CellRef) -> Message {
    let message = cell.access(|| {
        // SAFETY: we are the cell's only user, and the caller knows the type.
        match unsafe { outcome::<T>(cell).as_ref() } {
            Outcome::Cancelled(message) => message.clone(),
            _ => None,
        }
    });
    message.flatten()
}

/// Takes note that somebody has seen the exception, if there is one.
pub(crate) fn mark_retrieved(cell: &CellRef) {
    cell.access(|| cell.clear(UNRETRIEVED));
}

/// The error as it stands, without taking note that somebody saw it.
pub(crate) fn peek(cell: &CellRef) -> Option<Exception> {
    if !cell.has(DONE) || cell.has(FINISHED) && !cell.has(FAILED) {
        return None;
    }
    // SAFETY: the cell is done, and we are its only user.
    cell.access(|| unsafe { (cell.vtable.error)(cell.ptr(), false) })
        .flatten()
}

/// Whether awaiting the cell would raise CancelledError, and with which message.
pub(super) fn peek_cancelled(cell: &CellRef) -> Option<CancelledError> {
    peek(cell)?.into_cancelled().ok()
}

/// Schedules one callback of a cell that is done; not within `access`.
pub(super) fn dispatch(cell: &CellRef, callback: Callback) {
    let Some(core) = cell.home().core() else {
        return dispatch_at_once(cell, callback);
    };
    match callback {
        Callback::Task { .. } | Callback::Fetch(_) | Callback::Sent(..) => {
            dispatch_at_once(cell, callback);
        }
        Callback::Call(call) => core.push(Ready::Done(cell.clone(), call)),
        Callback::Waker(waker) => core.push(Ready::Wake(waker)),
        Callback::Family(outer, number) => {
            core.push(Ready::Family(outer, cell.clone(), number));
        }
        Callback::Watch(watcher, number) => {
            core.push(Ready::Watch(watcher, cell.clone(), number));
        }
        Callback::Stop => core.push(Ready::Stop(cell.clone())),
    }
}

/// As `dispatch`, where there is no loop, and for those who wait on another thread: the loop may be
/// closed before it comes to what is in its ready queue, and they count no turns.
pub(super) fn dispatch_at_once(cell: &CellRef, callback: Callback) {
    match callback {
        Callback::Task { task, slot } => {
            wake_slot(&task, slot);
        }
        Callback::Call(call) => call_detached(cell.clone(), call),
        Callback::Waker(waker) => waker.wake(),
        Callback::Fetch(fetch) => fetch(cell),
        Callback::Family(outer, number) => tell_detached(outer, cell.clone(), number),
        Callback::Watch(watcher, number) => watcher.done(cell, number),
        Callback::Stop => {}
        Callback::Sent(_, callback) => dispatch_at_once(cell, *callback),
    }
}

/// A done callback that no loop calls, and the cell that is done.
struct Detached(CellRef, Box<dyn DoneCall>);

// SAFETY: only functions that may go to another thread are added to a cell without a loop
// (`Typed::add_done_callback`).
unsafe impl Send for Detached {}

impl Detached {
    fn call(self) {
        let Self(cell, call) = self;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| call.call(cell))) {
            base_events::failed_callback(None, Exception::from_panic(panic), None);
        }
    }
}

/// Calls a done callback where there is no loop to call it: soon, on the tokio runtime of this
/// thread, or at once where there is none.
fn call_detached(cell: CellRef, call: Box<dyn DoneCall>) {
    let detached = Detached(cell, call);
    match Runtime::try_current() {
        Ok(runtime) => drop(runtime.spawn(async move { detached.call() })),
        Err(_) => call_in_order(detached),
    }
}

thread_local! {
    /// The callbacks to be called next, while one is being called.
    static CALLING: RefCell<Option<VecDeque<Detached>>> = const { RefCell::new(None) };
}

/// Calls a callback here, after those that are under way: each may end the next future.
fn call_in_order(first: Detached) {
    if CALLING.try_with(|_| ()).is_err() {
        // The thread is ending, and has no room for a queue any more.
        first.call();
        return;
    }
    let queue = |detached| {
        CALLING.with_borrow_mut(|calling| match calling {
            Some(queue) => {
                queue.push_back(detached);
                None
            }
            None => {
                *calling = Some(VecDeque::new());
                Some(detached)
            }
        })
    };
    let mut next = queue(first);
    while let Some(detached) = next {
        detached.call();
        next = CALLING.with_borrow_mut(|calling| {
            let next = calling.as_mut().and_then(VecDeque::pop_front);
            if next.is_none() {
                *calling = None;
            }
            next
        });
    }
}

/// Sends a callback to the loop of the cell it waits for.
fn send_callback(cell: &CellRef, callback: Callback) -> Token {
    let Some(callback) = SendCallback::new(callback) else {
        return NO_TOKEN;
    };
    let (token, callback) = callback.under_token();
    // A loop that was closed just now hands it back: what was its own is under locks from here on.
    if let Err(Mail::AddCallback(cell, callback)) =
        cell.home().post(Mail::AddCallback(cell.clone(), callback))
    {
        add_callback(&cell, callback.into_inner());
    }
    token
}

/// Moves the outcome out; what can be had more than once is left behind too.
#[inline(always)]
fn take<T>(outcome: &mut Outcome<T>) -> Outcome<T> {
    match outcome {
        Outcome::None | Outcome::Value(_) => std::mem::replace(outcome, Outcome::None),
        failed => failed.error(true).map_or(Outcome::None, Outcome::Error),
    }
}

#[cold]
fn already_taken() -> Exception {
    InvalidStateError::new("the result was already taken").into()
}

fn not_here() -> Exception {
    RuntimeError::new("the result can only be read on the thread of its event loop").into()
}
