//! Completing a cell and asking for its outcome.
#![expect(
    unsafe_code,
    reason = "outcomes are read and written through the cell's table"
)]

use super::callbacks::{Callback, Callbacks, Token};
use super::header::{CANCELLED, DONE, FAILED, FINISHED, Failure, UNRETRIEVED};
use super::refs::CellRef;
use super::step::wake_slot;
use super::task::{Outcome, outcome};
use crate::exceptions::{CancelledError, Exception, InvalidStateError, Result, RuntimeError};
use crate::loop_cell::Core;
use crate::ready::Ready;

/// Stores a value and schedules the callbacks (`Future.set_result`); at home.
///
/// # Safety
///
/// The cell is a future's, and its value is a `T`.
pub(crate) unsafe fn complete<T>(core: &Core, cell: &CellRef, value: T) -> Result<(), T> {
    if cell.is_done() {
        return Err(value);
    }
    // SAFETY: this is its home, and the caller knows the type; `None` was there, which needs no drop.
    unsafe { outcome::<T>(cell).write(Outcome::Value(value)) };
    finish(core, cell, FINISHED);
    Ok(())
}

/// Stores a failure and schedules the callbacks (`set_exception`, `cancel`); at home, on a future
/// that is not done or a task whose future is gone.
pub(crate) fn fail(core: &Core, cell: &CellRef, failure: Failure) {
    let flags = match &failure {
        Failure::Error(_) => FINISHED | FAILED | UNRETRIEVED,
        Failure::Cancelled { .. } => CANCELLED,
    };
    // SAFETY: this is its home; a future's outcome is there from the start, a task's since its
    // future is gone.
    unsafe { (cell.vtable.fail)(cell.ptr(), failure) };
    finish(core, cell, flags);
}

/// Marks a cell as done and schedules its callbacks, in order.
pub(super) fn finish(core: &Core, cell: &CellRef, flags: u32) {
    cell.set(flags);
    cell.callbacks
        .take()
        .for_each(|callback| schedule_callback(core, cell, callback));
}

/// Adds a callback, or schedules it at once where the cell is done already; at home.
pub(crate) fn add_callback(core: &Core, cell: &CellRef, callback: Callback) -> Token {
    if cell.is_done() {
        schedule_callback(core, cell, callback);
        return Token::MAX;
    }
    cell.callbacks.with(|callbacks| callbacks.add(callback))
}

/// Removes the callback with this token, if it is still waiting; at home.
pub(super) fn remove_callback(cell: &CellRef, token: Token) {
    if cell.is_done() {
        return;
    }
    let removed = cell.callbacks.with(|callbacks| callbacks.remove(token));
    drop(removed);
}

/// Removes the done callback with this number, and says whether it was there; at home.
pub(crate) fn remove_call(cell: &CellRef, id: u64) -> bool {
    let removed = cell.callbacks.with(|callbacks| callbacks.remove_call(id));
    removed.is_some()
}

/// Removes what `run_until_complete` added; at home.
pub(crate) fn remove_stop(cell: &CellRef) {
    let removed = cell.callbacks.with(Callbacks::remove_stop);
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
    if cell.is_here() {
        cell.clear(UNRETRIEVED);
        // SAFETY: at home; the caller knows the type.
        let taken = take(unsafe { outcome::<T>(cell).as_mut() });
        let (result, back) = share(taken, clone);
        if let Some(value) = back {
            // SAFETY: as above. Cloning may have called anything, but whoever looked meanwhile found
            // an outcome that had been taken: `None`, which needs no drop.
            unsafe { outcome::<T>(cell).write(Outcome::Value(value)) };
        }
        return result;
    }
    if !cell.home().is_closed() {
        return Err(not_here());
    }
    let taken = cell.guarded(|| {
        cell.clear_guarded(UNRETRIEVED);
        // SAFETY: the home is closed and we hold the guard; the caller knows the type.
        take(unsafe { outcome::<T>(cell).as_mut() })
    });
    let (result, back) = share(taken, clone);
    if let Some(value) = back {
        // SAFETY: as above. What was there meanwhile was `None`, which needs no drop.
        cell.guarded(|| unsafe { outcome::<T>(cell).write(Outcome::Value(value)) });
    }
    result
}

/// The exception of a cell that is done (`Future.exception`); `Err` when cancelled or pending.
pub(crate) fn error(cell: &CellRef) -> Result<Option<Exception>> {
    if !cell.is_done() {
        return Err(InvalidStateError::new("Exception is not set.").into());
    }
    // SAFETY: the cell is done, and at home or within the guard this is its only user.
    let look = || unsafe { (cell.vtable.error)(cell.ptr(), true) };
    let error = if cell.is_here() {
        cell.clear(UNRETRIEVED);
        look()
    } else if cell.home().is_closed() {
        cell.guarded(|| {
            cell.clear_guarded(UNRETRIEVED);
            look()
        })
    } else {
        return Err(not_here());
    };
    match error {
        Some(cancelled) if cell.has(CANCELLED) => Err(cancelled),
        error => Ok(error),
    }
}

/// The error as it stands, without taking note that somebody saw it; at home.
pub(crate) fn peek(cell: &CellRef) -> Option<Exception> {
    if !cell.has(DONE) || cell.has(FINISHED) && !cell.has(FAILED) {
        return None;
    }
    // SAFETY: the cell is done, and this is its home.
    unsafe { (cell.vtable.error)(cell.ptr(), false) }
}

/// Whether awaiting the cell would raise CancelledError, and with which message; at home.
pub(super) fn peek_cancelled(cell: &CellRef) -> Option<CancelledError> {
    peek(cell)?.into_cancelled().ok()
}

fn schedule_callback(core: &Core, cell: &CellRef, callback: Callback) {
    match callback {
        Callback::Task { task, slot } => {
            wake_slot(&task, slot);
        }
        Callback::Call { call, .. } => core.push(Ready::Done(cell.clone(), call)),
        Callback::Waker(waker) => core.push(Ready::Wake(waker)),
        Callback::Stop => core.push(Ready::Stop(cell.clone())),
    }
}

/// Moves the outcome out; what can be had more than once is left behind too.
fn take<T>(outcome: &mut Outcome<T>) -> Outcome<T> {
    match outcome {
        Outcome::None | Outcome::Value(_) => std::mem::replace(outcome, Outcome::None),
        failed => failed.error(true).map_or(Outcome::None, Outcome::Error),
    }
}

/// The result of what was taken, and the value to be put back where it was only cloned.
fn share<T>(taken: Outcome<T>, clone: Option<fn(&T) -> T>) -> (Result<T>, Option<T>) {
    match (taken, clone) {
        (Outcome::Value(value), None) => (Ok(value), None),
        (Outcome::Value(value), Some(clone)) => (Ok(clone(&value)), Some(value)),
        (Outcome::Error(exception), _) => (Err(exception), None),
        (Outcome::None | Outcome::Cancelled { .. }, _) => (
            Err(InvalidStateError::new("the result was already taken").into()),
            None,
        ),
    }
}

fn not_here() -> Exception {
    RuntimeError::new("the result can only be read on the thread of its event loop").into()
}
