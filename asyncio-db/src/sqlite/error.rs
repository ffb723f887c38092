//! What SQLite, and this client, raise (`sqlite3.Error` and its kinds).

use std::error::Error;

use rusqlite::ffi;

/// What went wrong in SQLite, or in the way it was used (`sqlite3.Error`).
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_db::sqlite::{ErrorClass, SqliteError, connect};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let db = connect(":memory:").await?;
///     let error = db.execute("select * from nowhere", ()).await.expect_err("there is no such table");
///     let error = error.downcast_ref::<SqliteError>().expect("SQLite says so");
///     assert_eq!(error.class(), ErrorClass::Operational);
///     assert_eq!(error.name(), Some("SQLITE_ERROR"));
///     assert_eq!(error.to_string(), "no such table: nowhere");
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SqliteError {
    class: ErrorClass,
    kind: Kind,
    message: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// Which of Python's classes of errors it would be (`sqlite3.OperationalError`, …).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Something of the database itself: a file that is none, an operation that is not authorised.
    Database,
    /// A value that cannot be had, or is too large.
    Data,
    /// SQLite was called in a way that it must not be.
    Interface,
    /// A constraint was violated.
    Integrity,
    /// Something inside of SQLite.
    Internal,
    /// A lock, the disk, an interruption, a table that is not there, a mistake in the SQL.
    Operational,
    /// This client was used in a way that it cannot be.
    Programming,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Of SQLite, with its extended code.
    Engine(i32),
    Closed,
    TransactionOver,
    Other,
}

impl SqliteError {
    pub(super) fn programming(message: impl Into<String>) -> Self {
        Self::of(ErrorClass::Programming, Kind::Other, message)
    }

    pub(super) fn data(message: impl Into<String>) -> Self {
        Self::of(ErrorClass::Data, Kind::Other, message)
    }

    pub(super) fn closed() -> Self {
        Self::of(
            ErrorClass::Programming,
            Kind::Closed,
            "the connection is closed",
        )
    }

    pub(super) fn transaction_over() -> Self {
        Self::of(
            ErrorClass::Operational,
            Kind::TransactionOver,
            "the transaction is over: it was rolled back",
        )
    }

    pub(super) fn interrupted() -> Self {
        Self::engine(ffi::SQLITE_INTERRUPT, "interrupted")
    }

    pub(super) fn engine(code: i32, message: impl Into<String>) -> Self {
        Self::of(class_of(code), Kind::Engine(code), message)
    }

    fn of(class: ErrorClass, kind: Kind, message: impl Into<String>) -> Self {
        Self {
            class,
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(super) fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Which class of Python's it belongs to.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        self.class
    }

    /// SQLite's extended result code, where it is an error of SQLite's (`sqlite_errorcode`).
    #[must_use]
    pub const fn code(&self) -> Option<i32> {
        match self.kind {
            Kind::Engine(code) => Some(code),
            _ => None,
        }
    }

    /// SQLite's name of the code, as `"SQLITE_CONSTRAINT_UNIQUE"` (`sqlite_errorname`).
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        let code = self.code()?;
        let named = |code| NAMES.iter().find(|(it, _)| *it == code);
        // A code that is younger than the table has the name of its kind.
        let (_, name) = named(code).or_else(|| named(code & 0xFF))?;
        Some(name)
    }

    fn is_kind_of(&self, primary: i32) -> bool {
        self.code().is_some_and(|code| code & 0xFF == primary)
    }

    /// Whether a lock was not to be had in time: "database is locked", or a table of it.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.is_kind_of(ffi::SQLITE_BUSY) || self.is_kind_of(ffi::SQLITE_LOCKED)
    }

    /// Whether it was interrupted.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.is_kind_of(ffi::SQLITE_INTERRUPT)
    }

    /// Whether a constraint was violated; [`name`](Self::name) says of which kind.
    #[must_use]
    pub fn is_constraint_violation(&self) -> bool {
        self.is_kind_of(ffi::SQLITE_CONSTRAINT)
    }

    /// Whether the connection is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.kind == Kind::Closed
    }

    /// Whether the statement belongs to a transaction that was rolled back: because it was interrupted,
    /// or by SQLite for an error that asks for it, or by a `ROLLBACK` of somebody else's.
    #[must_use]
    pub fn is_transaction_over(&self) -> bool {
        self.kind == Kind::TransactionOver
    }
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as From;
        let message = error.to_string();
        match error {
            From::SqliteFailure(error, said) => {
                Self::engine(error.extended_code, said.unwrap_or(message))
            }
            // Where in the statement it is, and the statement, is left out.
            From::SqlInputError { error, msg, .. } => Self::engine(error.extended_code, msg),
            From::FromSqlConversionFailure(column, _, cause) => {
                Self::data(format!("the value of column {column} cannot be had so"))
                    .caused_by(cause)
            }
            From::ToSqlConversionFailure(cause) => {
                Self::data("a parameter cannot be made a value of SQLite's").caused_by(cause)
            }
            From::UserFunctionError(cause) => Self::of(
                ErrorClass::Operational,
                Kind::Other,
                "a function of the program's failed",
            )
            .caused_by(cause),
            From::IntegralValueOutOfRange(..)
            | From::Utf8Error(..)
            | From::InvalidColumnType(..) => Self::data(message),
            From::MultipleStatement => {
                Self::programming("only one statement can be executed at a time")
            }
            From::InvalidParameterCount(given, wanted) => Self::programming(format!(
                "the statement has {wanted} parameters, and {given} were given"
            )),
            _ => Self::programming(message),
        }
    }
}

/// As Python sorts them.
const fn class_of(code: i32) -> ErrorClass {
    match code & 0xFF {
        ffi::SQLITE_INTERNAL | ffi::SQLITE_NOTFOUND => ErrorClass::Internal,
        ffi::SQLITE_ERROR
        | ffi::SQLITE_PERM
        | ffi::SQLITE_ABORT
        | ffi::SQLITE_BUSY
        | ffi::SQLITE_LOCKED
        | ffi::SQLITE_NOMEM
        | ffi::SQLITE_READONLY
        | ffi::SQLITE_INTERRUPT
        | ffi::SQLITE_IOERR
        | ffi::SQLITE_FULL
        | ffi::SQLITE_CANTOPEN
        | ffi::SQLITE_PROTOCOL
        | ffi::SQLITE_EMPTY
        | ffi::SQLITE_SCHEMA => ErrorClass::Operational,
        ffi::SQLITE_TOOBIG => ErrorClass::Data,
        ffi::SQLITE_CONSTRAINT | ffi::SQLITE_MISMATCH => ErrorClass::Integrity,
        ffi::SQLITE_MISUSE | ffi::SQLITE_RANGE => ErrorClass::Interface,
        _ => ErrorClass::Database,
    }
}

macro_rules! names {
    ($($name:ident)*) => { &[$((ffi::$name, stringify!($name))),*] };
}

const NAMES: &[(i32, &str)] = names! {
    SQLITE_ERROR SQLITE_INTERNAL SQLITE_PERM SQLITE_ABORT SQLITE_BUSY SQLITE_LOCKED SQLITE_NOMEM
    SQLITE_READONLY SQLITE_INTERRUPT SQLITE_IOERR SQLITE_CORRUPT SQLITE_NOTFOUND SQLITE_FULL
    SQLITE_CANTOPEN SQLITE_PROTOCOL SQLITE_EMPTY SQLITE_SCHEMA SQLITE_TOOBIG SQLITE_CONSTRAINT
    SQLITE_MISMATCH SQLITE_MISUSE SQLITE_NOLFS SQLITE_AUTH SQLITE_FORMAT SQLITE_RANGE SQLITE_NOTADB
    SQLITE_ABORT_ROLLBACK SQLITE_BUSY_RECOVERY SQLITE_BUSY_SNAPSHOT SQLITE_BUSY_TIMEOUT
    SQLITE_LOCKED_SHAREDCACHE SQLITE_LOCKED_VTAB
    SQLITE_READONLY_RECOVERY SQLITE_READONLY_CANTLOCK SQLITE_READONLY_ROLLBACK SQLITE_READONLY_DBMOVED
    SQLITE_READONLY_CANTINIT SQLITE_READONLY_DIRECTORY
    SQLITE_CANTOPEN_NOTEMPDIR SQLITE_CANTOPEN_ISDIR SQLITE_CANTOPEN_FULLPATH SQLITE_CANTOPEN_CONVPATH
    SQLITE_CANTOPEN_SYMLINK
    SQLITE_CORRUPT_VTAB SQLITE_CORRUPT_SEQUENCE SQLITE_CORRUPT_INDEX
    SQLITE_CONSTRAINT_CHECK SQLITE_CONSTRAINT_COMMITHOOK SQLITE_CONSTRAINT_FOREIGNKEY
    SQLITE_CONSTRAINT_FUNCTION SQLITE_CONSTRAINT_NOTNULL SQLITE_CONSTRAINT_PRIMARYKEY
    SQLITE_CONSTRAINT_TRIGGER SQLITE_CONSTRAINT_UNIQUE SQLITE_CONSTRAINT_VTAB SQLITE_CONSTRAINT_ROWID
    SQLITE_CONSTRAINT_PINNED SQLITE_CONSTRAINT_DATATYPE
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_class_and_its_name() {
        let unique = SqliteError::engine(ffi::SQLITE_CONSTRAINT_UNIQUE, "twice");
        assert_eq!(unique.class(), ErrorClass::Integrity);
        assert_eq!(unique.name(), Some("SQLITE_CONSTRAINT_UNIQUE"));
        assert!(unique.is_constraint_violation() && !unique.is_locked());
        let unknown = SqliteError::engine(ffi::SQLITE_BUSY | 77 << 8, "new");
        assert_eq!(unknown.name(), Some("SQLITE_BUSY"));
        assert_eq!(SqliteError::closed().name(), None);
        assert_eq!(
            SqliteError::engine(ffi::SQLITE_AUTH, "no").class(),
            ErrorClass::Database
        );
    }
}
