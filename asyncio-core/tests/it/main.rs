//! What asyncio-core promises, one module for each of CPython's modules and each of Rust's concerns.
//!
//! A test that ports one of CPython's names it in its doc comment, as `test_tasks.test_cancel`.
#![expect(
    clippy::redundant_async_block,
    reason = "a coroutine that awaits something is the subject of many a test"
)]

mod as_completed;
mod attributes;
mod auto_traits;
mod base_events;
mod between_loops;
mod cancellation;
mod contextvars;
mod debug;
mod eager_tasks;
mod events;
mod exception_groups;
mod exceptions;
mod foreign;
mod futures;
mod gather;
mod giving_way;
mod group_models;
mod limits;
mod mistakes;
mod misuse;
mod outliving;
#[cfg(all(unix, feature = "process-pool"))]
mod processes;
mod reports;
mod runners;
mod shield;
mod shuffle;
#[cfg(unix)]
mod signals;
mod staggered;
mod support;
mod taskgroups;
mod tasks;
mod threads;
mod threads_pool;
mod threadsafe;
mod timeouts;
mod timers;
mod tokio_combinators;
mod tokio_ends;
mod tokio_mode;
mod tokio_races;
mod wait;
mod worker_threads;
