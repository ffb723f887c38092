//! Bytes that are added at one end and taken at the other.

/// The bytes that were fed and not read yet.
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// What lies before was taken already.
    start: usize,
}

/// So much memory an empty buffer may keep.
const IDLE: usize = 512;

impl Buffer {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn extend(&mut self, data: &[u8]) {
        // Moved at most once for every byte that was taken.
        if self.start > self.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(data);
    }

    /// Adds bytes that came into a vector of their own, which is given back empty, if it was not kept.
    pub(crate) fn receive(&mut self, mut data: Vec<u8>) -> Vec<u8> {
        if self.is_empty() && data.len() >= data.capacity() / 2 {
            self.start = 0;
            self.bytes = data;
            return Vec::new();
        }
        self.extend(&data);
        data.clear();
        data
    }

    /// Gives memory back that an idle connection does not need.
    pub(crate) fn release(&mut self) {
        if self.is_empty() && self.bytes.capacity() > IDLE {
            self.bytes = Vec::new();
            self.start = 0;
        }
    }

    /// Drops so many bytes, or all if there are fewer.
    pub(crate) fn skip(&mut self, count: usize) {
        self.start += count.min(self.len());
        if self.is_empty() {
            self.clear();
        }
    }

    /// Takes so many bytes, or all if there are fewer.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        if count >= self.len() && self.start == 0 {
            return std::mem::take(&mut self.bytes);
        }
        let taken = self.as_slice()[..count.min(self.len())].to_vec();
        self.skip(count);
        taken
    }

    pub(crate) fn take_all(&mut self) -> Vec<u8> {
        self.take(self.len())
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }
}
