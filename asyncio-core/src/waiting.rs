//! Waiting by hand, for the crates above this one: locks, queues, streams.
//!
//! A [`Waiter`] is what awaiting a fresh `loop.create_future()` is in CPython: a place in the task that
//! waits, which a [`Wakeup`] ends and a cancellation too. A [`Mutex`] is for the state of whatever they
//! wait for. They are not meant for programs, which have [`Future`](crate::Future) and
//! [`std::sync::Mutex`] for this.

pub use crate::cell::{Untold, Waiter, Wakeup};
pub use crate::mutex::{Mutex, MutexGuard};
