//! A cell whose content is changed in place, one change at a time.
#![expect(
    unsafe_code,
    reason = "the content is lent for a change after a check of one byte"
)]

use std::cell::UnsafeCell;

use crate::primitives::Cell;

/// A `RefCell` for short changes that never call out, with a byte instead of a word for its check.
pub(crate) struct LocalCell<T> {
    value: UnsafeCell<T>,
    busy: Cell<bool>,
}

impl<T> LocalCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: UnsafeCell::new(value),
            busy: Cell::new(false),
        }
    }

    /// Runs a function on the content.
    ///
    /// # Panics
    ///
    /// When the function, against the rule, comes back to the same cell.
    #[inline(always)]
    pub(crate) fn with<R>(&self, function: impl FnOnce(&mut T) -> R) -> R {
        assert!(
            !self.busy.replace(true),
            "a cell was changed from within a change of it"
        );
        let _free = Free(&self.busy);
        // SAFETY: `busy` was not set, so nobody holds a reference to the content, and as long as
        // this one lives it stays set; the cell is not `Sync`.
        function(unsafe { &mut *self.value.get() })
    }
}

impl<T: Default> Default for LocalCell<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

struct Free<'a>(&'a Cell<bool>);

impl Drop for Free<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "from within")]
    fn a_change_within_a_change_is_refused() {
        let cell = LocalCell::new(1);
        cell.with(|_| cell.with(|value| *value = 2));
    }

    #[test]
    fn a_panic_leaves_the_cell_usable() {
        let cell = LocalCell::new(1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            cell.with(|_| panic!("within"));
        }));
        assert!(panicked.is_err());
        assert_eq!(cell.with(|value| *value), 1);
    }
}
