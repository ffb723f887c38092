//! `Condition` (`asyncio/locks.py`).

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use asyncio_core::waiting::Mutex;
use asyncio_core::{CancelledError, Result, RuntimeError};

use super::lock::{Lock, LockGuard, OwnedLockGuard};
use crate::waiters::{End, Request, WaitList, Waiting, Wakes};

/// Waiting, under a lock, for what another task changes under the same lock (`asyncio.Condition`).
///
/// A task acquires the lock, finds that something does not hold yet, and [waits](Self::wait): that
/// releases the lock until another task, which holds it, has [notified](Self::notify) the condition.
/// When the wait returns the lock is held again, also when it was cancelled. A wait may return without
/// cause, so that one checks again, which [`wait_for`](Self::wait_for) does.
///
/// A clone is the same condition.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// use asyncio_core::{Result, create_task, run};
/// use asyncio_sync::Condition;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let condition = Condition::new();
///     let stock = Arc::new(AtomicU32::new(0));
///     let (theirs, count) = (condition.clone(), Arc::clone(&stock));
///     let buyer = create_task(async move {
///         let _guard = theirs.guard().await?;
///         theirs.wait_for(|| count.load(Ordering::Relaxed) >= 2).await?;
///         count.fetch_sub(2, Ordering::Relaxed);
///         Ok(())
///     });
///     for _ in 0..2 {
///         let _guard = condition.guard().await?;
///         stock.fetch_add(1, Ordering::Relaxed);
///         condition.notify(1)?;
///     }
///     buyer.await
/// })
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Condition {
    lock: Lock,
    waiters: Arc<Mutex<Waiters>>,
}

struct Waiters(WaitList);

impl Condition {
    /// A condition with a lock of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A condition of this lock, which may be that of others as well.
    #[must_use]
    pub fn with_lock(lock: Lock) -> Self {
        Self {
            lock,
            waiters: Arc::default(),
        }
    }

    /// Acquires the lock; see [`Lock::acquire`].
    ///
    /// # Errors
    ///
    /// [`CancelledError`] when the task is cancelled meanwhile; the lock is not held then.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, its place in the line is lost and nothing else.
    pub async fn acquire(&self) -> Result<(), CancelledError> {
        self.lock.acquire().await
    }

    /// Holds the lock as long as the guard lives (`async with condition`); see [`Lock::guard`].
    ///
    /// # Errors
    ///
    /// [`CancelledError`] when the task is cancelled meanwhile; the lock is not held then.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, its place in the line is lost and nothing else.
    pub async fn guard(&self) -> Result<LockGuard<'_>, CancelledError> {
        self.lock.guard().await
    }

    /// As [`guard`](Self::guard), with a guard that may go to another task; see [`Lock::guard_owned`].
    ///
    /// # Errors
    ///
    /// As of [`guard`](Self::guard).
    ///
    /// # Cancel safety
    ///
    /// As of [`guard`](Self::guard).
    pub async fn guard_owned(&self) -> Result<OwnedLockGuard, CancelledError> {
        self.lock.guard_owned().await
    }

    /// Releases the lock; see [`Lock::release`].
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] when the lock is not held.
    pub fn release(&self) -> Result<(), RuntimeError> {
        self.lock.release()
    }

    /// Whether somebody holds the lock.
    #[must_use]
    pub fn locked(&self) -> bool {
        self.lock.locked()
    }

    /// Releases the lock, waits until notified, and acquires the lock again.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] when nobody holds the lock; [`CancelledError`] when the task is cancelled
    /// meanwhile. The lock is acquired again all the same: the error is raised after that, and if more
    /// requests come while the task waits for the lock, it is the last one's.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it passes a notification on to another, and holds the lock again. Dropped, it passes
    /// on one that it has had, and the lock stays released; a guard of it knows that.
    pub async fn wait(&self) -> Result<()> {
        let Some(holder) = self.lock.holder() else {
            return Err(RuntimeError::new("cannot wait on an un-acquired lock").into());
        };
        let mut waiting = Waiting::new(&self.waiters, Notified);
        // In line first: on another thread somebody may notify as soon as the lock is free.
        let released = poll_fn(|cx| {
            let polled = Pin::new(&mut waiting).poll(cx);
            debug_assert!(
                polled.is_pending(),
                "a notification has to come from somebody"
            );
            Poll::Ready(self.lock.release())
        })
        .await;
        // Nobody else's business, but another thread may have released it in between.
        released?;
        let notified = waiting.await;
        // From here on a notification is either used or, however this ends, passed on.
        let pass_on = PassOn(self);
        let mut error = notified.err();
        while let Err(another) = self.lock.acquire_again(holder).await {
            error = Some(another);
        }
        match error {
            None => {
                std::mem::forget(pass_on);
                Ok(())
            }
            Some(error) => Err(error.into()),
        }
    }

    /// Waits until the predicate holds; does not wait if it does. It is checked under the lock.
    ///
    /// # Errors
    ///
    /// As of [`wait`](Self::wait), which is only called if the predicate does not hold.
    ///
    /// # Cancel safety
    ///
    /// As of [`wait`](Self::wait).
    pub async fn wait_for(&self, mut predicate: impl FnMut() -> bool) -> Result<()> {
        while !predicate() {
            self.wait().await?;
        }
        Ok(())
    }

    /// Wakes so many of those who wait, first come first served, and all if there are fewer. They go on
    /// when they have the lock again.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] when nobody holds the lock.
    pub fn notify(&self, count: usize) -> Result<(), RuntimeError> {
        self.check_locked()?;
        self.wake(count);
        Ok(())
    }

    /// Wakes all who wait. They go on, one after the other, when they have the lock again.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] when nobody holds the lock.
    pub fn notify_all(&self) -> Result<(), RuntimeError> {
        self.notify(usize::MAX)
    }

    fn check_locked(&self) -> Result<(), RuntimeError> {
        if self.locked() {
            Ok(())
        } else {
            Err(RuntimeError::new("cannot notify on an un-acquired lock"))
        }
    }

    /// `notify` for those who may have lost the lock.
    pub(super) fn wake(&self, count: usize) {
        let mut wakes = Wakes::default();
        {
            let mut waiters = self.waiters.lock();
            let mut left = count;
            while left > 0 && waiters.0.wake_next(&mut wakes) {
                left -= 1;
            }
        }
        wakes.carry_out();
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.lock.state_name();
        match self.waiters.lock().0.len() {
            0 => write!(f, "<Condition [{name}]>"),
            waiters => write!(f, "<Condition [{name}, waiters:{waiters}]>"),
        }
    }
}

impl Default for Waiters {
    fn default() -> Self {
        Self(WaitList::new())
    }
}

/// Notifies another when it is dropped.
struct PassOn<'a>(&'a Condition);

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        self.0.wake(1);
    }
}

/// One who waits to be notified.
struct Notified;

impl Request for Notified {
    type State = Waiters;
    type Output = ();

    fn list(waiters: &mut Waiters) -> &mut WaitList {
        &mut waiters.0
    }

    fn take_now(&mut self, _: &mut Waiters, _: &mut Wakes) -> Option<()> {
        None
    }

    fn take_woken(&mut self, _: &mut Waiters, _: &mut Wakes) -> Option<()> {
        Some(())
    }

    fn give_up(&mut self, waiters: &mut Waiters, end: End, wakes: &mut Wakes) {
        // Who is cancelled passes it on itself, once it has the lock again.
        if end.dropped && end.woken {
            waiters.0.wake_next(wakes);
        }
    }
}
