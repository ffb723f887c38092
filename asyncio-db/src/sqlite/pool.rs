//! Connections for many tasks: several that read, and one that writes.

use std::fmt;
use std::future::{Future as StdFuture, IntoFuture};
use std::num::NonZeroUsize;
use std::ops::{AsyncFnOnce, Deref};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use asyncio_core::waiting::Mutex;
use asyncio_core::{Delay, Result, timeout};
use asyncio_sync::{OwnedPermit, Semaphore};

use super::connect::{ConnectBuilder, connect};
use super::connection::Connection;
use super::error::SqliteError;
use super::transaction::{Behavior, Transaction};

/// Opens a database for many tasks: connections that read, at the same time, and one that writes. There is
/// nothing alike in aiosqlite.
///
/// ```
/// use asyncio_core::{Result, create_task, run};
/// use asyncio_db::sqlite::create_pool;
///
/// # fn main() -> Result<()> {
/// # let folder = std::env::temp_dir().join(format!("asyncio-db-pool-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("visits.db");
/// run(async move {
///     let pool = create_pool(path).await?;
///     pool.write().await?.execute("create table visits (page text)", ()).await?;
///     let writing = create_task({
///         let pool = pool.clone();
///         async move {
///             pool.with_write(async |transaction| {
///                 transaction.execute("insert into visits values ('/')", ()).await?;
///                 Ok(())
///             })
///             .await
///         }
///     });
///     writing.await?;
///     let rows = pool.read().await?.execute_fetchall("select page from visits", ()).await?;
///     assert_eq!(rows.len(), 1);
///     pool.close().await
/// })?;
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # }
/// ```
///
/// The database is a file, with a [write-ahead log](ConnectBuilder::wal): those who read see what was
/// committed, and wait for nobody.
pub fn create_pool(path: impl Into<PathBuf>) -> PoolBuilder {
    PoolBuilder {
        connect: connect(path).wal(true),
        readers: const { NonZeroUsize::new(4).unwrap() },
        acquire_timeout: Some(Duration::from_secs(30)),
    }
}

/// What [`create_pool`] opens, and how. It is awaited.
#[derive(Clone, Debug)]
#[must_use = "nothing is opened until it is awaited"]
pub struct PoolBuilder {
    connect: ConnectBuilder,
    readers: NonZeroUsize,
    acquire_timeout: Option<Duration>,
}

impl PoolBuilder {
    /// So many connections that read; 4 by default. They are opened when they are needed.
    pub const fn readers(mut self, count: NonZeroUsize) -> Self {
        self.readers = count;
        self
    }

    /// How long it is waited for a connection; 30 seconds by default, `None` for as long as it takes.
    pub fn acquire_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.acquire_timeout = timeout.into();
        self
    }

    /// Changes how the connections are opened.
    pub fn configure(mut self, change: impl FnOnce(ConnectBuilder) -> ConnectBuilder) -> Self {
        self.connect = change(self.connect);
        self
    }

    async fn open(self) -> Result<Pool> {
        let path = self.connect.path().as_os_str();
        if path.is_empty() || path == ":memory:" {
            let error = "a pool needs a file: of a database in memory each connection has its own";
            return Err(SqliteError::programming(error).into());
        }
        let writer = self.connect.clone().await?;
        let side = |count, idle, readonly| {
            Arc::new(Side {
                permits: Semaphore::new(count),
                idle: Mutex::new(idle),
                connect: self.connect.clone().readonly(readonly),
                closed: AtomicBool::new(false),
            })
        };
        Ok(Pool {
            readers: side(self.readers.get(), Vec::new(), true),
            writer: side(1, vec![writer], false),
            acquire_timeout: self.acquire_timeout,
        })
    }
}

impl IntoFuture for PoolBuilder {
    type Output = Result<Pool>;
    type IntoFuture = Pin<Box<dyn StdFuture<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

/// Connections that read, and one that writes; see [`create_pool`]. Clones are the same pool.
///
/// Who asks first is served first.
#[derive(Clone)]
pub struct Pool {
    readers: Arc<Side>,
    writer: Arc<Side>,
    acquire_timeout: Option<Duration>,
}

/// The connections of one kind.
struct Side {
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
    connect: ConnectBuilder,
    closed: AtomicBool,
}

impl Pool {
    /// Borrows a connection that can only read, as soon as one is free.
    ///
    /// # Errors
    ///
    /// [`TimeoutError`](asyncio_core::TimeoutError) when none was free in time; [`SqliteError`] when the
    /// pool is closed, or one cannot be opened; [`CancelledError`](asyncio_core::CancelledError) when the
    /// task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, its place in the line is lost and nothing else.
    pub async fn read(&self) -> Result<PooledConnection> {
        timeout(self.acquire_timeout.map(Delay::from), borrow(&self.readers)).await
    }

    /// Borrows the connection that writes, as soon as it is free.
    ///
    /// # Errors
    ///
    /// As of [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// As of [`read`](Self::read).
    pub async fn write(&self) -> Result<PooledConnection> {
        timeout(self.acquire_timeout.map(Delay::from), borrow(&self.writer)).await
    }

    /// Runs a function in a transaction of the connection that writes; see
    /// [`Connection::with_transaction`].
    ///
    /// # Errors
    ///
    /// As of [`write`](Self::write) and [`Connection::with_transaction`].
    ///
    /// # Cancel safety
    ///
    /// As of [`Transaction::commit`].
    pub async fn with_write<T, F>(&self, function: F) -> Result<T>
    where
        F: AsyncFnOnce(&mut Transaction<'_>) -> Result<T>,
    {
        let connection = self.write().await?;
        connection
            .with_transaction(Behavior::Immediate, function)
            .await
    }

    /// Closes the pool: who asks for a connection from now on is refused, who waits for one too, and what
    /// is borrowed is closed when it comes back. Waits until the idle ones are closed.
    ///
    /// # Errors
    ///
    /// As of [`Connection::close`].
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, the pool is closed all the same.
    pub async fn close(&self) -> Result<()> {
        for side in [&self.readers, &self.writer] {
            // Release, and Acquire where it is read: what is put back after the list was emptied is seen
            // to come to a pool that is closed; the lock of the list would do as well.
            side.closed.store(true, Ordering::Release);
        }
        for side in [&self.readers, &self.writer] {
            // Who waits goes through one after the other, and finds it closed.
            let idle = std::mem::take(&mut *side.idle.lock());
            for connection in idle {
                connection.close().await?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("path", self.writer.connect.path())
            .finish_non_exhaustive()
    }
}

async fn borrow(side: &Arc<Side>) -> Result<PooledConnection> {
    let permit = side.permits.guard_owned().await?;
    // Acquire: see `Pool::close`.
    if side.closed.load(Ordering::Acquire) {
        return Err(SqliteError::programming("the pool is closed").into());
    }
    let idle = {
        let mut idle = side.idle.lock();
        idle.pop()
    };
    let connection = match idle {
        Some(connection) if !connection.is_closed() => connection,
        _ => side.connect.clone().await?,
    };
    Ok(PooledConnection {
        connection: Some(connection),
        side: Arc::clone(side),
        _permit: permit,
    })
}

/// A connection that is borrowed from a [`Pool`]. Its drop gives it back: what is open on it, a transaction
/// or a cursor, is ended first.
pub struct PooledConnection {
    /// There, until it is given back.
    connection: Option<Connection>,
    side: Arc<Side>,
    /// Dropped after the connection was put back.
    _permit: OwnedPermit,
}

impl Deref for PooledConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
            .as_ref()
            .expect("it is given back by the drop")
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        connection.reset();
        let mut idle = self.side.idle.lock();
        // Acquire: see `Pool::close`.
        if !self.side.closed.load(Ordering::Acquire) {
            idle.push(connection);
            return;
        }
        drop(idle);
        drop(connection);
    }
}

impl fmt::Debug for PooledConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connection.fmt(f)
    }
}
