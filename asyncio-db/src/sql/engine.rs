//! Engines: where connections come from.

use std::fmt;
use std::ops::AsyncFnOnce;
use std::sync::Arc;
use std::time::Duration;

use asyncio_core::Result;

use super::connection::EngineConnection;
use super::errors::ArgumentError;
use super::pool::{Pool, PoolStatus, Settings};
use super::statement::Dialect;
use super::transaction::EngineTransaction;
use super::url::{Target, Url};
use crate::{pg, sqlite};

/// Says where a database is (`sqlalchemy.ext.asyncio.create_async_engine`). Nothing is opened before a
/// connection is asked for.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_db::sql::{create_async_engine, text};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let engine = create_async_engine("sqlite+aiosqlite:///:memory:").pool_size(5).echo(true).build()?;
///     engine
///         .begin_with(async |connection| {
///             connection.execute(text("CREATE TABLE t (x int)")).await?;
///             connection.execute(text("INSERT INTO t VALUES (:x)").bind("x", 1)).await?;
///             Ok(())
///         })
///         .await?;
///     let count = engine.connect().await?.scalar(text("SELECT count(*) FROM t")).await?;
///     assert_eq!(count.expect("there is one").to_string(), "1");
///     engine.dispose().await
/// })
/// # }
/// ```
///
/// `postgresql://user:password@host/database` and `postgresql+asyncpg://…` are PostgreSQL,
/// `sqlite:///file.db` (or four strokes, for a path from the root) and `sqlite+aiosqlite:///…` are SQLite,
/// where no file, or `:memory:`, is a database in memory, which has one connection.
pub fn create_async_engine(url: &str) -> EngineBuilder {
    EngineBuilder {
        url: Url::parse(url),
        settings: Settings::default(),
        pg: None,
        sqlite: None,
    }
}

/// What [`create_async_engine`] is told by methods.
#[must_use = "it is an engine once it is built"]
pub struct EngineBuilder {
    url: Result<Url, ArgumentError>,
    settings: Settings,
    pg: Option<PgHook>,
    sqlite: Option<SqliteHook>,
}

type PgHook = Box<dyn FnOnce(pg::ConnectBuilder) -> pg::ConnectBuilder + Send>;
type SqliteHook = Box<dyn FnOnce(sqlite::ConnectBuilder) -> sqlite::ConnectBuilder + Send>;

/// How much a transaction sees of what others do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IsolationLevel {
    /// There are no transactions: each statement is one by itself.
    Autocommit,
    /// What was committed before each statement. SQLite does not know it, and has
    /// [`Serializable`](Self::Serializable).
    ReadCommitted,
    /// What was committed before the first statement. SQLite does not know it, and has
    /// [`Serializable`](Self::Serializable).
    RepeatableRead,
    /// As if transactions came one after the other.
    Serializable,
}

impl EngineBuilder {
    /// So many connections are kept for when they are needed again; 5 by default.
    pub const fn pool_size(mut self, count: usize) -> Self {
        self.settings.pool_size = count;
        self
    }

    /// So many connections more may be open at a time; 10 by default.
    pub const fn max_overflow(mut self, count: usize) -> Self {
        self.settings.max_overflow = count;
        self
    }

    /// How long one waits for a connection; 30 seconds by default, `None` for as long as it takes.
    pub fn pool_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.settings.timeout = time.into();
        self
    }

    /// A connection that is older is replaced; never by default.
    pub fn pool_recycle(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.settings.recycle = age.into();
        self
    }

    /// Whether a connection is asked for a sign of life before it is lent. That a server has closed it is
    /// seen without that.
    pub const fn pool_pre_ping(mut self, on: bool) -> Self {
        self.settings.pre_ping = on;
        self
    }

    /// Whether each statement is told to `tracing`, with its values.
    pub const fn echo(mut self, on: bool) -> Self {
        self.settings.echo = on;
        self
    }

    /// How much transactions see of each other; as the database is set by default.
    pub const fn isolation_level(mut self, level: IsolationLevel) -> Self {
        self.settings.isolation = Some(level);
        self
    }

    /// Changes how sessions with PostgreSQL are opened (`connect_args`).
    pub fn postgresql(
        mut self,
        change: impl FnOnce(pg::ConnectBuilder) -> pg::ConnectBuilder + Send + 'static,
    ) -> Self {
        self.pg = Some(Box::new(change));
        self
    }

    /// Changes how databases of SQLite's are opened (`connect_args`). Foreign keys are enforced, and files
    /// have a write-ahead log, if this does not say otherwise.
    pub fn sqlite(
        mut self,
        change: impl FnOnce(sqlite::ConnectBuilder) -> sqlite::ConnectBuilder + Send + 'static,
    ) -> Self {
        self.sqlite = Some(Box::new(change));
        self
    }

    /// The engine.
    ///
    /// # Errors
    ///
    /// [`ArgumentError`] when the URL or a setting is not understood.
    pub fn build(self) -> Result<Engine, ArgumentError> {
        let url = self.url?;
        let pool = match &url.target {
            Target::Postgres(dsn) => {
                let connect = pg::connect(dsn.as_str());
                let connect = match self.pg {
                    Some(change) => change(connect),
                    None => connect,
                };
                Pool::postgres(connect, self.settings)
            }
            Target::Sqlite(path) => {
                let connect = match path {
                    Some(path) => sqlite::connect(path).wal(true),
                    None => sqlite::connect(":memory:"),
                };
                let connect = connect.foreign_keys(true);
                let connect = match self.sqlite {
                    Some(change) => change(connect),
                    None => connect,
                };
                Pool::sqlite(connect, path.is_none(), self.settings)
            }
        };
        Ok(Engine {
            pool: Arc::new(pool),
            url: Arc::new(url),
        })
    }
}

/// A database, and the connections to it (`sqlalchemy.ext.asyncio.AsyncEngine`); see
/// [`create_async_engine`]. A clone is the same engine.
#[derive(Clone)]
pub struct Engine {
    pub(super) pool: Arc<Pool>,
    url: Arc<Url>,
}

impl Engine {
    /// Borrows a connection. It begins a transaction by itself when something is executed, which is rolled
    /// back unless it is [committed](EngineConnection::commit).
    ///
    /// # Errors
    ///
    /// [`TimeoutError`](asyncio_core::TimeoutError) when none was free in time; what goes wrong when one is
    /// opened; [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, its place in the line is lost and nothing else.
    pub async fn connect(&self) -> Result<EngineConnection> {
        let link = self.pool.acquire().await?;
        Ok(EngineConnection::new(self.clone(), link))
    }

    /// Borrows a connection and begins a transaction on it, which is rolled back when it goes without
    /// [`commit`](EngineTransaction::commit) (`async with engine.begin()`).
    ///
    /// On SQLite it is one that writes: nobody else writes meanwhile.
    ///
    /// # Errors
    ///
    /// As of [`connect`](Self::connect), and when it cannot be begun.
    ///
    /// # Cancel safety
    ///
    /// As of [`connect`](Self::connect); what has been begun by then is ended.
    pub async fn begin(&self) -> Result<EngineTransaction> {
        let mut connection = self.connect().await?;
        connection.start().await?;
        Ok(EngineTransaction::new(connection))
    }

    /// Runs a function in a transaction, which is committed if the function succeeds and rolled back
    /// otherwise (`async with engine.begin()`).
    ///
    /// # Errors
    ///
    /// As of [`begin`](Self::begin) and [`EngineTransaction::commit`]; what the function ends with.
    ///
    /// # Cancel safety
    ///
    /// All that was done is rolled back, unless it was being committed: see
    /// [`EngineTransaction::commit`].
    pub async fn begin_with<T>(
        &self,
        function: impl AsyncFnOnce(&mut EngineConnection) -> Result<T>,
    ) -> Result<T> {
        let mut transaction = self.begin().await?;
        match function(&mut transaction).await {
            Ok(value) => {
                transaction.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // What went wrong first is what is of interest.
                drop(transaction.rollback().await);
                Err(error)
            }
        }
    }

    /// Closes the connections that nobody uses; those that are in use are closed when they come back. The
    /// engine goes on with new ones. A database in memory is gone with its connection.
    ///
    /// # Errors
    ///
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// They are closed all the same.
    pub async fn dispose(&self) -> Result<()> {
        self.pool.dispose().await
    }

    /// Which SQL it speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.pool.dialect()
    }

    /// Its URL, without the password.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// How many connections there are (`engine.pool.status()`).
    #[must_use]
    pub fn pool_status(&self) -> PoolStatus {
        self.pool.status()
    }
}

impl PartialEq for Engine {
    /// Whether it is the same engine.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pool, &other.pool)
    }
}

impl Eq for Engine {}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({})", self.url)
    }
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder")
            .field("url", &self.url)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
