//! The head that every future and task begins with, and the table of what its kind can do.

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::task::Context as PollContext;

use super::callbacks::Callbacks;
use super::family::FamilyTable;
use super::local::LocalCell;
use crate::exceptions::{CancelledError, Exception, Message};
use crate::loop_cell::{LoopCell, nowhere};

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
pub(crate) const LENT: u32 = 1 << 10; // the value is being copied, and will be back
pub(crate) const VALUE_IS_SEND: u32 = 1 << 11; // the value may be dropped on any thread
pub(crate) const KILLED: u32 = 1 << 12; // its group is gone: the future is dropped, not polled again
pub(crate) const REARMED: u32 = 1 << 14; // the step before left a request over
pub(crate) const SCOPED: u32 = 1 << 13; // polled by the borrowing scope it lives in
pub(crate) const DONE: u32 = FINISHED | CANCELLED;

impl Header {
    pub(super) const fn new(vtable: &'static VTable, home: NonNull<LoopCell>, flags: u32) -> Self {
        Self {
            vtable,
            home,
            local_refs: Cell::new(1),
            remote_refs: AtomicI32::new(0),
            flags: AtomicU32::new(flags),
            future_alive: Cell::new(vtable.is_task),
            guard: AtomicBool::new(false),
            callbacks: LocalCell::new(Callbacks::None),
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

    /// Whether a tokio task polls this one, and no loop of ours.
    #[inline]
    pub(crate) fn is_driven(&self) -> bool {
        ptr::eq(self.home.as_ptr(), nowhere().as_ptr())
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.has(DONE)
    }

    /// Takes the lock of a cell whose home is closed.
    #[cold]
    pub(super) fn lock(&self) -> Unlock<'_> {
        // Acquire on taking and Release on giving back make it a lock: what one holder did to the
        // cell happens before what the next one does. It is held for a few words' changes only.
        while self.guard.swap(true, Ordering::Acquire) {
            self.wait_for_guard();
        }
        Unlock(&self.guard)
    }

    #[cold]
    fn wait_for_guard(&self) {
        // Relaxed: only looked at, the swap that follows is what takes it.
        for _ in 0..SPINS {
            if !self.guard.load(Ordering::Relaxed) {
                return;
            }
            std::hint::spin_loop();
        }
        // The holder may have lost its core; on few cores spinning on would keep it from one.
        std::thread::yield_now();
    }
}

const SPINS: u32 = 64;

/// Gives the lock of a cell back, also when what was done under it panics.
pub(super) struct Unlock<'a>(&'a AtomicBool);

impl Drop for Unlock<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
