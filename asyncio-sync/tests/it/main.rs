//! What asyncio-sync promises: CPython's own tests of locks and queues, models, threads, memory.
//!
//! A test that ports one of CPython's names it in its doc comment, as `test_locks.LockTests.test_acquire`.

mod adapters;
mod auto_traits;
mod barriers;
mod conditions;
mod elsewhere;
mod events;
mod locks;
mod memory;
mod models;
mod queues;
mod semaphores;
mod support;
mod threads;
