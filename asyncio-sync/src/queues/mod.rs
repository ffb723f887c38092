//! `asyncio/queues.py`: three orders of one queue.

mod adapters;
mod items;
mod lifo;
mod priority;
mod queue;

pub use adapters::{QueueItems, QueueSink};
pub use lifo::LifoQueue;
pub use priority::PriorityQueue;
pub use queue::{Get, Put, Queue};
