//! asyncio's locks, events, conditions, semaphores, barriers and queues for Rust.
//!
//! The primitives follow `asyncio.locks` and `asyncio.queues` of CPython 3.13, waiters and all: who
//! waits is served first come first served, whoever is woken resumes one iteration of the loop later,
//! and a waiter that is cancelled after it was woken passes on what it was given. They work the same
//! between the tasks of an event loop and on a tokio runtime with many threads.
//!
//! ```
//! use asyncio_core::{Result, create_task, run};
//! use asyncio_sync::{Queue, Semaphore};
//!
//! # fn main() -> Result<()> {
//! run(async {
//!     let (queue, at_once) = (Queue::new(10), Semaphore::new(2));
//!     for number in 0..3 {
//!         let (queue, at_once) = (queue.clone(), at_once.clone());
//!         create_task(async move {
//!             let _permit = at_once.guard().await?;
//!             queue.put(number).await
//!         });
//!     }
//!     let mut sum = 0;
//!     for _ in 0..3 {
//!         sum += queue.get().await?;
//!     }
//!     assert_eq!(sum, 3);
//!     Ok(())
//! })
//! # }
//! ```
//!
//! # Vocabulary
//!
//! - A **waiter** is one task's place in the line of a primitive. It is given up when the wait is
//!   cancelled or dropped, and never keeps what it was about to get.
//! - A **permit** is what a semaphore has a number of; a lock has one.
//! - A **guard** is what `async with lock` becomes: leaving cannot wait, so that dropping it releases.
//!   `lock.guard().await?` is the same for locks, conditions and semaphores; `acquire` and `release`
//!   are the two calls of Python.
//! - **`x` and `x_nowait`**: the former waits, the latter never does and fails instead.
//! - To **notify** is to wake those who wait for a condition; whoever is cancelled before it could make
//!   use of that notifies another.
//!
//! # Map
//!
//! | CPython's module | here |
//! | --- | --- |
//! | `asyncio.locks` | [`Lock`], [`Event`], [`Condition`], [`Semaphore`], [`BoundedSemaphore`], [`Barrier`] |
//! | `asyncio.queues` | [`Queue`], [`PriorityQueue`], [`LifoQueue`], [`QueueEmpty`], [`QueueFull`], [`QueueShutDown`] |
//! | `asyncio.exceptions` | [`BrokenBarrierError`] |
//!
//! Not from Python: a lock may hold a value, which its guard gives access to; a guard may have a clone of
//! its lock or semaphore, and so go to another task ([`Lock::guard_owned`], [`Semaphore::guard_owned`]);
//! a queue can be read as a stream ([`Queue::items`]) and written as a sink ([`Queue::sink`]).
//!
//! # What it does not do
//!
//! It does no I/O and starts no tasks. It does not replace `std::sync::Mutex`, which is the right lock
//! for data that is never held across an await. Unlike Python's, its primitives are bound to no event
//! loop and usable from any thread: a clone is the same lock, queue or event.
//!
//! # Features
//!
//! None.

mod exceptions;
mod locks;
mod queues;
mod waiters;

pub use exceptions::{BrokenBarrierError, QueueEmpty, QueueFull, QueueShutDown};
pub use locks::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, LockGuard, OwnedLockGuard, OwnedPermit,
    Permit, Semaphore,
};
pub use queues::{Get, LifoQueue, PriorityQueue, Put, Queue, QueueItems, QueueSink};
