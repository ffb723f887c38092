//! `create_pool`: connections that are lent, first come first served.

mod builder;
mod lease;
mod members;
mod stats;

pub use builder::{PoolBuilder, Reset, create_pool};
pub use lease::PooledConnection;
pub use stats::{PoolClosedError, PoolStats, PoolTimeoutError};

use std::fmt;
use std::sync::Arc;

use asyncio_core::Result;
use postgres_types::FromSqlOwned;

use members::Members;

use super::args::Args;
use super::connect::ConnectBuilder;
use super::listen::Listener;
use super::prepared::Query;
use super::record::Record;
use super::tag::CommandTag;

/// Connections that are lent, first come first served (`asyncpg.Pool`).
///
/// [`acquire`](Self::acquire) lends one, and it comes back when its guard goes, whatever it was in the
/// middle of: what was left is put right by a task of its own, and until then it counts as lent. So there
/// are never more than `max_size`, and nobody is given one that is busy or in a transaction.
///
/// A clone is the same pool.
///
/// # asyncio
///
/// Who waits for a connection is served in the order of arrival; in Python it may be otherwise. And who
/// waits for 30 seconds has an error by default, where asyncpg waits for ever.
#[derive(Clone)]
pub struct Pool {
    pub(super) members: Arc<Members>,
}

impl Pool {
    /// Borrows a connection.
    ///
    /// # Errors
    ///
    /// [`PoolTimeoutError`] after the pool's [time limit](PoolBuilder::acquire_timeout);
    /// [`PoolClosedError`]; what went wrong with connecting, where that was necessary.
    ///
    /// # Cancel safety
    ///
    /// The place in the line is lost, and nothing else: a connection that was being opened goes to the
    /// pool.
    pub async fn acquire(&self) -> Result<PooledConnection> {
        self.members.acquire().await
    }

    /// Takes a connection back; the same as dropping it.
    pub fn release(&self, connection: PooledConnection) {
        drop(connection);
    }

    /// Executes a script, or one command with arguments: see
    /// [`Connection::execute`](super::Connection::execute).
    ///
    /// # Errors
    ///
    /// As of [`acquire`](Self::acquire) and of the connection's method.
    ///
    /// # Cancel safety
    ///
    /// As of [`acquire`](Self::acquire) and of the connection's method.
    pub async fn execute(&self, query: impl Query, args: impl Args) -> Result<CommandTag> {
        self.acquire().await?.execute(query, args).await
    }

    /// Executes a query and returns its rows: see [`Connection::fetch`](super::Connection::fetch).
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute).
    pub async fn fetch(&self, query: impl Query, args: impl Args) -> Result<Vec<Record>> {
        self.acquire().await?.fetch(query, args).await
    }

    /// Executes a query and returns its first row: see
    /// [`Connection::fetchrow`](super::Connection::fetchrow).
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute).
    pub async fn fetchrow(&self, query: impl Query, args: impl Args) -> Result<Option<Record>> {
        self.acquire().await?.fetchrow(query, args).await
    }

    /// Executes a query and returns its first value: see
    /// [`Connection::fetchval`](super::Connection::fetchval).
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute).
    pub async fn fetchval<T: FromSqlOwned>(
        &self,
        query: impl Query,
        args: impl Args,
    ) -> Result<Option<T>> {
        self.acquire().await?.fetchval(query, args).await
    }

    /// Executes a query once for each set of arguments: see
    /// [`Connection::executemany`](super::Connection::executemany).
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute).
    pub async fn executemany<A: Args>(
        &self,
        query: impl Query,
        rows: impl IntoIterator<Item = A>,
    ) -> Result<()> {
        self.acquire().await?.executemany(query, rows).await
    }

    /// Lends no more connections, waits until all have come back, and ends them. Who waits for one has
    /// [`PoolClosedError`].
    ///
    /// # Errors
    ///
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Nobody waits for those that are lent any more: it is [`terminate`](Self::terminate) then.
    pub async fn close(&self) -> Result<()> {
        self.members.close().await
    }

    /// Lends no more connections and ends all, those that are lent too: what they are in the middle of ends
    /// with an error.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn main() -> asyncio_core::Result<()> {
    /// # let cluster = asyncio_db::testing::PgCluster::create()?;
    /// # let dsn = cluster.dsn();
    /// use asyncio_core::{create_task, sleep};
    ///
    /// asyncio_core::run(async move {
    ///     let pool = asyncio_db::pg::create_pool(dsn).min_size(1).await?;
    ///     let mut connection = pool.acquire().await?;
    ///     let query = create_task(async move { connection.execute("SELECT pg_sleep(3600)", ()).await });
    ///     sleep(0.01).await?;
    ///     pool.terminate();
    ///     assert!(query.await.is_err());
    ///     Ok(())
    /// })
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    pub fn terminate(&self) {
        self.members.terminate();
    }

    /// Has all connections that there are now replaced by others: those that are lent, when they come
    /// back.
    pub fn expire_connections(&self) {
        self.members.expire();
    }

    /// Has connections opened elsewhere, or otherwise, from now on; those that there are stay as they are
    /// until they [expire](Self::expire_connections).
    ///
    /// # Errors
    ///
    /// [`ClientConfigurationError`](crate::ClientConfigurationError) when it cannot be told what to do.
    pub fn set_connect_args(&self, server: impl Into<ConnectBuilder>) -> Result<()> {
        self.members.set_server(server.into())
    }

    /// Has all connections forget what the server has said of its types and statements, for after a
    /// change of its schema.
    pub fn reload_schema_state(&self) {
        self.members.reload_schema_state();
    }

    /// Listens to channels, on a connection that is none of the pool's: see [`Listener`].
    ///
    /// # Errors
    ///
    /// As of [`ConnectBuilder::listen`].
    ///
    /// # Cancel safety
    ///
    /// As of [`ConnectBuilder::listen`].
    pub async fn listen<C: Into<String>>(
        &self,
        channels: impl IntoIterator<Item = C>,
    ) -> Result<Listener> {
        self.members.builder().listen(channels).await
    }

    /// How many connections there are, lent or not, being opened or put right.
    #[must_use]
    pub fn get_size(&self) -> usize {
        self.members.size()
    }

    /// How many there are at least.
    #[must_use]
    pub fn get_min_size(&self) -> usize {
        self.members.settings.min_size
    }

    /// How many there are at the most.
    #[must_use]
    pub fn get_max_size(&self) -> usize {
        self.members.settings.max_size
    }

    /// How many are not lent.
    #[must_use]
    pub fn get_idle_size(&self) -> usize {
        self.members.stats().idle()
    }

    /// How the pool fares.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.members.stats()
    }

    /// Whether it lends no more.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.members.is_closed()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.stats()).finish()
    }
}
