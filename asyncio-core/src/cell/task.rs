//! How cells lie in memory: a head, then a future or its outcome, in one allocation.
#![expect(
    unsafe_code,
    reason = "the future and its outcome share the cell's memory"
)]

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::future::Future as StdFuture;
use std::mem::{ManuallyDrop, needs_drop, offset_of};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as PollContext, Poll};

use super::driver::Driver;
use super::header::{Failure, Header, Polled, VALUE_IS_SEND, VTable};
use super::lazy::LazyBox;
use super::local::LocalCell;
use super::refs::{CellRef, TaskRef};
use super::waits::{More, Slot};
use crate::contextvars::Slot as ContextSlot;
use crate::exceptions::{CancelledError, Exception, Message, Result};
use crate::loop_cell::{Core, LoopCell, nowhere};
use crate::memory::FreeList;
use crate::primitives::{AtomicU32, Cell};

/// The head of a task's cell.
///
/// Every idle task pays for each byte of it, which is why what few tasks have lies in `rest`.
#[repr(C)]
pub(crate) struct TaskHeader {
    pub(crate) base: Header,
    /// `Task._num_cancels_requested`; written at home, read anywhere.
    pub(crate) cancels: AtomicU32,
    /// Where the loop keeps its reference while the task is not done.
    pub(super) place: Cell<u32>,
    /// The number in the name that the task has by default, counted from 1; for a task that was given
    /// a name, that of the task before it.
    number: u64,
    pub(super) first: Slot,
    pub(crate) context: Cell<ContextSlot>,
    rest: LazyBox<Rest>,
    pub(crate) spawned_at: &'static Location<'static>,
}

/// What few tasks have.
#[derive(Default)]
pub(super) struct Rest {
    /// Read and set on any thread.
    name: Mutex<Option<Arc<str>>>,
    /// Which of the tasks with the same `number` this is.
    made: u64,
    /// `Task._cancel_message`, for the cancellation that `MUST_CANCEL` announces.
    message: Cell<Message>,
    pub(super) waits: LocalCell<More>,
}

impl TaskHeader {
    pub(crate) fn name(&self) -> String {
        let given = self.rest().and_then(|rest| lock(&rest.name).clone());
        match given {
            Some(name) => name.to_string(),
            // On a tokio runtime tasks are not counted.
            None if self.number == 0 => "Task".to_owned(),
            None => format!("Task-{}", self.number),
        }
    }

    pub(crate) fn set_name(&self, name: Arc<str>) {
        let old = lock(&self.rest_or_new().name).replace(name);
        drop(old);
    }

    /// By which the tasks of a loop are sorted into the order in which they were made.
    pub(crate) fn order(&self) -> (u64, u64) {
        (self.number, self.rest().map_or(0, |rest| rest.made))
    }

    /// The message of the request that the task is to raise by itself; within `access`, as the next
    /// two.
    pub(super) fn message(&self) -> Message {
        let message = self.take_message();
        self.set_message(message.clone());
        message
    }

    pub(super) fn take_message(&self) -> Message {
        self.rest()?.message.take()
    }

    pub(super) fn set_message(&self, message: Message) {
        // What is dropped here is a message, which calls nothing.
        match (self.rest(), message) {
            (None, None) => {}
            (Some(rest), message) => rest.message.set(message),
            (None, message) => self.rest_or_new().message.set(message),
        }
    }

    pub(crate) fn cancelling(&self) -> u32 {
        // Relaxed: a number to be looked at, nothing is published by it.
        self.cancels.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn rest(&self) -> Option<&Rest> {
        self.rest.get()
    }

    pub(super) fn rest_or_new(&self) -> &Rest {
        self.rest.get_or_new()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a new task is made of, beside its future.
pub(crate) struct TaskParts {
    pub(crate) context: ContextSlot,
    /// See `TaskHeader`; zero on a tokio runtime.
    pub(crate) number: u64,
    /// The name it was given, and how many tasks had been made before.
    pub(crate) name: Option<(Arc<str>, u64)>,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) value_is_send: bool,
}

/// Makes the cell of a task that has not started. `D`: `Driver` where somebody else than a loop will
/// poll it, otherwise nothing.
#[inline]
pub(crate) fn new_task<F, T, D>(core: Option<&Core>, future: F, parts: TaskParts) -> TaskRef
where
    F: StdFuture<Output = Result<T>> + 'static,
    T: 'static,
    D: DriverOrNone,
{
    let flags = if parts.value_is_send {
        VALUE_IS_SEND
    } else {
        0
    };
    let rest = match parts.name {
        None => LazyBox::new(),
        Some((name, made)) => LazyBox::with(Rest {
            name: Mutex::new(Some(name)),
            made,
            ..Rest::default()
        }),
    };
    let (home, place) = place::<TaskCell<F, T, D>>(core);
    let cell = TaskCell::<F, T, D> {
        head: TaskHeader {
            base: Header::new(&TaskCell::<F, T, D>::VTABLE, home, flags),
            cancels: AtomicU32::new(0),
            place: Cell::new(u32::MAX),
            number: parts.number,
            first: Slot::default(),
            context: Cell::new(parts.context),
            rest,
            spawned_at: parts.spawned_at,
        },
        driver: D::default(),
        stage: UnsafeCell::new(Stage {
            future: ManuallyDrop::new(future),
        }),
    };
    // SAFETY: the place was made for it.
    TaskRef::of(unsafe { put(place, cell) })
}

/// Makes the cell of a future that somebody will set. `is_send`: the value may be dropped on any thread.
pub(crate) fn new_future<T: 'static>(core: Option<&Core>, is_send: bool) -> CellRef {
    let flags = if is_send { VALUE_IS_SEND } else { 0 };
    allocate(core, |home| FutureCell::<T> {
        head: Header::new(&FutureCell::<T>::VTABLE, home, flags),
        outcome: UnsafeCell::new(Outcome::None),
    })
}

/// What a cell holds of its end.
pub(super) enum Outcome<T> {
    /// Not done, or the value has been taken.
    None,
    Value(T),
    Error(Exception),
    /// The error that the coroutine raised: the first who asks gets this one.
    Raised(CancelledError),
    Cancelled(Message),
}

impl<T> From<Failure> for Outcome<T> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Error(exception) => Self::Error(exception),
            Failure::Raised(error) => Self::Raised(error),
            Failure::Cancelled(message) => Self::Cancelled(message),
        }
    }
}

impl<T> Outcome<T> {
    /// The exception, where there is one; `retrieve` as `Future._make_cancelled_error` does.
    pub(super) fn error(&mut self, retrieve: bool) -> Option<Exception> {
        match self {
            Self::None | Self::Value(_) => None,
            Self::Error(exception) => Some(exception.clone()),
            Self::Raised(error) if !retrieve => Some(error.clone().into()),
            Self::Raised(_) => match std::mem::replace(self, Self::Cancelled(None)) {
                Self::Raised(error) => Some(error.into()),
                _ => None,
            },
            Self::Cancelled(message) => Some(CancelledError::from_message(message.clone()).into()),
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

/// Room in a task's cell for who polls it, or none.
pub(crate) trait DriverOrNone: Default + 'static {
    const IS_DRIVER: bool;
}

impl DriverOrNone for () {
    const IS_DRIVER: bool = false;
}

impl DriverOrNone for Driver {
    const IS_DRIVER: bool = true;
}

#[repr(C)]
struct TaskCell<F, T, D> {
    head: TaskHeader,
    driver: D,
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

/// Makes a cell of a loop, or of none.
pub(super) fn allocate<C>(
    core: Option<&Core>,
    cell: impl FnOnce(NonNull<LoopCell>) -> C,
) -> CellRef {
    let (home, place) = place::<C>(core);
    // SAFETY: the place was made for it.
    unsafe { put(place, cell(home)) }
}

/// A home, and memory there for a cell.
#[inline]
fn place<C>(core: Option<&Core>) -> (NonNull<LoopCell>, NonNull<C>) {
    let layout = Layout::new::<C>();
    let (home, memory) = match core {
        Some(core) => (core.loop_cell(), core.allocate(layout)),
        None => (nowhere(), FreeList::allocate_here(layout)),
    };
    (home, memory.cast::<C>())
}

/// Puts a cell where it stays.
///
/// # Safety
///
/// The memory came from `place`, and is used for this alone.
#[inline(always)]
unsafe fn put<C>(place: NonNull<C>, cell: C) -> CellRef {
    // SAFETY: the memory is fresh and has the layout of a `C`.
    unsafe { place.write(cell) };
    // SAFETY: the count in the header starts with the one reference that is made here.
    unsafe { CellRef::from_counted(place.cast()) }
}

impl<F, T, D> TaskCell<F, T, D>
where
    F: StdFuture<Output = Result<T>> + 'static,
    T: 'static,
    D: DriverOrNone,
{
    const VTABLE: VTable = VTable {
        is_task: true,
        layout: Layout::new::<Self>(),
        outcome_offset: offset_of!(Self, stage),
        driver_offset: if D::IS_DRIVER {
            Some(offset_of!(Self, driver))
        } else {
            None
        },
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
        driver_offset: None,
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

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    /// Fifteen words: with the smallest outcome a task of a loop takes as much memory as one of tokio.
    #[test]
    fn a_task_has_a_head_of_120_bytes() {
        assert_eq!(size_of::<TaskHeader>(), 120);
    }
}
