//! What a pool is told.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use asyncio_core::{Result, ValueError};

use super::Pool;
use super::members::Members;
use crate::pg::config::IntoConfig;
use crate::pg::connect::{ConnectBuilder, connect};
use crate::pg::connection::Connection;

/// Opens a pool of connections (`asyncpg.create_pool`).
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> asyncio_core::Result<()> {
/// # let cluster = asyncio_db::testing::PgCluster::create()?;
/// # let dsn = cluster.dsn();
/// use asyncio_core::{create_task, gather_iter};
/// use asyncio_db::pg::create_pool;
///
/// asyncio_core::run(async move {
///     let pool = create_pool(dsn).min_size(1).max_size(3).await?;
///     let queries = (0..10).map(|n| {
///         let pool = pool.clone();
///         create_task(async move {
///             let mut connection = pool.acquire().await?;
///             connection.fetchval::<i32>("SELECT $1::int", (n,)).await
///         })
///     });
///     let answers = gather_iter(queries.collect::<Vec<_>>()).await?;
///     assert_eq!(answers, (0..10).map(Some).collect::<Vec<_>>());
///     pool.close().await
/// })
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
///
/// What is to be said of the connections themselves is said to a [`ConnectBuilder`], from which a pool is
/// made as well as from a DSN.
///
/// # Errors
///
/// As of [`connect`]; [`ValueError`] when there are to be more connections at least than at the most, or
/// none at the most.
///
/// # Cancel safety
///
/// All that has been opened is closed.
pub fn create_pool(server: impl Into<ConnectBuilder>) -> PoolBuilder {
    PoolBuilder {
        server: server.into(),
        settings: Settings::default(),
    }
}

impl<C: IntoConfig> From<C> for ConnectBuilder {
    fn from(server: C) -> Self {
        connect(server)
    }
}

/// What [`create_pool`] is told by methods; awaiting it opens the pool.
#[derive(Clone, Debug)]
#[must_use = "it is opened when it is awaited"]
pub struct PoolBuilder {
    server: ConnectBuilder,
    settings: Settings,
}

/// What a function of the program's does with a connection.
pub(super) type Hook =
    Arc<dyn for<'a> Fn(&'a mut Connection) -> HookFuture<'a> + Send + Sync + 'static>;

pub(super) type HookFuture<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// What is done to a connection that comes back, beside ending its transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reset {
    /// Advisory locks are released, cursors closed, settings put back and channels left, as in Python.
    #[default]
    Full,
    /// What this script does.
    Query(String),
    /// Nothing.
    RollbackOnly,
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) min_size: usize,
    pub(super) max_size: usize,
    pub(super) max_queries: u64,
    pub(super) max_idle: Option<Duration>,
    pub(super) max_age: Option<Duration>,
    pub(super) acquire_timeout: Option<Duration>,
    pub(super) reset: Reset,
    pub(super) init: Option<Hook>,
    pub(super) setup: Option<Hook>,
}

impl Default for Settings {
    /// As in Python, but for the time limit.
    fn default() -> Self {
        Self {
            min_size: 10,
            max_size: 10,
            max_queries: 50_000,
            max_idle: Some(Duration::from_secs(300)),
            max_age: None,
            acquire_timeout: Some(Duration::from_secs(30)),
            reset: Reset::Full,
            init: None,
            setup: None,
        }
    }
}

impl Settings {
    /// Whether the program does something with a connection before it is lent.
    pub(super) const fn has_functions(&self) -> bool {
        self.init.is_some() || self.setup.is_some()
    }
}

impl PoolBuilder {
    /// How many connections there are at least, 10 by default; they are opened with the pool.
    pub const fn min_size(mut self, count: usize) -> Self {
        self.settings.min_size = count;
        self
    }

    /// How many connections there are at the most, 10 by default.
    pub const fn max_size(mut self, count: usize) -> Self {
        self.settings.max_size = count;
        self
    }

    /// After so many operations a connection is replaced, 50,000 by default.
    pub const fn max_queries(mut self, count: u64) -> Self {
        self.settings.max_queries = count;
        self
    }

    /// After so long without being lent a connection is closed, five minutes by default, unless there are
    /// as few as there have to be; `None` for never.
    pub const fn max_inactive_connection_lifetime(mut self, time: Option<Duration>) -> Self {
        self.settings.max_idle = time;
        self
    }

    /// After so long a connection is replaced; never by default.
    pub const fn max_connection_age(mut self, time: Option<Duration>) -> Self {
        self.settings.max_age = time;
        self
    }

    /// How long one waits for a connection at the most, 30 seconds by default; `None` for as long as it
    /// takes. The functions of [`init`](Self::init) and [`setup`](Self::setup) are a part of that.
    pub const fn acquire_timeout(mut self, time: Option<Duration>) -> Self {
        self.settings.acquire_timeout = time;
        self
    }

    /// How long each operation on a connection may take; as long as it takes by default.
    pub fn command_timeout(mut self, time: Duration) -> Self {
        self.server = self.server.command_timeout(time);
        self
    }

    /// What is done to a connection that comes back.
    pub fn reset(mut self, reset: Reset) -> Self {
        self.settings.reset = reset;
        self
    }

    /// A function for each connection that is opened.
    pub fn init(
        mut self,
        function: impl for<'a> Fn(&'a mut Connection) -> HookFuture<'a> + Send + Sync + 'static,
    ) -> Self {
        self.settings.init = Some(Arc::new(function));
        self
    }

    /// A function for each connection that is about to be lent.
    pub fn setup(
        mut self,
        function: impl for<'a> Fn(&'a mut Connection) -> HookFuture<'a> + Send + Sync + 'static,
    ) -> Self {
        self.settings.setup = Some(Arc::new(function));
        self
    }

    async fn open(self) -> Result<Pool> {
        let Settings {
            min_size,
            max_size,
            max_queries,
            ..
        } = self.settings;
        if max_size == 0 {
            return Err(ValueError::new("max_size is expected to be greater than zero").into());
        }
        if min_size > max_size {
            return Err(ValueError::new("min_size is greater than max_size").into());
        }
        if max_queries == 0 {
            return Err(ValueError::new("max_queries is expected to be greater than zero").into());
        }
        let members = Members::open(self.server, self.settings).await?;
        Ok(Pool { members })
    }
}

impl IntoFuture for PoolBuilder {
    type Output = Result<Pool>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Pool>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("min_size", &self.min_size)
            .field("max_size", &self.max_size)
            .field("reset", &self.reset)
            .finish_non_exhaustive()
    }
}
