//! `asyncio/locks.py`: what tasks wait for that is no value.

mod barrier;
mod condition;
mod event;
mod lock;
mod semaphore;

pub use barrier::Barrier;
pub use condition::Condition;
pub use event::Event;
pub use lock::{Lock, LockGuard, OwnedLockGuard};
pub use semaphore::{BoundedSemaphore, OwnedPermit, Permit, Semaphore};
