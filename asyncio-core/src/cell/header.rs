//! The head that every future and task begins with, and the table of what its kind can do.

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::task::Context as PollContext;

use super::callbacks::Callbacks;
use super::local::LocalCell;
use crate::exceptions::{CancelledError, Exception, Message};
use crate::loop_cell::LoopCell;

/// What all cells have in common.
///
/// A cell belongs to the loop it was made on, its *home*. Everything in a `Cell` is touched on the
/// home's thread only, so that it needs no synchronisation there; other threads send messages home.
/// Once the loop is closed nobody is at home: the counts are then kept in `remote_refs` alone and
/// the outcome is guarded by `guard`.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) vtable: &'static VTable,
    pub(super) home: NonNull<LoopCell>,
    /// References counted at home; the sum with `remote_refs` is how many there are.
    pub(super) local_refs: Cell<i32>,
    /// References counted anywhere else. References travel, so either part may be negative.
    pub(super) remote_refs: AtomicI32,
    flags: AtomicU32,
    /// Held while the outcome of a cell whose home is closed is looked at.
    guard: AtomicBool,
    pub(super) callbacks: LocalCell<Callbacks>,
}

/// What differs between the kinds of cells.
pub(crate) struct VTable {
    pub(super) is_task: bool,
    pub(super) layout: Layout,
    /// Where the outcome stands, counted from the header.
    pub(super) outcome_offset: usize,
    pub(super) poll: unsafe fn(NonNull<Header>, &mut PollContext<'_>) -> Polled,
    pub(super) drop_future: unsafe fn(NonNull<Header>) -> Result<(), Exception>,
    pub(super) fail: unsafe fn(NonNull<Header>, Failure),
    pub(super) error: unsafe fn(NonNull<Header>, bool) -> Option<Exception>,
    pub(super) drop_outcome: unsafe fn(NonNull<Header>),
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
    Cancelled {
        saved: Option<CancelledError>,
        message: Message,
    },
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
pub(crate) const FUTURE_ALIVE: u32 = 1 << 10; // the task's future has not been dropped
pub(crate) const VALUE_IS_SEND: u32 = 1 << 11; // the value may be dropped on any thread
pub(crate) const DONE: u32 = FINISHED | CANCELLED;

impl Header {
    pub(super) const fn new(vtable: &'static VTable, home: NonNull<LoopCell>, flags: u32) -> Self {
        Self {
            vtable,
            home,
            local_refs: Cell::new(1),
            remote_refs: AtomicI32::new(0),
            flags: AtomicU32::new(flags),
            guard: AtomicBool::new(false),
            callbacks: LocalCell::new(Callbacks::None),
        }
    }

    #[inline]
    pub(crate) fn has(&self, flags: u32) -> bool {
        // Acquire: a foreign thread that sees DONE must see the outcome that was stored before it.
        self.flags.load(Ordering::Acquire) & flags != 0
    }

    /// Sets flags; at home only, where nobody else writes them.
    #[inline]
    pub(crate) fn set(&self, flags: u32) {
        // Relaxed load: this thread is the only writer. Release: see `has`.
        let now = self.flags.load(Ordering::Relaxed);
        self.flags.store(now | flags, Ordering::Release);
    }

    /// Clears flags; at home only, where nobody else writes them.
    #[inline]
    pub(crate) fn clear(&self, flags: u32) {
        // As in `set`.
        let now = self.flags.load(Ordering::Relaxed);
        self.flags.store(now & !flags, Ordering::Release);
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.has(DONE)
    }

    /// Runs a function while no other thread is in such a function of this cell.
    pub(super) fn guarded<R>(&self, function: impl FnOnce() -> R) -> R {
        // Acquire on taking and Release on giving back make it a lock: what one holder did to the
        // outcome happens before what the next one does. It is held for a move of a few words.
        while self.guard.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        let result = function();
        self.guard.store(false, Ordering::Release);
        result
    }

    /// Changes flags of a cell whose home is closed; within `guarded` only.
    pub(super) fn clear_guarded(&self, flags: u32) {
        // Relaxed suffices inside the guard; an atomic operation, because `has` reads outside it.
        self.flags.fetch_and(!flags, Ordering::Relaxed);
    }
}
