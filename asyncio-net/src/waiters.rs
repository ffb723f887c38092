//! Those who wait for something of a connection, a server or a process, all woken together.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use asyncio_core::CancelledError;
use asyncio_core::waiting::{Waiter, Wakeup};

/// Those who wait.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    wakeups: Vec<Wakeup>,
    /// Those who poll by tokio's traits.
    wakers: Vec<Waker>,
    /// From so many on it is worth looking for those that have gone.
    full: usize,
}

/// Those that are to be woken, once nothing is locked.
#[must_use]
#[derive(Debug, Default)]
pub(crate) struct Woken {
    wakeups: Vec<Wakeup>,
    wakers: Vec<Waker>,
}

impl Waiters {
    fn add(&mut self, wakeup: Wakeup) {
        if self.wakeups.len() >= self.full.max(8) {
            self.wakeups.retain(Wakeup::is_pending);
            self.full = self.wakeups.len() * 2;
        }
        self.wakeups.push(wakeup);
    }

    pub(crate) fn add_waker(&mut self, waker: Waker) {
        if !self.wakers.iter().any(|known| known.will_wake(&waker)) {
            self.wakers.push(waker);
        }
    }

    /// Takes all who wait, to be woken when nothing is locked.
    pub(crate) fn take(&mut self) -> Woken {
        Woken {
            wakeups: std::mem::take(&mut self.wakeups),
            wakers: std::mem::take(&mut self.wakers),
        }
    }
}

impl Woken {
    pub(crate) fn wake(self) {
        for wakeup in self.wakeups {
            wakeup.wake();
        }
        for waker in self.wakers {
            waker.wake();
        }
    }
}

/// State that may be waited for.
pub(crate) trait HasWaiters {
    fn waiters(&mut self) -> &mut Waiters;
}

/// Waits until a look at the state finds what it looks for; one that finds it at once takes no turn.
pub(crate) const fn wait_until<'a, S, T, F>(state: &'a Mutex<S>, look: F) -> WaitUntil<'a, S, F>
where
    S: HasWaiters,
    F: FnMut(&mut S) -> Option<T>,
{
    WaitUntil {
        state,
        look,
        waiter: Waiter::new(),
    }
}

/// The future of [`wait_until`].
#[derive(Debug)]
#[must_use = "futures do nothing until they are awaited"]
pub(crate) struct WaitUntil<'a, S, F> {
    state: &'a Mutex<S>,
    look: F,
    waiter: Waiter,
}

impl<S, T, F> Future for WaitUntil<'_, S, F>
where
    S: HasWaiters,
    F: FnMut(&mut S) -> Option<T> + Unpin,
{
    type Output = Result<T, CancelledError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.waiter.is_waiting() {
            ready!(this.waiter.poll(cx))?;
        }
        if let Some(found) = (this.look)(&mut lock(this.state)) {
            // One that ends elsewhere than where it began gives the wait up there.
            this.waiter.give_up();
            return Poll::Ready(Ok(found));
        }
        // Begun while nothing is locked, for it may clone somebody else's waker. What still
        // waits, polled elsewhere than where it began, is let go of after that.
        let mut waiter = Waiter::new();
        let wakeup = waiter.begin(cx);
        let former = std::mem::replace(&mut this.waiter, waiter);
        let mut state = lock(this.state);
        if let Some(found) = (this.look)(&mut state) {
            drop(state);
            drop(former);
            this.waiter.give_up();
            return Poll::Ready(Ok(found));
        }
        state.waiters().add(wakeup);
        drop(state);
        drop(former);
        Poll::Pending
    }
}

/// A lock that a panic elsewhere has not left half done: nothing of a user's runs under it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
