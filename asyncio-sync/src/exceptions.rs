//! What the primitives raise (`asyncio/exceptions.py`, `asyncio/queues.py`).

/// The barrier was aborted, or it was reset while tasks waited at it (`asyncio.BrokenBarrierError`).
///
/// # asyncio
///
/// There it is a kind of `RuntimeError`; here the two are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the barrier is broken")]
#[non_exhaustive]
pub struct BrokenBarrierError;

/// [`get_nowait`](crate::Queue::get_nowait) found nothing in the queue (`asyncio.QueueEmpty`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the queue is empty")]
#[non_exhaustive]
pub struct QueueEmpty;

/// [`put_nowait`](crate::Queue::put_nowait) found no room in the queue (`asyncio.QueueFull`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the queue is full")]
#[non_exhaustive]
pub struct QueueFull;

/// The queue was shut down: nothing is put any more, and what there was has been got
/// (`asyncio.QueueShutDown`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the queue is shut down")]
#[non_exhaustive]
pub struct QueueShutDown;

macro_rules! constructors {
    ($($name:ident)*) => {$(
        impl $name {
            /// The error.
            #[must_use]
            pub const fn new() -> Self {
                Self
            }
        }
    )*};
}

constructors!(BrokenBarrierError QueueEmpty QueueFull QueueShutDown);
