//! `connect` (`aiosqlite.connect`).

use std::future::{Future as StdFuture, IntoFuture};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::pin::Pin;
use std::thread;
use std::time::{Duration, Instant};

use asyncio_core::Result;
use rusqlite::{OpenFlags, ffi};

use super::call::Call;
use super::connection::Connection;
use super::error::SqliteError;
use super::transaction::Behavior;
use super::worker::{self, Queue};

/// Opens a database (`aiosqlite.connect`): a file, or `":memory:"`. A file that is not there is made.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_db::sqlite::connect;
/// use std::time::Duration;
///
/// # fn main() -> Result<()> {
/// # let folder = std::env::temp_dir().join(format!("asyncio-db-connect-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("notes.db");
/// run(async move {
///     let db = connect(path).wal(true).busy_timeout(Duration::from_secs(1)).await?;
///     db.execute("create table notes (text)", ()).await?;
///     db.close().await
/// })?;
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`SqliteError`] where it cannot be opened; [`CancelledError`](asyncio_core::CancelledError) when the
/// task is cancelled meanwhile.
///
/// # Cancel safety
///
/// When it is cancelled or dropped, what was opened is closed again, and its thread ends.
pub fn connect(path: impl Into<PathBuf>) -> ConnectBuilder {
    ConnectBuilder::new(path.into())
}

/// What [`connect`] opens, and how. It is awaited.
#[derive(Clone, Debug)]
#[must_use = "nothing is opened until it is awaited"]
pub struct ConnectBuilder {
    path: PathBuf,
    busy_timeout: Duration,
    cached_statements: usize,
    foreign_keys: Option<bool>,
    isolation_level: Option<Behavior>,
    iter_chunk_size: NonZeroUsize,
    readonly: bool,
    uri: bool,
    wal: bool,
}

impl ConnectBuilder {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            busy_timeout: Duration::from_secs(5),
            cached_statements: 128,
            foreign_keys: None,
            isolation_level: None,
            iter_chunk_size: const { NonZeroUsize::new(64).unwrap() },
            readonly: false,
            uri: false,
            wal: false,
        }
    }

    /// How long a statement waits for a lock of another connection (`timeout`); 5 seconds by default. The
    /// wait ends when the call is cancelled, too.
    ///
    /// `PRAGMA busy_timeout` puts SQLite's own wait in the place of this one: it lasts as long as it says, and
    /// who is cancelled meanwhile waits for its end before the connection does anything else.
    pub const fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// So many prepared statements are kept for when they are executed again; 128 by default.
    pub const fn cached_statements(mut self, count: usize) -> Self {
        self.cached_statements = count;
        self
    }

    /// Whether foreign keys are enforced; as SQLite was built if this is not said.
    pub const fn foreign_keys(mut self, enforced: bool) -> Self {
        self.foreign_keys = Some(enforced);
        self
    }

    /// Has a transaction begin by itself before an `INSERT`, `UPDATE`, `DELETE` or `REPLACE`, which lasts
    /// until [`Connection::commit`] or [`Connection::rollback`] (`isolation_level`). By default each
    /// statement outside of a transaction is one by itself.
    ///
    /// ```
    /// # use asyncio_core::{Result, run};
    /// # use asyncio_db::sqlite::{Behavior, connect};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let db = connect(":memory:").isolation_level(Behavior::Deferred).await?;
    /// db.execute("create table t (i)", ()).await?;
    /// db.execute("insert into t values (1)", ()).await?;
    /// assert!(db.in_transaction());
    /// db.rollback().await?;
    /// assert!(db.execute_fetchall("select * from t", ()).await?.is_empty());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # asyncio
    ///
    /// In Python `"DEFERRED"` is the default and `None` has to be asked for.
    pub fn isolation_level(mut self, level: impl Into<Option<Behavior>>) -> Self {
        self.isolation_level = level.into();
        self
    }

    /// So many rows of a cursor are read at first, and more as more are wanted; 64 by default.
    pub const fn iter_chunk_size(mut self, rows: NonZeroUsize) -> Self {
        self.iter_chunk_size = rows;
        self
    }

    /// Whether the database can only be read. It has to be there then.
    pub const fn readonly(mut self, readonly: bool) -> Self {
        self.readonly = readonly;
        self
    }

    /// Whether the path is a URI, as `file:data.db?mode=ro`.
    pub const fn uri(mut self, uri: bool) -> Self {
        self.uri = uri;
        self
    }

    /// Whether there is a write-ahead log, so that who reads and who writes do not wait for each other.
    /// The database remembers it.
    pub const fn wal(mut self, wal: bool) -> Self {
        self.wal = wal;
        self
    }

    pub(super) const fn path(&self) -> &PathBuf {
        &self.path
    }

    async fn open(self) -> Result<Connection> {
        let queue = Queue::new();
        let (opened, answer) = Call::sent(&queue);
        let stop = opened.stop_of();
        let connection = Connection::new(&queue, self.iter_chunk_size.get());
        let level = self.isolation_level;
        thread::Builder::new()
            .name("asyncio-sqlite".to_owned())
            .spawn(move || worker::work(&queue, stop, || self.open_here(), answer))?;
        // Dropped here, the connection ends the thread.
        opened.await?;
        if level.is_some() {
            connection.set_isolation_level(level).await?;
        }
        Ok(connection)
    }

    /// Opens it, on the thread.
    fn open_here(&self) -> Result<rusqlite::Connection, SqliteError> {
        let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags |= if self.readonly {
            OpenFlags::SQLITE_OPEN_READ_ONLY
        } else {
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
        };
        flags.set(OpenFlags::SQLITE_OPEN_URI, self.uri);
        let mut connection = rusqlite::Connection::open_with_flags(&self.path, flags)?;
        connection.set_prepared_statement_cache_capacity(self.cached_statements);
        worker::prepare(&mut connection, self.busy_timeout)?;
        if self.wal && !self.readonly {
            self.set_wal(&connection)?;
        }
        if let Some(enforced) = self.foreign_keys {
            connection.pragma_update(None, "foreign_keys", enforced)?;
        }
        Ok(connection)
    }

    /// Of several that set the mode at once SQLite refuses all but one, without a wait.
    fn set_wal(&self, connection: &rusqlite::Connection) -> Result<(), SqliteError> {
        let begun = Instant::now();
        loop {
            let set: rusqlite::Result<String> =
                connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
            match set.map_err(SqliteError::from) {
                // A database in memory has none.
                Ok(_) => return Ok(()),
                Err(error) if error.is_locked() && begun.elapsed() < self.busy_timeout => {
                    if worker::is_stopped() {
                        return Err(SqliteError::engine(ffi::SQLITE_INTERRUPT, "interrupted"));
                    }
                    thread::park_timeout(Duration::from_millis(1));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl IntoFuture for ConnectBuilder {
    type Output = Result<Connection>;
    type IntoFuture = Pin<Box<dyn StdFuture<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}
