//! What streams raise (`asyncio/exceptions.py`).

/// The stream ended before all that was asked for had come (`asyncio.IncompleteReadError`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} bytes read on a total of {} expected bytes", .partial.len(), Expected(*.expected))]
pub struct IncompleteReadError {
    partial: Vec<u8>,
    expected: Option<usize>,
}

/// No separator was found within the limit of the stream (`asyncio.LimitOverrunError`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LimitOverrunError {
    message: &'static str,
    consumed: usize,
}

impl IncompleteReadError {
    /// An error about this much of what was expected; `None` where no number of bytes was.
    #[must_use]
    pub const fn new(partial: Vec<u8>, expected: Option<usize>) -> Self {
        Self { partial, expected }
    }

    /// The bytes that came before the end. They have left the stream.
    #[must_use]
    pub fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// The bytes that came before the end.
    #[must_use]
    pub fn into_partial(self) -> Vec<u8> {
        self.partial
    }

    /// How many bytes were expected, if it was a number of bytes.
    #[must_use]
    pub const fn expected(&self) -> Option<usize> {
        self.expected
    }
}

impl LimitOverrunError {
    /// An error after so many bytes.
    #[must_use]
    pub const fn new(message: &'static str, consumed: usize) -> Self {
        Self { message, consumed }
    }

    /// How many bytes at the beginning of the stream hold no separator. They are still there.
    #[must_use]
    pub const fn consumed(&self) -> usize {
        self.consumed
    }
}

struct Expected(Option<usize>);

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("undefined"),
        }
    }
}
