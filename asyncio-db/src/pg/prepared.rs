//! Prepared statements that a program holds.

use std::fmt;
use std::sync::Arc;

use asyncio_core::Result;
use postgres_types::Type;

use super::args::Args;
use super::connection::{Connection, limited};
use super::errors::InterfaceError;
use super::record::Attribute;
use super::statement::{Closing, Statement};
use super::values::Json;

/// A statement that was prepared by hand (`asyncpg.prepared_stmt.PreparedStatement`).
///
/// It goes where a query goes: `connection.fetch(&statement, (7,))`, on the connection that has prepared
/// it. A clone is the same statement; when the last one goes, the server forgets it.
#[derive(Clone)]
pub struct PreparedStatement {
    held: Arc<Held>,
}

struct Held {
    statement: Arc<Statement>,
    pid: i32,
    closing: Arc<Closing>,
}

/// What can be executed: a query, or a statement that was prepared.
pub trait Query: sealed::Sealed {
    /// The query.
    fn text(&self) -> &str;

    /// The statement that was prepared for it, if it is one.
    fn prepared(&self) -> Option<&PreparedStatement> {
        None
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Sealed {}
}

impl sealed::Sealed for &str {}
impl sealed::Sealed for &String {}
impl sealed::Sealed for &PreparedStatement {}

impl Query for &str {
    fn text(&self) -> &str {
        self
    }
}

impl Query for &String {
    fn text(&self) -> &str {
        self
    }
}

impl Query for &PreparedStatement {
    fn text(&self) -> &str {
        self.get_query()
    }

    fn prepared(&self) -> Option<&PreparedStatement> {
        Some(self)
    }
}

impl Connection {
    /// Prepares a query, to be executed as often as wanted.
    ///
    /// A query that is executed as text is prepared too, and kept for the next time; this is for those
    /// who want to know what it takes and gives, or to keep it for longer.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn main() -> asyncio_core::Result<()> {
    /// # let cluster = asyncio_db::testing::PgCluster::create()?;
    /// # let dsn = cluster.dsn();
    /// asyncio_core::run(async move {
    ///     let mut connection = asyncio_db::pg::connect(dsn).await?;
    ///     let statement = connection.prepare("SELECT $1::int * 2 AS double").await?;
    ///     assert_eq!(statement.get_parameters()[0].name(), "int4");
    ///     assert_eq!(statement.get_attributes()[0].name(), "double");
    ///     assert_eq!(connection.fetchval(&statement, (21,)).await?, Some(42));
    ///     Ok(())
    /// })
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// What the server has against it.
    ///
    /// # Cancel safety
    ///
    /// What was prepared by then is forgotten.
    pub async fn prepare(&mut self, query: &str) -> Result<PreparedStatement> {
        self.prepare_under(query, None).await
    }

    /// As [`prepare`](Self::prepare), under a name, by which SQL can speak of it.
    ///
    /// # Errors
    ///
    /// As of [`prepare`](Self::prepare); when there is a statement of this name.
    ///
    /// # Cancel safety
    ///
    /// As of [`prepare`](Self::prepare).
    pub async fn prepare_named(&mut self, query: &str, name: &str) -> Result<PreparedStatement> {
        self.prepare_under(query, Some(name)).await
    }

    /// How the server would execute a query, or, where it is to be analyzed, how it has: then all that it
    /// has done is undone (`PreparedStatement.explain`).
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute).
    pub async fn explain(
        &mut self,
        query: impl Query,
        args: impl Args,
        analyze: bool,
    ) -> Result<Option<Json>> {
        let analyzed = if analyze { ", ANALYZE" } else { "" };
        let text = format!("EXPLAIN (FORMAT JSON, VERBOSE{analyzed}) {}", query.text());
        if !analyze {
            return self.fetchval(&text, args).await;
        }
        let mut transaction = self.transaction().await?;
        let plan = transaction.fetchval(&text, args).await?;
        transaction.rollback().await?;
        Ok(plan)
    }

    async fn prepare_under(
        &mut self,
        query: &str,
        name: Option<&str>,
    ) -> Result<PreparedStatement> {
        let limit = self.command_timeout;
        limited(limit, async {
            let mut operation = self.link.begin().await?;
            let statement = match name {
                Some(name) => self.statements.get_as(&mut operation, query, name).await?,
                None => self.statements.get_own(&mut operation, query).await?,
            };
            drop(operation);
            Ok(PreparedStatement {
                held: Arc::new(Held {
                    statement,
                    pid: self.get_server_pid(),
                    closing: Arc::clone(self.statements.closing()),
                }),
            })
        })
        .await
    }
}

impl PreparedStatement {
    /// The statement, on the connection that has prepared it.
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] on another one.
    pub(crate) fn on(&self, closing: &Arc<Closing>) -> Result<&Arc<Statement>> {
        if !Arc::ptr_eq(&self.held.closing, closing) {
            let message = "the statement was prepared by another connection";
            return Err(InterfaceError::new(message).into());
        }
        Ok(&self.held.statement)
    }

    /// The query.
    #[must_use]
    pub fn get_query(&self) -> &str {
        &self.held.statement.query
    }

    /// The name that the server knows it by; empty where it is prepared anew each time.
    #[must_use]
    pub fn get_name(&self) -> &str {
        &self.held.statement.name
    }

    /// The types of its arguments.
    #[must_use]
    pub fn get_parameters(&self) -> &[Type] {
        &self.held.statement.params
    }

    /// The columns of its rows.
    #[must_use]
    pub fn get_attributes(&self) -> &[Attribute] {
        &self.held.statement.columns.all
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.statement.name.is_empty() {
            self.closing.add(b'S', self.statement.name.clone());
        }
    }
}

impl fmt::Debug for PreparedStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedStatement")
            .field("query", &self.get_query())
            .field("pid", &self.held.pid)
            .finish_non_exhaustive()
    }
}
