//! What the server says without having been asked.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::exceptions::PgError;

/// What is called for a notice.
type Listener = Arc<dyn Fn(&PgError) + Send + Sync>;

/// Who listens to the notices of a session.
#[derive(Default)]
pub(crate) struct Notices {
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    last: u64,
    all: Vec<(u64, Listener)>,
}

/// Names a listener, to remove it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(u64);

impl Notices {
    pub(crate) fn add(&self, listener: impl Fn(&PgError) + Send + Sync + 'static) -> ListenerId {
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.last += 1;
        let id = listeners.last;
        listeners.all.push((id, Arc::new(listener)));
        ListenerId(id)
    }

    pub(crate) fn remove(&self, id: ListenerId) -> bool {
        let removed = {
            let mut listeners = self
                .listeners
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let at = listeners.all.iter().position(|(it, _)| *it == id.0);
            at.map(|at| listeners.all.remove(at))
        };
        // Dropped after the lock: it is somebody else's.
        removed.is_some()
    }

    pub(crate) fn clear(&self) {
        let all = std::mem::take(
            &mut self
                .listeners
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .all,
        );
        drop(all);
    }

    /// Calls all, under no lock.
    pub(crate) fn tell(&self, notice: &PgError) {
        let all = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .all
            .clone();
        for (_, listener) in all {
            listener(notice);
        }
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").finish_non_exhaustive()
    }
}
