//! Who polls a task that its loop does not: a tokio task, or a scope.

use std::sync::OnceLock;
use std::task::Waker;

use crate::primitives::Cell;

/// Room in a task for what its loop would know otherwise.
#[derive(Default)]
pub(super) struct Driver {
    /// The waker of who polled the task first. It stays, so that it can be used without any lock; hardly a
    /// task is ever polled with another.
    first: OnceLock<Waker>,
    /// The one that has taken its place, and whether there is one; within `access`.
    other: Cell<Option<Waker>>,
    is_replaced: Cell<bool>,
    /// References that the task has to itself, for the waits that it is going to begin. Its step alone
    /// uses them.
    pub(super) stock: Cell<u32>,
}

/// Who is to be woken, found within `access` for when that is over.
pub(super) enum Poller {
    First,
    Other(Waker),
}

impl Driver {
    /// Keeps the waker for the next wake; within `access`.
    #[inline]
    pub(super) fn keep(&self, waker: &Waker) {
        // Cloning and dropping tokio's own waker calls nothing of a user's.
        let is_first = self.first.get_or_init(|| waker.clone()).will_wake(waker);
        if !is_first || self.is_replaced.get() {
            self.replace(waker, is_first);
        }
    }

    #[cold]
    fn replace(&self, waker: &Waker, is_first: bool) {
        self.is_replaced.set(!is_first);
        let other = self.other.take().filter(|_| !is_first);
        let same = other.filter(|other| other.will_wake(waker));
        self.other
            .set(same.or_else(|| (!is_first).then(|| waker.clone())));
    }

    /// Whose waker was kept last; within `access`.
    #[inline]
    pub(super) fn poller(&self) -> Option<Poller> {
        if self.is_replaced.get() {
            let other = self.other.take();
            self.other.set(other.clone());
            return other.map(Poller::Other);
        }
        self.first.get().map(|_| Poller::First)
    }

    #[inline]
    pub(super) fn wake(&self, poller: &Poller) {
        let waker = match poller {
            Poller::Other(waker) => Some(waker),
            Poller::First => self.first.get(),
        };
        if let Some(waker) = waker {
            waker.wake_by_ref();
        }
    }
}
