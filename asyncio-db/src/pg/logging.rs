//! Who is told of each query.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use asyncio_core::{Exception, Result};

use super::args::Args;
use super::connection::Connection;
use super::notices::ListenerId;

/// A query that has ended (`asyncpg.connection.LoggedQuery`).
#[derive(Debug)]
#[non_exhaustive]
pub struct LoggedQuery<'a> {
    /// The query.
    pub query: &'a str,
    /// Its arguments, as they are shown for debugging; those of many executions are not kept.
    pub args: &'a [String],
    /// How long it might have taken.
    pub timeout: Option<Duration>,
    /// How long it took.
    pub elapsed: Duration,
    /// What it went wrong with.
    pub exception: Option<&'a Exception>,
}

type Logger = Arc<dyn Fn(&LoggedQuery<'_>) + Send + Sync>;

/// The functions that are told of a connection's queries.
#[derive(Clone, Default)]
pub(crate) struct Loggers {
    last: u64,
    all: Vec<(ListenerId, Logger)>,
}

impl Loggers {
    fn add(&mut self, logger: impl Fn(&LoggedQuery<'_>) + Send + Sync + 'static) -> ListenerId {
        self.last += 1;
        let id = ListenerId::new(self.last);
        self.all.push((id, Arc::new(logger)));
        id
    }

    fn remove(&mut self, id: ListenerId) -> bool {
        let before = self.all.len();
        self.all.retain(|(it, _)| *it != id);
        self.all.len() < before
    }

    pub(crate) fn clear(&mut self) {
        self.all.clear();
    }

    /// Has a query run, and tells of it.
    pub(crate) async fn log<T>(
        &self,
        query: &str,
        args: &impl Args,
        timeout: Option<Duration>,
        running: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        if self.all.is_empty() {
            return running.await;
        }
        let shown = (0..args.len()).filter_map(|index| args.get(index));
        let shown: Vec<String> = shown.map(|arg| format!("{arg:?}")).collect();
        let since = Instant::now();
        let outcome = running.await;
        let logged = LoggedQuery {
            query,
            args: &shown,
            timeout,
            elapsed: since.elapsed(),
            exception: outcome.as_ref().err(),
        };
        for (_, logger) in &self.all {
            logger(&logged);
        }
        outcome
    }
}

impl Connection {
    /// Has a function called for each query that has ended, well or not: of `execute`, the `fetch` methods
    /// and `executemany`.
    pub fn add_query_logger(
        &mut self,
        logger: impl Fn(&LoggedQuery<'_>) + Send + Sync + 'static,
    ) -> ListenerId {
        self.loggers.add(logger)
    }

    /// Has it called no more. False where it was removed before.
    pub fn remove_query_logger(&mut self, id: ListenerId) -> bool {
        self.loggers.remove(id)
    }

    /// Has a function called for each query that is made through what this returns (Python's
    /// `with connection.query_logger(…)`).
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn main() -> asyncio_core::Result<()> {
    /// # let cluster = asyncio_db::testing::PgCluster::create()?;
    /// # let dsn = cluster.dsn();
    /// use std::sync::{Arc, Mutex};
    ///
    /// asyncio_core::run(async move {
    ///     let mut connection = asyncio_db::pg::connect(dsn).await?;
    ///     let queries = Arc::new(Mutex::new(Vec::new()));
    ///     let kept = Arc::clone(&queries);
    ///     let mut logged = connection.query_logger(move |query| {
    ///         kept.lock().expect("nobody panics").push(query.query.to_owned());
    ///     });
    ///     logged.execute("SELECT 1", ()).await?;
    ///     drop(logged);
    ///     connection.execute("SELECT 2", ()).await?;
    ///     assert_eq!(*queries.lock().expect("nobody panics"), ["SELECT 1"]);
    ///     connection.close().await
    /// })
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    pub fn query_logger(
        &mut self,
        logger: impl Fn(&LoggedQuery<'_>) + Send + Sync + 'static,
    ) -> QueryLogging<'_> {
        let id = self.loggers.add(logger);
        QueryLogging {
            connection: self,
            id,
        }
    }
}

/// A connection whose queries are told of; see [`Connection::query_logger`].
#[derive(Debug)]
#[must_use = "queries are told of that are made through it"]
pub struct QueryLogging<'a> {
    connection: &'a mut Connection,
    id: ListenerId,
}

impl Deref for QueryLogging<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl DerefMut for QueryLogging<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
    }
}

impl Drop for QueryLogging<'_> {
    fn drop(&mut self) {
        self.connection.loggers.remove(self.id);
    }
}

impl fmt::Debug for Loggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loggers")
            .field("count", &self.all.len())
            .finish_non_exhaustive()
    }
}
