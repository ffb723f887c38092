//! What the crate raises: errors of the server's, and of its use.

use std::fmt;
use std::io;
use std::sync::Arc;

use asyncio_core::Exception;

use crate::exc::{self, PgException};

/// What a server says of something that went wrong, or warns of.
///
/// [`is`](Self::is) tells its class, as Python's `except` would: by [`exc`], which holds asyncpg's names.
/// The methods named after a field are asyncpg's attributes. It is cheap to clone.
///
/// An error of a task is an [`Exception`], which [`ExceptionExt`] asks for what is in it.
#[derive(Clone)]
pub struct PgError(Arc<Inner>);

struct Inner {
    /// By the letters of PostgreSQL's protocol.
    fields: Vec<(u8, Box<str>)>,
    query: Option<Box<str>>,
    source: Option<io::Error>,
}

impl PgError {
    /// Takes over the fields of a message of the server's, by the letters of the protocol.
    #[must_use]
    pub fn from_fields(fields: impl IntoIterator<Item = (u8, String)>) -> Self {
        let fields = fields.into_iter();
        Self(Arc::new(Inner {
            fields: fields
                .map(|(letter, value)| (letter, value.into_boxed_str()))
                .collect(),
            query: None,
            source: None,
        }))
    }

    /// An error that no server has sent, of the class of a SQLSTATE.
    #[must_use]
    pub fn new(sqlstate: &str, message: impl Into<String>) -> Self {
        Self::from_fields([(b'C', sqlstate.to_owned()), (b'M', message.into())])
    }

    /// Adds the query that it is about.
    #[must_use]
    pub fn with_query(self, query: &str) -> Self {
        self.change(|inner| inner.query = Some(query.into()))
    }

    /// Adds what has caused it.
    #[must_use]
    pub fn with_source(self, source: io::Error) -> Self {
        self.change(|inner| inner.source = Some(source))
    }

    /// Whether it is of a class of [`exc`], or of one below it.
    ///
    /// ```
    /// use asyncio_db::{PgError, exc};
    ///
    /// let error = PgError::new("23505", "duplicate key value");
    /// assert!(error.is::<exc::UniqueViolationError>());
    /// assert!(error.is::<exc::IntegrityConstraintViolationError>());
    /// assert!(!error.is::<exc::ForeignKeyViolationError>());
    /// ```
    #[must_use]
    pub fn is<E: PgException>(&self) -> bool {
        E::matches(self)
    }

    /// asyncpg's name of its class.
    #[must_use]
    pub fn class_name(&self) -> &'static str {
        if self.is::<exc::InvalidCachedStatementError>() {
            exc::InvalidCachedStatementError::NAME
        } else if self.is::<exc::UnknownPostgresError>() {
            exc::UnknownPostgresError::NAME
        } else {
            exc::name(self.sqlstate())
        }
    }

    /// The five characters that say what went wrong.
    #[must_use]
    pub fn sqlstate(&self) -> &str {
        // A server says it always; where one does not, it is an error of the server.
        self.field(b'C').unwrap_or("XX000")
    }

    /// What it says, in the server's language.
    #[must_use]
    pub fn message(&self) -> &str {
        self.field(b'M').unwrap_or_default()
    }

    /// Whether the same transaction may well succeed when it is tried again from its beginning, on
    /// another connection where this one is gone.
    ///
    /// That holds where it was rolled back for the sake of another one (SQLSTATE `40001`, `40P01`), where
    /// the server is being shut down or has been told to end the session (`57P01`), and where a session
    /// could not be opened for now (`08001`, `08004`, `53300`, `57P03`). It does not where a connection was lost
    /// on the way, for then it may have been committed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.sqlstate(),
            "40001" | "40P01" | "57P01" | "08001" | "08004" | "53300" | "57P03"
        )
    }

    /// Whether the session is at its end with it.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        let severity = self.severity_en().or_else(|| self.severity());
        matches!(severity, Some("FATAL" | "PANIC"))
    }

    /// The query that it is about, where it is known.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.0.query.as_deref()
    }

    /// A field of the server's message, by its letter in PostgreSQL's protocol.
    #[must_use]
    pub fn field(&self, letter: u8) -> Option<&str> {
        let found = self.0.fields.iter().find(|(known, _)| *known == letter);
        found.map(|(_, value)| &**value)
    }

    fn number(&self, letter: u8) -> Option<u32> {
        self.field(letter)?.parse().ok()
    }

    fn change(self, change: impl FnOnce(&mut Inner)) -> Self {
        // Nobody else has it yet, or their copy stays as it is.
        let mut inner = Arc::try_unwrap(self.0).unwrap_or_else(|shared| Inner {
            fields: shared.fields.clone(),
            query: shared.query.clone(),
            source: None,
        });
        change(&mut inner);
        Self(Arc::new(inner))
    }
}

/// The fields that are texts: the method, its letter in the protocol, and what it is.
macro_rules! texts {
    ($($name:ident $letter:literal $what:literal)*) => {
        impl PgError {
            $(
                #[doc = $what]
                #[must_use]
                pub fn $name(&self) -> Option<&str> {
                    self.field($letter)
                }
            )*
        }
    };
}

texts! {
    severity b'S' "How grave it is, in the server's language."
    severity_en b'V' "How grave it is: `ERROR`, `FATAL`, `PANIC`; `WARNING`, `NOTICE`, `DEBUG`, `INFO`, `LOG`."
    detail b'D' "More about it."
    hint b'H' "What might be done about it."
    internal_query b'q' "The query of the server's own that has failed."
    context b'W' "Where it happened: the functions and queries that called one another, the innermost first."
    schema_name b's' "The schema of what it is about."
    table_name b't' "The table that it is about."
    column_name b'c' "The column that it is about."
    data_type_name b'd' "The data type that it is about."
    constraint_name b'n' "The constraint that it is about; unique indexes are such."
    server_source_filename b'F' "The file of the server's source."
    server_source_function b'R' "The function of the server's source."
}

impl PgError {
    /// Where in the query it is, in characters, from 1.
    #[must_use]
    pub fn position(&self) -> Option<u32> {
        self.number(b'P')
    }

    /// Where in [`internal_query`](Self::internal_query) it is, in characters, from 1.
    #[must_use]
    pub fn internal_position(&self) -> Option<u32> {
        self.number(b'p')
    }

    /// The line of the server's source.
    #[must_use]
    pub fn server_source_line(&self) -> Option<u32> {
        self.number(b'L')
    }
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl fmt::Debug for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct(self.class_name());
        shown.field("sqlstate", &self.sqlstate());
        shown.field("message", &self.message());
        // Where in the server's source it is helps those who work on the server.
        for (name, letter) in [
            ("detail", b'D'),
            ("hint", b'H'),
            ("position", b'P'),
            ("internal_query", b'q'),
            ("context", b'W'),
            ("schema_name", b's'),
            ("table_name", b't'),
            ("column_name", b'c'),
            ("data_type_name", b'd'),
            ("constraint_name", b'n'),
        ] {
            if let Some(value) = self.field(letter) {
                shown.field(name, &value);
            }
        }
        if let Some(query) = self.query() {
            shown.field("query", &query);
        }
        if let Some(source) = &self.0.source {
            shown.field("source", source);
        }
        shown.finish()
    }
}

impl std::error::Error for PgError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}

/// What can be asked of the [`Exception`] of a task about databases.
///
/// ```
/// use asyncio_core::Exception;
/// use asyncio_db::{ExceptionExt as _, PgError, exc};
///
/// let exception = Exception::from(PgError::new("40001", "could not serialize access"));
/// assert!(exception.is_pg::<exc::SerializationError>() && exception.is_retryable());
/// assert_eq!(exception.sqlstate(), Some("40001"));
/// ```
pub trait ExceptionExt {
    /// The server's error that it is.
    fn pg_error(&self) -> Option<&PgError>;

    /// The server's error that it is, if that is of a class of [`exc`] or of one below it.
    fn get_pg<E: PgException>(&self) -> Option<&PgError> {
        self.pg_error().filter(|error| error.is::<E>())
    }

    /// Whether it is a server's error of a class of [`exc`], or of one below it.
    fn is_pg<E: PgException>(&self) -> bool {
        self.get_pg::<E>().is_some()
    }

    /// The SQLSTATE of the server's error that it is.
    fn sqlstate(&self) -> Option<&str> {
        self.pg_error().map(PgError::sqlstate)
    }

    /// Whether it is a server's error that [may be gone at the next try](PgError::is_retryable).
    fn is_retryable(&self) -> bool {
        self.pg_error().is_some_and(PgError::is_retryable)
    }
}

impl ExceptionExt for Exception {
    fn pg_error(&self) -> Option<&PgError> {
        self.downcast_ref::<PgError>()
    }
}

/// What a client was told about its server makes no sense, or a file that it names cannot be used
/// (`asyncpg.ClientConfigurationError`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ClientConfigurationError(Box<str>);

impl ClientConfigurationError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into().into_boxed_str())
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn full() -> PgError {
        let fields = "SERROR\0VERROR\0C23505\0Mtwice\0Dthe key\0Honce\0P7\0p8\0qSELECT\0Wabove\0spublic\0\
                      tusers\0cname\0dtext\0nusers_pk\0Fnbtinsert.c\0L656\0R_bt_check_unique\0Zfuture";
        PgError::from_fields(
            fields
                .split('\0')
                .map(|field| (field.as_bytes()[0], field[1..].to_owned())),
        )
    }

    #[test]
    fn every_field_has_its_name() {
        let error = full().with_query("INSERT");
        let texts = [
            error.severity(),
            error.severity_en(),
            error.detail(),
            error.hint(),
            error.internal_query(),
            error.context(),
            error.schema_name(),
            error.table_name(),
            error.column_name(),
            error.data_type_name(),
            error.constraint_name(),
            error.server_source_filename(),
            error.server_source_function(),
            error.query(),
            error.field(b'Z'),
        ];
        let expected = [
            "ERROR",
            "ERROR",
            "the key",
            "once",
            "SELECT",
            "above",
            "public",
            "users",
            "name",
            "text",
            "users_pk",
            "nbtinsert.c",
            "_bt_check_unique",
            "INSERT",
            "future",
        ];
        assert_eq!(texts, expected.map(Some));
        let numbers = [
            error.position(),
            error.internal_position(),
            error.server_source_line(),
        ];
        assert_eq!(numbers, [Some(7), Some(8), Some(656)]);
        assert_eq!((error.sqlstate(), error.message()), ("23505", "twice"));
    }

    #[test]
    fn what_is_shown_is_this_level_only() {
        let error = full().with_source(io::ErrorKind::BrokenPipe.into());
        assert_eq!(error.to_string(), "twice");
        assert_eq!(error.source().expect("a cause").to_string(), "broken pipe");
        let shown = format!("{error:?}");
        assert!(shown.starts_with(r#"UniqueViolationError { sqlstate: "23505", message: "twice""#));
        assert!(shown.contains(r#"constraint_name: "users_pk""#));
    }

    #[test]
    fn a_copy_is_not_changed_with_the_error() {
        let error = full();
        let other = error.clone().with_query("SELECT 1");
        assert_eq!((error.query(), other.query()), (None, Some("SELECT 1")));
        assert_eq!(other.message(), "twice");
    }

    #[test]
    fn a_message_without_fields_is_an_error_of_the_servers() {
        let error = PgError::from_fields([]);
        assert!(error.is::<exc::InternalServerError>());
        assert_eq!((error.message(), error.position()), ("", None));
    }

    #[test]
    fn fatal_is_what_ends_the_session() {
        for (severity, fatal) in [("ERROR", false), ("FATAL", true), ("PANIC", true)] {
            let error = PgError::from_fields([(b'V', severity.to_owned())]);
            assert_eq!(error.is_fatal(), fatal, "{severity}");
            // Servers before 9.6 say it in their language only.
            let error = PgError::from_fields([(b'S', severity.to_owned())]);
            assert_eq!(error.is_fatal(), fatal, "{severity}");
        }
    }

    #[test]
    fn what_may_be_tried_again() {
        for code in ["40001", "40P01", "57P01", "57P03", "08001", "53300"] {
            assert!(PgError::new(code, "").is_retryable(), "{code}");
        }
        for code in ["08006", "08007", "57014", "23505", "57P02", "XX000"] {
            assert!(!PgError::new(code, "").is_retryable(), "{code}");
        }
    }

    #[test]
    fn exceptions_are_asked_through() {
        let exception = Exception::from(full());
        assert!(exception.is_pg::<exc::UniqueViolationError>());
        assert!(exception.get_pg::<exc::PostgresSyntaxError>().is_none());
        let found = exception.get_pg::<exc::IntegrityConstraintViolationError>();
        assert_eq!(found.expect("it is one").table_name(), Some("users"));
        assert!(!exception.is_retryable());
        let other = Exception::from(asyncio_core::CancelledError::new());
        assert!(other.is_cancelled() && other.pg_error().is_none());
        assert_eq!(other.sqlstate(), None);
    }
}
