//! Transactions, and savepoints within them.

use std::fmt;
use std::future::IntoFuture;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;

use asyncio_core::Result;

use super::connection::{Connection, limited};
use super::errors::{self, InterfaceError};
use super::execute::tag_of;
use super::link::Link;
use super::operation::Operation;
use super::protocol::IDLE;
use super::recovery::Undo;

/// How much a transaction sees of what others do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IsolationLevel {
    /// In PostgreSQL the same as [`ReadCommitted`](Self::ReadCommitted).
    ReadUncommitted,
    /// What was committed before each of its commands.
    ReadCommitted,
    /// What was committed before its first command.
    RepeatableRead,
    /// As if transactions came one after the other.
    Serializable,
}

/// A transaction, or a savepoint where it is in another one (`asyncpg.transaction.Transaction`).
///
/// It is the connection for as long as it lasts. When it goes without
/// [`commit`](Self::commit), all that was done in it is undone, by a task of its own; the connection's
/// next user waits for that.
#[must_use = "it is undone when it goes"]
pub struct Transaction<'a> {
    connection: &'a mut Connection,
    savepoint: Option<String>,
    over: bool,
}

/// What [`Connection::transaction`] is told by methods; awaiting it begins.
#[derive(Debug)]
#[must_use = "it begins when it is awaited"]
pub struct TransactionBuilder<'a> {
    connection: &'a mut Connection,
    settings: Settings,
}

#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    isolation: Option<IsolationLevel>,
    readonly: bool,
    deferrable: bool,
}

impl Connection {
    /// Begins a transaction; in a transaction, a savepoint (`async with connection.transaction()`).
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn main() -> asyncio_core::Result<()> {
    /// # let cluster = asyncio_db::testing::PgCluster::create()?;
    /// # let dsn = cluster.dsn();
    /// use asyncio_db::pg::{IsolationLevel, connect};
    ///
    /// asyncio_core::run(async move {
    ///     let mut connection = connect(dsn).await?;
    ///     connection.execute("CREATE TEMP TABLE stock (item text, count int CHECK (count >= 0))", ()).await?;
    ///
    ///     // A guard: without `commit` all is undone.
    ///     let mut transaction = connection.transaction().isolation(IsolationLevel::Serializable).await?;
    ///     transaction.execute("INSERT INTO stock VALUES ('apples', 3)", ()).await?;
    ///     transaction.commit().await?;
    ///
    ///     // Or a function: an error undoes all.
    ///     let sold = connection
    ///         .transaction()
    ///         .run(async |transaction| {
    ///             transaction.execute("UPDATE stock SET count = count - $1", (2,)).await?;
    ///             transaction.execute("UPDATE stock SET count = count - $1", (2,)).await
    ///         })
    ///         .await;
    ///     assert!(sold.is_err());
    ///     assert_eq!(connection.fetchval("SELECT count FROM stock", ()).await?, Some(3));
    ///     connection.close().await
    /// })
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] in a transaction that was begun by hand, and where a savepoint is to have
    /// another isolation than the transaction that it is in; what the server says.
    ///
    /// # Cancel safety
    ///
    /// What has been begun by then is ended.
    pub const fn transaction(&mut self) -> TransactionBuilder<'_> {
        TransactionBuilder {
            connection: self,
            settings: Settings {
                isolation: None,
                readonly: false,
                deferrable: false,
            },
        }
    }
}

impl<'a> TransactionBuilder<'a> {
    /// How much it sees of what others do; what the server is set to by default.
    pub const fn isolation(mut self, level: IsolationLevel) -> Self {
        self.settings.isolation = Some(level);
        self
    }

    /// Whether it may change nothing.
    pub const fn readonly(mut self, on: bool) -> Self {
        self.settings.readonly = on;
        self
    }

    /// Whether it waits, to begin with, until nothing can go wrong with it; for one that is serializable
    /// and changes nothing.
    pub const fn deferrable(mut self, on: bool) -> Self {
        self.settings.deferrable = on;
        self
    }

    /// Runs a function within it: what that returns is returned once all of it is committed; if it ends
    /// with an error, all of it is undone first.
    ///
    /// # Errors
    ///
    /// As of [`Connection::transaction`] and [`Transaction::commit`]; what the function ends with.
    ///
    /// # Cancel safety
    ///
    /// All that was done is undone, unless it was being committed: see [`Transaction::commit`].
    pub async fn run<T>(
        self,
        function: impl AsyncFnOnce(&mut Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut transaction = self.begin().await?;
        match function(&mut transaction).await {
            Ok(value) => {
                transaction.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // What went wrong first is what is of interest; a session that is lost has undone it.
                drop(transaction.rollback().await);
                Err(error)
            }
        }
    }

    async fn begin(self) -> Result<Transaction<'a>> {
        let Self {
            connection,
            settings,
        } = self;
        connection.link.settle().await?;
        let idle = connection.link.status() == IDLE;
        if idle {
            // One that somebody has ended by hand is over.
            connection.depth = 0;
        } else if connection.depth == 0 {
            let message = "this transaction was begun by hand; it cannot have one of ours within";
            return Err(InterfaceError::new(message).into());
        }
        let nested = connection.depth > 0;
        if nested
            && let Some(level) = settings.isolation
            && connection.isolation != Some(level)
        {
            let message = "a savepoint has the isolation of the transaction that it is in";
            return Err(InterfaceError::new(message).into());
        }
        let savepoint = nested.then(|| format!("asyncio_{}", connection.next_number()));
        let limit = connection.command_timeout;
        let link = &mut connection.link;
        limited(limit, begin(link, settings, savepoint.as_deref())).await?;
        connection.depth += 1;
        if !nested {
            connection.isolation = settings.isolation;
        }
        Ok(Transaction {
            connection,
            savepoint,
            over: false,
        })
    }
}

async fn begin(link: &mut Link, settings: Settings, savepoint: Option<&str>) -> Result<()> {
    let mut operation = link.begin().await?;
    let text = match savepoint {
        None => settings.begin(),
        Some(savepoint) => {
            operation.undo(Undo::Savepoint(savepoint.to_owned()));
            format!("SAVEPOINT {savepoint}")
        }
    };
    // It takes no time, and to interrupt it would have the transaction around it fail.
    operation.do_not_interrupt();
    let begun = tag_of(&mut operation, &text).await;
    if !matches!(&begun, Err(error) if error.is_cancelled()) {
        operation.settled();
    }
    begun.map(drop)
}

impl Settings {
    fn begin(self) -> String {
        let mut text = "BEGIN".to_owned();
        text.push_str(match self.isolation {
            None => "",
            Some(IsolationLevel::ReadUncommitted) => " ISOLATION LEVEL READ UNCOMMITTED",
            Some(IsolationLevel::ReadCommitted) => " ISOLATION LEVEL READ COMMITTED",
            Some(IsolationLevel::RepeatableRead) => " ISOLATION LEVEL REPEATABLE READ",
            Some(IsolationLevel::Serializable) => " ISOLATION LEVEL SERIALIZABLE",
        });
        if self.readonly {
            text.push_str(" READ ONLY");
        }
        if self.deferrable {
            text.push_str(" DEFERRABLE");
        }
        text
    }
}

impl Transaction<'_> {
    /// Makes lasting what was done in it; of a savepoint, a part of the transaction that it is in.
    ///
    /// # Errors
    ///
    /// What the server has against it; all of it is undone then. That a command in it has gone wrong is
    /// an error here too, of the SQLSTATE 25P02.
    ///
    /// # Cancel safety
    ///
    /// What the server was told is not called back: it is committed, or fails, without anybody hearing
    /// which; the connection's next user waits for that. Before that it is undone.
    ///
    /// # asyncio
    ///
    /// In Python a transaction in which a command has gone wrong is undone by `COMMIT` without a word.
    pub async fn commit(mut self) -> Result<()> {
        let limit = self.connection.command_timeout;
        let committing = async {
            let mut operation = self.connection.link.begin().await?;
            self.over = true;
            let text = match &self.savepoint {
                None => "COMMIT".to_owned(),
                Some(savepoint) => format!("RELEASE SAVEPOINT {savepoint}"),
            };
            end(&mut operation, &text).await
        };
        limited(limit, committing).await
    }

    /// Undoes what was done in it.
    ///
    /// # Errors
    ///
    /// When the session is lost, and with it what was done.
    ///
    /// # Cancel safety
    ///
    /// It is undone in any case.
    pub async fn rollback(mut self) -> Result<()> {
        let limit = self.connection.command_timeout;
        let undoing = async {
            let mut operation = self.connection.link.begin().await?;
            self.over = true;
            let text = match &self.savepoint {
                None => "ROLLBACK".to_owned(),
                Some(savepoint) => {
                    format!("ROLLBACK TO SAVEPOINT {savepoint}; RELEASE SAVEPOINT {savepoint}")
                }
            };
            operation.do_not_interrupt();
            tag_of(&mut operation, &text).await.map(drop)
        };
        limited(limit, undoing).await
    }
}

async fn end(operation: &mut Operation<'_>, text: &str) -> Result<()> {
    operation.do_not_interrupt();
    let tag = tag_of(operation, text).await?;
    if tag == "ROLLBACK" {
        return Err(errors::transaction_failed());
    }
    Ok(())
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        self.connection.depth = self.connection.depth.saturating_sub(1);
        if !self.over {
            self.connection.link.undo(match self.savepoint.take() {
                None => Undo::Transaction,
                Some(savepoint) => Undo::Savepoint(savepoint),
            });
        }
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("savepoint", &self.savepoint)
            .field("connection", &*self.connection)
            .finish()
    }
}

impl<'a> IntoFuture for TransactionBuilder<'a> {
    type Output = Result<Transaction<'a>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Transaction<'a>>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.begin())
    }
}
