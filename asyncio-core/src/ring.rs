//! A queue whose ends are short enough to be part of whoever uses them.

/// A first-in-first-out queue. Other than with std's `VecDeque` what is put in is written straight to
/// its place; a copy on the way is felt where that is done for every step of every task.
pub(crate) struct Ring<T> {
    /// None or a power of two of them.
    places: Vec<Option<T>>,
    first: usize,
    len: usize,
}

const LEAST: usize = 16;

impl<T> Ring<T> {
    pub(crate) const fn new() -> Self {
        Self {
            places: Vec::new(),
            first: 0,
            len: 0,
        }
    }

    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push_back(&mut self, item: T) {
        self.push_with(|| item);
    }

    /// Puts in what a function makes, which is called when nothing can go wrong any more: only then is
    /// its result built where it stays.
    #[inline(always)]
    pub(crate) fn push_with(&mut self, make: impl FnOnce() -> T) {
        if self.len == self.places.len() {
            self.grow();
        }
        let at = self.at(self.len);
        if let Some(place) = self.places.get_mut(at) {
            let none = place.replace(make());
            // There is nothing to drop; said so, because finding out takes longer than the rest.
            std::mem::forget(none);
            self.len += 1;
        }
    }

    #[inline(always)]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        if self.len == 0 {
            return None;
        }
        let item = self.places.get_mut(self.first)?.take();
        self.first = self.at(1);
        self.len -= 1;
        item
    }

    #[inline(always)]
    const fn at(&self, offset: usize) -> usize {
        self.first.wrapping_add(offset) & self.places.len().wrapping_sub(1)
    }

    #[cold]
    fn grow(&mut self) {
        // The first comes to the start, so that what is added lies behind the last.
        self.places.rotate_left(self.first);
        self.first = 0;
        let len = (2 * self.places.len()).max(LEAST);
        self.places.resize_with(len, || None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn it_does_what_a_deque_does() {
        let (mut ring, mut deque) = (Ring::new(), VecDeque::new());
        let mut next = 0;
        for round in 0..200_usize {
            // It grows on the whole, with both ends moving all the time.
            for _ in 0..(round * 7) % 11 {
                ring.push_back(next);
                deque.push_back(next);
                next += 1;
            }
            for _ in 0..(round * 5) % 9 {
                assert_eq!(ring.pop_front(), deque.pop_front());
            }
            assert_eq!(
                (ring.len(), ring.is_empty()),
                (deque.len(), deque.is_empty())
            );
        }
        while let Some(item) = deque.pop_front() {
            assert_eq!(ring.pop_front(), Some(item));
        }
        assert_eq!(ring.pop_front(), None);
    }
}
