//! What a queue holds, in its order.

use std::collections::VecDeque;

/// The items of a queue.
pub(super) enum Items<T> {
    /// First in, first out.
    Fifo(VecDeque<T>),
    /// Last in, first out.
    Lifo(Vec<T>),
    /// A heap: the least first.
    Priority(Vec<T>, Less<T>),
}

/// Whether the one is less than the other.
pub(super) type Less<T> = fn(&T, &T) -> bool;

impl<T> Items<T> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Fifo(items) => items.len(),
            Self::Lifo(items) | Self::Priority(items, _) => items.len(),
        }
    }

    #[inline]
    pub(super) fn push(&mut self, item: T) {
        match self {
            Self::Fifo(items) => items.push_back(item),
            Self::Lifo(items) => items.push(item),
            Self::Priority(items, less) => {
                let last = items.len();
                items.push(item);
                rise(items, last, *less);
            }
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        match self {
            Self::Fifo(items) => items.pop_front(),
            Self::Lifo(items) => items.pop(),
            Self::Priority(items, less) => pop_least(items, *less),
        }
    }

    /// Takes all items out at once.
    pub(super) fn take(&mut self) -> Self {
        match self {
            Self::Fifo(items) => Self::Fifo(std::mem::take(items)),
            Self::Lifo(items) => Self::Lifo(std::mem::take(items)),
            Self::Priority(items, less) => Self::Priority(std::mem::take(items), *less),
        }
    }

    /// All items in the order in which they lie in memory.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let (front, back) = match self {
            Self::Fifo(items) => items.as_slices(),
            Self::Lifo(items) | Self::Priority(items, _) => (items.as_slice(), [].as_slice()),
        };
        front.iter().chain(back)
    }
}

// The heap is that of Python's heapq and not std's `BinaryHeap`: which of two equal items comes first
// is decided by the very steps that the two functions below take. They only swap, so that a comparison
// that panics leaves every item in the heap.

/// Moves an item towards the root until its parent is not greater (`heapq._siftdown`).
fn rise<T>(items: &mut [T], mut at: usize, less: Less<T>) {
    while at > 0 {
        let parent = (at - 1) / 2;
        if !less(&items[at], &items[parent]) {
            return;
        }
        items.swap(at, parent);
        at = parent;
    }
}

/// Takes the root out; the last item goes down to a leaf along the lesser children and rises from
/// there (`heapq.heappop`, `heapq._siftup`).
fn pop_least<T>(items: &mut Vec<T>, less: Less<T>) -> Option<T> {
    let last = items.len().checked_sub(1)?;
    items.swap(0, last);
    let least = items.pop();
    let mut at = 0;
    loop {
        let (left, right) = (2 * at + 1, 2 * at + 2);
        if left >= items.len() {
            break;
        }
        let lesser = if right < items.len() && !less(&items[left], &items[right]) {
            right
        } else {
            left
        };
        items.swap(at, lesser);
        at = lesser;
    }
    rise(items, at, less);
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What CPython's heapq gives for the same pushes: the letters tell equal items apart.
    #[test]
    fn equal_items_come_in_the_order_of_heapq() {
        let pushed = [
            (3, 'a'),
            (1, 'b'),
            (3, 'c'),
            (1, 'd'),
            (2, 'e'),
            (1, 'f'),
            (3, 'g'),
            (1, 'h'),
        ];
        let mut heap = Items::Priority(Vec::new(), |a: &(i32, char), b| a.0 < b.0);
        pushed.into_iter().for_each(|item| heap.push(item));
        let popped: Vec<_> = std::iter::from_fn(|| heap.pop()).collect();
        assert_eq!(
            popped,
            [
                (1, 'b'),
                (1, 'f'),
                (1, 'd'),
                (1, 'h'),
                (2, 'e'),
                (3, 'g'),
                (3, 'a'),
                (3, 'c')
            ]
        );
    }
}
