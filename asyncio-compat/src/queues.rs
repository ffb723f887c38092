//! Queues (`asyncio.queues`).

pub use asyncio_sync::{
    LifoQueue, PriorityQueue, Queue, QueueEmpty, QueueFull, QueueItems, QueueShutDown, QueueSink,
};
