//! A vector with keys that notice when their entry is gone.

use crate::pages::Pages;

/// Where an entry is, and which of the entries that have been there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// A key that is never that of an entry.
    pub(crate) const NONE: Self = Self {
        index: u32::MAX,
        generation: 0,
    };
}

/// Entries under keys; taking one out makes its key stale for good.
pub(crate) struct Slab<T> {
    entries: Pages<Entry<T>>,
    free: Vec<u32>,
    /// The generation of an entry at a place where none has been since `take_all`.
    first: u32,
}

struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self {
            entries: Pages::new(),
            free: Vec::new(),
            first: 0,
        }
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        if let Some(index) = self.free.pop()
            && let Some(entry) = self.entries.get_mut(index as usize)
        {
            entry.value = Some(value);
            return Key {
                index,
                generation: entry.generation,
            };
        }
        let index = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let generation = self.first;
        self.entries.push(Entry {
            generation,
            value: Some(value),
        });
        Key { index, generation }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let entry = self.entries.get(key.index as usize)?;
        if entry.generation == key.generation {
            entry.value.as_ref()
        } else {
            None
        }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation == key.generation {
            entry.value.as_mut()
        } else {
            None
        }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(value)
    }

    /// Takes everything out and gives the memory back.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        self.free = Vec::new();
        let entries = std::mem::take(&mut self.entries);
        // The keys of what is taken out stay stale, whatever is put in its place.
        let last = entries.iter().map(|entry| entry.generation).max();
        self.first = last.map_or(self.first, |last| last.wrapping_add(1));
        entries
            .into_iter()
            .filter_map(|entry| entry.value)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_stale_once_its_entry_is_gone() {
        let mut slab = Slab::new();
        let first = slab.insert("a");
        assert_eq!(slab.remove(first), Some("a"));
        let second = slab.insert("b");
        assert_eq!((slab.get(first), slab.get(second)), (None, Some(&"b")));
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(Key::NONE), None);
    }

    #[test]
    fn a_key_stays_stale_when_everything_has_been_taken_out() {
        let mut slab = Slab::new();
        let old = [slab.insert("a"), slab.insert("b")];
        assert_eq!(slab.take_all(), ["a", "b"]);
        let new = slab.insert("c");
        assert!(old.iter().all(|key| slab.get(*key).is_none()));
        assert_eq!(slab.take_all(), ["c"]);
        slab.insert("d");
        assert_eq!(slab.get(new), None);
    }
}
