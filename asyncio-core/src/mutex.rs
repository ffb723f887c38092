//! A lock for changes of a few words: taken with one locked operation of the processor and given back
//! with none, where that of the standard library takes two.
#![expect(unsafe_code, reason = "the value is lent to whoever holds the lock")]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::primitives::{
    AtomicBool, const_fn, sleep_in_model, spin_loop, wake_in_model, yield_now,
};

/// A value that one thread at a time uses, for a moment.
///
/// It is for state that is looked at and changed, and for nothing that takes its time: whoever finds
/// it locked looks again and again, then lets other threads run, then sleeps a little. In exchange a
/// lock that nobody else wants costs half of what [`std::sync::Mutex`] does. A panic while it is
/// locked unlocks it, and that is all.
///
/// ```
/// use asyncio_core::waiting::Mutex;
///
/// let count = Mutex::new(0);
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| *count.lock() += 1);
///     }
/// });
/// assert_eq!(count.into_inner(), 2);
/// ```
#[derive(Default)]
pub struct Mutex<T> {
    latch: Latch,
    value: UnsafeCell<T>,
}

/// The right to use the value of a [`Mutex`], until it is dropped.
#[must_use = "the value is unlocked when the guard is dropped"]
pub struct MutexGuard<'a, T> {
    value: &'a UnsafeCell<T>,
    _unlock: Unlock<'a>,
    /// It stays on its thread: what is behind it need not be `Sync`.
    _here: PhantomData<*const T>,
}

/// The lock alone, one byte.
#[derive(Default)]
pub(crate) struct Latch {
    locked: AtomicBool,
}

/// Gives a [`Latch`] back, also when what was done under it panics.
pub(crate) struct Unlock<'a>(&'a Latch);

/// How often a thread looks before it lets others run, and how often it does that before it sleeps:
/// a holder that has lost its core gets it back by the former, one of lower priority by the latter.
const SPINS: u32 = 64;
const YIELDS: u32 = 64;
const NAP: Duration = Duration::from_micros(50);

// SAFETY: the value is reached by whoever owns the mutex, or by the one holder of the lock; handing it
// from one to the next moves it between threads at most.
unsafe impl<T: Send> Send for Mutex<T> {}
// SAFETY: as above; there is never more than one reference to the value.
unsafe impl<T: Send> Sync for Mutex<T> {}
/// What a panic leaves behind is for its users to make sense of, as they say they do.
impl<T> UnwindSafe for Mutex<T> {}
impl<T> RefUnwindSafe for Mutex<T> {}

impl<T> Mutex<T> {
    const_fn! {
        /// An unlocked value.
        #[must_use]
        pub fn new(value: T) -> Self {
            Self {
                latch: Latch::new(),
                value: UnsafeCell::new(value),
            }
        }
    }

    /// Waits until nobody else uses the value. Who has locked it already waits for ever.
    #[inline(always)]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.guard(self.latch.lock())
    }

    /// The value, unless it is locked.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.latch.try_lock().map(|unlock| self.guard(unlock))
    }

    /// The value of a mutex that nobody else has.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    #[inline(always)]
    const fn guard<'a>(&'a self, unlock: Unlock<'a>) -> MutexGuard<'a, T> {
        MutexGuard {
            value: &self.value,
            _unlock: unlock,
            _here: PhantomData,
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held as long as this guard lives, and nobody else has a guard of it.
        unsafe { &*self.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and this borrow of the guard is the only one.
        unsafe { &mut *self.value.get() }
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl Latch {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                locked: AtomicBool::new(false),
            }
        }
    }

    #[inline(always)]
    pub(crate) fn lock(&self) -> Unlock<'_> {
        if !self.take() {
            self.wait();
        }
        Unlock(self)
    }

    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Unlock<'_>> {
        self.take().then(|| Unlock(self))
    }

    #[inline(always)]
    fn take(&self) -> bool {
        // Acquire on taking and Release on giving back make it a lock: what one holder did happens
        // before what the next one does.
        self.locked
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    #[cold]
    fn wait(&self) {
        let mut rounds = 0;
        loop {
            let slept = sleep_in_model(self.address());
            if !slept {
                self.watch();
            }
            if self.take() {
                return;
            }
            if slept {
                continue;
            }
            rounds += 1;
            if rounds < YIELDS {
                yield_now();
            } else {
                std::thread::sleep(NAP);
            }
        }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Looks on until it is unlocked, but not for long.
    fn watch(&self) {
        for _ in 0..SPINS {
            // Relaxed: only looked at, the exchange that follows is what takes it.
            if !self.locked.load(Ordering::Relaxed) {
                return;
            }
            spin_loop();
        }
    }
}

impl Drop for Unlock<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: see `take`.
        self.0.locked.store(false, Ordering::Release);
        wake_in_model(self.0.address());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_threads_count_without_losing_one() {
        const THREADS: usize = 4;
        const ROUNDS: usize = 20_000;
        let count = Mutex::new(0_usize);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| (0..ROUNDS).for_each(|_| *count.lock() += 1));
            }
        });
        assert_eq!(count.into_inner(), THREADS * ROUNDS);
    }

    /// A holder that takes far longer than it should is waited for all the same.
    #[test]
    fn a_slow_holder_is_waited_for() {
        let value = Mutex::new(0);
        let guard = value.lock();
        assert!(value.try_lock().is_none());
        std::thread::scope(|scope| {
            let other = scope.spawn(|| std::mem::replace(&mut *value.lock(), 2));
            std::thread::sleep(Duration::from_millis(20));
            let mut guard = guard;
            *guard = 1;
            drop(guard);
            assert_eq!(other.join().ok(), Some(1));
        });
        assert_eq!(value.into_inner(), 2);
    }

    #[test]
    fn a_panic_unlocks() {
        let value = Mutex::new(1);
        let panicked = std::panic::catch_unwind(|| {
            let _guard = value.lock();
            panic!("while it is locked");
        });
        assert!(panicked.is_err());
        assert_eq!(value.try_lock().as_deref(), Some(&1));
    }
}
