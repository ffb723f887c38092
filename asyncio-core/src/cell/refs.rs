//! Counted references to cells, cheap at home and safe everywhere.
#![expect(
    unsafe_code,
    reason = "reference counting and type erasure need raw pointers"
)]

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;

use super::callbacks::{Callback, Callbacks};
use super::driver::Driver;
use super::header::{CANCELLED, FAILED, Header, UNRETRIEVED, VALUE_IS_SEND};
use super::task::TaskHeader;
use crate::base_events;
use crate::contextvars::Context;
use crate::exceptions::Message;
use crate::loop_cell::{LoopCell, Mail};
use crate::mutex::Unlock;
use crate::primitives::{Cell, thread_local};

/// A counted reference to a cell of any kind.
pub(crate) struct CellRef {
    ptr: NonNull<Header>,
}

/// How many references a task on a tokio runtime counts at once for waits of its own.
const STOCK: u32 = 8;

/// A counted reference to a task's cell.
#[derive(Clone, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct TaskRef(CellRef);

/// The right to use a cell alone.
enum OnlyUser<'a> {
    AtHome,
    Locked(#[expect(dead_code, reason = "held for its drop")] Unlock<'a>),
}

/// A reference on its way home to be given up there.
pub(crate) struct Released(NonNull<Header>);

// SAFETY: a cell may be referred to from any thread. Everything that is not atomic is touched only
// after `is_here` has said that this thread is the cell's home, or within `Header::guarded` once the
// home is closed; typed handles add their own bound on the value.
unsafe impl Send for CellRef {}
// SAFETY: as above; `&CellRef` gives nothing that `CellRef` does not.
unsafe impl Sync for CellRef {}
// SAFETY: it is only ever turned back into a reference, on whichever thread reads the mail.
unsafe impl Send for Released {}

impl CellRef {
    /// Takes over a reference that is already counted.
    ///
    /// # Safety
    ///
    /// The pointer is that of a living cell, with provenance over the whole cell, and one of the
    /// references counted there belongs to nobody else.
    pub(super) const unsafe fn from_counted(ptr: NonNull<Header>) -> Self {
        Self { ptr }
    }

    /// Hands the counted reference over to whoever keeps the pointer.
    pub(super) fn into_ptr(self) -> NonNull<Header> {
        let ptr = self.ptr;
        std::mem::forget(self);
        ptr
    }

    pub(super) const fn ptr(&self) -> NonNull<Header> {
        self.ptr
    }

    pub(crate) fn home(&self) -> &LoopCell {
        // SAFETY: a loop's cell outlives the cells that were made on it: it keeps itself alive until
        // the last of them is gone.
        unsafe { self.home.as_ref() }
    }

    /// The home's place, which tells homes apart.
    pub(crate) fn home_ptr(&self) -> NonNull<LoopCell> {
        self.home
    }

    /// Whether this thread may touch what is not atomic.
    #[inline]
    pub(crate) fn is_here(&self) -> bool {
        self.home().is_here()
    }

    /// A further reference, for who knows that this thread is the cell's home.
    #[inline(always)]
    pub(crate) fn clone_here(&self) -> Self {
        debug_assert!(self.is_here(), "counted at home without being there");
        self.header().count_here();
        Self { ptr: self.ptr }
    }

    /// Gives the reference up, for who knows that this thread is the cell's home.
    #[inline(always)]
    pub(crate) fn drop_here(self) {
        debug_assert!(self.is_here(), "given up at home without being there");
        let ptr = self.into_ptr();
        // SAFETY: a counted reference was given up, so the cell is alive until it is freed here.
        if unsafe { ptr.as_ref() }.discount_here() {
            free(ptr, true);
        }
    }

    /// As `access`, for who may say that nobody else uses this very reference meanwhile: where it is
    /// the only one there is no need of the lock.
    #[inline(always)]
    pub(super) fn access_mut<R>(&mut self, function: impl FnOnce(&Self) -> R) -> Option<R> {
        if self.home().is_closed() && self.is_unshared() {
            return Some(function(self));
        }
        self.access(|| function(self))
    }

    /// Runs a function as the cell's only user, which must not call out: at home simply so, under
    /// the cell's lock where the home is closed or never was a loop. `None` on another thread than
    /// the home's.
    #[inline(always)]
    pub(crate) fn access<R>(&self, function: impl FnOnce() -> R) -> Option<R> {
        // One call of the function for both ways in, so that it is compiled once.
        let _user = self.only_user()?;
        Some(function())
    }

    #[inline(always)]
    fn only_user(&self) -> Option<OnlyUser<'_>> {
        let home = self.home();
        if home.is_running_here() {
            return Some(OnlyUser::AtHome);
        }
        if home.is_closed() {
            return Some(OnlyUser::Locked(self.lock()));
        }
        home.is_owner().then_some(OnlyUser::AtHome)
    }

    /// Whether `access` would run its function on this thread.
    #[inline]
    pub(crate) fn is_reachable(&self) -> bool {
        self.is_here() || self.home().is_closed()
    }

    pub(crate) fn same_as(&self, other: &Self) -> bool {
        self.ptr == other.ptr
    }

    /// The address, for those who compare and hash.
    pub(crate) fn address(&self) -> usize {
        self.ptr.as_ptr() as usize
    }

    /// The task, where this is one.
    pub(crate) fn as_task(&self) -> Option<&TaskRef> {
        if !self.vtable.is_task {
            return None;
        }
        let this: *const Self = self;
        // SAFETY: `TaskRef` is `repr(transparent)` over `CellRef`, and the cell is a task's.
        Some(unsafe { &*this.cast::<TaskRef>() })
    }

    /// Gives the reference up as a handle that knows the value's type: on this thread the value may
    /// be dropped.
    pub(crate) fn release_typed(self) {
        release(self.into_ptr(), true);
    }

    fn header(&self) -> &Header {
        // SAFETY: a counted reference keeps the cell alive, and the header is only used shared.
        unsafe { self.ptr.as_ref() }
    }
}

impl Deref for CellRef {
    type Target = Header;

    #[inline]
    fn deref(&self) -> &Header {
        self.header()
    }
}

impl CellRef {
    #[inline]
    fn count_elsewhere(&self, more: i32) {
        // Relaxed: the reference we have keeps the cell alive meanwhile, and those we make reach another
        // thread only through something that orders it.
        let count = self.header().remote_refs.fetch_add(more, Ordering::Relaxed);
        // Only a program that forgets two thousand million references gets there.
        if count > i32::MAX - more {
            std::process::abort();
        }
    }
}

impl Clone for CellRef {
    #[inline]
    fn clone(&self) -> Self {
        if self.is_here() {
            return self.clone_here();
        }
        self.count_elsewhere(1);
        Self { ptr: self.ptr }
    }
}

impl Drop for CellRef {
    #[inline]
    fn drop(&mut self) {
        release(self.ptr, false);
    }
}

impl PartialEq for CellRef {
    fn eq(&self, other: &Self) -> bool {
        self.same_as(other)
    }
}

impl Eq for CellRef {}

impl fmt::Debug for CellRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Pointer::fmt(&self.ptr, f)
    }
}

impl TaskRef {
    /// The reference as a task's.
    pub(super) const fn of(cell: CellRef) -> Self {
        Self(cell)
    }

    pub(crate) const fn cell(&self) -> &CellRef {
        &self.0
    }

    pub(crate) fn into_cell(self) -> CellRef {
        self.0
    }

    /// A further reference to a task that was just made, of which nobody else knows yet.
    #[inline]
    pub(crate) fn clone_new(&self) -> Self {
        self.0.header().count_here();
        Self(CellRef { ptr: self.0.ptr })
    }

    /// See [`CellRef::clone_here`].
    #[inline(always)]
    pub(crate) fn clone_here(&self) -> Self {
        Self(self.0.clone_here())
    }

    /// Two more references, in the step of the task itself. Where counting them is a locked operation they
    /// come from a stock, to which [`put_back`](Self::put_back) gives and which the end of the task empties.
    #[inline]
    pub(super) fn take_two(&self) -> [Self; 2] {
        if self.0.home().is_running_here() {
            return [self.clone_here(), self.clone_here()];
        }
        let Some(driver) = self.driver_elsewhere() else {
            return [self.clone(), self.clone()];
        };
        let stock = match driver.stock.get() {
            enough @ 2.. => enough,
            few => {
                self.0.count_elsewhere(STOCK as i32);
                few + STOCK
            }
        };
        driver.stock.set(stock - 2);
        [
            Self(CellRef { ptr: self.0.ptr }),
            Self(CellRef { ptr: self.0.ptr }),
        ]
    }

    /// Gives a reference up, in the step of the task itself.
    #[inline]
    pub(super) fn put_back(self) {
        match self.driver_elsewhere() {
            // There is a reference for each of the stock, and they are fewer than `count_elsewhere` allows.
            Some(driver) => {
                driver.stock.set(driver.stock.get() + 1);
                std::mem::forget(self);
            }
            None => drop(self),
        }
    }

    /// Gives up what is left of the stock; when the task ends.
    #[inline(never)]
    pub(super) fn empty_stock(&self) {
        if let Some(driver) = self.driver_elsewhere()
            && let stock @ 1.. = driver.stock.take()
        {
            // Release: whoever gives up the last reference, which is not one of these, because the caller
            // has another, finds what was done with them done.
            let stock = i32::try_from(stock).unwrap_or(i32::MAX);
            self.base.remote_refs.fetch_sub(stock, Ordering::Release);
        }
    }

    /// As `driver`, where no loop is the task's home.
    #[inline]
    fn driver_elsewhere(&self) -> Option<&Driver> {
        self.base.is_driven().then(|| self.driver()).flatten()
    }

    /// Who polls the task, where its loop does not.
    #[inline]
    pub(super) fn driver(&self) -> Option<&Driver> {
        let offset = self.0.vtable.driver_offset?;
        // SAFETY: the table's offset is that of the driver in this very layout.
        let driver = unsafe { self.0.ptr.byte_add(offset) }.cast::<Driver>();
        // SAFETY: it is there as long as the cell, and only used shared.
        Some(unsafe { driver.as_ref() })
    }

    /// The message of the last request that the task was to raise by itself (`_cancel_message`).
    pub(crate) fn cancel_message(&self) -> Message {
        self.0.access(|| self.message()).flatten()
    }
}

impl Deref for TaskRef {
    type Target = TaskHeader;

    #[inline]
    fn deref(&self) -> &TaskHeader {
        // SAFETY: the cell is a task's, whose head is a `TaskHeader` that begins with the `Header`
        // (`repr(C)`); the pointer has provenance over the whole cell.
        unsafe { self.0.ptr.cast::<TaskHeader>().as_ref() }
    }
}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Released {
    /// Gives the reference up, at home or where there is no home any more.
    pub(crate) fn release(self) {
        release(self.0, false);
    }
}

/// Gives one reference up. `typed`: by a handle that knows the value's type.
#[inline]
fn release(ptr: NonNull<Header>, typed: bool) {
    // SAFETY: the caller gives up a counted reference, so the cell is alive until below.
    let header = unsafe { ptr.as_ref() };
    // SAFETY: the home outlives its cells.
    let home = unsafe { header.home.as_ref() };
    if home.is_running_here() {
        if header.discount_here() {
            free(ptr, true);
        }
        return;
    }
    release_elsewhere(ptr, header, home, typed);
}

#[inline(never)]
fn release_elsewhere(ptr: NonNull<Header>, header: &Header, home: &LoopCell, typed: bool) {
    if !home.is_closed() {
        if home.is_owner() {
            if header.discount_here() {
                free(ptr, true);
            }
            return;
        }
        if home.post(Mail::Release(Released(ptr))).is_ok() {
            return;
        }
    }
    // Nobody is at home any more: `local_refs` no longer changes and every thread counts in
    // `remote_refs`. AcqRel: whoever gives up the last reference sees what the others did before.
    let local = header.local_refs.get();
    // Nobody else has one who could make more of them.
    let last =
        header.is_unshared() || local + header.remote_refs.fetch_sub(1, Ordering::AcqRel) - 1 == 0;
    if last {
        // Where no loop ever was there are values only that may go to any thread.
        let may_drop = typed || header.has(VALUE_IS_SEND) || header.is_driven();
        free(ptr, may_drop || home.is_owner());
    }
}

/// Cells to be freed next, each with whether its value may be dropped here.
type Waiting = RefCell<Vec<(NonNull<Header>, bool)>>;

thread_local! {
    /// Set while a cell is being freed on this thread: where those wait that its value held.
    static FREEING: Cell<*const Waiting> = const { Cell::new(ptr::null()) };
}

/// Frees a cell nobody refers to any more, and those that only its value referred to.
///
/// `value`: whether the value may be dropped on this thread. It is forgotten otherwise, which takes
/// a value that must not leave its thread, a closed loop and an untyped last reference elsewhere.
fn free(ptr: NonNull<Header>, value: bool) {
    let outer = FREEING.get();
    // SAFETY: the pointer is null or that of the `waiting` of a call of this function further up on
    // this thread's stack, which resets it before it returns.
    if let Some(waiting) = unsafe { outer.as_ref() } {
        waiting.borrow_mut().push((ptr, value));
        return;
    }
    let waiting = RefCell::new(vec![]);
    let _reset = Reset;
    FREEING.set(&raw const waiting);
    let mut next = Some((ptr, value));
    while let Some((ptr, value)) = next {
        // SAFETY: the count of this cell has reached zero, so this is its only user.
        unsafe { free_one(ptr, value) };
        next = waiting.borrow_mut().pop();
    }
}

struct Reset;

impl Drop for Reset {
    fn drop(&mut self) {
        FREEING.set(ptr::null());
    }
}

/// # Safety
///
/// Nobody refers to the cell any more.
unsafe fn free_one(ptr: NonNull<Header>, value: bool) {
    // SAFETY: the cell has not been freed yet.
    let header = unsafe { ptr.as_ref() };
    // SAFETY: the home outlives its cells.
    let home = unsafe { header.home.as_ref() };
    if header.future_alive.get() {
        // A task is kept by its loop, or by what polls it, until it has ended. Were that ever wrong,
        // its future must not be taken for its outcome.
        // SAFETY: the cell is alive, nobody polls it, and its future is dropped once, here.
        drop(unsafe { (header.vtable.drop_future)(ptr) });
    }
    if header.has(UNRETRIEVED) && header.has(FAILED) {
        // SAFETY: the cell is alive, and nobody else can be looking at its outcome.
        let exception = unsafe { (header.vtable.error)(ptr, false) };
        base_events::report_never_retrieved(home, origin(ptr), exception);
    }
    // A done callback may be bound to its loop's thread; on another one it is forgotten. That takes
    // a closed loop, a future that was never done and a last reference that went abroad. One of a
    // cell that never had a loop may go anywhere (`call_detached`).
    match header.callbacks.take() {
        none @ Callbacks::None => std::mem::forget(none),
        callbacks => drop_callbacks(header, home, callbacks),
    }
    if value && (header.vtable.needs_drop || header.has(FAILED | CANCELLED)) {
        let drop_outcome = header.vtable.drop_outcome;
        // SAFETY: as above; the outcome is dropped once, here. A panic in a user's `Drop` must not
        // keep the memory of the cells that wait behind this one.
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| unsafe {
            drop_outcome(ptr)
        }));
        if let Err(panic) = dropped {
            base_events::report_panic(home, "Panic while a result was dropped", panic);
        }
    }
    let (layout, is_task) = (header.vtable.layout, header.vtable.is_task);
    if let Some(offset) = header.vtable.driver_offset {
        // SAFETY: the table's offset is that of the driver in this very layout.
        let driver = unsafe { ptr.byte_add(offset) }.cast::<Driver>();
        // SAFETY: as above; it is dropped once, here.
        unsafe { ptr::drop_in_place(driver.as_ptr()) };
    }
    if is_task {
        // SAFETY: the cell is a task's; its head is dropped once, here.
        unsafe { ptr::drop_in_place(ptr.cast::<TaskHeader>().as_ptr()) };
    }
    // SAFETY: a cell is allocated by `LoopCell::allocate` with its vtable's layout, and the home is
    // still there to take the memory.
    unsafe { LoopCell::free(NonNull::from(home), ptr.cast(), layout) };
}

#[cold]
fn drop_callbacks(header: &Header, home: &LoopCell, callbacks: Callbacks) {
    let callbacks_stay = home.is_closed() && !home.is_owner() && !header.is_driven();
    callbacks.for_each(|callback| match callback {
        Callback::Call(_) if callbacks_stay => std::mem::forget(callback),
        other => drop(other),
    });
}

/// What is said of a task that is about to be freed: its name, its context, where it was spawned.
fn origin(ptr: NonNull<Header>) -> Option<(String, Context, &'static Location<'static>)> {
    // SAFETY: the cell has not been freed yet.
    let header = unsafe { ptr.as_ref() };
    header.vtable.is_task.then(|| {
        // SAFETY: a task's cell begins with its `TaskHeader`.
        let task = unsafe { ptr.cast::<TaskHeader>().as_ref() };
        (task.name(), task.context.take().share(), task.spawned_at)
    })
}
