//! Locks, events, conditions, semaphores, barriers (`asyncio.locks`).

pub use asyncio_sync::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, LockGuard, OwnedLockGuard, OwnedPermit,
    Permit, Semaphore,
};
