//! `Lock` (`asyncio/locks.py`), with a value in it if wanted.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use asyncio_core::waiting::Mutex;
use asyncio_core::{CancelledError, RuntimeError};

use crate::waiters::{End, Request, WaitList, Waiting, Wakes};

/// A mutual exclusion for tasks (`asyncio.Lock`).
///
/// One task at a time holds it; the others wait and get it first come first served: nobody who comes
/// later overtakes one who has been woken. It may be held across an await, which is what it is for;
/// data that never is belongs into a [`std::sync::Mutex`].
///
/// `async with lock` is [`guard`](Self::guard): the lock is released when the guard goes. A lock of a
/// value gives access to it through the guard. A lock without one can also be used as in Python, with
/// [`acquire`](Self::acquire) and [`release`](Self::release).
///
/// A clone is the same lock.
///
/// ```
/// use asyncio_core::{Result, create_task, run, sleep};
/// use asyncio_sync::Lock;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let balance = Lock::with_value(100);
///     let theirs = balance.clone();
///     let other = create_task(async move {
///         *theirs.guard().await? += 20;
///         Ok(())
///     });
///     let mut held = balance.guard().await?;
///     let read = *held;
///     sleep(0.01).await?;
///     *held = read - 30;
///     drop(held);
///     other.await?;
///     assert_eq!(*balance.guard().await?, 90);
///     Ok(())
/// })
/// # }
/// ```
///
/// # asyncio
///
/// It is not bound to an event loop and may be shared between threads. A value moves into the guard
/// and back, so that a large one is better boxed.
pub struct Lock<T = ()> {
    state: Arc<Mutex<State<T>>>,
}

struct State<T> {
    locked: bool,
    /// The number of the acquisition that holds it: tells the guard of one from a later holder.
    serial: u64,
    /// The highest number given so far.
    last_serial: u64,
    /// None while a guard holds it.
    value: Option<T>,
    waiters: WaitList,
}

impl Lock {
    /// An unlocked lock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_value(())
    }

    /// Waits until nobody holds the lock, and holds it until [`release`](Self::release).
    ///
    /// ```
    /// # use asyncio_core::{Result, run};
    /// # use asyncio_sync::Lock;
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let lock = Lock::new();
    /// lock.acquire().await?;
    /// assert!(lock.locked());
    /// lock.release()?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`CancelledError`] when the task is cancelled meanwhile; the lock is not held then.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, its place in the line is lost and nothing else: a lock that it
    /// was about to get goes to the next.
    pub async fn acquire(&self) -> Result<(), CancelledError> {
        // The usual case, in which there is no future to set up.
        if Acquire::<()>::new()
            .take_free(&mut self.state.lock())
            .is_some()
        {
            return Ok(());
        }
        Waiting::new(&self.state, Acquire::<()>::new())
            .await
            .map(drop)
    }

    /// Releases the lock, whoever holds it. The first who waits gets it.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] when the lock is not held.
    pub fn release(&self) -> Result<(), RuntimeError> {
        let mut wakes = Wakes::default();
        {
            let mut state = self.state.lock();
            if !state.locked {
                return Err(RuntimeError::new("the lock is not acquired"));
            }
            // A guard may have it.
            state.value = Some(());
            state.release(&mut wakes);
        }
        wakes.carry_out();
        Ok(())
    }

    /// The number of the acquisition that holds the lock.
    pub(crate) fn holder(&self) -> Option<u64> {
        let state = self.state.lock();
        state.locked.then_some(state.serial)
    }

    /// Acquires the lock on behalf of a former acquisition, whose guard holds it again then.
    pub(crate) async fn acquire_again(&self, serial: u64) -> Result<(), CancelledError> {
        let request = Acquire::<()> {
            takes_value: false,
            serial: Some(serial),
            _value: PhantomData,
        };
        Waiting::new(&self.state, request).await.map(drop)
    }
}

impl<T> Lock<T> {
    /// An unlocked lock of a value.
    #[must_use]
    pub fn with_value(value: T) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                locked: false,
                serial: 0,
                last_serial: 0,
                value: Some(value),
                waiters: WaitList::new(),
            })),
        }
    }

    /// Waits until nobody holds the lock, and holds it as long as the guard lives (`async with lock`).
    ///
    /// # Errors
    ///
    /// [`CancelledError`] when the task is cancelled meanwhile; the lock is not held then.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, its place in the line is lost and nothing else: a lock that it
    /// was about to get goes to the next.
    pub async fn guard(&self) -> Result<LockGuard<'_, T>, CancelledError> {
        let held = self.take().await?;
        Ok(LockGuard { lock: self, held })
    }

    /// As [`guard`](Self::guard), with a guard that has a clone of the lock: it may go to another task,
    /// or be kept with what the lock is of.
    ///
    /// ```
    /// # use asyncio_core::{Result, create_task, run};
    /// # use asyncio_sync::Lock;
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let total = Lock::with_value(0);
    /// let mut guard = total.guard_owned().await?;
    /// let task = create_task(async move {
    ///     *guard += 1;
    ///     Ok(())
    /// });
    /// assert_eq!(*total.guard().await?, 1);
    /// task.await
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`guard`](Self::guard).
    ///
    /// # Cancel safety
    ///
    /// As of [`guard`](Self::guard).
    pub async fn guard_owned(&self) -> Result<OwnedLockGuard<T>, CancelledError> {
        let held = self.take().await?;
        Ok(OwnedLockGuard {
            lock: self.clone(),
            held,
        })
    }

    #[inline]
    async fn take(&self) -> Result<Held<T>, CancelledError> {
        let mut request = Acquire::new();
        request.takes_value = true;
        // The usual case, in which there is no future to set up.
        let free = request.take_free(&mut self.state.lock());
        let (serial, value) = match free {
            Some(taken) => taken,
            None => Waiting::new(&*self.state, request).await?,
        };
        Ok(Held { serial, value })
    }

    /// Whether somebody holds the lock.
    ///
    /// # asyncio
    ///
    /// As there, a released lock is not held until the one who was woken has it.
    #[must_use]
    pub fn locked(&self) -> bool {
        self.state.lock().locked
    }

    /// The value, where this is the last clone of the lock.
    #[must_use]
    pub fn into_inner(self) -> Option<T> {
        Arc::into_inner(self.state)?.into_inner().value
    }
}

impl Default for Lock {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Lock<T> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
        }
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Lock [{}", self.state_name())?;
        let waiters = self.state.lock().waiters.len();
        if waiters > 0 {
            write!(f, ", waiters:{waiters}")?;
        }
        f.write_str("]>")
    }
}

impl<T> Lock<T> {
    pub(crate) fn state_name(&self) -> &'static str {
        if self.locked() { "locked" } else { "unlocked" }
    }
}

/// Holds a [`Lock`], and releases it when it goes.
///
/// It gives access to the lock's value.
#[must_use = "the lock is released when the guard is dropped"]
pub struct LockGuard<'a, T = ()> {
    lock: &'a Lock<T>,
    held: Held<T>,
}

/// A [`LockGuard`] that has a clone of its lock; see [`Lock::guard_owned`].
#[must_use = "the lock is released when the guard is dropped"]
pub struct OwnedLockGuard<T = ()> {
    lock: Lock<T>,
    held: Held<T>,
}

/// What a guard holds.
struct Held<T> {
    serial: u64,
    /// None only within `drop`.
    value: Option<T>,
}

impl<T> Held<T> {
    fn value(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("a guard has the value of its lock"),
        }
    }

    fn value_mut(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => unreachable!("a guard has the value of its lock"),
        }
    }

    #[inline]
    fn give_back(&mut self, lock: &Lock<T>) {
        let mut wakes = Wakes::default();
        {
            let mut state = lock.state.lock();
            // A lock without a value may have been released by hand, and be another's by now.
            if state.locked && state.serial == self.serial {
                state.value = self.value.take();
                state.release(&mut wakes);
            }
        }
        wakes.carry_out();
    }
}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.value()
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.value_mut()
    }
}

impl<T> Drop for LockGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.held.give_back(self.lock);
    }
}

impl<T: fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T> Deref for OwnedLockGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.value()
    }
}

impl<T> DerefMut for OwnedLockGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.value_mut()
    }
}

impl<T> Drop for OwnedLockGuard<T> {
    #[inline]
    fn drop(&mut self) {
        self.held.give_back(&self.lock);
    }
}

impl<T: fmt::Debug> fmt::Debug for OwnedLockGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T> State<T> {
    fn release(&mut self, wakes: &mut Wakes) {
        self.locked = false;
        self.waiters.wake_first(wakes);
    }
}

/// One who wants to hold the lock.
struct Acquire<T> {
    takes_value: bool,
    /// The number of the acquisition that this one continues.
    serial: Option<u64>,
    _value: PhantomData<fn() -> T>,
}

impl<T> Acquire<T> {
    const fn new() -> Self {
        Self {
            takes_value: false,
            serial: None,
            _value: PhantomData,
        }
    }

    /// Takes the lock if it is free and nobody is in line.
    #[inline]
    fn take_free(&mut self, state: &mut State<T>) -> Option<(u64, Option<T>)> {
        (!state.locked && state.waiters.is_empty()).then(|| self.take(state))
    }

    #[inline]
    fn take(&mut self, state: &mut State<T>) -> (u64, Option<T>) {
        state.locked = true;
        state.serial = self.serial.unwrap_or_else(|| {
            state.last_serial += 1;
            state.last_serial
        });
        let value = if self.takes_value {
            state.value.take()
        } else {
            None
        };
        (state.serial, value)
    }
}

impl<T> Request for Acquire<T> {
    type State = State<T>;
    type Output = (u64, Option<T>);

    fn list(state: &mut State<T>) -> &mut WaitList {
        &mut state.waiters
    }

    fn take_now(&mut self, state: &mut State<T>, _: &mut Wakes) -> Option<Self::Output> {
        // Fair: who comes waits its turn. To jump a line of which everybody was cancelled is all right.
        (!state.locked && state.waiters.all_cancelled()).then(|| self.take(state))
    }

    fn take_woken(&mut self, state: &mut State<T>, _: &mut Wakes) -> Option<Self::Output> {
        Some(self.take(state))
    }

    fn give_up(&mut self, state: &mut State<T>, _: End, wakes: &mut Wakes) {
        // If the lock is neither held nor about to be, whoever is first in line is to run.
        if !state.locked {
            state.waiters.wake_first(wakes);
        }
    }
}
