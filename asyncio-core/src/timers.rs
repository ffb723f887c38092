//! The loop's timers: a heap of deadlines, equal ones in the order in which they were made.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::slab::{Key, Slab};

/// Timers that each carry what is to be done when they are due.
pub(crate) struct Timers<T> {
    heap: BinaryHeap<Reverse<Deadline>>,
    actions: Slab<T>,
    /// Entries of the heap whose action is gone.
    cancelled: usize,
    made: u64,
}

struct Deadline {
    when: f64,
    order: u64,
    key: Key,
}

/// Below this many entries a heap is not worth rebuilding (`_MIN_SCHEDULED_TIMER_HANDLES`).
const MIN_REBUILD: usize = 100;

impl<T> Timers<T> {
    pub(crate) const fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            actions: Slab::new(),
            cancelled: 0,
            made: 0,
        }
    }

    pub(crate) fn insert(&mut self, when: f64, action: T) -> Key {
        let key = self.actions.insert(action);
        self.heap.push(Reverse(Deadline {
            when,
            order: self.made,
            key,
        }));
        self.made += 1;
        key
    }

    /// Takes a timer out; `None` when it was due or cancelled before.
    pub(crate) fn cancel(&mut self, key: Key) -> Option<T> {
        let action = self.actions.remove(key)?;
        self.cancelled += 1;
        if self.cancelled * 2 > self.heap.len() && self.heap.len() > MIN_REBUILD {
            self.heap
                .retain(|Reverse(deadline)| self.actions.get(deadline.key).is_some());
            self.cancelled = 0;
        }
        Some(action)
    }

    /// When a timer is due that is still to come.
    pub(crate) fn when(&self, key: Key) -> Option<f64> {
        let is_it = |Reverse(deadline): &&Reverse<Deadline>| deadline.key == key;
        self.actions.get(key)?;
        self.heap
            .iter()
            .find(is_it)
            .map(|Reverse(deadline)| deadline.when)
    }

    /// Whether there is nothing to wait for; timers that were cancelled may still be counted.
    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The earliest deadline.
    pub(crate) fn next(&mut self) -> Option<f64> {
        while let Some(Reverse(head)) = self.heap.peek() {
            if self.actions.get(head.key).is_some() {
                return Some(head.when);
            }
            self.heap.pop();
            self.cancelled -= 1;
        }
        None
    }

    /// Takes out the earliest timer whose deadline is before `end`.
    pub(crate) fn pop_before(&mut self, end: f64) -> Option<T> {
        if self.next()? >= end {
            return None;
        }
        let Reverse(head) = self.heap.pop()?;
        self.actions.remove(head.key)
    }

    /// Takes everything out.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        self.heap = BinaryHeap::new();
        self.cancelled = 0;
        self.actions.take_all()
    }
}

impl Ord for Deadline {
    fn cmp(&self, other: &Self) -> Ordering {
        self.when
            .total_cmp(&other.when)
            .then(self.order.cmp(&other.order))
    }
}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Deadline {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Deadline {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_deadlines_come_in_the_order_of_their_making() {
        let mut timers = Timers::new();
        for name in 0..8 {
            timers.insert(1.0, name);
        }
        timers.insert(0.5, 8);
        let order: Vec<_> = std::iter::from_fn(|| timers.pop_before(2.0)).collect();
        assert_eq!(order, [8, 0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn cancelled_timers_are_skipped_and_their_memory_is_given_back() {
        let mut timers = Timers::new();
        let keys: Vec<_> = (0..1000).map(|n| timers.insert(f64::from(n), n)).collect();
        for key in &keys[..999] {
            assert!(timers.cancel(*key).is_some());
            assert!(timers.cancel(*key).is_none());
        }
        assert!(timers.heap.len() <= MIN_REBUILD);
        assert_eq!(timers.next(), Some(999.0));
        assert_eq!(
            timers.pop_before(999.0),
            None,
            "a timer is due strictly before the end"
        );
        assert_eq!(timers.pop_before(999.1), Some(999));
    }
}
