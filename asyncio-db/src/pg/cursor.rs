//! Cursors: the rows of a query, so many at a time.

use std::collections::VecDeque;
use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;

use asyncio_core::Result;
use postgres_protocol::message::frontend;

use super::args::Args;
use super::connection::{Connection, limited};
use super::errors::InterfaceError;
use super::execute::{Outcome, tag_of};
use super::prepared::Query;
use super::protocol::IDLE;
use super::record::{Columns, Record};

/// The rows of a query, which the server keeps and gives so many at a time
/// (`asyncpg.cursor.Cursor`). It lasts as long as the transaction that it is in.
///
/// Between two calls the connection may be used for something else:
/// [`connection`](Self::connection).
pub struct Cursor<'a> {
    connection: &'a mut Connection,
    portal: String,
    columns: Arc<Columns>,
    prefetch: i32,
    ready: VecDeque<Record>,
    exhausted: bool,
}

/// What [`Connection::cursor`] is told by methods; awaiting it opens the cursor.
#[must_use = "it is opened when it is awaited"]
pub struct CursorBuilder<'a, Q, A> {
    connection: &'a mut Connection,
    query: Q,
    args: A,
    prefetch: i32,
}

/// As in Python.
const PREFETCH: i32 = 50;

impl Connection {
    /// Opens a cursor for the rows of a query, in a transaction.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn main() -> asyncio_core::Result<()> {
    /// # let cluster = asyncio_db::testing::PgCluster::create()?;
    /// # let dsn = cluster.dsn();
    /// asyncio_core::run(async move {
    ///     let mut connection = asyncio_db::pg::connect(dsn).await?;
    ///     let mut transaction = connection.transaction().await?;
    ///     let mut cursor = transaction.cursor("SELECT generate_series(1, $1::int)", (1000,)).await?;
    ///     while let Some(row) = cursor.next().await? {
    ///         let n: i32 = row.get(0)?;
    ///         if n == 10 {
    ///             break;
    ///         }
    ///     }
    ///     assert_eq!(cursor.forward(100).await?, 100);
    ///     Ok(())
    /// })
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] outside of a transaction; what the server has against the query.
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute).
    pub const fn cursor<Q: Query, A: Args>(
        &mut self,
        query: Q,
        args: A,
    ) -> CursorBuilder<'_, Q, A> {
        CursorBuilder {
            connection: self,
            query,
            args,
            prefetch: PREFETCH,
        }
    }
}

impl<'a, Q: Query, A: Args> CursorBuilder<'a, Q, A> {
    /// How many rows [`Cursor::next`] asks for at once, 50 by default; at least one.
    pub fn prefetch(mut self, rows: u16) -> Self {
        self.prefetch = i32::from(rows.max(1));
        self
    }

    async fn open(self) -> Result<Cursor<'a>> {
        let Self {
            connection,
            query,
            args,
            prefetch,
        } = self;
        connection.link.settle().await?;
        if connection.link.status() == IDLE {
            let message = "a cursor lasts as long as its transaction, and there is none";
            return Err(InterfaceError::new(message).into());
        }
        let portal = format!("asyncio_{}", connection.next_number());
        let limit = connection.command_timeout;
        let (link, statements) = (&mut connection.link, &mut connection.statements);
        let columns = limited(limit, async {
            let mut operation = link.begin().await?;
            let statement = statements.of(&mut operation, &query).await?;
            operation.about(&statement.query, statement.is_named());
            let wire = operation.wire()?;
            statements.write_closing(wire)?;
            statement.write_bind(wire, &args, &portal)?;
            wire.sync();
            operation.until_ready(|_| Ok(())).await?;
            Ok(Arc::clone(&statement.columns))
        })
        .await?;
        Ok(Cursor {
            connection,
            portal,
            columns,
            prefetch,
            ready: VecDeque::new(),
            exhausted: false,
        })
    }
}

impl Cursor<'_> {
    /// The next row; `None` after the last one.
    ///
    /// # Errors
    ///
    /// What goes wrong with the query meanwhile.
    ///
    /// # Cancel safety
    ///
    /// As of [`Connection::execute`].
    pub async fn next(&mut self) -> Result<Option<Record>> {
        if self.ready.is_empty() && !self.exhausted {
            self.ready = self.more(self.prefetch).await?.into();
        }
        Ok(self.ready.pop_front())
    }

    /// The next rows, so many of them at the most.
    ///
    /// # Errors
    ///
    /// As of [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// As of [`next`](Self::next).
    pub async fn fetch(&mut self, most: u16) -> Result<Vec<Record>> {
        let most = usize::from(most);
        while self.ready.len() < most && !self.exhausted {
            let missing = i32::try_from(most - self.ready.len()).unwrap_or(i32::MAX);
            let more = self.more(missing).await?;
            self.ready.extend(more);
        }
        let taken = most.min(self.ready.len());
        Ok(self.ready.drain(..taken).collect())
    }

    /// The next row, without asking for others (`Cursor.fetchrow`).
    ///
    /// # Errors
    ///
    /// As of [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// As of [`next`](Self::next).
    pub async fn fetchrow(&mut self) -> Result<Option<Record>> {
        Ok(self.fetch(1).await?.pop())
    }

    /// Passes over so many rows; how many there were.
    ///
    /// # Errors
    ///
    /// As of [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// As of [`next`](Self::next).
    pub async fn forward(&mut self, rows: u32) -> Result<u64> {
        let wanted = usize::try_from(rows).unwrap_or(usize::MAX);
        let passed = wanted.min(self.ready.len());
        self.ready.drain(..passed);
        let missing = wanted - passed;
        let mut moved = 0;
        if missing > 0 && !self.exhausted {
            let text = format!("MOVE FORWARD {missing} FROM {}", self.portal);
            let limit = self.connection.command_timeout;
            let link = &mut self.connection.link;
            let tag = limited(limit, async {
                tag_of(&mut link.begin().await?, &text).await
            })
            .await?;
            moved = tag.rows().unwrap_or(0);
        }
        Ok(passed as u64 + moved)
    }

    /// The connection, for something else.
    pub const fn connection(&mut self) -> &mut Connection {
        self.connection
    }

    async fn more(&mut self, most: i32) -> Result<Vec<Record>> {
        let limit = self.connection.command_timeout;
        let (link, statements) = (&mut self.connection.link, &mut self.connection.statements);
        let (columns, portal) = (&self.columns, &self.portal);
        let outcome = limited(limit, async {
            let mut operation = link.begin().await?;
            let wire = operation.wire()?;
            statements.write_closing(wire)?;
            wire.extended(|out| frontend::execute(portal, most, out))?;
            wire.sync();
            let mut outcome = Outcome::of(columns);
            operation
                .until_ready(|incoming| {
                    outcome.hear(incoming);
                    Ok(())
                })
                .await?;
            Ok(outcome)
        })
        .await?;
        self.exhausted = !outcome.suspended;
        Ok(outcome.into_rows())
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        let portal = std::mem::take(&mut self.portal);
        self.connection.statements.closing().add(b'P', portal);
    }
}

impl<'a, Q, A> IntoFuture for CursorBuilder<'a, Q, A>
where
    Q: Query + Send + Sync + 'a,
    A: Args + Send + Sync + 'a,
{
    type Output = Result<Cursor<'a>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Cursor<'a>>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

impl fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("portal", &self.portal)
            .field("exhausted", &self.exhausted)
            .finish_non_exhaustive()
    }
}

impl<Q, A> fmt::Debug for CursorBuilder<'_, Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CursorBuilder").finish_non_exhaustive()
    }
}
