//! The scenario language on this workspace's crates.
//!
//! `machine` holds what a running program shares, `core` the control flow and everything that
//! asyncio-core's loop, tasks and futures do; every other area has a module of its own. `harness`
//! runs one program from its start to the final state of its tasks.

mod combine;
mod core;
mod errors;
mod harness;
mod locks;
mod machine;
mod queues;
mod scopes;
mod streams;
#[cfg(test)]
mod tests;

pub(crate) use harness::run;

/// How running a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It ran to its end and left these lines.
    Trace(Vec<String>),
    /// It has no trace, for this reason.
    Skip(String),
}
