//! Transactions that are rolled back when they are dropped.

use std::fmt;
use std::marker::PhantomData;
use std::ops::AsyncFnOnce;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use asyncio_core::{CancelledError, Result};

use super::connection::{Handle, Session};
use super::cursor::Cursor;
use super::desk::Desk;
use super::guard::Lease;
use super::many;
use super::params::Params;
use super::row::Row;

/// When a transaction takes its locks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Behavior {
    /// When it first reads or writes. A statement that writes may find that somebody else has written since
    /// the transaction has read, and fail at once.
    Deferred,
    /// At its beginning that of who writes: the choice for whoever is going to write.
    #[default]
    Immediate,
    /// At its beginning all; without a write-ahead log nobody else can read meanwhile.
    Exclusive,
}

/// A transaction, or a savepoint in one. It is rolled back if it is dropped before it is committed, before
/// anything else is done on the connection.
///
/// What is executed with it is refused once it is over: because a statement of it was interrupted, or
/// because SQLite has rolled it back for an error.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_db::sqlite::{Behavior, connect};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let db = connect(":memory:").await?;
///     db.execute("create table t (i)", ()).await?;
///
///     let mut outer = db.transaction(Behavior::Immediate).await?;
///     outer.execute("insert into t values (1)", ()).await?;
///     let inner = outer.transaction().await?; // a savepoint
///     inner.execute("insert into t values (2)", ()).await?;
///     inner.rollback().await?;
///     outer.commit().await?;
///
///     let rows = db.execute_fetchall("select i from t", ()).await?;
///     assert_eq!(rows.len(), 1);
///     Ok(())
/// })
/// # }
/// ```
pub struct Transaction<'a> {
    session: Session,
    lease: Lease,
    /// The connection stays, and so does the transaction around this one, which cannot be used meanwhile.
    borrowed: PhantomData<&'a ()>,
}

impl Behavior {
    pub(super) const fn statement(self) -> &'static str {
        match self {
            Self::Deferred => "BEGIN DEFERRED",
            Self::Immediate => "BEGIN IMMEDIATE",
            Self::Exclusive => "BEGIN EXCLUSIVE",
        }
    }
}

impl Transaction<'_> {
    pub(super) fn new(handle: &Arc<Handle>, lease: Lease) -> Self {
        Self {
            session: Session::inside(handle, lease.name()),
            lease,
            borrowed: PhantomData,
        }
    }

    /// As [`Connection::execute`](super::Connection::execute), inside.
    ///
    /// # Errors
    ///
    /// As of that, and [`SqliteError`](super::SqliteError) once the transaction is over.
    ///
    /// # Cancel safety
    ///
    /// As of that; [`is_active`](Self::is_active) tells what became of the transaction.
    pub async fn execute(&self, sql: &str, parameters: impl Params) -> Result<Cursor> {
        self.session.execute(sql, parameters).await
    }

    /// As [`Connection::executemany`](super::Connection::executemany), inside.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute).
    pub async fn executemany<P: Params>(
        &self,
        sql: &str,
        sets: impl IntoIterator<Item = P>,
    ) -> Result<i64> {
        many::executemany(&self.session, sql, sets)?.await
    }

    /// As [`Connection::executescript`](super::Connection::executescript), inside.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute).
    pub async fn executescript(&self, sql: &str) -> Result<()> {
        self.session.executescript(sql).await
    }

    /// As [`Connection::execute_insert`](super::Connection::execute_insert), inside.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute).
    pub async fn execute_insert(&self, sql: &str, parameters: impl Params) -> Result<i64> {
        self.session.execute_insert(sql, parameters).await
    }

    /// As [`Connection::execute_fetchall`](super::Connection::execute_fetchall), inside.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute).
    pub async fn execute_fetchall(&self, sql: &str, parameters: impl Params) -> Result<Vec<Row>> {
        self.session.execute_fetchall(sql, parameters).await
    }

    /// As [`Connection::call`](super::Connection::call), inside.
    ///
    /// # Errors
    ///
    /// As of that, and [`SqliteError`](super::SqliteError) once the transaction is over.
    ///
    /// # Panics
    ///
    /// Where the function does.
    ///
    /// # Cancel safety
    ///
    /// As of that.
    pub async fn call<T, F>(&self, function: F) -> Result<T>
    where
        F: FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let call = |desk: &mut Desk<'_>| Ok(function(desk.connection())?);
        self.session.call(call).await
    }

    /// Waits until what was asked for is over, and says whether the transaction still is: after a statement
    /// that was cancelled, it may have been rolled back.
    ///
    /// # Errors
    ///
    /// [`SqliteError`](super::SqliteError) when the connection is closed;
    /// [`CancelledError`] when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn is_active(&self) -> Result<bool> {
        let guard = self.lease.name();
        let queue = &self.session.handle.queue;
        super::call::Call::new(queue, move |desk| Ok(desk.is_active(guard))).await
    }

    /// Begins a savepoint inside of this.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, there is none.
    pub async fn transaction(&mut self) -> Result<Transaction<'_>> {
        let outer = self.lease.name();
        let lease = self
            .session
            .call(move |desk| desk.begin_nested(outer))
            .await?;
        Ok(Transaction::new(&self.session.handle, lease))
    }

    /// Runs a function in a savepoint, which is kept if the function succeeds and rolled back otherwise.
    ///
    /// # Errors
    ///
    /// What the function fails with; otherwise as of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, the savepoint is rolled back.
    pub async fn with_transaction<T, F>(&mut self, function: F) -> Result<T>
    where
        F: AsyncFnOnce(&mut Transaction<'_>) -> Result<T>,
    {
        let mut inner = self.transaction().await?;
        let value = function(&mut inner).await?;
        inner.commit().await?;
        Ok(value)
    }

    /// Commits it.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute). What could not be committed is rolled back.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled, the transaction has either been committed as a whole or is rolled back; the
    /// message of the [`CancelledError`] says which, if the request had no message and no further one
    /// comes. When it is dropped, it is one of the two.
    pub async fn commit(mut self) -> Result<()> {
        let name = self.lease.name();
        let committed = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&committed);
        let commit = move |desk: &mut Desk<'_>| {
            desk.end(name, true)?;
            // Relaxed: it is read after another call of the same thread.
            told.store(true, Ordering::Relaxed);
            Ok(())
        };
        match self.session.call(commit).await {
            Ok(()) => {
                self.lease.has_ended();
                Ok(())
            }
            Err(error) if error.is_cancelled() => {
                // A commit that waits for a lock was stopped, so that this is no long wait.
                self.is_active().await?;
                let cancelled = error.downcast_ref::<CancelledError>();
                if cancelled.is_some_and(|it| it.message().is_some()) {
                    return Err(error);
                }
                // Relaxed: as above.
                let said = match committed.load(Ordering::Relaxed) {
                    true => "the transaction was committed",
                    false => "the transaction is rolled back",
                };
                Err(CancelledError::with_message(said).into())
            }
            Err(error) => Err(error),
        }
    }

    /// Rolls it back.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// It is rolled back all the same.
    pub async fn rollback(mut self) -> Result<()> {
        let name = self.lease.name();
        self.session.call(move |desk| desk.end(name, false)).await?;
        self.lease.has_ended();
        Ok(())
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transaction").field(&self.lease).finish()
    }
}
