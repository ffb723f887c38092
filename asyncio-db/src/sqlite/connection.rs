//! `Connection` (`aiosqlite.Connection`).

use std::fmt;
use std::ops::AsyncFnOnce;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use asyncio_core::Result;
use asyncio_sync::Lock;

use super::backup::Backup;
use super::call::Call;
use super::cursor::Cursor;
use super::desk::{Desk, Leave};
use super::dump::IterDump;
use super::error::SqliteError;
use super::many;
use super::params::{Parameters, Params};
use super::row::Row;
use super::transaction::{Behavior, Transaction};
use super::worker::Queue;

/// An open database, with a thread of its own (`aiosqlite.Connection`).
///
/// Several tasks may use it by reference; their calls are done one after the other, and share its one
/// transaction. Where tasks are to have transactions of their own each needs a connection of its own, or a
/// [`Pool`](super::Pool).
///
/// The thread ends when the connection is dropped, and what was read from it.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_db::sqlite::connect;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let db = connect(":memory:").await?;
///     db.execute("create table t (i integer primary key, k text)", ()).await?;
///     let id = db.execute_insert("insert into t (k) values (?)", ("one",)).await?;
///     let rows = db.execute_fetchall("select k from t where i = ?", (id,)).await?;
///     assert_eq!(rows[0].get_str(0)?, "one");
///     assert_eq!(db.total_changes(), 1);
///     db.close().await
/// })
/// # }
/// ```
pub struct Connection {
    session: Session,
}

/// A connection as seen by who uses it: as a whole, or inside of one of its transactions.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) handle: Arc<Handle>,
    /// The transaction that it must be in.
    guard: Option<u64>,
}

/// What ends the thread when nobody has it any more.
pub(super) struct Handle {
    pub(super) queue: Arc<Queue>,
    pub(super) iter_chunk_size: usize,
    /// Held while it takes part in a backup, from lower addresses to higher ones.
    pub(super) backup: Lock,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Connection {
    pub(super) fn new(queue: &Arc<Queue>, iter_chunk_size: usize) -> Self {
        Self {
            session: Session {
                handle: Arc::new(Handle {
                    queue: Arc::clone(queue),
                    iter_chunk_size,
                    backup: Lock::new(),
                }),
                guard: None,
            },
        }
    }

    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.session.handle.queue
    }

    /// Ends what is open on it, before anything else is done.
    pub(crate) fn reset(&self) {
        self.queue().repair(Box::new(|desk| {
            if desk.reset().is_err() {
                // Nobody else is to get it.
                desk.close_queue();
            }
        }));
    }

    /// A cursor that has executed nothing yet (`db.cursor`).
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.session.clone())
    }

    /// Executes a statement (`db.execute`), and begins to read its rows if it has any.
    ///
    /// # Errors
    ///
    /// [`SqliteError`] where it fails, or the connection is closed;
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, a statement that has not begun never begins; one that has is
    /// interrupted. In a transaction SQLite rolls the whole of it back if the statement writes; otherwise
    /// the statement has been done wholly or not at all.
    pub async fn execute(&self, sql: &str, parameters: impl Params) -> Result<Cursor> {
        self.session.execute(sql, parameters).await
    }

    /// Executes a statement once for each set of parameters (`db.executemany`), all or none; how many rows
    /// were changed.
    ///
    /// ```
    /// # use asyncio_core::{Result, run};
    /// # use asyncio_db::sqlite::connect;
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// # let db = connect(":memory:").await?;
    /// db.execute("create table t (i integer primary key, name text)", ()).await?;
    /// let names = ["a".to_owned(), "b".to_owned()];
    /// let sets = names.iter().enumerate().map(|(i, name)| (i as i64, name));
    /// assert_eq!(db.executemany("insert into t values (?, ?)", sets).await?, 2);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute); nothing has been changed then.
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute); what was changed is rolled back.
    ///
    /// # asyncio
    ///
    /// Python keeps what was changed before an error. All the sets are gone through before it begins.
    pub async fn executemany<P: Params>(
        &self,
        sql: &str,
        sets: impl IntoIterator<Item = P>,
    ) -> Result<i64> {
        many::executemany(&self.session, sql, sets)?.await
    }

    /// Executes statements one after the other (`db.executescript`).
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute); what was done before the error is done.
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute); what was done before it stopped is done.
    ///
    /// # asyncio
    ///
    /// As in Python an open transaction is committed first if it is one that began by itself, which needs
    /// an [`isolation_level`](super::ConnectBuilder::isolation_level).
    pub async fn executescript(&self, sql: &str) -> Result<()> {
        self.session.executescript(sql).await
    }

    /// Executes an `INSERT`; the number of the row (`db.execute_insert`).
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

    /// Executes a statement and reads all its rows, in one call of the thread (`db.execute_fetchall`).
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

    /// Begins a transaction, which is rolled back if it is dropped before it is committed.
    ///
    /// Who is going to write begins with [`Behavior::Immediate`]: then the wait for the lock is here, and
    /// no statement later finds that somebody else has written meanwhile ("database is locked" at once).
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute), also where one is open already: a connection has one at a time.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, no transaction has begun, or it is rolled back.
    pub async fn transaction(&self, behavior: Behavior) -> Result<Transaction<'_>> {
        let lease = self.session.call(move |desk| desk.begin(behavior)).await?;
        Ok(Transaction::new(&self.session.handle, lease))
    }

    /// Runs a function in a transaction, which is committed if the function succeeds and rolled back
    /// otherwise.
    ///
    /// ```
    /// # use asyncio_core::{Result, ValueError, run};
    /// # use asyncio_db::sqlite::{Behavior, connect};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// # let db = connect(":memory:").await?;
    /// # db.execute("create table t (i)", ()).await?;
    /// let failed: Result<()> = db.with_transaction(Behavior::Immediate, async |transaction| {
    ///     transaction.execute("insert into t values (1)", ()).await?;
    ///     Err(ValueError::new("on second thoughts").into())
    /// }).await;
    /// assert!(failed.is_err());
    /// assert!(db.execute_fetchall("select * from t", ()).await?.is_empty());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the function fails with, and what beginning and committing fail with.
    ///
    /// # Cancel safety
    ///
    /// As of [`Transaction::commit`].
    pub async fn with_transaction<T, F>(&self, behavior: Behavior, function: F) -> Result<T>
    where
        F: AsyncFnOnce(&mut Transaction<'_>) -> Result<T>,
    {
        let mut transaction = self.transaction(behavior).await?;
        let value = function(&mut transaction).await?;
        transaction.commit().await?;
        Ok(value)
    }

    /// Commits the open transaction, if there is one (`db.commit`).
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, the transaction is committed or still open; see
    /// [`settled`](Self::settled).
    pub async fn commit(&self) -> Result<()> {
        self.session.call(|desk| desk.end_any(true)).await
    }

    /// Rolls the open transaction back, if there is one (`db.rollback`).
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`commit`](Self::commit).
    pub async fn rollback(&self) -> Result<()> {
        self.session.call(|desk| desk.end_any(false)).await
    }

    /// Whether a transaction was open at the end of the last call that has ended (`db.in_transaction`).
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        // Relaxed: see `Desk::look_around`.
        self.queue().in_transaction.load(Ordering::Relaxed)
    }

    /// Waits until all that was asked for so far is over, what was interrupted included, and says whether
    /// a transaction is open then.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn settled(&self) -> Result<bool> {
        let open = |desk: &mut Desk<'_>| Ok(!desk.connection().is_autocommit());
        self.session.call(open).await
    }

    /// How many rows were changed since the connection was opened, as of the last call that has ended
    /// (`db.total_changes`).
    #[must_use]
    pub fn total_changes(&self) -> u64 {
        // Relaxed: see `Desk::look_around`.
        self.queue().total_changes.load(Ordering::Relaxed)
    }

    /// As [`ConnectBuilder::isolation_level`](super::ConnectBuilder::isolation_level), from now on.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped it is set or not.
    pub async fn set_isolation_level(&self, level: impl Into<Option<Behavior>>) -> Result<()> {
        let level = level.into();
        self.session
            .call(move |desk| {
                desk.set_isolation_level(level);
                Ok(())
            })
            .await
    }

    /// Calls a function with rusqlite's connection, on the thread: for all that is not offered here.
    ///
    /// ```
    /// # use asyncio_core::{Result, run};
    /// # use asyncio_db::sqlite::connect;
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// # let db = connect(":memory:").await?;
    /// let version: i64 = db.call(|db| db.pragma_query_value(None, "user_version", |row| row.get(0))).await?;
    /// assert_eq!(version, 0);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// A transaction that the function begins and leaves open stays open. An extension is loaded so, with
    /// the feature `sqlite-load-extension`: by `rusqlite::Connection::load_extension`, whose safety is the
    /// caller's matter.
    ///
    /// # Errors
    ///
    /// What the function fails with, as a [`SqliteError`]; otherwise as of [`execute`](Self::execute).
    ///
    /// # Panics
    ///
    /// Where the function does.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, a function that has not begun never begins. In one that has, SQLite
    /// is interrupted; the rest of it runs to its end.
    pub async fn call<T, F>(&self, function: F) -> Result<T>
    where
        F: FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let call = |desk: &mut Desk<'_>| Ok(function(desk.connection())?);
        self.session.call(call).await
    }

    /// Copies the whole database into another (`db.backup`), page by page while it is used.
    pub fn backup<'a>(&'a self, target: &'a Self) -> Backup<'a> {
        Backup::new(&self.session, &target.session)
    }

    /// The statements that make this database again (`db.iterdump`), as a stream of lines.
    #[must_use]
    pub fn iterdump(&self) -> IterDump {
        IterDump::new(self.session.clone())
    }

    /// Stops the call that is being done, if there is one (`db.interrupt`): it fails, as one that
    /// [was interrupted](SqliteError::is_interrupted). Those that wait are done.
    pub fn interrupt(&self) {
        self.queue().interrupt();
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.queue().is_closed()
    }

    /// Does what was asked for before, and closes the connection (`db.close`). What is asked for afterwards
    /// fails; to close it again does nothing.
    ///
    /// # Errors
    ///
    /// [`SqliteError`] where SQLite fails to close it;
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, the connection is closed all the same, but for a call that has not
    /// been polled.
    pub async fn close(&self) -> Result<()> {
        let queue = self.queue();
        let closing = Call::leaving(queue, |desk, answer| {
            desk.close_cursors();
            desk.leave(Leave::Close(answer));
        });
        match Closing(queue, closing).await {
            Err(error) if error.downcast_ref().is_some_and(SqliteError::is_closed) => Ok(()),
            result => result,
        }
    }
}

/// Closes the queue behind the call that it is.
struct Closing<'a>(&'a Arc<Queue>, Call<()>);

impl Future for Closing<'_> {
    type Output = Result<()>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let polled = std::pin::Pin::new(&mut self.1).poll(cx);
        // Also when the call is taken back: then the thread ends for want of work.
        self.0.close();
        polled
    }
}

impl Session {
    /// The same connection inside of a transaction.
    pub(super) fn inside(handle: &Arc<Handle>, guard: u64) -> Self {
        Self {
            handle: Arc::clone(handle),
            guard: Some(guard),
        }
    }

    /// Has the thread do something, unless it belongs to a transaction that is over.
    pub(super) fn call<T, F>(&self, function: F) -> Call<T>
    where
        F: FnOnce(&mut Desk<'_>) -> Result<T, SqliteError> + Send + 'static,
        T: Send + 'static,
    {
        let guard = self.guard;
        Call::new(&self.handle.queue, move |desk| {
            desk.check(guard)?;
            function(desk)
        })
    }

    pub(super) async fn execute(&self, sql: &str, parameters: impl Params) -> Result<Cursor> {
        let mut cursor = Cursor::new(self.clone());
        cursor.execute(sql, parameters).await?;
        Ok(cursor)
    }

    pub(super) async fn executescript(&self, sql: &str) -> Result<()> {
        let sql = sql.to_owned();
        self.call(move |desk| desk.execute_script(&sql)).await
    }

    pub(super) async fn execute_insert(&self, sql: &str, parameters: impl Params) -> Result<i64> {
        let parameters = Parameters::one(parameters)?;
        let sql = sql.to_owned();
        self.call(move |desk| {
            desk.execute(&sql, &parameters, 1)?;
            Ok(desk.connection().last_insert_rowid())
        })
        .await
    }

    pub(super) async fn execute_fetchall(
        &self,
        sql: &str,
        parameters: impl Params,
    ) -> Result<Vec<Row>> {
        let parameters = Parameters::one(parameters)?;
        let sql = sql.to_owned();
        let chunks = self
            .call(move |desk| desk.execute_fetchall(&sql, &parameters))
            .await?;
        let mut rows = Vec::with_capacity(chunks.iter().map(|it| it.rows()).sum());
        for chunk in &chunks {
            rows.extend((0..chunk.rows()).map(|number| Row::new(chunk, number)));
        }
        Ok(rows)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("in_transaction", &self.in_transaction())
            .field("closed", &self.is_closed())
            .finish()
    }
}
