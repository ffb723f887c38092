//! The head that every future and task begins with, and the table of what its kind can do.

use std::alloc::Layout;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;
use std::task::Context as PollContext;

use super::callbacks::{Callback, Callbacks, FIRST, Token};
use super::family::FamilyTable;
use crate::exceptions::{CancelledError, Exception, Message};
use crate::loop_cell::{LoopCell, nowhere};
use crate::mutex::{Latch, Unlock};
use crate::primitives::{AtomicBool, AtomicI32, AtomicU32, Cell};

/// What all cells have in common.
///
/// A cell belongs to the loop it was made on, its *home*. Everything in a `Cell` is touched on the
/// home's thread only, so that it needs no synchronisation there; other threads send messages home.
/// Once the loop is closed nobody is at home: the counts are then kept in `remote_refs` alone and
/// everything else is under `guard`. A cell that was made on a tokio runtime is one whose home was
/// closed from the start (`nowhere`): that is all that makes the two places to run differ here.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) vtable: &'static VTable,
    pub(super) home: NonNull<LoopCell>,
    /// References counted at home; the sum with `remote_refs` is how many there are.
    pub(super) local_refs: Cell<i32>,
    /// References counted anywhere else. References travel, so either part may be negative.
    pub(super) remote_refs: AtomicI32,
    flags: AtomicU32,
    /// A task's future has not been dropped. No flag, because its step alone writes it, and not under
    /// the cell's lock: dropping calls out.
    pub(super) future_alive: Cell<bool>,
    /// The lock of a cell whose home is closed.
    guard: Latch,
    /// A foreign thread's wake of a task is on its way, so that more of them need not be sent.
    pub(crate) wake_sent: AtomicBool,
    pub(super) callbacks: Cell<Callbacks>,
}

/// What differs between the kinds of cells.
pub(crate) struct VTable {
    pub(super) is_task: bool,
    pub(super) layout: Layout,
    /// Where the outcome stands, counted from the header.
    pub(super) outcome_offset: usize,
    /// Where a task that somebody else polls keeps who that is.
    pub(super) driver_offset: Option<usize>,
    pub(super) poll: unsafe fn(NonNull<Header>, &mut PollContext<'_>) -> Polled,
    pub(super) drop_future: unsafe fn(NonNull<Header>) -> Result<(), Exception>,
    pub(super) fail: unsafe fn(NonNull<Header>, Failure),
    pub(super) error: unsafe fn(NonNull<Header>, bool) -> Option<Exception>,
    pub(super) drop_outcome: unsafe fn(NonNull<Header>),
    /// Whether a value, or what else is dropped with it, needs to be.
    pub(super) needs_drop: bool,
    /// For a future that others decide, such as gather's.
    pub(super) family: Option<&'static FamilyTable>,
}

/// What polling a task's future came to; a value has been stored already.
pub(crate) enum Polled {
    Pending,
    Value,
    Error(Exception),
}

/// How a cell ends without a value.
pub(crate) enum Failure {
    Error(Exception),
    /// Its coroutine raised this.
    Raised(CancelledError),
    Cancelled(Message),
}

pub(crate) const FINISHED: u32 = 1; // ended with a value or an exception
pub(crate) const CANCELLED: u32 = 1 << 1;
pub(crate) const FAILED: u32 = 1 << 2; // FINISHED, with an exception
pub(crate) const UNRETRIEVED: u32 = 1 << 3; // an exception nobody has looked at (`__log_traceback`)
pub(crate) const SCHEDULED: u32 = 1 << 4; // a step is in the ready queue
pub(crate) const RUNNING: u32 = 1 << 5; // being polled
pub(crate) const STARTED: u32 = 1 << 6; // was polled at least once
pub(crate) const MUST_CANCEL: u32 = 1 << 7; // raise CancelledError at the next step
pub(crate) const REQUESTED: u32 = 1 << 8; // some request to cancel has not been raised yet
pub(crate) const VISITING: u32 = 1 << 9; // on the path of a cancellation under way
pub(crate) const VALUE_IS_SEND: u32 = 1 << 11; // the value may be dropped on any thread
pub(crate) const KILLED: u32 = 1 << 12; // its group is gone: the future is dropped, not polled again
pub(crate) const REARMED: u32 = 1 << 14; // the step before left a request over
pub(crate) const SCOPED: u32 = 1 << 13; // polled by the borrowing scope it lives in
pub(crate) const LISTED: u32 = 1 << 10; // seen already, while the children of a gather are counted
pub(crate) const LENT: u32 = 1 << 15; // the value is out to be cloned, and comes back
pub(crate) const DONE: u32 = FINISHED | CANCELLED;

impl Header {
    pub(super) fn new(vtable: &'static VTable, home: NonNull<LoopCell>, flags: u32) -> Self {
        Self {
            vtable,
            home,
            local_refs: Cell::new(1),
            remote_refs: AtomicI32::new(0),
            flags: AtomicU32::new(flags),
            future_alive: Cell::new(vtable.is_task),
            guard: Latch::new(),
            wake_sent: AtomicBool::new(false),
            callbacks: Cell::new(Callbacks::None),
        }
    }

    #[inline]
    pub(crate) fn has(&self, flags: u32) -> bool {
        // Acquire: a foreign thread that sees DONE must see the outcome that was stored before it.
        self.flags.load(Ordering::Acquire) & flags != 0
    }

    /// Sets flags; within `CellRef::access` only, so that nobody else writes them meanwhile.
    #[inline]
    pub(crate) fn set(&self, flags: u32) {
        // Relaxed load: this thread is the only writer. Release: see `has`.
        let now = self.flags.load(Ordering::Relaxed);
        self.flags.store(now | flags, Ordering::Release);
    }

    /// Clears flags; within `CellRef::access` only.
    #[inline]
    pub(crate) fn clear(&self, flags: u32) {
        // As in `set`.
        let now = self.flags.load(Ordering::Relaxed);
        self.flags.store(now & !flags, Ordering::Release);
    }

    /// Counts one more reference, at home.
    #[inline(always)]
    pub(super) fn count_here(&self) {
        let count = self.local_refs.get().checked_add(1);
        // Only a program that forgets two thousand million references gets there.
        self.local_refs.set(count.unwrap_or_else(too_many));
    }

    /// Counts one reference less, at home; whether that was the last one of all.
    #[inline(always)]
    pub(super) fn discount_here(&self) -> bool {
        let local = self.local_refs.get() - 1;
        self.local_refs.set(local);
        // Acquire: a clone made elsewhere was counted before its release was sent here, and that
        // message brought the count along; the sum is zero only when there is no reference at all.
        local + self.remote_refs.load(Ordering::Acquire) == 0
    }

    /// Whether there is one reference only, its caller's, where the home is closed.
    #[inline]
    pub(super) fn is_unshared(&self) -> bool {
        // Acquire: what others did to the cell before they gave up their references has happened.
        self.local_refs.get() + self.remote_refs.load(Ordering::Acquire) == 1
    }

    /// All flags, for who changes several of them at once; within `access` only.
    #[inline(always)]
    pub(super) fn flags(&self) -> u32 {
        // Relaxed: this thread is the only writer.
        self.flags.load(Ordering::Relaxed)
    }

    /// Writes all flags; within `access` only.
    #[inline(always)]
    pub(super) fn set_flags(&self, flags: u32) {
        // Release: see `has`.
        self.flags.store(flags, Ordering::Release);
    }

    /// Whether a tokio task polls this one, and no loop of ours.
    #[inline]
    pub(crate) fn is_driven(&self) -> bool {
        ptr::eq(self.home.as_ptr(), nowhere().as_ptr())
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.has(DONE)
    }

    /// Adds a callback; within `access` only.
    #[inline(always)]
    pub(super) fn add_callback(&self, callback: Callback) -> Token {
        match self.callbacks.replace(Callbacks::One(callback)) {
            none @ Callbacks::None => {
                // There is nothing to drop; said so, because finding out takes longer than the rest.
                std::mem::forget(none);
                FIRST
            }
            others => self.add_to(others),
        }
    }

    /// There were callbacks already, and the new one took their place.
    #[cold]
    fn add_to(&self, mut callbacks: Callbacks) -> Token {
        let mut token = FIRST;
        self.callbacks
            .take()
            .for_each(|callback| token = callbacks.add(callback));
        self.callbacks.set(callbacks);
        token
    }

    /// Changes the callbacks in place; within `access` only, and the function must not call out.
    pub(super) fn change_callbacks<R>(&self, function: impl FnOnce(&mut Callbacks) -> R) -> R {
        let mut callbacks = self.callbacks.take();
        let result = function(&mut callbacks);
        self.callbacks.set(callbacks);
        result
    }

    /// Takes the lock of a cell whose home is closed.
    #[inline]
    pub(super) fn lock(&self) -> Unlock<'_> {
        self.guard.lock()
    }
}

#[cold]
fn too_many() -> i32 {
    std::process::abort()
}
