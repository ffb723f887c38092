//! asyncio's locks, events, conditions, semaphores, barriers and queues for Rust.
//!
//! **Being built: nothing is here yet.** This page says what the crate is for and what it will hold.
//!
//! The primitives follow `asyncio.locks` and `asyncio.queues` of CPython 3.13, waiters and all: who
//! waits is served first come first served, whoever is woken resumes one iteration of the loop later,
//! and a waiter that is cancelled after it was woken passes on what it was given.
//!
//! # Vocabulary
//!
//! - A **waiter** is one task's place in the queue of a primitive. It is given up when the wait is
//!   cancelled or dropped, and never keeps what it was about to get.
//! - A **permit** is what a semaphore has a number of; a lock has one.
//! - A **guard** is what `async with lock` becomes: leaving cannot wait, so that dropping it releases.
//! - **`x` and `x_nowait`**: the former waits, the latter never does and fails instead.
//!
//! # Map
//!
//! | CPython's module | will hold |
//! | --- | --- |
//! | `asyncio.locks` | `Lock`, `Event`, `Condition`, `Semaphore`, `BoundedSemaphore` |
//! | `asyncio.locks`, `asyncio.exceptions` | `Barrier`, `BrokenBarrierError` |
//! | `asyncio.queues` | `Queue`, `PriorityQueue`, `LifoQueue`, `QueueEmpty`, `QueueFull`, `QueueShutDown` |
//!
//! # What it does not do
//!
//! It does no I/O and starts no tasks. It does not replace `std::sync::Mutex`, which is the right lock
//! for data that is never held across an await. Unlike Python's, its primitives will be usable from any
//! thread: a clone is the same lock, queue or event.
//!
//! # Features
//!
//! None.
