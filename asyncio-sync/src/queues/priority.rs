//! `PriorityQueue` (`asyncio/queues.py`).

use std::fmt;
use std::ops::Deref;

use super::items::Items;
use super::queue::Queue;

/// A [`Queue`] that gives the least item first (`asyncio.PriorityQueue`).
///
/// Items are nearly always pairs: the priority, and the thing itself. Equal items come in no
/// particular order, but in the one in which they do in Python.
///
/// ```
/// use asyncio_core::Result;
/// use asyncio_sync::PriorityQueue;
///
/// # fn main() -> Result<()> {
/// let queue = PriorityQueue::new(0);
/// queue.put_nowait((2, "later"))?;
/// queue.put_nowait((1, "first"))?;
/// assert_eq!(queue.get_nowait()?, (1, "first"));
/// # Ok(())
/// # }
/// ```
pub struct PriorityQueue<T>(Queue<T>);

impl<T: PartialOrd> PriorityQueue<T> {
    /// A queue for so many items; zero or less is no limit.
    #[must_use]
    pub fn new(maxsize: isize) -> Self {
        let items = Items::Priority(Vec::new(), <T as PartialOrd>::lt);
        Self(Queue::of("PriorityQueue", maxsize, items))
    }
}

impl<T: PartialOrd> Default for PriorityQueue<T> {
    /// A queue without a limit.
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T> Deref for PriorityQueue<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.0
    }
}

impl<T> Clone for PriorityQueue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: fmt::Debug> fmt::Display for PriorityQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<T: fmt::Debug> fmt::Debug for PriorityQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
