//! Futures that other futures decide: what gather and shield return.
//!
//! Such a future has a *part* of its own in its cell, beside its outcome: what it knows of its
//! children. A child's callback tells the part that the child is done, and a request to cancel the
//! future may go to its children instead.
#![expect(
    unsafe_code,
    reason = "the part lies in the cell, behind the outcome, and is found through its table"
)]

use std::alloc::Layout;
use std::cell::{RefCell, UnsafeCell};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, offset_of};
use std::ptr::{self, NonNull};
use std::task::Context as PollContext;

use super::header::{Failure, Header, Polled, VALUE_IS_SEND, VTable};
use super::local::LocalCell;
use super::outcome::{complete, fail};
use super::refs::CellRef;
use super::task::{Outcome, allocate, replace_outcome};
use crate::exceptions::Exception;
use crate::loop_cell::Core;
use crate::primitives::{Cell, thread_local};

/// What a future knows of the children that decide it.
///
/// The functions without `self` are called as the part's user, but not its only one: they change it
/// through [`Outer::with`] and do everything else outside of that.
pub(crate) trait Part: Sized + 'static {
    /// The value of the future.
    type Value: 'static;

    /// A child is done: called a turn of the loop after it was, at once where there is no loop.
    fn child_done(outer: &Outer<Self>, child: &CellRef, number: u32);

    /// The children that a request to cancel goes to, in order; `None` when the future is to be
    /// cancelled itself. Must not call out.
    fn forwards_to(&self) -> Option<Vec<CellRef>>;

    /// A request is about to go to the children. Must not call out.
    fn asked(&mut self);

    /// All children have been asked; whether one of them accepted.
    fn answered(outer: &Outer<Self>, accepted: bool);

    /// The future itself was cancelled.
    fn cancelled(outer: &Outer<Self>);

    /// The loop is closed: lets go of the children, so that nobody holds each other for good.
    fn let_go(outer: &Outer<Self>);
}

/// A future with a part, for those who know its type.
#[repr(transparent)]
pub(crate) struct Outer<P> {
    cell: CellRef,
    part: PhantomData<fn(P)>,
}

/// What a part can do, for those who do not know its type; called with a cell of that type.
pub(crate) struct FamilyTable {
    child_done: fn(&CellRef, &CellRef, u32),
    forwards_to: fn(&CellRef) -> Option<Vec<CellRef>>,
    asked: fn(&CellRef),
    answered: fn(&CellRef, bool),
    cancelled: fn(&CellRef),
    let_go: fn(&CellRef),
}

impl<P: Part> Outer<P> {
    /// A new future, pending, on this loop or on none. `is_send`: its value, and the part, may be dropped on
    /// any thread.
    pub(crate) fn new(core: Option<&Core>, part: P, is_send: bool) -> Self {
        let flags = if is_send { VALUE_IS_SEND } else { 0 };
        let cell = |home| FamilyCell::<P> {
            head: Header::new(&FamilyCell::<P>::VTABLE, home, flags),
            outcome: UnsafeCell::new(Outcome::None),
            part: ManuallyDrop::new(LocalCell::new(part)),
        };
        Self {
            cell: allocate(core, cell),
            part: PhantomData,
        }
    }

    pub(crate) const fn cell(&self) -> &CellRef {
        &self.cell
    }

    /// Runs a function on the part, which must not call out; `None` on another thread than its
    /// loop's.
    pub(crate) fn with<R>(&self, function: impl FnOnce(&mut P) -> R) -> Option<R> {
        // SAFETY: the cell is one of these, and alive; the part is dropped with it.
        let part = unsafe { FamilyCell::<P>::part(self.cell.ptr()).as_ref() };
        self.cell.access(|| part.with(function))
    }

    /// Sets the value; it comes back when the future is done already.
    pub(crate) fn complete(&self, value: P::Value) -> Result<(), P::Value> {
        // SAFETY: the cell is a future's, and its value is that of the part.
        unsafe { complete(&self.cell, value) }
    }

    /// Ends the future with an exception, unless it is done already.
    pub(crate) fn fail(&self, exception: Exception) {
        fail(&self.cell, Failure::Error(exception));
    }

    /// # Safety
    ///
    /// The cell is of a future with this kind of part.
    unsafe fn of(cell: &CellRef) -> &Self {
        let cell: *const CellRef = cell;
        // SAFETY: `Outer` is `repr(transparent)` over the reference.
        unsafe { &*cell.cast::<Self>() }
    }
}

impl<P> Clone for Outer<P> {
    fn clone(&self) -> Self {
        Self {
            cell: self.cell.clone(),
            part: PhantomData,
        }
    }
}

/// Tells a future that one of its children is done; by the ready queue, or where there is no loop.
pub(crate) fn tell(outer: &CellRef, child: &CellRef, number: u32) {
    // A part may be bound to its loop's thread. Once the loop is closed there is nobody to tell.
    if let Some(family) = outer.vtable.family
        && (outer.is_here() || outer.is_driven())
    {
        (family.child_done)(outer, child, number);
    }
}

/// Who is still to be told on this thread, and which child is done.
type Untold = RefCell<VecDeque<(CellRef, CellRef, u32)>>;

thread_local! {
    static TELLING: Cell<*const Untold> = const { Cell::new(ptr::null()) };
}

/// As `tell`, where there is no loop whose queue would keep a long chain of futures that complete
/// each other from recursing.
pub(super) fn tell_detached(outer: CellRef, child: CellRef, number: u32) {
    // SAFETY: null, or the queue of a call of this function further up on this thread's stack, which
    // resets the pointer before it returns.
    if let Some(untold) = unsafe { TELLING.get().as_ref() } {
        untold.borrow_mut().push_back((outer, child, number));
        return;
    }
    let untold = Untold::default();
    let _reset = Reset;
    TELLING.set(&raw const untold);
    let mut next = Some((outer, child, number));
    while let Some((outer, child, number)) = next {
        tell(&outer, &child, number);
        next = untold.borrow_mut().pop_front();
    }
}

struct Reset;

impl Drop for Reset {
    fn drop(&mut self) {
        TELLING.set(ptr::null());
    }
}

/// Where a request to cancel this future goes, when not to itself; within `access`.
pub(super) fn forwards_to(cell: &CellRef) -> Option<Vec<CellRef>> {
    (cell.vtable.family?.forwards_to)(cell)
}

/// Takes note that a request to cancel is about to go to the children.
pub(super) fn asked(cell: &CellRef) {
    if let Some(family) = cell.vtable.family {
        (family.asked)(cell);
    }
}

/// Takes note that it went to all of them, and whether one accepted it.
pub(super) fn answered(cell: &CellRef, accepted: bool) {
    if let Some(family) = cell.vtable.family {
        (family.answered)(cell, accepted);
    }
}

/// Takes note that the future itself was cancelled.
pub(super) fn cancelled(cell: &CellRef) {
    if let Some(family) = cell.vtable.family
        && (cell.is_here() || cell.is_driven())
    {
        (family.cancelled)(cell);
    }
}

/// Has a future let go of its children; at home.
pub(crate) fn let_go(cell: &CellRef) {
    if let Some(family) = cell.vtable.family {
        (family.let_go)(cell);
    }
}

/// As the cells of plain futures, with a part.
#[repr(C)]
struct FamilyCell<P: Part> {
    head: Header,
    outcome: UnsafeCell<Outcome<P::Value>>,
    part: ManuallyDrop<LocalCell<P>>,
}

impl<P: Part> FamilyCell<P> {
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
        needs_drop: true,
        family: Some(&Self::FAMILY),
    };

    const FAMILY: FamilyTable = FamilyTable {
        child_done: |cell, child, number| P::child_done(Self::outer(cell), child, number),
        forwards_to: |cell| Self::outer(cell).with(|part| part.forwards_to())?,
        asked: |cell| {
            Self::outer(cell).with(P::asked);
        },
        answered: |cell, accepted| P::answered(Self::outer(cell), accepted),
        cancelled: |cell| P::cancelled(Self::outer(cell)),
        let_go: |cell| P::let_go(Self::outer(cell)),
    };

    /// For the functions of the table, which are called with cells of this type.
    fn outer(cell: &CellRef) -> &Outer<P> {
        // SAFETY: the table is that of cells with this kind of part.
        unsafe { Outer::of(cell) }
    }

    fn place(ptr: NonNull<Header>) -> NonNull<u8> {
        // SAFETY: the table is that of cells of this type, so the offset lies within the cell.
        unsafe { ptr.byte_add(offset_of!(Self, outcome)) }.cast()
    }

    fn part(ptr: NonNull<Header>) -> NonNull<LocalCell<P>> {
        // SAFETY: as above; `ManuallyDrop` is transparent.
        unsafe { ptr.byte_add(offset_of!(Self, part)) }.cast()
    }

    unsafe fn poll(_: NonNull<Header>, _: &mut PollContext<'_>) -> Polled {
        Polled::Pending
    }

    unsafe fn drop_future(_: NonNull<Header>) -> Result<(), Exception> {
        Ok(())
    }

    unsafe fn fail(ptr: NonNull<Header>, failure: Failure) {
        // SAFETY: passed on.
        unsafe { replace_outcome::<P::Value>(Self::place(ptr), failure.into()) };
    }

    unsafe fn error(ptr: NonNull<Header>, retrieve: bool) -> Option<Exception> {
        // SAFETY: passed on.
        unsafe { Self::place(ptr).cast::<Outcome<P::Value>>().as_mut() }.error(retrieve)
    }

    /// Drops the part too: this is called once, when nobody refers to the cell any more.
    unsafe fn drop_outcome(ptr: NonNull<Header>) {
        // SAFETY: passed on.
        unsafe { replace_outcome::<P::Value>(Self::place(ptr), Outcome::None) };
        // SAFETY: the cell's end, and this is its only user.
        unsafe { Self::part(ptr).drop_in_place() };
    }
}
