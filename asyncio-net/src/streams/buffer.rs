//! Bytes that are added at one end and taken at the other.

/// The bytes that were fed and not read yet.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// What lies before was taken already.
    start: usize,
}

impl Buffer {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn extend(&mut self, data: &[u8]) {
        // Moved at most once for every byte that was taken.
        if self.start > self.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(data);
    }

    /// Drops so many bytes, or all if there are fewer.
    pub(super) fn skip(&mut self, count: usize) {
        self.start += count.min(self.len());
        if self.is_empty() {
            self.clear();
        }
    }

    /// Takes so many bytes, or all if there are fewer.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        if count >= self.len() && self.start == 0 {
            return std::mem::take(&mut self.bytes);
        }
        let taken = self.as_slice()[..count.min(self.len())].to_vec();
        self.skip(count);
        taken
    }

    pub(super) fn take_all(&mut self) -> Vec<u8> {
        self.take(self.len())
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }
}
