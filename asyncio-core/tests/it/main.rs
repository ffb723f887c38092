//! What asyncio-core promises, one module for each of CPython's modules and each of Rust's concerns.
//!
//! A test that ports one of CPython's names it in its doc comment, as `test_tasks.test_cancel`.

mod auto_traits;
mod base_events;
mod cancellation;
mod contextvars;
mod eager_tasks;
mod events;
mod exceptions;
mod foreign;
mod futures;
mod limits;
mod misuse;
mod outliving;
mod reports;
mod runners;
mod support;
mod tasks;
mod threads;
mod timers;
