//! What this client raises.

use std::fmt;
use std::io;
use std::sync::Arc;

use asyncio_core::Exception;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;

/// What a server says of something that went wrong.
#[derive(Clone, Debug)]
pub struct PgError {
    fields: Arc<Vec<(u8, String)>>,
    source: Option<Arc<io::Error>>,
}

impl PgError {
    pub(crate) fn of(mut fields: ErrorFields<'_>) -> Self {
        let mut all = Vec::new();
        while let Ok(Some(field)) = fields.next() {
            let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
            all.push((field.type_(), value));
        }
        Self {
            fields: Arc::new(all),
            source: None,
        }
    }

    fn field(&self, tag: u8) -> Option<&str> {
        let found = self.fields.iter().find(|(it, _)| *it == tag);
        found.map(|(_, value)| value.as_str())
    }

    /// The five characters.
    #[must_use]
    pub fn sqlstate(&self) -> &str {
        self.field(b'C').unwrap_or("XX000")
    }

    pub(crate) fn message(&self) -> &str {
        self.field(b'M').unwrap_or("")
    }

    pub(crate) fn routine(&self) -> Option<&str> {
        self.field(b'R')
    }

    pub(crate) fn is_fatal(&self) -> bool {
        let severity = self.field(b'V').or_else(|| self.field(b'S'));
        matches!(severity, Some("FATAL" | "PANIC"))
    }
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for PgError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|it| &**it as _)
    }
}

/// The client was used in a way that it cannot be (`asyncpg.InterfaceError`).
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

/// The session ended while something was outstanding (`asyncpg.ConnectionDoesNotExistError`).
pub(crate) fn connection_lost(source: Option<io::Error>) -> Exception {
    PgError {
        fields: Arc::new(vec![
            (b'C', "08003".to_owned()),
            (
                b'M',
                "the connection was closed in the middle of an operation".to_owned(),
            ),
        ]),
        source: source.map(Arc::new),
    }
    .into()
}

/// It was to be committed, and a command in it had gone wrong (`asyncpg.InFailedSQLTransactionError`).
pub(crate) fn transaction_failed() -> Exception {
    PgError {
        fields: Arc::new(vec![
            (b'C', "25P02".to_owned()),
            (
                b'M',
                "a command in the transaction had failed, and all of it was undone".to_owned(),
            ),
        ]),
        source: None,
    }
    .into()
}

/// Nothing can be done with it any more (`asyncpg.InterfaceError`).
pub(crate) fn connection_closed() -> Exception {
    InterfaceError::new("the connection is closed").into()
}
