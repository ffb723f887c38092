//! What this layer raises (`sqlalchemy.exc`).

/// A statement was to have a row, and has none (`sqlalchemy.exc.NoResultFound`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("no row was found when one was required")]
#[non_exhaustive]
pub struct NoResultFound;

/// A statement was to have one row, and has more (`sqlalchemy.exc.MultipleResultsFound`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("multiple rows were found when exactly one was required")]
#[non_exhaustive]
pub struct MultipleResultsFound;

/// A row that was to be changed or deleted is not there any more (`sqlalchemy.orm.exc.StaleDataError`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row of table {table:?} was expected to be {what}, and is not there")]
pub struct StaleDataError {
    table: &'static str,
    what: &'static str,
}

impl StaleDataError {
    pub(super) const fn new(table: &'static str, what: &'static str) -> Self {
        Self { table, what }
    }

    /// The table whose row it is.
    #[must_use]
    pub const fn table(&self) -> &'static str {
        self.table
    }
}

/// The transaction has failed, and is to be rolled back before anything else is done
/// (`sqlalchemy.exc.PendingRollbackError`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the transaction has failed: it has to be rolled back first")]
#[non_exhaustive]
pub struct PendingRollbackError;

/// A session, a connection or an engine was asked for what it cannot do
/// (`sqlalchemy.exc.InvalidRequestError`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRequestError(Box<str>);

impl InvalidRequestError {
    pub(super) fn new(message: impl Into<Box<str>>) -> Self {
        Self(message.into())
    }
}

/// Something was closed that is to be used (`sqlalchemy.exc.ResourceClosedError`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is closed")]
pub struct ResourceClosedError(&'static str);

impl ResourceClosedError {
    pub(super) const fn new(what: &'static str) -> Self {
        Self(what)
    }
}

/// A URL or a setting is not understood (`sqlalchemy.exc.ArgumentError`).
///
/// It says nothing of what the URL contains, which may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ArgumentError(Box<str>);

impl ArgumentError {
    pub(super) fn new(message: impl Into<Box<str>>) -> Self {
        Self(message.into())
    }
}

/// A value is not of the type that it is to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(Box<str>);

impl ValueError {
    /// With a message of its own, for a [`Field`](super::Field) of a program's.
    #[must_use]
    pub fn new(message: impl Into<Box<str>>) -> Self {
        Self(message.into())
    }

    #[doc(hidden)]
    #[must_use]
    pub fn no_column(column: usize, count: usize) -> Self {
        Self(format!("there is no column {column} of {count}").into())
    }
}
