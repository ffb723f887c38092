//! How much was made of each kind, and how much of it is still there.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::Counts;

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Futures of tasks, done or dropped when they go.
    Coroutine,
    /// Values that tasks and futures end with.
    Result,
    /// Errors that they end with.
    Error,
    /// Functions that are to be called once.
    Closure,
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Coroutine, "coroutines"),
    (Kind::Result, "results"),
    (Kind::Error, "errors"),
    (Kind::Closure, "closures"),
];

/// The account of a round.
#[derive(Debug, Default)]
pub(super) struct Tally {
    made: [AtomicU64; KINDS.len()],
    alive: [AtomicI64; KINDS.len()],
}

/// One of what is counted.
#[derive(Debug)]
pub(super) struct Counted {
    tally: Arc<Tally>,
    kind: Kind,
}

impl Tally {
    pub(super) fn one(self: &Arc<Self>, kind: Kind) -> Counted {
        // Relaxed, here and below: the sums are looked at when all who count have been waited for, and
        // are waited for themselves where that is not so.
        self.made[kind as usize].fetch_add(1, Ordering::Relaxed);
        self.alive[kind as usize].fetch_add(1, Ordering::Relaxed);
        Counted {
            tally: Arc::clone(self),
            kind,
        }
    }

    pub(super) fn alive(&self, kind: Kind) -> i64 {
        self.alive[kind as usize].load(Ordering::Relaxed)
    }

    /// What is still there; a negative number of what was dropped twice.
    pub(super) fn left(&self) -> Vec<String> {
        KINDS
            .iter()
            .filter(|(kind, _)| self.alive(*kind) != 0)
            .map(|(kind, name)| format!("{} {name}", self.alive(*kind)))
            .collect()
    }

    pub(super) fn report(&self, counts: &mut Counts) {
        for (kind, name) in KINDS {
            counts.count(name, self.made[kind as usize].load(Ordering::Relaxed));
        }
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.tally.one(self.kind)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.tally.alive[self.kind as usize].fetch_sub(1, Ordering::Relaxed);
    }
}
