//! What this client raises by itself.

use std::io;

use asyncio_core::Exception;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;

use crate::exceptions::PgError;

/// The client was used in a way in which it cannot be (`asyncpg.InterfaceError`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InterfaceError {
    message: String,
}

impl InterfaceError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

/// What a server says of something that went wrong.
pub(crate) fn server_error(mut fields: ErrorFields<'_>) -> PgError {
    let mut all = Vec::new();
    while let Ok(Some(field)) = fields.next() {
        // Before a session has an encoding it may be any.
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        all.push((field.type_(), value));
    }
    PgError::from_fields(all)
}

/// The session ended while something was outstanding (`asyncpg.ConnectionDoesNotExistError`).
pub(crate) fn connection_lost(source: Option<io::Error>) -> Exception {
    let message = "the connection was closed in the middle of an operation";
    let error = PgError::new("08003", message);
    match source {
        Some(source) => error.with_source(source).into(),
        None => error.into(),
    }
}

/// It was to be committed, and a command in it had gone wrong (`asyncpg.InFailedSQLTransactionError`).
pub(crate) fn transaction_failed() -> Exception {
    let message = "a command in the transaction had failed, and all of it was undone";
    PgError::new("25P02", message).into()
}

/// Nothing can be done with it any more (`asyncpg.InterfaceError`).
pub(crate) fn connection_closed() -> Exception {
    InterfaceError::new("the connection is closed").into()
}
