//! Who polls a task that its loop does not: a tokio task, or a scope.

use std::sync::OnceLock;
use std::task::Waker;

use super::local::LocalCell;

/// Room in a task for the waker of who polls it.
#[derive(Default)]
pub(super) struct Driver {
    /// The one that was there first. It stays, so that it can be used without any lock; hardly a task is
    /// ever polled with another.
    first: OnceLock<Waker>,
    /// The one that has taken its place; within `access`.
    other: LocalCell<Option<Waker>>,
}

/// Who is to be woken, found within `access` for when that is over.
pub(super) enum Poller {
    First,
    Other(Waker),
}

impl Driver {
    /// Keeps the waker for the next wake; within `access`.
    pub(super) fn keep(&self, waker: &Waker) {
        // Cloning and dropping tokio's own waker calls nothing of a user's.
        let is_first = self.first.get_or_init(|| waker.clone()).will_wake(waker);
        self.other.with(|other| {
            if is_first {
                *other = None;
            } else if !other.as_ref().is_some_and(|other| other.will_wake(waker)) {
                *other = Some(waker.clone());
            }
        });
    }

    /// Whose waker was kept last; within `access`.
    pub(super) fn poller(&self) -> Option<Poller> {
        match self.other.with(|other| other.clone()) {
            Some(waker) => Some(Poller::Other(waker)),
            None => self.first.get().map(|_| Poller::First),
        }
    }

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
