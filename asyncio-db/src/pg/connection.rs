//! `Connection`.

use std::fmt;
use std::time::Duration;

use asyncio_core::{Result, TimeoutError, current_task, timeout};
use postgres_types::FromSqlOwned;

use super::args::Args;
use super::execute;
use super::link::{Link, ServerVersion};
use super::logging::Loggers;
use super::notices::ListenerId;
use super::prepared::Query;
use super::protocol::{IDLE, Wire};
use super::record::Record;
use super::statement::Statements;
use super::tag::CommandTag;
use super::transaction::IsolationLevel;
use crate::exceptions::PgError;

/// A session with a PostgreSQL server (`asyncpg.Connection`).
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> asyncio_core::Result<()> {
/// # let cluster = asyncio_db::testing::PgCluster::create()?;
/// # let dsn = cluster.dsn();
/// use asyncio_db::{ExceptionExt as _, exc};
///
/// asyncio_core::run(async move {
///     let mut connection = asyncio_db::pg::connect(dsn).await?;
///     let tag = connection
///         .execute("CREATE TEMP TABLE t (n int PRIMARY KEY); INSERT INTO t VALUES (1), (2)", ())
///         .await?;
///     assert_eq!(tag, "INSERT 0 2");
///
///     let rows = connection.fetch("SELECT n FROM t ORDER BY n", ()).await?;
///     assert_eq!(rows.len(), 2);
///     let sum: Option<i64> = connection.fetchval("SELECT sum(n) FROM t", ()).await?;
///     assert_eq!(sum, Some(3));
///     assert!(connection.fetchrow("SELECT n FROM t WHERE n > $1", (7,)).await?.is_none());
///
///     let error = connection.execute("INSERT INTO t VALUES ($1)", (1,)).await.expect_err("it is there");
///     assert!(error.is_pg::<exc::UniqueViolationError>());
///     connection.close().await
/// })
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
pub struct Connection {
    pub(crate) link: Link,
    pub(crate) statements: Statements,
    pub(crate) command_timeout: Option<Duration>,
    /// So many transactions of ours are under way, one in the other.
    pub(crate) depth: u32,
    /// The isolation that the outermost was given.
    pub(crate) isolation: Option<IsolationLevel>,
    /// Numbers savepoints and portals.
    pub(crate) last_number: u64,
    pub(crate) loggers: Loggers,
}

impl Connection {
    /// Executes a script, or one command with arguments, and says what the last command has done.
    ///
    /// Without arguments there may be several commands in it, separated by semicolons; they are one
    /// transaction, unless they say otherwise.
    ///
    /// # Errors
    ///
    /// [`PgError`] with what the server has against it.
    ///
    /// # Cancel safety
    ///
    /// The server is asked to stop, and the connection is ready for its next use once it has. What the
    /// command has done by then is undone, unless it had ended already.
    pub async fn execute(&mut self, query: impl Query, args: impl Args) -> Result<CommandTag> {
        let limit = self.command_timeout;
        let (link, statements) = (&mut self.link, &mut self.statements);
        let running = limited(limit, async {
            if args.is_empty() && query.prepared().is_none() {
                return execute::script(link, query.text()).await;
            }
            let outcome = execute::query(link, statements, &query, &args, 0).await?;
            outcome.tag()
        });
        self.loggers.log(query.text(), &args, limit, running).await
    }

    /// Executes a query and returns its rows.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute).
    pub async fn fetch(&mut self, query: impl Query, args: impl Args) -> Result<Vec<Record>> {
        Ok(self.run(&query, &args, 0).await?.into_rows())
    }

    /// Executes a query and returns its first row, if there is one.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute).
    pub async fn fetchrow(&mut self, query: impl Query, args: impl Args) -> Result<Option<Record>> {
        Ok(self.run(&query, &args, 1).await?.into_first_row())
    }

    /// Executes a query and returns the first value of its first row; `None` where there is no row, or
    /// where that is null.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute); [`DecodeError`](super::DecodeError) when the value is of another
    /// type.
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute).
    pub async fn fetchval<T: FromSqlOwned>(
        &mut self,
        query: impl Query,
        args: impl Args,
    ) -> Result<Option<T>> {
        match self.fetchrow(query, args).await? {
            Some(row) => row.get(0),
            None => Ok(None),
        }
    }

    async fn run(
        &mut self,
        query: &impl Query,
        args: &impl Args,
        most_rows: i32,
    ) -> Result<execute::Outcome> {
        let limit = self.command_timeout;
        let running = execute::query(&mut self.link, &mut self.statements, query, args, most_rows);
        let running = limited(limit, running);
        self.loggers.log(query.text(), args, limit, running).await
    }

    /// Whether the session is inside of a transaction, be it one that has failed.
    #[must_use]
    pub fn is_in_transaction(&self) -> bool {
        self.link.status() != IDLE
    }

    /// Whether nothing can be done with it any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.link.is_closed()
    }

    /// The number of the server's process for this session.
    #[must_use]
    pub fn get_server_pid(&self) -> i32 {
        self.link.shared().backend.pid
    }

    /// Which version of PostgreSQL the server is.
    #[must_use]
    pub fn get_server_version(&self) -> ServerVersion {
        self.link.shared().version
    }

    /// Puts the session back to how it was when it was opened: ends a transaction, closes cursors, releases
    /// advisory locks and undoes settings.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute).
    pub async fn reset(&mut self) -> Result<()> {
        let script = self.reset_script();
        self.link.shared().notices.clear();
        limited(self.command_timeout, self.link.put_right(Some(script))).await
    }

    /// What resets a session, as asyncpg does.
    pub(crate) fn reset_script(&self) -> &'static str {
        if self.get_setting("in_hot_standby") == Some("on") {
            // A server that follows another one knows no channels.
            "SELECT pg_catalog.pg_advisory_unlock_all(); CLOSE ALL; RESET ALL"
        } else {
            "SELECT pg_catalog.pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL"
        }
    }

    /// One of the settings that the server tells of unasked, such as `TimeZone`; nothing while something
    /// that was left in the middle is being put right.
    #[must_use]
    pub fn get_setting(&self, name: &str) -> Option<&str> {
        let parameters = self.link.wire().map(Wire::parameters)?;
        parameters.get(name).map(String::as_str)
    }

    /// Has a function called for each notice and warning of the server.
    ///
    /// It is called where the notice is read, and should not take long.
    pub fn add_log_listener(
        &mut self,
        listener: impl Fn(&PgError) + Send + Sync + 'static,
    ) -> ListenerId {
        self.link.shared().notices.add(listener)
    }

    /// Has it called no more. False where it was removed before.
    pub fn remove_log_listener(&mut self, id: ListenerId) -> bool {
        self.link.shared().notices.remove(id)
    }

    /// Waits until what was left in the middle has been put right. Every operation begins with that.
    ///
    /// # Errors
    ///
    /// When the session could not be rescued.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn settle(&mut self) -> Result<()> {
        self.link.settle().await
    }

    /// Forgets what the server has said of its types and statements, for after a change of its schema
    /// (`Connection.reload_schema_state`).
    pub fn reload_schema_state(&mut self) {
        self.statements.forget_all();
    }

    /// Ends the session, once what is under way has ended.
    ///
    /// # Errors
    ///
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// The session is ended in any case.
    pub async fn close(mut self) -> Result<()> {
        match self.link.settle().await {
            Err(error) if error.is_cancelled() => Err(error),
            // Where it went, it is gone.
            _ => {
                self.link.terminate();
                Ok(())
            }
        }
    }

    /// Ends the session at once.
    pub fn terminate(mut self) {
        self.link.terminate();
    }

    /// It goes back to its pool: what its borrower has told us is of no interest any more.
    pub(crate) fn forget_borrower(&mut self) {
        self.depth = 0;
        self.isolation = None;
        self.loggers.clear();
        let listeners = self.link.shared().notices.clear_all();
        if listeners > 0 {
            let pid = self.get_server_pid();
            tracing::warn!(
                pid,
                listeners,
                "a connection goes back to its pool with listeners"
            );
        }
    }

    /// A number that no savepoint and no portal has had.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

/// Runs an operation for so long at the most.
pub(crate) async fn limited<T>(
    limit: Option<Duration>,
    operation: impl Future<Output = Result<T>>,
) -> Result<T> {
    match limit {
        None => operation.await,
        // In a task the limit is a request to cancel, which the body may answer; a time of the loop's.
        Some(limit) if current_task().is_some() => timeout(limit, operation).await,
        // Elsewhere there is nobody to cancel, and on a loop's thread no clock of the loop's.
        Some(limit) => match tokio::time::timeout(limit, operation).await {
            Ok(done) => done,
            Err(_) => Err(TimeoutError::new("the operation took too long").into()),
        },
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.link.terminate();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("pid", &self.get_server_pid())
            .field("closed", &self.is_closed())
            .field("in_transaction", &self.is_in_transaction())
            .finish_non_exhaustive()
    }
}
