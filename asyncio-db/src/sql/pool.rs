//! The connections of an engine.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use asyncio_core::waiting::Mutex;
use asyncio_core::{Delay, Result, timeout};
use asyncio_sync::{OwnedPermit, Semaphore};

use super::driver::Link;
use super::engine::IsolationLevel;
use super::statement::Dialect;
use crate::{pg, sqlite};

/// What an engine was told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) pool_size: usize,
    pub(super) max_overflow: usize,
    pub(super) timeout: Option<Duration>,
    pub(super) recycle: Option<Duration>,
    pub(super) pre_ping: bool,
    pub(super) echo: bool,
    pub(super) isolation: Option<IsolationLevel>,
}

impl Default for Settings {
    /// As in Python.
    fn default() -> Self {
        Self {
            pool_size: 5,
            max_overflow: 10,
            timeout: Some(Duration::from_secs(30)),
            recycle: None,
            pre_ping: false,
            echo: false,
            isolation: None,
        }
    }
}

impl Settings {
    /// So many connections there are at the most.
    fn most(&self) -> usize {
        let most = self.pool_size.saturating_add(self.max_overflow);
        // More nobody has.
        most.clamp(1, 1 << 20)
    }
}

/// How many connections an engine has (`engine.pool.status()`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStatus {
    /// All of them.
    pub size: usize,
    /// Those that nobody uses.
    pub checked_in: usize,
    /// Those that somebody uses.
    pub checked_out: usize,
}

pub(super) struct Pool {
    pub(super) settings: Settings,
    /// First come, first served.
    permits: Semaphore,
    source: Source,
}

enum Source {
    Postgres {
        connect: Box<pg::ConnectBuilder>,
        /// There once a connection was asked for: it belongs to a runtime.
        pool: Mutex<Option<pg::Pool>>,
    },
    Sqlite(Arc<Files>),
}

impl Pool {
    pub(super) fn postgres(connect: pg::ConnectBuilder, settings: Settings) -> Self {
        Self {
            settings,
            permits: Semaphore::new(settings.most()),
            source: Source::Postgres {
                connect: Box::new(connect),
                pool: Mutex::new(None),
            },
        }
    }

    pub(super) fn sqlite(
        connect: sqlite::ConnectBuilder,
        memory: bool,
        settings: Settings,
    ) -> Self {
        // What is in memory is the connection's own: there is one, and it stays.
        let (most, kept, recycle) = match memory {
            true => (1, 1, None),
            false => (settings.most(), settings.pool_size, settings.recycle),
        };
        Self {
            settings,
            permits: Semaphore::new(most),
            source: Source::Sqlite(Arc::new(Files {
                connect,
                kept,
                recycle,
                state: Mutex::new(Idle::default()),
                lent: AtomicUsize::new(0),
            })),
        }
    }

    pub(super) const fn dialect(&self) -> Dialect {
        match &self.source {
            Source::Postgres { .. } => Dialect::Postgres,
            Source::Sqlite(_) => Dialect::Sqlite,
        }
    }

    pub(super) async fn acquire(&self) -> Result<Link> {
        let permit = self.permit().await?;
        match &self.source {
            Source::Sqlite(files) => Ok(Link::Sqlite(files.borrow(permit).await?)),
            Source::Postgres { connect, pool } => {
                let pool = self.pool_of(connect, pool).await?;
                let mut permit = Some(permit);
                let mut tries = 0;
                loop {
                    let mut lease = PgLease {
                        connection: pool.acquire().await?,
                        kept: self.settings.pool_size,
                        pool: pool.clone(),
                        permit: permit.take(),
                    };
                    // Each that is lost makes room for a new one, which answers.
                    let is_last = !self.settings.pre_ping || tries > self.settings.most();
                    if is_last || ping(&mut lease).await? {
                        return Ok(Link::Pg(Box::new(lease)));
                    }
                    tries += 1;
                    permit = lease.permit.take();
                }
            }
        }
    }

    /// Waits until a connection may be borrowed.
    async fn permit(&self) -> Result<OwnedPermit> {
        let mut permit = pin!(self.permits.guard_owned());
        // The usual case, in which nobody waits, and no limit is too short.
        if let Poll::Ready(permit) = poll_fn(|cx| Poll::Ready(permit.as_mut().poll(cx))).await {
            return Ok(permit?);
        }
        let limit = self.settings.timeout.map(Delay::from);
        timeout(limit, async { Ok(permit.await?) }).await
    }

    async fn pool_of(
        &self,
        connect: &pg::ConnectBuilder,
        place: &Mutex<Option<pg::Pool>>,
    ) -> Result<pg::Pool> {
        {
            let place = place.lock();
            if let Some(pool) = &*place {
                return Ok(pool.clone());
            }
        }
        let made = pg::create_pool(connect.clone())
            .min_size(0)
            .max_size(self.settings.most())
            .max_queries(u64::MAX)
            .max_inactive_connection_lifetime(None)
            .max_connection_age(self.settings.recycle)
            .acquire_timeout(None)
            .await?;
        let mut place = place.lock();
        // Somebody else may have been quicker; an empty pool is nothing to be closed.
        Ok(place.get_or_insert(made).clone())
    }

    pub(super) async fn dispose(&self) -> Result<()> {
        match &self.source {
            Source::Postgres { pool, .. } => {
                let pool = {
                    let mut pool = pool.lock();
                    pool.take()
                };
                if let Some(pool) = pool {
                    pool.terminate();
                }
                Ok(())
            }
            Source::Sqlite(files) => {
                let idle = {
                    let mut state = files.state.lock();
                    state.generation += 1;
                    std::mem::take(&mut state.connections)
                };
                for (connection, _) in idle {
                    connection.close().await?;
                }
                Ok(())
            }
        }
    }

    pub(super) fn status(&self) -> PoolStatus {
        match &self.source {
            Source::Postgres { pool, .. } => {
                let pool = {
                    let pool = pool.lock();
                    pool.clone()
                };
                pool.map_or_else(PoolStatus::default, |pool| {
                    let (size, idle) = (pool.get_size(), pool.get_idle_size());
                    PoolStatus {
                        size,
                        checked_in: idle,
                        checked_out: size.saturating_sub(idle),
                    }
                })
            }
            Source::Sqlite(files) => {
                let idle = {
                    let state = files.state.lock();
                    state.connections.len()
                };
                // Relaxed: a number that is looked at, and decides nothing.
                let lent = files.lent.load(Ordering::Relaxed);
                PoolStatus {
                    size: idle + lent,
                    checked_in: idle,
                    checked_out: lent,
                }
            }
        }
    }
}

/// Whether the server answers; if not, the session is ended.
async fn ping(lease: &mut PgLease) -> Result<bool> {
    match lease.connection.execute("SELECT", ()).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_cancelled() => Err(error),
        Err(_) => {
            lease.connection.link.terminate();
            Ok(false)
        }
    }
}

/// A session of PostgreSQL's that is lent. Its drop gives it back, whatever it is in the middle of.
pub(super) struct PgLease {
    pub(super) connection: pg::PooledConnection,
    pool: pg::Pool,
    kept: usize,
    /// Dropped after the connection has gone back.
    permit: Option<OwnedPermit>,
}

impl PgLease {
    /// Nobody else is to get it.
    pub(super) fn invalidate(&mut self) {
        self.connection.link.terminate();
    }
}

impl Drop for PgLease {
    fn drop(&mut self) {
        if self.pool.get_size() > self.kept {
            self.connection.link.terminate();
        }
    }
}

/// Connections to one file.
struct Files {
    connect: sqlite::ConnectBuilder,
    kept: usize,
    recycle: Option<Duration>,
    state: Mutex<Idle>,
    lent: AtomicUsize,
}

#[derive(Default)]
struct Idle {
    /// The last to come back is the first to be lent.
    connections: Vec<(sqlite::Connection, Instant)>,
    /// Those of a former one are closed when they come back.
    generation: u64,
}

impl Files {
    async fn borrow(self: &Arc<Self>, permit: OwnedPermit) -> Result<SqliteLease> {
        let (idle, generation) = {
            let mut state = self.state.lock();
            (state.connections.pop(), state.generation)
        };
        let fit = idle.filter(|(connection, born)| {
            !connection.is_closed() && self.recycle.is_none_or(|age| born.elapsed() < age)
        });
        let (connection, born) = match fit {
            Some(fit) => fit,
            None => (self.connect.clone().await?, Instant::now()),
        };
        // Relaxed: see `Pool::status`.
        self.lent.fetch_add(1, Ordering::Relaxed);
        Ok(SqliteLease {
            connection: Some(connection),
            born,
            generation,
            files: Arc::clone(self),
            _permit: permit,
        })
    }
}

/// A connection of SQLite's that is lent. Its drop gives it back: what is open on it is ended first.
pub(super) struct SqliteLease {
    /// There, until it is given back.
    connection: Option<sqlite::Connection>,
    born: Instant,
    generation: u64,
    files: Arc<Files>,
    /// Dropped after the connection was put back.
    _permit: OwnedPermit,
}

impl SqliteLease {
    pub(super) fn connection(&self) -> &sqlite::Connection {
        self.connection
            .as_ref()
            .expect("it is given back by the drop")
    }

    /// Nobody else is to get it.
    pub(super) const fn invalidate(&mut self) {
        self.generation = u64::MAX;
    }
}

impl Drop for SqliteLease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        // Relaxed: see `Pool::status`.
        self.files.lent.fetch_sub(1, Ordering::Relaxed);
        connection.reset();
        let mut state = self.files.state.lock();
        if self.generation == state.generation && state.connections.len() < self.files.kept {
            state.connections.push((connection, self.born));
            return;
        }
        drop(state);
        drop(connection);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("settings", &self.settings)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
