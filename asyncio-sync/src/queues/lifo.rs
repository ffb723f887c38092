//! `LifoQueue` (`asyncio/queues.py`).

use std::fmt;
use std::ops::Deref;

use super::items::Items;
use super::queue::Queue;

/// A [`Queue`] that gives the last item that was put first: a stack (`asyncio.LifoQueue`).
///
/// ```
/// use asyncio_core::Result;
/// use asyncio_sync::LifoQueue;
///
/// # fn main() -> Result<()> {
/// let queue = LifoQueue::new(0);
/// queue.put_nowait("early")?;
/// queue.put_nowait("late")?;
/// assert_eq!(queue.get_nowait()?, "late");
/// # Ok(())
/// # }
/// ```
pub struct LifoQueue<T>(Queue<T>);

impl<T> LifoQueue<T> {
    /// A queue for so many items; zero or less is no limit.
    #[must_use]
    pub fn new(maxsize: isize) -> Self {
        Self(Queue::of("LifoQueue", maxsize, Items::Lifo(Vec::new())))
    }
}

impl<T> Default for LifoQueue<T> {
    /// A queue without a limit.
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T> Deref for LifoQueue<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.0
    }
}

impl<T> Clone for LifoQueue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: fmt::Debug> fmt::Display for LifoQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<T: fmt::Debug> fmt::Debug for LifoQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
