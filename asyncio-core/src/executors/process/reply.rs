//! What comes back from a worker.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{TransferError, What};
use crate::exceptions::{Exception, Result, RuntimeError};

/// What a call came to: room for the length, one byte that says what follows.
pub(super) struct Reply(Vec<u8>);

/// Bytes of the length.
const LENGTH: usize = 8;

/// The value, as serde writes it.
const VALUE: u8 = 0;
/// The message of a panic.
const PANIC: u8 = 1;
/// Why the argument could not be read.
const ARGUMENT: u8 = 2;
/// Why the value could not be written.
const RESULT: u8 = 3;
/// What an initializer failed with.
const FAILED: u8 = 4;

impl Reply {
    pub(super) fn value<R: Serialize>(value: &R) -> Self {
        match postcard::to_extend(value, Self::begun(VALUE)) {
            Ok(bytes) => Self(bytes),
            Err(error) => Self::text(RESULT, &error.to_string()),
        }
    }

    pub(super) fn unreadable(why: &str) -> Self {
        Self::text(ARGUMENT, why)
    }

    pub(super) fn failed(why: &str) -> Self {
        Self::text(FAILED, why)
    }

    /// Of a panic, caught as an exception.
    pub(super) fn panic(message: &str) -> Self {
        Self::text(PANIC, message)
    }

    /// A reply of so many bytes, to be filled in by who receives it.
    pub(super) fn of_length(length: [u8; LENGTH]) -> (Self, u64) {
        (Self(length.to_vec()), u64::from_le_bytes(length))
    }

    pub(super) const fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// As it is sent, with its length before it.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        let length = (self.0.len() - LENGTH) as u64;
        self.0[..LENGTH].copy_from_slice(&length.to_le_bytes());
        self.0
    }

    /// The value, or what stands in its place.
    pub(super) fn read<R: DeserializeOwned>(&self) -> Result<R> {
        let (kind, rest) = self.0[LENGTH..].split_first().unwrap_or((&ARGUMENT, &[]));
        let text = || String::from_utf8_lossy(rest).into_owned();
        match *kind {
            VALUE => postcard::from_bytes(rest)
                .map_err(|error| TransferError::new(What::Value, error).into()),
            PANIC => Err(Exception::from_panic(Box::new(text()))),
            FAILED => Err(RuntimeError::new(text()).into()),
            RESULT => Err(TransferError::new(What::Value, Told(text())).into()),
            _ => Err(TransferError::new(What::Argument, Told(text())).into()),
        }
    }

    fn text(kind: u8, text: &str) -> Self {
        let mut bytes = Self::begun(kind);
        bytes.extend(text.as_bytes());
        Self(bytes)
    }

    fn begun(kind: u8) -> Vec<u8> {
        let mut bytes = vec![0; LENGTH];
        bytes.push(kind);
        bytes
    }
}

/// An error of a worker's, of which only the words have come.
#[derive(Debug)]
struct Told(String);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Told {}
