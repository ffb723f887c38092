//! An allocator that counts.
#![expect(unsafe_code, reason = "an allocator is unsafe by its trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// The system's allocator, with its calls and live bytes counted.
pub(crate) struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);

/// What the allocator keeps beside each block (glibc on 64-bit machines), and its steps.
const OVERHEAD: usize = 8;
const STEP: usize = 16;

/// How often memory was asked for so far.
pub(crate) fn allocations() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

/// Bytes that are in use now, the allocator's own share included.
pub(crate) fn live() -> i64 {
    LIVE.load(Ordering::Relaxed)
}

fn size(layout: Layout) -> i64 {
    i64::try_from((layout.size() + OVERHEAD).next_multiple_of(STEP)).unwrap_or(i64::MAX)
}

// SAFETY: everything is passed to the system's allocator as it is; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        LIVE.fetch_add(size(layout), Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(size(layout), Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.dealloc(memory, layout) };
    }
}
