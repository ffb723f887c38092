//! A vector that never moves what it holds, so that growing costs no more than what is new.

/// A sequence in pages, of which only the first one grows by moving.
///
/// A vector that doubles leaves behind, on its way to a hundred thousand entries, as much memory that was
/// used once as it has in the end, and the system hands out every page of it by a fault.
#[derive(Debug)]
pub(crate) struct Pages<T> {
    pages: Vec<Vec<T>>,
}

/// Entries of a page; a power of two, so that a place is found by shifting.
const PAGE: usize = 1 << SHIFT;
const SHIFT: u32 = 9;

impl<T> Pages<T> {
    pub(crate) const fn new() -> Self {
        Self { pages: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        match self.pages.last() {
            None => 0,
            Some(last) => ((self.pages.len() - 1) << SHIFT) + last.len(),
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, value: T) {
        match self.pages.last_mut() {
            Some(last) if last.len() < PAGE => last.push(value),
            _ => self.push_page(value),
        }
    }

    #[cold]
    fn push_page(&mut self, value: T) {
        let mut page = Vec::new();
        if !self.pages.is_empty() {
            page.reserve_exact(PAGE);
        }
        page.push(value);
        self.pages.push(page);
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.pages.get(index >> SHIFT)?.get(index & (PAGE - 1))
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.pages
            .get_mut(index >> SHIFT)?
            .get_mut(index & (PAGE - 1))
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.pages.iter().flatten()
    }

    pub(crate) fn into_iter(self) -> impl Iterator<Item = T> {
        self.pages.into_iter().flatten()
    }
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_stays_where_it_is() {
        let mut pages = Pages::new();
        for number in 0..3 * PAGE + 7 {
            assert_eq!(pages.len(), number);
            pages.push(number);
        }
        let first: *const usize = pages.get(PAGE).expect("it is there");
        pages.push(0);
        assert!(std::ptr::eq(first, pages.get(PAGE).expect("it is there")));
        assert_eq!(pages.get(2 * PAGE + 3), Some(&(2 * PAGE + 3)));
        assert_eq!((pages.get(3 * PAGE + 8), pages.get(9 * PAGE)), (None, None));
        *pages.get_mut(PAGE - 1).expect("it is there") = 5;
        assert_eq!(pages.iter().nth(PAGE - 1), Some(&5));
        assert_eq!(pages.into_iter().count(), 3 * PAGE + 8);
    }
}
