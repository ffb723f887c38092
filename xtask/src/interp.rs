//! The scenario language on this workspace's crates.
//!
//! `machine` holds what a running program shares, `core` the control flow and everything that
//! asyncio-core's loop, tasks and futures do; every other area has a module of its own. `place` is
//! where a program runs. `harness` runs one program from its start to the final state of its tasks on
//! an event loop, `workers` on a tokio runtime; `ending` says in what two runs can be compared.

mod combine;
mod core;
mod ending;
mod errors;
mod harness;
mod locks;
mod machine;
mod notes;
mod place;
mod queues;
mod scopes;
mod streams;
#[cfg(test)]
mod tests;
mod workers;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use ending::Ending;
pub(crate) use harness::{run, run_drawn, run_noted};
pub(crate) use place::Manner;
pub(crate) use workers::{Care, Trouble, Worked, run_on_runtime};

/// How a running program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It ran to its end and left these lines.
    Trace(Vec<String>),
    /// It has no trace, for this reason.
    Skip(String),
}

/// Locks what is never left half changed, so that a panic elsewhere is no reason to give up.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
