//! How cells lie in memory: a head, then a future or its outcome, in one allocation.
#![expect(
    unsafe_code,
    reason = "the future and its outcome share the cell's memory"
)]

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::fmt;
use std::future::Future as StdFuture;
use std::mem::{ManuallyDrop, needs_drop, offset_of};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as PollContext, Poll, Waker};

use super::header::{Failure, Header, Polled, VALUE_IS_SEND, VTable};
use super::local::LocalCell;
use super::refs::{CellRef, TaskRef};
use super::waits::Waits;
use crate::contextvars::Slot;
use crate::exceptions::{CancelledError, Exception, Message, Result};
use crate::loop_cell::LoopCell;
use crate::primitives::{AtomicBool, AtomicU32, Cell};
use crate::slab::Key;

/// The head of a task's cell.
#[repr(C)]
pub(crate) struct TaskHeader {
    pub(crate) base: Header,
    /// `Task._num_cancels_requested`; written at home, read anywhere.
    pub(crate) cancels: AtomicU32,
    /// A foreign thread's wake is on its way, so that more of them need not be sent.
    pub(crate) wake_sent: AtomicBool,
    pub(crate) waits: LocalCell<Waits>,
    /// `Task._cancel_message`, for the cancellation that `MUST_CANCEL` announces.
    pub(crate) message: Cell<Message>,
    pub(crate) context: Cell<Slot>,
    /// Which task of its loop this is, counted from 1.
    pub(crate) number: u64,
    pub(crate) name: Mutex<TaskName>,
    /// Where the loop keeps its reference while the task is not done.
    pub(crate) owned: Cell<Key>,
    /// Wakes the tokio task that polls this one, where no loop of ours does.
    pub(crate) driver: LocalCell<Option<Waker>>,
    pub(crate) spawned_at: &'static Location<'static>,
}

impl TaskHeader {
    pub(crate) fn name(&self) -> String {
        self.name
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .to_string()
    }

    pub(crate) fn set_name(&self, name: TaskName) {
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) = name;
    }

    /// Runs a function on the waits; it must not call out.
    pub(crate) fn with_waits<R>(&self, f: impl FnOnce(&mut Waits) -> R) -> R {
        self.waits.with(f)
    }

    pub(crate) fn cancelling(&self) -> u32 {
        // Relaxed: a number to be looked at, nothing is published by it.
        self.cancels.load(Ordering::Relaxed)
    }
}

/// What a task is called; the default name is spelled out only when it is asked for.
#[derive(Clone)]
pub(crate) enum TaskName {
    /// On a tokio runtime, where tasks are not counted.
    Default,
    Numbered(u64),
    Given(Arc<str>),
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("Task"),
            Self::Numbered(number) => write!(f, "Task-{number}"),
            Self::Given(name) => f.write_str(name),
        }
    }
}

/// What a new task is made of, beside its future.
pub(crate) struct TaskParts {
    pub(crate) context: Slot,
    pub(crate) number: u64,
    pub(crate) name: TaskName,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) value_is_send: bool,
}

/// Makes the cell of a task that has not started.
pub(crate) fn new_task<F, T>(home: NonNull<LoopCell>, future: F, parts: TaskParts) -> TaskRef
where
    F: StdFuture<Output = Result<T>> + 'static,
    T: 'static,
{
    let flags = if parts.value_is_send {
        VALUE_IS_SEND
    } else {
        0
    };
    let place = place::<TaskCell<F, T>>(home);
    let cell = TaskCell::<F, T> {
        head: TaskHeader {
            base: Header::new(&TaskCell::<F, T>::VTABLE, home, flags),
            cancels: AtomicU32::new(0),
            wake_sent: AtomicBool::new(false),
            waits: LocalCell::new(Waits::default()),
            message: Cell::new(None),
            context: Cell::new(parts.context),
            number: parts.number,
            name: Mutex::new(parts.name),
            owned: Cell::new(Key::NONE),
            driver: LocalCell::new(None),
            spawned_at: parts.spawned_at,
        },
        stage: UnsafeCell::new(Stage {
            future: ManuallyDrop::new(future),
        }),
    };
    // SAFETY: the place was made for it.
    TaskRef::of(unsafe { put(place, cell) })
}

/// Makes the cell of a future that somebody will set.
pub(crate) fn new_future<T: 'static>(home: NonNull<LoopCell>) -> CellRef {
    let cell = FutureCell::<T> {
        head: Header::new(&FutureCell::<T>::VTABLE, home, 0),
        outcome: UnsafeCell::new(Outcome::None),
    };
    allocate(home, cell)
}

/// What a cell holds of its end.
pub(super) enum Outcome<T> {
    /// Not done, or the value has been taken.
    None,
    Value(T),
    Error(Exception),
    Cancelled {
        /// The error that the coroutine raised: the first who asks gets this one.
        saved: Option<CancelledError>,
        message: Message,
    },
}

impl<T> From<Failure> for Outcome<T> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Error(exception) => Self::Error(exception),
            Failure::Cancelled { saved, message } => Self::Cancelled { saved, message },
        }
    }
}

impl<T> Outcome<T> {
    /// The exception, where there is one; `retrieve` as `Future._make_cancelled_error` does.
    pub(super) fn error(&mut self, retrieve: bool) -> Option<Exception> {
        match self {
            Self::None | Self::Value(_) => None,
            Self::Error(exception) => Some(exception.clone()),
            Self::Cancelled { saved, message } => {
                let saved = if retrieve {
                    saved.take()
                } else {
                    saved.clone()
                };
                let error = saved.unwrap_or_else(|| CancelledError::from_message(message.clone()));
                Some(error.into())
            }
        }
    }
}

/// Where the outcome of a cell stands whose value is a `T`.
///
/// It may be used by the cell's only user alone: at home, or within `Header::guarded`, and without
/// calling out in between; and only once the cell is done, or when it is a future's.
pub(super) fn outcome<T>(cell: &CellRef) -> NonNull<Outcome<T>> {
    // SAFETY: the table's offset is that of the outcome in this very layout.
    unsafe { cell.ptr().byte_add(cell.vtable.outcome_offset) }.cast()
}

#[repr(C)]
struct TaskCell<F, T> {
    head: TaskHeader,
    stage: UnsafeCell<Stage<F, T>>,
}

#[repr(C)]
union Stage<F, T> {
    /// While `future_alive` is set.
    future: ManuallyDrop<F>,
    /// Afterwards.
    outcome: ManuallyDrop<Outcome<T>>,
}

#[repr(C)]
struct FutureCell<T> {
    head: Header,
    outcome: UnsafeCell<Outcome<T>>,
}

pub(super) fn allocate<C>(home: NonNull<LoopCell>, cell: C) -> CellRef {
    // SAFETY: the place was made for it.
    unsafe { put(place::<C>(home), cell) }
}

/// Memory for a cell.
#[inline]
fn place<C>(home: NonNull<LoopCell>) -> NonNull<C> {
    // SAFETY: the home is alive: its caller holds it.
    unsafe { LoopCell::allocate(home, Layout::new::<C>()) }.cast::<C>()
}

/// Puts a cell where it stays.
///
/// # Safety
///
/// The memory came from `place` and is used for this alone.
#[inline(always)]
unsafe fn put<C>(place: NonNull<C>, cell: C) -> CellRef {
    // SAFETY: the memory is fresh and has the layout of a `C`.
    unsafe { place.write(cell) };
    // SAFETY: the count in the header starts with the one reference that is made here.
    unsafe { CellRef::from_counted(place.cast()) }
}

impl<F, T> TaskCell<F, T>
where
    F: StdFuture<Output = Result<T>> + 'static,
    T: 'static,
{
    const VTABLE: VTable = VTable {
        is_task: true,
        layout: Layout::new::<Self>(),
        outcome_offset: offset_of!(Self, stage),
        poll: Self::poll,
        drop_future: Self::drop_future,
        fail: Self::fail,
        error: Self::error,
        drop_outcome: Self::drop_outcome,
        needs_drop: needs_drop::<T>(),
        family: None,
    };

    /// Where the future stands, and the outcome after it.
    fn place(ptr: NonNull<Header>) -> NonNull<u8> {
        // SAFETY: the table is that of cells of this type, so the offset lies within the cell.
        unsafe { ptr.byte_add(offset_of!(Self, stage)) }.cast()
    }

    /// # Safety
    ///
    /// As of every function of the table: the pointer is that of a living cell of this very type,
    /// and the caller is at home or otherwise its only user.
    unsafe fn poll(ptr: NonNull<Header>, context: &mut PollContext<'_>) -> Polled {
        let place = Self::place(ptr);
        // SAFETY: a task is polled by its step only, which is never entered again from within
        // (`RUNNING`), while `future_alive` is set.
        let future = unsafe { place.cast::<F>().as_mut() };
        // SAFETY: the cell does not move, and its future is dropped in place.
        let future = unsafe { Pin::new_unchecked(future) };
        let result = match catch_unwind(AssertUnwindSafe(|| future.poll(context))) {
            Ok(Poll::Pending) => return Polled::Pending,
            Ok(Poll::Ready(result)) => result,
            Err(panic) => Err(Exception::from_panic(panic)),
        };
        // What the coroutine held is gone before anyone learns that it has ended.
        // SAFETY: passed on.
        if let Err(panic) = unsafe { Self::drop_future(ptr) } {
            return Polled::Error(panic);
        }
        match result {
            Ok(value) => {
                // SAFETY: the future is gone, so the memory is the outcome's; `drop_future` left
                // `None` there, which needs no drop.
                unsafe { place.cast::<Outcome<T>>().write(Outcome::Value(value)) };
                Polled::Value
            }
            Err(exception) => Polled::Error(exception),
        }
    }

    unsafe fn drop_future(ptr: NonNull<Header>) -> Result<(), Exception> {
        let place = Self::place(ptr);
        // SAFETY: the header is alive as long as the cell.
        unsafe { ptr.as_ref() }.future_alive.set(false);
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: `future_alive` was set until now, so the future is there; it is dropped once.
            unsafe { place.cast::<F>().drop_in_place() };
        }));
        // SAFETY: the future is gone, so the memory is the outcome's.
        unsafe { place.cast::<Outcome<T>>().write(Outcome::None) };
        dropped.map_err(Exception::from_panic)
    }

    unsafe fn fail(ptr: NonNull<Header>, failure: Failure) {
        // SAFETY: passed on; the future is gone when a task ends.
        unsafe { replace_outcome::<T>(Self::place(ptr), failure.into()) };
    }

    unsafe fn error(ptr: NonNull<Header>, retrieve: bool) -> Option<Exception> {
        // SAFETY: passed on.
        unsafe { Self::place(ptr).cast::<Outcome<T>>().as_mut() }.error(retrieve)
    }

    unsafe fn drop_outcome(ptr: NonNull<Header>) {
        // SAFETY: passed on.
        unsafe { replace_outcome::<T>(Self::place(ptr), Outcome::None) };
    }
}

impl<T: 'static> FutureCell<T> {
    const VTABLE: VTable = VTable {
        is_task: false,
        layout: Layout::new::<Self>(),
        outcome_offset: offset_of!(Self, outcome),
        poll: Self::poll,
        drop_future: Self::drop_future,
        fail: Self::fail,
        error: Self::error,
        drop_outcome: Self::drop_outcome,
        needs_drop: needs_drop::<T>(),
        family: None,
    };

    /// Where the outcome stands.
    fn place(ptr: NonNull<Header>) -> NonNull<u8> {
        // SAFETY: the table is that of cells of this type, so the offset lies within the cell.
        unsafe { ptr.byte_add(offset_of!(Self, outcome)) }.cast()
    }

    /// A future has nothing to poll: it is set by somebody else.
    unsafe fn poll(_: NonNull<Header>, _: &mut PollContext<'_>) -> Polled {
        Polled::Pending
    }

    unsafe fn drop_future(_: NonNull<Header>) -> Result<(), Exception> {
        Ok(())
    }

    unsafe fn fail(ptr: NonNull<Header>, failure: Failure) {
        // SAFETY: passed on.
        unsafe { replace_outcome::<T>(Self::place(ptr), failure.into()) };
    }

    unsafe fn error(ptr: NonNull<Header>, retrieve: bool) -> Option<Exception> {
        // SAFETY: passed on.
        unsafe { Self::place(ptr).cast::<Outcome<T>>().as_mut() }.error(retrieve)
    }

    unsafe fn drop_outcome(ptr: NonNull<Header>) {
        // SAFETY: passed on.
        unsafe { replace_outcome::<T>(Self::place(ptr), Outcome::None) };
    }
}

/// # Safety
///
/// The place is that of an `Outcome<T>`, whose only user the caller is.
pub(super) unsafe fn replace_outcome<T>(place: NonNull<u8>, new: Outcome<T>) {
    // SAFETY: the caller's promise. The old outcome is moved out before it is dropped, because
    // dropping it may run anything.
    let old = unsafe { place.cast::<Outcome<T>>().replace(new) };
    drop(old);
}
