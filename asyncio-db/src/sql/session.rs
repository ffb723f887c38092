//! Sessions.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::ops::AsyncFnOnce;
use std::sync::{Arc, Weak};

use asyncio_core::Result;
use sea_query::ExprTrait as _;

use super::connection::EngineConnection;
use super::engine::Engine;
use super::errors::{InvalidRequestError, NoResultFound, PendingRollbackError};
use super::expression::Expression;
use super::identity::{Id, Identity};
use super::instance::{AnySlot, ChangeKind, Instance, InstanceState};
use super::result::{ResultSet, Scalars};
use super::select::{Select, select};
use super::sessionmaker::SessionMaker;
use super::sessiontransaction::SessionTransaction;
use super::statement::{Entity, Scalar, Shape, Statement};
use super::stream::ResultStream;
use super::table::{Key, Table};
use super::unit::{Job, in_order};
use super::value::Value;

/// Instances of tables, and what was changed of them (`sqlalchemy.ext.asyncio.AsyncSession`).
///
/// It borrows a connection when it executes the first statement, in a transaction, and gives it back when
/// that is committed or rolled back. Without a commit what was done is rolled back when the session goes.
///
/// What was added, edited and deleted is written by [`flush`](Self::flush), which a statement and a commit
/// do by themselves: rows that are referred to before those that refer to them, and of a row that is there
/// the columns that have changed.
///
/// # Cancel safety
///
/// When a flush fails, is cancelled or dropped in the middle, the session is to be
/// [rolled back](Self::rollback), as in Python: all else is refused with [`PendingRollbackError`]. A query
/// changes nothing in the session; of its transaction [`EngineConnection`] says what becomes.
pub struct Session {
    settings: SessionMaker,
    pub(super) connection: Option<EngineConnection>,
    identity: Identity,
    /// The transaction, and the savepoints in it.
    pub(super) levels: Vec<Level>,
    /// What is being written, and has to be looked at if that goes wrong.
    in_flush: Vec<Arc<dyn AnySlot>>,
    /// What was deleted within the transaction.
    deleted: Vec<Arc<dyn AnySlot>>,
    /// A flush or a commit was left in the middle.
    pub(super) failed: bool,
}

/// How the instances were when a transaction or a savepoint began.
pub(super) struct Level {
    pub(super) savepoint: Option<u64>,
    saved: Vec<(Weak<dyn AnySlot>, Box<dyn Any + Send + Sync>)>,
}

impl Session {
    pub(super) fn new(settings: SessionMaker) -> Self {
        Self {
            settings,
            connection: None,
            identity: Identity::new(),
            levels: Vec::new(),
            in_flush: Vec::new(),
            deleted: Vec::new(),
            failed: false,
        }
    }

    // -- what it consists of ---------------------------------------------------

    /// Adds a row, which is inserted with the next flush.
    pub fn add<M: Table>(&mut self, row: M) -> Instance<M> {
        Instance::pending(row, &self.identity.home)
    }

    /// Adds rows.
    pub fn add_all<M: Table>(&mut self, rows: impl IntoIterator<Item = M>) -> Vec<Instance<M>> {
        rows.into_iter().map(|row| self.add(row)).collect()
    }

    /// Has a row deleted with the next flush.
    ///
    /// # Errors
    ///
    /// [`InvalidRequestError`] when it is no row of the database's, as far as this session knows.
    pub fn delete<M: Table>(&mut self, instance: &Instance<M>) -> Result<(), InvalidRequestError> {
        self.own(instance)?;
        match instance.0.delete() {
            true => Ok(()),
            false if instance.state() == InstanceState::Deleted => Ok(()),
            false => Err(InvalidRequestError::new("the instance is not persisted")),
        }
    }

    /// Has what is known of a row count as outdated, and gives up what was edited of it.
    ///
    /// # Errors
    ///
    /// [`InvalidRequestError`] when it is not of this session.
    pub fn expire<M: Table>(&mut self, instance: &Instance<M>) -> Result<(), InvalidRequestError> {
        self.own(instance)?;
        instance.0.expire();
        Ok(())
    }

    /// As [`expire`](Self::expire), of all rows.
    pub fn expire_all(&mut self) {
        for slot in self.identity.all() {
            slot.expire();
        }
    }

    /// Has the session know nothing of an instance any more.
    ///
    /// # Errors
    ///
    /// [`InvalidRequestError`] when it is not of this session.
    pub fn expunge<M: Table>(&mut self, instance: &Instance<M>) -> Result<(), InvalidRequestError> {
        self.own(instance)?;
        if let Some(key) = instance.0.identity() {
            self.identity.remove(&key);
        }
        instance.0.detach();
        Ok(())
    }

    /// As [`expunge`](Self::expunge), of all.
    pub fn expunge_all(&mut self) {
        let mut all = self.identity.home.take();
        all.append(&mut self.in_flush);
        all.append(&mut self.deleted);
        all.extend(self.identity.all());
        for slot in all {
            slot.detach();
        }
        self.identity.clear();
    }

    /// Whether an instance is of this session (`instance in session`).
    #[must_use]
    pub fn contains<M: Table>(&self, instance: &Instance<M>) -> bool {
        instance.0.is_at(&self.identity.home) && instance.state() != InstanceState::Detached
    }

    /// Whether anything is to be written.
    #[must_use]
    pub fn is_modified(&self) -> bool {
        let changed = self.identity.home.list();
        changed.iter().any(|slot| slot.is_dirty())
    }

    fn own<M: Table>(&self, instance: &Instance<M>) -> Result<(), InvalidRequestError> {
        match self.contains(instance) {
            true => Ok(()),
            false => Err(InvalidRequestError::new(
                "the instance is not present in this session",
            )),
        }
    }

    // -- reading ---------------------------------------------------------------

    /// Executes a statement and reads all its rows. Those of a table are instances.
    ///
    /// # Errors
    ///
    /// As of [`flush`](Self::flush) and [`EngineConnection::execute`].
    ///
    /// # Cancel safety
    ///
    /// See [`Session`].
    pub async fn execute<S: Statement>(
        &mut self,
        statement: S,
    ) -> Result<ResultSet<<S::Shape as Shape>::Loaded>> {
        let compiled = statement.compile(self.settings.engine.dialect())?;
        self.autoflush().await?;
        let outcome = self.connected().await?.run(&compiled).await?;
        if let Some(table) = compiled.touches {
            self.identity.expire(table);
        }
        let identity = &mut self.identity;
        let rows = outcome.rows.iter().map(|row| S::Shape::load(row, identity));
        let rows = rows.collect::<Result<_>>()?;
        Ok(ResultSet::new(rows, outcome.rows, outcome.count))
    }

    /// Executes a statement; the first of each row, of a table the instance.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// See [`Session`].
    pub async fn scalars<S: Statement>(
        &mut self,
        statement: S,
    ) -> Result<Scalars<<<S::Shape as Shape>::Loaded as Scalar>::Scalar>> {
        Ok(self.execute(statement).await?.scalars())
    }

    /// Executes a statement; the first of the first row, if there is one.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// See [`Session`].
    pub async fn scalar<S: Statement>(
        &mut self,
        statement: S,
    ) -> Result<Option<<<S::Shape as Shape>::Loaded as Scalar>::Scalar>> {
        Ok(self.execute(statement).await?.scalar())
    }

    /// Executes a statement and reads its rows as they are asked for.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// See [`Session`].
    pub async fn stream<S: Statement>(
        &mut self,
        statement: S,
    ) -> Result<ResultStream<'_, <S::Shape as Shape>::Loaded>> {
        let compiled = statement.compile(self.settings.engine.dialect())?;
        self.autoflush().await?;
        self.connected().await?;
        let Self {
            connection,
            identity,
            ..
        } = self;
        let connection = connection.as_mut().ok_or(PendingRollbackError)?;
        let load = |row: &super::row::Row| S::Shape::load(row, identity);
        connection.open_stream(compiled, load).await
    }

    /// The instance of a row, by its primary key. One that is known, and not expired, is not read again.
    ///
    /// # Errors
    ///
    /// As of [`EngineConnection::execute`].
    ///
    /// # Cancel safety
    ///
    /// See [`Session`].
    pub async fn get<M: Table>(&mut self, key: impl Into<M::Key>) -> Result<Option<Instance<M>>> {
        // Not flushed before: what is added has no key that could be asked for, or is no row yet.
        self.find(key.into().into_values()).await
    }

    /// As [`get`](Self::get), of a row that has to be there.
    ///
    /// # Errors
    ///
    /// [`NoResultFound`] when it is not; as of [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// See [`Session`].
    pub async fn get_one<M: Table>(&mut self, key: impl Into<M::Key>) -> Result<Instance<M>> {
        self.get(key).await?.ok_or_else(|| NoResultFound.into())
    }

    /// Reads a row again.
    ///
    /// # Errors
    ///
    /// [`InvalidRequestError`] when it is not there, or not of this session; as of
    /// [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// See [`Session`].
    pub async fn refresh<M: Table>(&mut self, instance: &Instance<M>) -> Result<()> {
        self.own(instance)?;
        self.autoflush().await?;
        let Some(known) = instance.0.known() else {
            return Err(InvalidRequestError::new("the instance is not persistent").into());
        };
        let select = by_key::<M>(known.key().into_values());
        let compiled = select.compile(self.settings.engine.dialect())?;
        let outcome = self.connected().await?.run(&compiled).await?;
        let Some(row) = outcome.rows.first() else {
            return Err(InvalidRequestError::new(
                "could not refresh the instance: its row is gone",
            )
            .into());
        };
        let row = M::from_row(row, 0)?;
        instance.0.came_across(row, false);
        Ok(())
    }

    /// The instance of a row, which becomes these values; a new one where there is no such row.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// See [`Session`].
    pub async fn merge<M: Table>(&mut self, row: M) -> Result<Instance<M>> {
        let values = row.key().into_values();
        let unset =
            M::COLUMNS.iter().any(|it| it.generated) && values.iter().any(super::table::is_unset);
        if !unset {
            self.autoflush().await?;
            if let Some(instance) = self.find::<M>(values).await? {
                instance.0.assign(row);
                return Ok(instance);
            }
        }
        Ok(self.add(row))
    }

    async fn find<M: Table>(&mut self, key: Vec<Value>) -> Result<Option<Instance<M>>> {
        let id = (TypeId::of::<M>(), Id::of_values(key.clone()));
        if let Some(slot) = self.identity.find::<M>(&id)
            && !slot.is_expired()
        {
            return Ok(Some(Instance(slot)));
        }
        self.usable()?;
        let compiled = by_key::<M>(key).compile(self.settings.engine.dialect())?;
        let outcome = self.connected().await?.run(&compiled).await?;
        let row = outcome.rows.first();
        row.map(|row| self.identity.load(row)).transpose()
    }

    // -- writing ---------------------------------------------------------------

    /// Writes what was added, edited and deleted.
    ///
    /// Rows are inserted, then changed, then deleted; those that are referred to are inserted before those
    /// that refer to them, and deleted after them.
    ///
    /// # Errors
    ///
    /// What the database says; [`StaleDataError`](super::StaleDataError) when a row that was to be changed
    /// or deleted is not there any more. The session is to be rolled back then.
    ///
    /// # Cancel safety
    ///
    /// The session is to be rolled back; see [`Session`].
    pub async fn flush(&mut self) -> Result<()> {
        self.usable()?;
        if !self.is_modified() {
            return Ok(());
        }
        self.connected().await?;
        let mut changed = self.identity.home.take();
        changed.retain(|slot| slot.is_dirty());
        self.in_flush.clone_from(&changed);
        // Until all of it is written.
        self.failed = true;
        let order = in_order(&changed);
        for kind in [ChangeKind::Insert, ChangeKind::Update] {
            for table in &order {
                self.write(kind, table, &changed).await?;
            }
        }
        for table in order.iter().rev() {
            self.write(ChangeKind::Delete, table, &changed).await?;
        }
        self.failed = false;
        self.in_flush.clear();
        Ok(())
    }

    /// Writes what there is to write of one kind, of one table.
    async fn write(
        &mut self,
        kind: ChangeKind,
        table: &str,
        changed: &[Arc<dyn AnySlot>],
    ) -> Result<()> {
        let wanted = match kind {
            ChangeKind::Insert => InstanceState::Pending,
            ChangeKind::Update => InstanceState::Persistent,
            ChangeKind::Delete => InstanceState::Deleted,
        };
        let mut left: Vec<_> = changed
            .iter()
            .filter(|slot| slot.table() == table && slot.status() == wanted)
            .collect();
        // Those that refer to one another within the table wait for a key.
        while !left.is_empty() {
            let mut jobs = Vec::new();
            let mut waiting = Vec::new();
            for slot in left {
                if slot.waits() {
                    waiting.push(slot);
                    continue;
                }
                if let Some(change) = slot.change()?
                    && change.kind == kind
                {
                    let slot = Arc::clone(slot);
                    jobs.push(Job { slot, change });
                }
            }
            if jobs.is_empty() && !waiting.is_empty() {
                let message = "rows that are added refer to one another in a circle";
                return Err(InvalidRequestError::new(message).into());
            }
            self.write_jobs(jobs).await?;
            left = waiting;
        }
        Ok(())
    }

    async fn write_jobs(&mut self, jobs: Vec<Job>) -> Result<()> {
        if jobs.is_empty() {
            return Ok(());
        }
        let dialect = self.settings.engine.dialect();
        let steps = jobs.iter().map(|job| job.step(dialect)).collect();
        let done = self.connected().await?.run_all(steps).await?;
        let level = self.levels.len().saturating_sub(1);
        for (job, done) in jobs.into_iter().zip(done) {
            job.check(&done)?;
            let Job { slot, change } = job;
            if let Some(key) = slot.identity() {
                self.identity.remove(&key);
            }
            let deleted = change.kind == ChangeKind::Delete;
            let given = done.first.and_then(|row| row.into_iter().next());
            slot.has_written(change, given, level)?;
            if deleted {
                self.deleted.push(slot);
            } else {
                self.identity.put(&slot);
            }
        }
        Ok(())
    }

    async fn autoflush(&mut self) -> Result<()> {
        match self.settings.autoflush {
            true => self.flush().await,
            false => Ok(self.usable()?),
        }
    }

    // -- transactions ----------------------------------------------------------

    /// Begins a transaction, which is rolled back when the guard goes without
    /// [`commit`](SessionTransaction::commit) (`async with session.begin()`). On SQLite it is one that
    /// writes: nobody else writes meanwhile.
    ///
    /// # Errors
    ///
    /// [`InvalidRequestError`] when there is one already; as of [`Engine::connect`].
    ///
    /// # Cancel safety
    ///
    /// What has been begun by then is ended.
    pub async fn begin(&mut self) -> Result<SessionTransaction<'_>> {
        self.usable()?;
        if !self.levels.is_empty() {
            let message = "a transaction is already begun on this session";
            return Err(InvalidRequestError::new(message).into());
        }
        let mut connection = self.settings.engine.connect().await?;
        connection.start().await?;
        self.connection = Some(connection);
        self.save_level(None);
        Ok(SessionTransaction::new(self))
    }

    /// Runs a function in a transaction, which is committed if the function succeeds and rolled back
    /// otherwise (`async with session.begin()`).
    ///
    /// # Errors
    ///
    /// What the function ends with; as of [`begin`](Self::begin) and [`commit`](Self::commit).
    ///
    /// # Cancel safety
    ///
    /// All is rolled back, unless it was being committed: see [`commit`](Self::commit).
    pub async fn begin_with<T>(
        &mut self,
        function: impl AsyncFnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let mut transaction = self.begin().await?;
        let value = function(&mut transaction).await?;
        transaction.commit().await?;
        Ok(value)
    }

    /// Begins a savepoint; what is done after it is undone when the guard goes without
    /// [`commit`](SessionTransaction::commit), and the instances are again what they were
    /// (`session.begin_nested()`). What was changed before is flushed first.
    ///
    /// # Errors
    ///
    /// As of [`flush`](Self::flush).
    ///
    /// # Cancel safety
    ///
    /// The session is to be rolled back; see [`Session`].
    pub async fn begin_nested(&mut self) -> Result<SessionTransaction<'_>> {
        self.flush().await?;
        self.failed = true;
        let number = self.connected().await?.open_savepoint().await?;
        self.failed = false;
        self.save_level(Some(number));
        Ok(SessionTransaction::new(self))
    }

    /// Flushes, commits the transaction, and gives the connection back.
    ///
    /// # Errors
    ///
    /// As of [`flush`](Self::flush) and [`EngineConnection::commit`]. In a savepoint
    /// [`InvalidRequestError`]: that has a commit of its own.
    ///
    /// # Cancel safety
    ///
    /// When it was flushing, nothing is committed. After that, what the database was told is not called
    /// back: all is committed, or rolled back, without anybody hearing which. In any case the session is to
    /// be rolled back, which makes its instances what they were before the transaction, and has them count
    /// as outdated.
    pub async fn commit(&mut self) -> Result<()> {
        self.no_savepoint()?;
        self.flush().await?;
        let Some(mut connection) = self.connection.take() else {
            return Ok(());
        };
        // Until it is known.
        self.failed = true;
        if let Err(error) = connection.commit().await {
            if !error.is_cancelled() {
                self.undo(0);
            }
            return Err(error);
        }
        self.failed = false;
        self.levels.clear();
        for slot in self.deleted.drain(..) {
            slot.detach();
        }
        for slot in self.identity.all() {
            slot.keep(None);
            if self.settings.expire_on_commit {
                slot.outdate();
            }
        }
        Ok(())
    }

    /// Rolls the transaction back, gives the connection back, and makes the instances what they were when
    /// it began: what was added is not of the session any more, and what was deleted is there again. All
    /// count as outdated.
    ///
    /// # Errors
    ///
    /// When the connection is lost, and with it what was done. In a savepoint [`InvalidRequestError`]: that
    /// has a rollback of its own.
    ///
    /// # Cancel safety
    ///
    /// It is rolled back in any case.
    pub async fn rollback(&mut self) -> Result<()> {
        self.no_savepoint()?;
        let connection = self.connection.take();
        self.undo(0);
        match connection {
            Some(mut connection) => connection.rollback().await,
            None => Ok(()),
        }
    }

    /// Rolls back what was not committed, gives the connection back, and has the session know nothing any
    /// more. It can be used again.
    ///
    /// # Errors
    ///
    /// As of [`rollback`](Self::rollback).
    ///
    /// # Cancel safety
    ///
    /// As of [`rollback`](Self::rollback).
    pub async fn close(&mut self) -> Result<()> {
        let connection = self.connection.take();
        self.undo(0);
        self.expunge_all();
        match connection {
            Some(mut connection) => connection.rollback().await,
            None => Ok(()),
        }
    }

    /// The connection of the transaction, which is begun if there is none: what is executed on it takes
    /// part in the transaction, and the session does not know of it.
    ///
    /// # Errors
    ///
    /// As of [`Engine::connect`].
    ///
    /// # Cancel safety
    ///
    /// As of [`Engine::connect`].
    pub async fn connection(&mut self) -> Result<&mut EngineConnection> {
        self.usable()?;
        self.connected().await
    }

    /// Whether a transaction has begun.
    #[must_use]
    pub const fn in_transaction(&self) -> bool {
        !self.levels.is_empty()
    }

    /// Whether it is in a savepoint.
    #[must_use]
    pub const fn in_nested_transaction(&self) -> bool {
        self.levels.len() > 1
    }

    /// Whether it can be used: whether no [`rollback`](Self::rollback) is due.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        !self.failed
    }

    /// The engine that it is of (`session.bind`).
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.settings.engine
    }

    const fn usable(&self) -> Result<(), PendingRollbackError> {
        match self.failed {
            false => Ok(()),
            true => Err(PendingRollbackError),
        }
    }

    fn no_savepoint(&self) -> Result<(), InvalidRequestError> {
        match self.in_nested_transaction() {
            false => Ok(()),
            true => Err(InvalidRequestError::new(
                "a savepoint is ended by its own guard",
            )),
        }
    }

    /// The connection; the session's transaction is begun.
    pub(super) async fn connected(&mut self) -> Result<&mut EngineConnection> {
        let closed = self.connection.as_ref().filter(|it| it.is_closed());
        if closed.is_some_and(|it| !it.has_begun()) && self.levels.len() == 1 {
            // Its beginning was cancelled, and there is nothing that would be lost.
            self.connection = None;
            self.levels.clear();
        }
        if self.levels.is_empty() {
            let connection = self.settings.engine.connect().await?;
            self.connection = Some(connection);
            self.save_level(None);
        }
        self.connection
            .as_mut()
            .ok_or_else(|| PendingRollbackError.into())
    }

    fn save_level(&mut self, savepoint: Option<u64>) {
        let listed = self.identity.home.list();
        let known = self.identity.all().into_iter();
        let pending = listed.into_iter().chain(self.in_flush.iter().cloned());
        let pending = pending.filter(|slot| slot.status() == InstanceState::Pending);
        let saved = known
            .chain(pending)
            .map(|slot| (Arc::downgrade(&slot), slot.save()));
        self.levels.push(Level {
            savepoint,
            saved: saved.collect(),
        });
    }

    /// Makes the instances what they were when this level began, and ends it and those within.
    pub(super) fn undo(&mut self, level: usize) {
        self.failed = false;
        let mut touched = self.identity.home.take();
        touched.append(&mut self.in_flush);
        touched.append(&mut self.deleted);
        touched.extend(self.identity.all());
        let Some(Level { saved, .. }) = self.levels.drain(level.min(self.levels.len())..).next()
        else {
            // No transaction has begun: what was changed is given up.
            for slot in touched {
                if slot.restore(None, 0) {
                    self.identity.put(&slot);
                }
            }
            return;
        };
        let mut states = HashMap::with_capacity(saved.len());
        for (slot, state) in saved {
            if let Some(slot) = slot.upgrade() {
                states.insert(address(&slot), state);
                touched.push(slot);
            }
        }
        self.identity.clear();
        let mut seen = std::collections::HashSet::with_capacity(touched.len());
        for slot in touched {
            if !seen.insert(address(&slot)) {
                continue;
            }
            let state = states.get(&address(&slot)).map(|state| &**state);
            if slot.restore(state, level) {
                self.identity.put(&slot);
            }
        }
    }

    /// Ends the innermost level, which was committed.
    pub(super) fn keep_level(&mut self) {
        self.levels.pop();
        let level = self.levels.len().saturating_sub(1);
        for slot in self.identity.all() {
            slot.keep(Some(level));
        }
    }
}

/// Where a slot is, by which it is told from others.
fn address(slot: &Arc<dyn AnySlot>) -> usize {
    Arc::as_ptr(slot).cast::<()>().addr()
}

fn by_key<M: Table>(key: Vec<Value>) -> Select<Entity<M>> {
    let columns = M::COLUMNS.iter().filter(|column| column.primary_key);
    columns
        .zip(key)
        .fold(select::<M>(), |select, (column, value)| {
            let column = sea_query::Expr::col((M::NAME, column.name));
            select.filter(Expression::<bool>::from_query(
                column.eq(value.into_query()),
            ))
        })
}

impl Drop for Session {
    fn drop(&mut self) {
        // What is read of them later is theirs, and nobody writes it.
        self.expunge_all();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("engine", &self.settings.engine)
            .field("in_transaction", &self.in_transaction())
            .field("active", &self.is_active())
            .finish_non_exhaustive()
    }
}
