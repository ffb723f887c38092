//! Connections of an engine.

use std::fmt;

use asyncio_core::Result;
use tracing::info;

use super::driver::{Done, Link, Outcome, Step};
use super::engine::{Engine, IsolationLevel};
use super::errors::{InvalidRequestError, PendingRollbackError, ResourceClosedError};
use super::result::{ResultSet, Scalars};
use super::row::Row;
use super::statement::{Compiled, Dialect, Scalar, Shape, Statement};
use super::stream::ResultStream;
use super::transaction::Transaction;
use crate::{pg, sqlite};

/// A connection that is borrowed from an [`Engine`] (`sqlalchemy.ext.asyncio.AsyncConnection`).
///
/// The first statement begins a transaction. When the connection goes without [`commit`](Self::commit), it
/// goes back to the engine, and what was done is rolled back.
///
/// On SQLite the transaction is one that writes if its first statement does: that waits until nobody else
/// writes. What reads first and writes later may find that somebody else has written meanwhile, and fail;
/// who is going to write does better to [`begin`](Self::begin).
///
/// # Cancel safety
///
/// A statement that is cancelled, or whose future is dropped, is stopped, and the connection is ready for
/// its next use once it has. Its transaction counts as failed, unless the statement had ended or had not
/// begun: [`rollback`](Self::rollback) ends it, and so does the end of the connection.
pub struct EngineConnection {
    engine: Engine,
    /// There, until it is closed.
    link: Option<Link>,
    isolation: Option<IsolationLevel>,
    begun: bool,
    /// So many savepoints are open.
    depth: usize,
    /// What is to be undone first: a guard that has gone has left it.
    debt: Option<Debt>,
    /// Whether nobody knows if the transaction is still there.
    suspect: bool,
    last_savepoint: u64,
    /// The statement whose rows are being read.
    streaming: Option<Compiled>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Debt {
    Transaction,
    Savepoint(u64),
}

impl EngineConnection {
    pub(super) fn new(engine: Engine, link: Link) -> Self {
        Self {
            isolation: engine.pool.settings.isolation,
            engine,
            link: Some(link),
            begun: false,
            depth: 0,
            debt: None,
            suspect: false,
            last_savepoint: 0,
            streaming: None,
        }
    }

    /// Executes a statement and reads all its rows.
    ///
    /// # Errors
    ///
    /// What the database says: a [`PgError`](crate::PgError) or a [`SqliteError`](sqlite::SqliteError);
    /// [`ValueError`](super::ValueError) when a row is not what it is to become;
    /// [`PendingRollbackError`] when the transaction is over.
    ///
    /// # Cancel safety
    ///
    /// See [`EngineConnection`].
    pub async fn execute<S: Statement>(
        &mut self,
        statement: S,
    ) -> Result<ResultSet<<S::Shape as Shape>::Plain>> {
        let compiled = statement.compile(self.dialect())?;
        let outcome = self.run(&compiled).await?;
        let rows = outcome.rows.iter().map(S::Shape::plain);
        let rows = rows.collect::<Result<_>>()?;
        Ok(ResultSet::new(rows, outcome.rows, outcome.count))
    }

    /// Executes a statement; the first value of each row.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// See [`EngineConnection`].
    pub async fn scalars<S: Statement>(
        &mut self,
        statement: S,
    ) -> Result<Scalars<<<S::Shape as Shape>::Plain as Scalar>::Scalar>> {
        Ok(self.execute(statement).await?.scalars())
    }

    /// Executes a statement; the first value of the first row, if there is one.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// See [`EngineConnection`].
    pub async fn scalar<S: Statement>(
        &mut self,
        statement: S,
    ) -> Result<Option<<<S::Shape as Shape>::Plain as Scalar>::Scalar>> {
        Ok(self.execute(statement).await?.scalar())
    }

    /// Executes a statement and reads its rows as they are asked for, in as much memory as they need on
    /// their way. Until then the connection does nothing else.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// See [`EngineConnection`].
    pub async fn stream<S: Statement>(
        &mut self,
        statement: S,
    ) -> Result<ResultStream<'_, <S::Shape as Shape>::Plain>> {
        let compiled = statement.compile(self.dialect())?;
        self.open_stream(compiled, S::Shape::plain).await
    }

    pub(super) async fn open_stream<'a, R>(
        &'a mut self,
        statement: Compiled,
        make: impl FnMut(&Row) -> Result<R> + Send + 'a,
    ) -> Result<ResultStream<'a, R>> {
        self.ready(statement.writes).await?;
        self.echo(&statement);
        // Until it has ended nobody knows.
        self.suspect = true;
        let in_transaction = self.begun;
        let Self {
            link, streaming, ..
        } = self;
        let link = link.as_mut().ok_or(CLOSED)?;
        let statement = streaming.insert(statement);
        ResultStream::open(link, statement, in_transaction, make).await
    }

    /// Begins a transaction, which is rolled back when the guard goes without
    /// [`commit`](Transaction::commit). On SQLite it is one that writes: nobody else writes meanwhile.
    ///
    /// # Errors
    ///
    /// [`InvalidRequestError`] when there is one already; what the database says.
    ///
    /// # Cancel safety
    ///
    /// What has been begun by then is ended, and the connection is closed.
    pub async fn begin(&mut self) -> Result<Transaction<'_>> {
        self.pay().await?;
        if self.begun {
            let message = "a transaction is already begun on this connection";
            return Err(InvalidRequestError::new(message).into());
        }
        self.start().await?;
        Ok(Transaction::new(self, None))
    }

    /// Begins a savepoint, and before that a transaction if there is none
    /// (`connection.begin_nested()`). What is done after it is undone when the guard goes without
    /// [`commit`](Transaction::commit).
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// The connection is closed, and the transaction rolled back.
    pub async fn begin_nested(&mut self) -> Result<Transaction<'_>> {
        let number = self.open_savepoint().await?;
        Ok(Transaction::new(self, Some(number)))
    }

    /// Commits the transaction, if there is one.
    ///
    /// # Errors
    ///
    /// What the database has against it, and [`PendingRollbackError`] when it has failed before; all of it
    /// is rolled back then.
    ///
    /// # Cancel safety
    ///
    /// The connection is closed. What the database was told is not called back: the transaction is
    /// committed as a whole, or rolled back, without anybody hearing which.
    pub async fn commit(&mut self) -> Result<()> {
        self.pay().await?;
        if !self.begun {
            return Ok(());
        }
        let mut link = self.link.take().ok_or(CLOSED)?;
        let committed = if self.suspect && !link.is_in_transaction().await? {
            Err(PendingRollbackError.into())
        } else {
            self.tell("COMMIT");
            link.commit().await
        };
        if let Err(error) = committed {
            if error.is_cancelled() {
                return Err(error);
            }
            link.rollback().await?;
            self.ended(link);
            return Err(error);
        }
        self.ended(link);
        Ok(())
    }

    /// Rolls the transaction back, if there is one.
    ///
    /// # Errors
    ///
    /// When the connection is lost, and with it what was done.
    ///
    /// # Cancel safety
    ///
    /// It is rolled back in any case, and the connection is closed.
    pub async fn rollback(&mut self) -> Result<()> {
        if self.is_closed() {
            // It was rolled back with that.
            return Ok(());
        }
        if self.begun {
            self.debt = Some(Debt::Transaction);
        }
        self.pay().await
    }

    /// Gives it back; what was not committed is rolled back.
    ///
    /// # Errors
    ///
    /// As of [`rollback`](Self::rollback).
    ///
    /// # Cancel safety
    ///
    /// As of [`rollback`](Self::rollback).
    pub async fn close(mut self) -> Result<()> {
        self.rollback().await
    }

    /// Has it closed instead of lent again, because there is something wrong with it.
    pub fn invalidate(mut self) {
        if let Some(link) = &mut self.link {
            link.invalidate();
        }
    }

    /// How much its transactions see of each other, from the next one on.
    ///
    /// # Errors
    ///
    /// [`InvalidRequestError`] within a transaction.
    pub fn set_isolation_level(&mut self, level: IsolationLevel) -> Result<()> {
        if self.begun {
            let message = "the isolation of a transaction that has begun stays as it is";
            return Err(InvalidRequestError::new(message).into());
        }
        self.isolation = Some(level);
        Ok(())
    }

    /// How much its transactions see of each other, if that was said.
    #[must_use]
    pub const fn get_isolation_level(&self) -> Option<IsolationLevel> {
        self.isolation
    }

    /// Whether a transaction has begun.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        self.begun && self.debt != Some(Debt::Transaction)
    }

    /// Whether it is in a savepoint.
    #[must_use]
    pub const fn in_nested_transaction(&self) -> bool {
        self.depth > 0
    }

    /// Whether it was given back.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.link.is_none()
    }

    /// Whether anything may have been done on it that is lost if it is closed.
    pub(super) const fn has_begun(&self) -> bool {
        self.begun
    }

    /// The engine that it is of.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Which SQL it speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.engine.dialect()
    }

    /// What it is underneath, if that is PostgreSQL (`get_raw_connection`). What is done with it takes part
    /// in the transaction; it is to be begun and ended here.
    #[must_use]
    pub fn postgresql(&mut self) -> Option<&mut pg::Connection> {
        self.link.as_mut()?.pg()
    }

    /// What it is underneath, if that is SQLite; see [`postgresql`](Self::postgresql).
    #[must_use]
    pub fn sqlite(&self) -> Option<&sqlite::Connection> {
        self.link.as_ref()?.sqlite()
    }

    // -- for transactions and sessions ---------------------------------------

    /// Executes a statement.
    pub(super) async fn run(&mut self, statement: &Compiled) -> Result<Outcome> {
        self.ready(statement.writes).await?;
        self.echo(statement);
        let link = self.link.as_mut().ok_or(CLOSED)?;
        self.suspect = true;
        let outcome = link.execute(statement).await?;
        self.suspect = false;
        Ok(outcome)
    }

    /// Executes statements, with one answer.
    pub(super) async fn run_all(&mut self, steps: Vec<Step>) -> Result<Vec<Done>> {
        self.ready(true).await?;
        if self.engine.pool.settings.echo {
            for Step { sql, values, .. } in &steps {
                info!(target: "asyncio_db::sql", %sql, ?values);
            }
        }
        let link = self.link.as_mut().ok_or(CLOSED)?;
        self.suspect = true;
        let done = link.execute_all(steps).await?;
        self.suspect = false;
        Ok(done)
    }

    /// Begins a transaction that writes; there must be none.
    pub(super) async fn start(&mut self) -> Result<()> {
        self.start_one(true).await
    }

    /// Begins a savepoint; its number.
    pub(super) async fn open_savepoint(&mut self) -> Result<u64> {
        if self.isolation == Some(IsolationLevel::Autocommit) {
            let message = "there are no savepoints without a transaction";
            return Err(InvalidRequestError::new(message).into());
        }
        self.ready(true).await?;
        self.last_savepoint += 1;
        let number = self.last_savepoint;
        self.script(&format!("SAVEPOINT sa_savepoint_{number}"))
            .await?;
        self.depth += 1;
        Ok(number)
    }

    /// Makes what was done since the savepoint a part of the transaction.
    pub(super) async fn release_savepoint(&mut self, number: u64) -> Result<()> {
        self.pay().await?;
        if self.suspect {
            self.check().await?;
        }
        self.script(&format!("RELEASE SAVEPOINT sa_savepoint_{number}"))
            .await
    }

    /// What was done since the savepoint is undone before anything else is done.
    pub(super) fn leave_savepoint(&mut self, number: u64) {
        // What is to be undone as a whole is undone with it.
        if self.debt != Some(Debt::Transaction) {
            self.debt = Some(Debt::Savepoint(number));
        }
    }

    /// The savepoint is over, in whichever way.
    pub(super) const fn savepoint_is_over(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// The transaction is rolled back before anything else is done.
    pub(super) const fn leave_transaction(&mut self) {
        if self.begun {
            self.debt = Some(Debt::Transaction);
        }
    }

    /// Does what guards that have gone have left to be done.
    pub(super) async fn pay(&mut self) -> Result<()> {
        let Some(debt) = self.debt else {
            return match self.link {
                Some(_) => Ok(()),
                None => Err(CLOSED.into()),
            };
        };
        match debt {
            Debt::Transaction => {
                // Were it left in the middle, it would be closed, and rolled back so.
                let mut link = self.link.take().ok_or(CLOSED)?;
                self.tell("ROLLBACK");
                link.rollback().await?;
                self.ended(link);
            }
            Debt::Savepoint(number) => {
                let name = format!("sa_savepoint_{number}");
                if self.suspect {
                    self.check().await?;
                }
                let undo = format!("ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}");
                self.script(&undo).await?;
                self.debt = None;
            }
        }
        Ok(())
    }

    fn ended(&mut self, link: Link) {
        self.link = Some(link);
        self.begun = false;
        self.suspect = false;
        self.debt = None;
        self.depth = 0;
    }

    async fn script(&mut self, script: &str) -> Result<()> {
        self.tell(script);
        // As above.
        let mut link = self.link.take().ok_or(CLOSED)?;
        let done = link.savepoint(script).await;
        if !matches!(&done, Err(error) if error.is_cancelled()) {
            self.link = Some(link);
        }
        done
    }

    /// Has a transaction begun, unless there is one.
    async fn ready(&mut self, writes: bool) -> Result<()> {
        self.pay().await?;
        if self.begun {
            return match self.suspect {
                true => self.check().await,
                false => Ok(()),
            };
        }
        self.start_one(writes).await
    }

    async fn start_one(&mut self, writes: bool) -> Result<()> {
        let settings = match (self.isolation, self.dialect()) {
            (Some(IsolationLevel::Autocommit), _) => return Ok(()),
            (Some(IsolationLevel::ReadCommitted), Dialect::Postgres) => {
                " ISOLATION LEVEL READ COMMITTED"
            }
            (Some(IsolationLevel::RepeatableRead), Dialect::Postgres) => {
                " ISOLATION LEVEL REPEATABLE READ"
            }
            (Some(IsolationLevel::Serializable), Dialect::Postgres) => {
                " ISOLATION LEVEL SERIALIZABLE"
            }
            (None, _) | (_, Dialect::Sqlite) => "",
        };
        self.tell("BEGIN");
        let mut link = self.link.take().ok_or(CLOSED)?;
        let begun = link.begin(writes, settings).await;
        if !matches!(&begun, Err(error) if error.is_cancelled()) {
            self.link = Some(link);
        }
        begun?;
        self.begun = true;
        self.suspect = false;
        Ok(())
    }

    /// Whether the transaction is still there, now that a statement has failed or was cancelled.
    async fn check(&mut self) -> Result<()> {
        let link = self.link.as_mut().ok_or(CLOSED)?;
        match link.is_in_transaction().await? {
            true => Ok(()),
            false => Err(PendingRollbackError.into()),
        }
    }

    fn echo(&self, statement: &Compiled) {
        if self.engine.pool.settings.echo {
            let Compiled { sql, values, .. } = statement;
            info!(target: "asyncio_db::sql", %sql, ?values);
        }
    }

    fn tell(&self, sql: &str) {
        if self.engine.pool.settings.echo {
            info!(target: "asyncio_db::sql", %sql);
        }
    }
}

const CLOSED: ResourceClosedError = ResourceClosedError::new("this connection");

impl fmt::Debug for EngineConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineConnection")
            .field("engine", &self.engine)
            .field("in_transaction", &self.in_transaction())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
