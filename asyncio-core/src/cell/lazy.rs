//! A box that is made when it is first needed, by whichever thread that is.
#![expect(unsafe_code, reason = "the box is an atomic pointer until it is made")]

use std::ptr;
use std::sync::atomic::Ordering;

use crate::primitives::{AtomicPtr, const_fn};

/// Room for a value that few have: a pointer wide, where a `OnceLock` of a box takes two.
pub(crate) struct LazyBox<T>(AtomicPtr<T>);

impl<T: Default> LazyBox<T> {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self(AtomicPtr::new(ptr::null_mut()))
        }
    }

    /// One that has a value from the start.
    pub(crate) fn with(value: T) -> Self {
        Self(AtomicPtr::new(Box::into_raw(Box::new(value))))
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        // Acquire: whoever sees the box sees what was put into it.
        let value = self.0.load(Ordering::Acquire);
        // SAFETY: null, or a box that is freed with this only.
        unsafe { value.as_ref() }
    }

    pub(crate) fn get_or_new(&self) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let new = Box::into_raw(Box::<T>::default());
        // AcqRel: Release for those who will see the box, Acquire for one that somebody else has put
        // here meanwhile.
        let set =
            self.0
                .compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire);
        let value = match set {
            Ok(_) => new,
            Err(theirs) => {
                // SAFETY: ours was just made and nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
                theirs
            }
        };
        // SAFETY: not null, and freed with this only.
        unsafe { &*value }
    }
}

impl<T> Drop for LazyBox<T> {
    #[inline]
    fn drop(&mut self) {
        // Acquire: as in `get`; it may have been made on another thread.
        let value = self.0.load(Ordering::Acquire);
        if !value.is_null() {
            // SAFETY: made by `Box::into_raw`, and freed once, here.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}
