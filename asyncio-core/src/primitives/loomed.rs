//! What loom lacks or has differently.
#![expect(
    unsafe_code,
    reason = "a cell's content is reached through loom's raw pointers"
)]

use std::cell::RefCell;

use loom::cell::UnsafeCell;
use loom::thread::{AccessError, LocalKey, Thread};

/// A `Cell` whose accesses loom checks: two of them that nothing orders fail the model.
pub(crate) struct Cell<T>(UnsafeCell<T>);

impl<T> Cell<T> {
    #[track_caller]
    pub(crate) fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    #[track_caller]
    pub(crate) fn get(&self) -> T
    where
        T: Copy,
    {
        // SAFETY: loom has checked that nobody writes meanwhile.
        self.0.with(|value| unsafe { *value })
    }

    #[track_caller]
    pub(crate) fn set(&self, value: T) {
        drop(self.replace(value));
    }

    #[track_caller]
    pub(crate) fn replace(&self, value: T) -> T {
        // SAFETY: loom has checked that nobody else looks meanwhile.
        self.0.with_mut(|place| unsafe { place.replace(value) })
    }

    #[track_caller]
    pub(crate) fn take(&self) -> T
    where
        T: Default,
    {
        self.replace(T::default())
    }

    /// Counts as a look at the content.
    #[track_caller]
    pub(crate) fn as_ptr(&self) -> *mut T {
        self.0.with(<*const T>::cast_mut)
    }
}

impl<T: Default> Default for Cell<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// A thread-local of a model's threads, which loom runs on one thread of the system.
pub(crate) struct Local<T: 'static>(pub(crate) LocalKey<T>);

impl<T: 'static> Local<T> {
    pub(crate) fn with<R>(&'static self, function: impl FnOnce(&T) -> R) -> R {
        self.0.with(function)
    }
}

impl<T: 'static> Local<RefCell<T>> {
    pub(crate) fn try_with<R>(
        &'static self,
        function: impl FnOnce(&RefCell<T>) -> R,
    ) -> Result<R, AccessError> {
        self.0.try_with(function)
    }

    pub(crate) fn with_borrow_mut<R>(&'static self, function: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| function(&mut cell.borrow_mut()))
    }
}

impl<T: 'static> Local<Cell<T>> {
    pub(crate) fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    pub(crate) fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }
}

macro_rules! local {
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = const $value:block; $($rest:tt)*) => {
        $(#[$attribute])*
        $visibility static $name: $crate::primitives::Local<$type> =
            $crate::primitives::Local(loom::thread::LocalKey {
                init: || $value,
                _p: std::marker::PhantomData,
            });
        $crate::primitives::thread_local! { $($rest)* }
    };
    () => {};
}
pub(crate) use local as thread_local;

std::thread_local! {
    /// Who waits for which lock, by its address; of the model that runs on this thread.
    static SLEEPING: RefCell<Vec<(usize, Thread)>> = const { RefCell::new(Vec::new()) };
}

/// Sleeps until the lock is given back. Nothing comes between the look that found it taken and this:
/// loom's threads take turns at its own primitives only.
pub(crate) fn sleep_in_model(lock: usize) -> bool {
    let sleeper = (lock, loom::thread::current());
    SLEEPING.with(|sleeping| sleeping.borrow_mut().push(sleeper));
    loom::thread::park();
    true
}

/// Wakes all who wait for this lock.
pub(crate) fn wake_in_model(lock: usize) {
    SLEEPING.with(|sleeping| {
        sleeping.borrow_mut().retain(|(waits_for, thread)| {
            if *waits_for == lock {
                thread.unpark();
            }
            *waits_for != lock
        });
    });
}
