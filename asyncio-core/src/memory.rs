//! Memory for cells: what one task gives back, the next one takes.
#![expect(unsafe_code, reason = "memory is allocated, kept and freed by hand")]

use std::alloc::{self, Layout};
use std::cell::Cell;
use std::ptr::NonNull;

/// Freed blocks by size, each holding the address of the next.
///
/// Measured against the system's allocator this is what makes a short task cheap; the lists are
/// short enough that a burst of tasks does not keep its memory for good.
pub(crate) struct FreeList {
    classes: [Class; CLASSES],
}

struct Class {
    first: Cell<Option<NonNull<Block>>>,
    length: Cell<usize>,
}

struct Block {
    next: Option<NonNull<Self>>,
}

/// Sizes are rounded up to this, so that a class holds blocks of one size.
const STEP: usize = 8;
const CLASSES: usize = 128;
/// How many bytes a class keeps at the most: of a loop, and of a thread, of which there may be many.
const KEEP: usize = 1024 * 1024;
const KEEP_HERE: usize = 256 * 1024;

thread_local! {
    /// What cells without a loop gave back on this thread, wherever they were made.
    static HERE: FreeList = const { FreeList::new() };
}

impl FreeList {
    pub(crate) const fn new() -> Self {
        Self {
            classes: [const {
                Class {
                    first: Cell::new(None),
                    length: Cell::new(0),
                }
            }; CLASSES],
        }
    }

    /// A block of memory for a cell without a loop, from what this thread keeps.
    #[inline]
    pub(crate) fn allocate_here(layout: Layout) -> NonNull<u8> {
        HERE.try_with(|here| here.allocate(layout))
            .unwrap_or_else(|_| Self::allocate_plainly(layout))
    }

    /// Takes back what `allocate_here` gave on this thread or another one.
    ///
    /// # Safety
    ///
    /// As of `free`.
    #[inline]
    pub(crate) unsafe fn free_here(memory: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise; all lists take their blocks from the same allocator.
        let kept = HERE.try_with(|here| unsafe { here.keep(memory, layout, KEEP_HERE) });
        if kept.is_err() {
            // SAFETY: as above; the thread is ending and its list is gone, so the block was not taken.
            unsafe { Self::free_plainly(memory, layout) };
        }
    }

    /// A block of memory; the process ends when there is none, as it does everywhere in Rust.
    #[inline]
    pub(crate) fn allocate(&self, layout: Layout) -> NonNull<u8> {
        if let Some(class) = self.class(layout)
            && let Some(block) = class.first.get()
        {
            // SAFETY: a block in the list is free memory of ours, written by `free`.
            class.first.set(unsafe { block.as_ref() }.next);
            class.length.set(class.length.get() - 1);
            return block.cast();
        }
        Self::allocate_plainly(layout)
    }

    /// Takes a block back.
    ///
    /// # Safety
    ///
    /// The block came from one of the functions that allocate, with this layout, and is not used again.
    #[inline]
    pub(crate) unsafe fn free(&self, memory: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.keep(memory, layout, KEEP) };
    }

    /// As `free`, while the class keeps less than so many bytes.
    ///
    /// # Safety
    ///
    /// As of `free`.
    #[inline]
    unsafe fn keep(&self, memory: NonNull<u8>, layout: Layout, most: usize) {
        if let Some(class) = self.class(layout)
            && class.length.get() * rounded(layout).size() < most
        {
            let block = memory.cast::<Block>();
            // SAFETY: the block is ours, and large enough and aligned for an address: `class`
            // leaves out what is not.
            unsafe {
                block.write(Block {
                    next: class.first.get(),
                })
            };
            class.first.set(Some(block));
            class.length.set(class.length.get() + 1);
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { Self::free_plainly(memory, layout) };
    }

    /// A block of memory straight from the allocator.
    #[cold]
    fn allocate_plainly(layout: Layout) -> NonNull<u8> {
        let layout = rounded(layout);
        // SAFETY: a rounded layout is never of size zero.
        let memory = unsafe { alloc::alloc(layout) };
        NonNull::new(memory).unwrap_or_else(|| alloc::handle_alloc_error(layout))
    }

    /// Gives a block back to the allocator.
    ///
    /// # Safety
    ///
    /// As of `free`.
    pub(crate) unsafe fn free_plainly(memory: NonNull<u8>, layout: Layout) {
        // SAFETY: it was allocated with the same rounded layout.
        unsafe { alloc::dealloc(memory.as_ptr(), rounded(layout)) };
    }

    /// Gives everything back that is kept.
    pub(crate) fn empty(&self) {
        for (index, class) in self.classes.iter().enumerate() {
            class.length.set(0);
            let mut next = class.first.take();
            while let Some(block) = next {
                // SAFETY: a block in the list was written by `free`.
                next = unsafe { block.as_ref() }.next;
                let size = (index + 1) * STEP;
                // SAFETY: blocks of a class have been allocated with its size and this alignment.
                let layout = unsafe { Layout::from_size_align_unchecked(size, ALIGN) };
                // SAFETY: as above, and the block has left the list.
                unsafe { Self::free_plainly(block.cast(), layout) };
            }
        }
    }

    fn class(&self, layout: Layout) -> Option<&Class> {
        if layout.align() > ALIGN {
            return None;
        }
        self.classes.get(layout.size().div_ceil(STEP).max(1) - 1)
    }
}

impl Drop for FreeList {
    fn drop(&mut self) {
        self.empty();
    }
}

const ALIGN: usize = 16;

/// The layout that is really allocated: a whole number of steps, and aligned for any of them.
fn rounded(layout: Layout) -> Layout {
    let size = layout.size().max(1).next_multiple_of(STEP);
    let align = layout.align().max(ALIGN);
    // A cell is far smaller than the limit of a layout; the fallback only keeps the function total.
    Layout::from_size_align(size, align).unwrap_or(layout)
}
