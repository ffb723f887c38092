//! What a job finds on the thread: the connection, and what is open on it.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{CachedStatement, Connection, Statement};

use super::call::Answer;
use super::error::SqliteError;
use super::guard::Lease;
use super::params::Parameters;
use super::row::{Chunk, Columns};
use super::transaction::Behavior;
use super::worker::{self, Queue, Taken};

/// The thread's view of its connection.
pub(super) struct Desk<'c> {
    connection: &'c Connection,
    queue: &'c Arc<Queue>,
    cursors: HashMap<u64, Open<'c>>,
    kept: Kept,
    leave: Option<Leave>,
}

/// What is known of a connection also while it is not served.
#[derive(Default)]
pub(super) struct Kept {
    /// The transaction, and the savepoints in it, that somebody holds a guard of; outermost first.
    guards: Vec<u64>,
    /// Python's way: a transaction begins by itself before a statement that changes something.
    isolation_level: Option<Behavior>,
}

/// What the thread goes on with when it does not serve.
pub(super) enum Leave {
    /// There is nobody left to serve.
    Gone,
    Close(Answer<()>),
    /// Gives the connection away for a while.
    Lend(LendTo),
    /// Does what cannot be done while somebody may have a part of it.
    Alter(Box<dyn FnOnce(&mut Connection) + Send>),
}

pub(super) type LendTo = Box<dyn FnOnce(Connection) -> Option<Connection> + Send>;

/// A statement some of whose rows have not been read.
struct Open<'c> {
    statement: CachedStatement<'c>,
    columns: Arc<Columns>,
    /// How many rows were read.
    position: u64,
}

/// What comes of a statement.
pub(super) struct Executed {
    pub(super) columns: Arc<Columns>,
    /// How many rows it changed, of a statement that does; otherwise -1.
    pub(super) rowcount: i64,
    pub(super) lastrowid: Option<i64>,
    pub(super) rows: Arc<Chunk>,
    /// What there is more to be read from.
    pub(super) rest: Option<Lease>,
}

/// Some more rows.
pub(super) struct Fetched {
    pub(super) rows: Vec<Arc<Chunk>>,
    /// Whether these were the last.
    pub(super) finished: bool,
}

/// Which kind of statement it is, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Insert,
    Change,
    Other,
}

impl<'c> Desk<'c> {
    pub(super) fn new(connection: &'c Connection, queue: &'c Arc<Queue>, kept: Kept) -> Self {
        Self {
            connection,
            queue,
            cursors: HashMap::new(),
            kept,
            leave: None,
        }
    }

    pub(super) fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Does what is asked for, until the thread is to do something else.
    pub(super) fn serve(mut self) -> (Leave, Kept) {
        loop {
            match self.queue.take(None) {
                Some(taken) => self.handle(taken),
                None => continue,
            }
            if let Some(leave) = self.leave.take() {
                return (leave, self.kept);
            }
        }
    }

    /// Does what others ask for, for so long, in the middle of a job: a few calls at the least, and no more
    /// than that once the time is over, so that the job comes to its end.
    pub(super) fn serve_others(&mut self, time: Duration) {
        const AT_LEAST: usize = 16;
        let deadline = Instant::now() + time;
        let mut served = 0;
        while self.leave.is_none() && !worker::is_stopped() {
            if served >= AT_LEAST && Instant::now() >= deadline {
                break;
            }
            served += 1;
            match self.queue.take(Some(deadline)) {
                Some(taken) => self.handle(taken),
                None => break,
            }
        }
    }

    fn handle(&mut self, taken: Taken) {
        match taken {
            Taken::Job(job) if job.stop.is_stopped() => {}
            Taken::Job(job) => worker::stoppable(job.stop, || (job.run)(self)),
            Taken::Repair(run) => {
                run(self);
                self.look_around();
            }
            Taken::Nothing => self.leave = Some(Leave::Gone),
        }
    }

    /// Has the thread do something else after this job.
    pub(super) fn leave(&mut self, leave: Leave) {
        self.leave = Some(leave);
    }

    pub(super) fn close_cursors(&mut self) {
        self.cursors.clear();
    }

    pub(super) fn has_cursors(&self) -> bool {
        !self.cursors.is_empty()
    }

    /// Notes what has become of the connection.
    pub(super) fn look_around(&mut self) {
        let in_transaction = !self.connection.is_autocommit();
        if !in_transaction {
            self.kept.guards.clear();
        }
        // Relaxed: whoever reads them after a call was told of its end, by a lock.
        let queue = self.queue;
        queue
            .in_transaction
            .store(in_transaction, Ordering::Relaxed);
        let changes = self.connection.total_changes();
        queue.total_changes.store(changes, Ordering::Relaxed);
    }

    /// Whether the transaction, or savepoint, still is.
    pub(super) fn is_active(&self, guard: u64) -> bool {
        self.kept.guards.contains(&guard) && !self.connection.is_autocommit()
    }

    /// Refuses what belongs to a transaction that is over.
    pub(super) fn check(&self, guard: Option<u64>) -> Result<(), SqliteError> {
        match guard {
            Some(guard) if !self.is_active(guard) => Err(SqliteError::transaction_over()),
            _ => Ok(()),
        }
    }

    pub(super) fn set_isolation_level(&mut self, level: Option<Behavior>) {
        self.kept.isolation_level = level;
    }

    /// Begins a transaction; who gets the lease gives it back.
    pub(super) fn begin(&mut self, behavior: Behavior) -> Result<Lease, SqliteError> {
        self.run(behavior.statement())?;
        let guard = self.queue.name();
        self.kept.guards = vec![guard];
        Ok(Lease::of_transaction(self.queue, guard))
    }

    /// Begins a savepoint inside of a transaction.
    pub(super) fn begin_nested(&mut self, outer: u64) -> Result<Lease, SqliteError> {
        self.check(Some(outer))?;
        let guard = self.queue.name();
        self.run(&format!("SAVEPOINT asyncio_{guard}"))?;
        self.kept.guards.push(guard);
        Ok(Lease::of_transaction(self.queue, guard))
    }

    /// Ends a transaction or a savepoint, and what is inside of it.
    pub(super) fn end(&mut self, guard: u64, commit: bool) -> Result<(), SqliteError> {
        self.check(Some(guard))?;
        let Some(place) = self.kept.guards.iter().position(|it| *it == guard) else {
            return Err(SqliteError::transaction_over());
        };
        match (place, commit) {
            (0, true) => self.run("COMMIT")?,
            (0, false) => self.run("ROLLBACK")?,
            (_, true) => self.run(&format!("RELEASE asyncio_{guard}"))?,
            (_, false) => self.run(&format!(
                "ROLLBACK TO asyncio_{guard}; RELEASE asyncio_{guard}"
            ))?,
        }
        self.kept.guards.truncate(place);
        Ok(())
    }

    /// Rolls back what nobody holds any more, if it still is.
    pub(super) fn abandon(&mut self, guard: u64) {
        if self.is_active(guard)
            && self.end(guard, false).is_err()
            && self.kept.guards.first() == Some(&guard)
        {
            // What cannot be rolled back by itself is over when the connection is closed.
            self.close_queue();
        }
    }

    /// Has the thread end after what is queued.
    pub(super) fn close_queue(&self) {
        self.queue.close();
    }

    /// Ends the open transaction, where there is one (`Connection.commit`, `Connection.rollback`).
    pub(super) fn end_any(&mut self, commit: bool) -> Result<(), SqliteError> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.run(if commit { "COMMIT" } else { "ROLLBACK" })
    }

    fn run(&self, sql: &str) -> Result<(), SqliteError> {
        Ok(self.connection.execute_batch(sql)?)
    }

    fn begin_by_itself(&mut self, verb: Verb) -> Result<(), SqliteError> {
        match self.kept.isolation_level {
            Some(level) if verb != Verb::Other && self.connection.is_autocommit() => {
                self.run(level.statement())
            }
            _ => Ok(()),
        }
    }

    /// Executes a statement, and reads so many rows of it at the most.
    pub(super) fn execute(
        &mut self,
        sql: &str,
        parameters: &Parameters,
        most: usize,
    ) -> Result<Executed, SqliteError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        parameters.bind(&mut statement)?;
        let verb = Verb::of(sql);
        self.begin_by_itself(verb)?;
        let columns = Columns::of(&statement);
        // What changes something is done as a whole, so that it holds no lock until its rows are read.
        let most = if statement.readonly() {
            most
        } else {
            usize::MAX
        };
        let mut chunk = Chunk::new(&columns);
        let finished = read(&mut statement, &mut chunk, most)?;
        let rowcount = match verb {
            Verb::Other => -1,
            _ => self.connection.changes().cast_signed(),
        };
        let lastrowid = (verb == Verb::Insert).then(|| self.connection.last_insert_rowid());
        let mut rest = None;
        if !finished {
            let name = self.queue.name();
            rest = Some(Lease::of_cursor(self.queue, name));
            let open = Open {
                statement,
                columns: Arc::clone(&columns),
                position: chunk.rows() as u64,
            };
            self.cursors.insert(name, open);
        }
        Ok(Executed {
            columns,
            rowcount,
            lastrowid,
            rows: Arc::new(chunk),
            rest,
        })
    }

    /// Executes a statement, and reads all its rows.
    pub(super) fn execute_fetchall(
        &mut self,
        sql: &str,
        parameters: &Parameters,
    ) -> Result<Vec<Arc<Chunk>>, SqliteError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        parameters.bind(&mut statement)?;
        self.begin_by_itself(Verb::of(sql))?;
        let columns = Columns::of(&statement);
        read_all(&mut statement, &columns)
    }

    /// Reads on: so many rows at the most, or all.
    pub(super) fn fetch(
        &mut self,
        cursor: u64,
        position: u64,
        most: Option<usize>,
    ) -> Result<Fetched, SqliteError> {
        // It is put back if nothing goes wrong.
        let Some(mut open) = self.cursors.remove(&cursor) else {
            return Err(SqliteError::programming(
                "the cursor is closed: it was interrupted, or has failed",
            ));
        };
        if open.position != position {
            return Err(SqliteError::programming(
                "the cursor is closed: rows were read for a call that was cancelled",
            ));
        }
        let Some(most) = most else {
            let rows = read_all(&mut open.statement, &open.columns)?;
            return Ok(Fetched {
                rows,
                finished: true,
            });
        };
        let mut chunk = Chunk::new(&open.columns);
        let finished = read(&mut open.statement, &mut chunk, most)?;
        open.position += chunk.rows() as u64;
        if !finished {
            self.cursors.insert(cursor, open);
        }
        Ok(Fetched {
            rows: vec![Arc::new(chunk)],
            finished,
        })
    }

    /// Gives up the rows that were not read.
    pub(super) fn close_cursor(&mut self, cursor: u64) {
        self.cursors.remove(&cursor);
    }

    /// Executes a statement for each set of parameters; all or none.
    pub(super) fn execute_many(
        &mut self,
        sql: &str,
        sets: &Parameters,
    ) -> Result<i64, SqliteError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let verb = Verb::of(sql);
        if verb == Verb::Other && (statement.readonly() || statement.column_count() > 0) {
            return Err(SqliteError::programming(
                "executemany is for statements that change something",
            ));
        }
        self.begin_by_itself(verb)?;
        let alone = self.connection.is_autocommit();
        self.run(if alone {
            "BEGIN IMMEDIATE"
        } else {
            "SAVEPOINT asyncio_many"
        })?;
        let before = self.connection.total_changes();
        let result = each(&mut statement, sets).and_then(|()| {
            let changed = self.connection.total_changes() - before;
            self.run(if alone {
                "COMMIT"
            } else {
                "RELEASE asyncio_many"
            })?;
            Ok(changed)
        });
        drop(statement);
        match result {
            Ok(_) if verb == Verb::Other => Ok(-1),
            Ok(changed) => Ok(changed.cast_signed()),
            Err(error) => {
                // An interruption has rolled back by itself.
                if !self.connection.is_autocommit() {
                    let _ = self.run(if alone {
                        "ROLLBACK"
                    } else {
                        "ROLLBACK TO asyncio_many; RELEASE asyncio_many"
                    });
                }
                Err(error)
            }
        }
    }

    /// Executes statements one after the other, whose rows nobody wants.
    pub(super) fn execute_script(&mut self, sql: &str) -> Result<(), SqliteError> {
        if self.kept.isolation_level.is_some() {
            self.end_any(true)?;
        }
        let mut batch = rusqlite::Batch::new(self.connection, sql);
        while let Some(mut statement) = batch.next()? {
            let mut rows = statement.raw_query();
            while rows.next()?.is_some() {}
        }
        Ok(())
    }

    /// Makes the connection as if it was new, for who borrows it next.
    pub(super) fn reset(&mut self) -> Result<(), SqliteError> {
        self.close_cursors();
        self.end_any(false)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // The statement goes to the cache, and stands in the middle of its rows.
        drop(self.statement.raw_query());
    }
}

/// Executes a statement with one set of parameters after the other.
fn each(statement: &mut Statement<'_>, sets: &Parameters) -> Result<(), SqliteError> {
    for set in 0..sets.sets() {
        if worker::is_stopped() {
            return Err(SqliteError::interrupted());
        }
        sets.bind_set(set, statement)?;
        let mut rows = statement.raw_query();
        while rows.next()?.is_some() {}
    }
    Ok(())
}

/// Reads so many rows at the most, or as many as make a chunk large; whether those were the last.
fn read(
    statement: &mut Statement<'_>,
    chunk: &mut Chunk,
    most: usize,
) -> Result<bool, SqliteError> {
    // This goes on where the last one was forgotten.
    let mut rows = statement.raw_query();
    let bounded = most != usize::MAX;
    loop {
        let Some(row) = rows.next()? else {
            return Ok(true);
        };
        chunk.push(row)?;
        if chunk.rows() >= most || (bounded && chunk.is_large()) {
            break;
        }
    }
    // Dropped it would begin the statement anew.
    mem::forget(rows);
    Ok(false)
}

/// Reads all rows that there are.
fn read_all(
    statement: &mut Statement<'_>,
    columns: &Arc<Columns>,
) -> Result<Vec<Arc<Chunk>>, SqliteError> {
    let mut chunks = Vec::new();
    let mut chunk = Chunk::new(columns);
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        if chunk.is_large() {
            let full = mem::replace(&mut chunk, Chunk::new(columns));
            chunks.push(Arc::new(full));
            if worker::is_stopped() {
                return Err(SqliteError::interrupted());
            }
        }
        chunk.push(row)?;
    }
    chunks.push(Arc::new(chunk));
    Ok(chunks)
}

impl Verb {
    /// By the first word, as Python does it.
    fn of(sql: &str) -> Self {
        let word = first_word(sql);
        let is = |verb: &str| word.eq_ignore_ascii_case(verb);
        if is("insert") || is("replace") {
            Self::Insert
        } else if is("update") || is("delete") {
            Self::Change
        } else {
            Self::Other
        }
    }
}

/// The first word that is in no comment.
fn first_word(mut sql: &str) -> &str {
    loop {
        sql = sql.trim_start();
        if let Some(comment) = sql.strip_prefix("--") {
            sql = comment.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(comment) = sql.strip_prefix("/*") {
            sql = comment.split_once("*/").map_or("", |(_, rest)| rest);
        } else {
            let end = sql.find(|it: char| !it.is_ascii_alphabetic());
            return &sql[..end.unwrap_or(sql.len())];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_in_no_comment() {
        assert_eq!(first_word("  insert into t"), "insert");
        assert_eq!(first_word("-- select\n /* delete */ UPDATE t"), "UPDATE");
        assert_eq!(first_word("/* open"), "");
        assert_eq!(first_word("-- only"), "");
        assert_eq!(first_word("(select 1)"), "");
    }
}
