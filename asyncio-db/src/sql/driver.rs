//! What is done with a connection of either database.

use std::borrow::Cow;

use asyncio_core::Result;

use super::errors::PendingRollbackError;
use super::pool::{PgLease, SqliteLease};
use super::row::{Inner, Row};
use super::statement::{Compiled, Gives};
use super::value::Value;
use crate::{pg, sqlite};

/// What PostgreSQL says between the commands of a transaction that has not failed.
const IN_TRANSACTION: u8 = b'T';

/// A connection that is lent. Its drop gives it back, and what was not committed is rolled back.
pub(super) enum Link {
    Pg(Box<PgLease>),
    Sqlite(SqliteLease),
}

/// What has come of a statement.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) rows: Vec<Row>,
    pub(super) count: u64,
}

/// One statement of several that are executed at once.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) sql: Cow<'static, str>,
    pub(super) values: Vec<Value>,
    pub(super) gives: Gives,
}

/// What has come of a [`Step`].
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The values of its first row.
    pub(super) first: Option<Vec<Value>>,
    pub(super) count: u64,
}

impl Link {
    /// Executes a statement, and reads all its rows.
    pub(super) async fn execute(&mut self, statement: &Compiled) -> Result<Outcome> {
        let sql = statement.sql.as_ref();
        match self {
            Self::Pg(lease) => {
                let arguments = Arguments(&statement.values);
                match statement.gives {
                    Gives::Rows => {
                        let rows = lease.connection.fetch(sql, arguments).await?;
                        Ok(Outcome::of(rows.into_iter().map(Inner::Pg).collect()))
                    }
                    Gives::Count if !statement.values.is_empty() => {
                        let tag = lease.connection.execute(sql, arguments).await?;
                        Ok(Outcome::counted(tag.rows().unwrap_or(0)))
                    }
                    Gives::Count | Gives::Either => either(&mut lease.connection, statement).await,
                }
            }
            Self::Sqlite(lease) => {
                let connection = lease.connection();
                if statement.gives == Gives::Rows {
                    let rows = connection.execute_fetchall(sql, &statement.values).await?;
                    return Ok(Outcome::of(rows.into_iter().map(Inner::Sqlite).collect()));
                }
                let mut cursor = connection.execute(sql, &statement.values).await?;
                let changed = u64::try_from(cursor.rowcount()).ok();
                let rows = match cursor.description() {
                    Some(columns) if !columns.is_empty() => cursor.fetchall().await?,
                    _ => Vec::new(),
                };
                let mut outcome = Outcome::of(rows.into_iter().map(Inner::Sqlite).collect());
                if let (Some(changed), true) = (changed, outcome.rows.is_empty()) {
                    outcome.count = changed;
                }
                Ok(outcome)
            }
        }
    }

    /// Executes statements in a transaction, with one answer.
    pub(super) async fn execute_all(&mut self, steps: Vec<Step>) -> Result<Vec<Done>> {
        match self {
            Self::Pg(lease) => {
                let mut pipeline = lease.connection.pipeline();
                let tickets: Vec<_> = steps
                    .iter()
                    .map(|step| pipeline.fetch(step.sql.as_ref(), Arguments(&step.values)))
                    .collect();
                let mut results = pipeline.run().await?;
                let mut done = Vec::with_capacity(tickets.len());
                for ticket in tickets {
                    let rows = results.take(ticket)?;
                    let first = rows.into_iter().next();
                    let first = first.map(|row| values_of(&Row(Inner::Pg(row))));
                    done.push(Done {
                        count: results
                            .tag(ticket)
                            .and_then(pg::CommandTag::rows)
                            .unwrap_or(0),
                        first: first.transpose()?,
                    });
                }
                Ok(done)
            }
            Self::Sqlite(lease) => {
                let connection = lease.connection();
                connection
                    .call(move |connection| steps_of_sqlite(connection, &steps))
                    .await
            }
        }
    }

    /// Begins a transaction; on SQLite one that writes, if this does.
    pub(super) async fn begin(&mut self, writes: bool, settings: &str) -> Result<()> {
        match self {
            Self::Pg(lease) => {
                let text = format!("BEGIN{settings}");
                let mut operation = lease.connection.link.begin().await?;
                // It takes no time.
                operation.do_not_interrupt();
                operation.wire()?.query(&text)?;
                operation.until_ready(|_| Ok(())).await
            }
            Self::Sqlite(lease) => {
                let text = match writes {
                    true => "BEGIN IMMEDIATE",
                    false => "BEGIN DEFERRED",
                };
                lease.connection().execute(text, ()).await.map(drop)
            }
        }
    }

    /// Makes lasting what was done in the transaction.
    pub(super) async fn commit(&mut self) -> Result<()> {
        match self {
            Self::Pg(lease) => {
                let mut operation = lease.connection.link.begin().await?;
                if operation.before() != IN_TRANSACTION {
                    // It has failed, or was ended by hand: the server would say nothing of it.
                    return Err(PendingRollbackError.into());
                }
                operation.do_not_interrupt();
                operation.wire()?.query("COMMIT")?;
                operation.until_ready(|_| Ok(())).await
            }
            Self::Sqlite(lease) => lease.connection().commit().await,
        }
    }

    /// Undoes what was done in the transaction.
    pub(super) async fn rollback(&mut self) -> Result<()> {
        match self {
            Self::Pg(_) => self.savepoint("ROLLBACK").await,
            Self::Sqlite(lease) => lease.connection().rollback().await,
        }
    }

    /// Executes statements that begin or end savepoints.
    pub(super) async fn savepoint(&mut self, script: &str) -> Result<()> {
        match self {
            Self::Pg(lease) => {
                let mut operation = lease.connection.link.begin().await?;
                // It takes no time, and to interrupt it would have the transaction fail.
                operation.do_not_interrupt();
                operation.wire()?.query(script)?;
                operation.until_ready(|_| Ok(())).await
            }
            Self::Sqlite(lease) => lease.connection().executescript(script).await,
        }
    }

    /// Whether the transaction is still there: SQLite ends it when a statement that writes is interrupted,
    /// and for some errors. What PostgreSQL has ended it says itself.
    pub(super) async fn is_in_transaction(&mut self) -> Result<bool> {
        match self {
            Self::Pg(_) => Ok(true),
            Self::Sqlite(lease) => lease.connection().settled().await,
        }
    }

    /// Nobody else is to get it.
    pub(super) fn invalidate(&mut self) {
        match self {
            Self::Pg(lease) => lease.invalidate(),
            Self::Sqlite(lease) => lease.invalidate(),
        }
    }

    pub(super) fn pg(&mut self) -> Option<&mut pg::Connection> {
        match self {
            Self::Pg(lease) => Some(&mut lease.connection),
            Self::Sqlite(_) => None,
        }
    }

    pub(super) fn sqlite(&self) -> Option<&sqlite::Connection> {
        match self {
            Self::Pg(_) => None,
            Self::Sqlite(lease) => Some(lease.connection()),
        }
    }
}

impl Outcome {
    fn of(rows: Vec<Inner>) -> Self {
        Self {
            count: rows.len() as u64,
            rows: rows.into_iter().map(Row).collect(),
        }
    }

    const fn counted(count: u64) -> Self {
        Self {
            rows: Vec::new(),
            count,
        }
    }
}

/// Executes a statement of which nobody knows whether it has rows.
async fn either(connection: &mut pg::Connection, statement: &Compiled) -> Result<Outcome> {
    let mut pipeline = connection.pipeline();
    let ticket = pipeline.fetch(statement.sql.as_ref(), Arguments(&statement.values));
    let mut results = pipeline.run().await?;
    let rows = results.take(ticket)?;
    let mut outcome = Outcome::of(rows.into_iter().map(Inner::Pg).collect());
    if let Some(count) = results.tag(ticket).and_then(pg::CommandTag::rows) {
        outcome.count = count;
    }
    Ok(outcome)
}

fn values_of(row: &Row) -> Result<Vec<Value>> {
    let values = (0..row.len()).map(|column| Ok(row.cell(column)?.to_value()));
    values.collect()
}

fn steps_of_sqlite(
    connection: &rusqlite::Connection,
    steps: &[Step],
) -> rusqlite::Result<Vec<Done>> {
    let mut done = Vec::with_capacity(steps.len());
    for step in steps {
        let mut statement = connection.prepare_cached(&step.sql)?;
        let values = rusqlite::params_from_iter(&step.values);
        if step.gives == Gives::Count {
            let count = statement.execute(values)? as u64;
            done.push(Done { first: None, count });
            continue;
        }
        let width = statement.column_count();
        let mut rows = statement.query(values)?;
        let mut first = None;
        let mut count = 0;
        // To its end: what it changes it has changed only then.
        while let Some(row) = rows.next()? {
            if count == 0 {
                let values = (0..width).map(|column| row.get::<_, rusqlite::types::Value>(column));
                let values = values.map(|value| value.map(value_of_sqlite));
                first = Some(values.collect::<rusqlite::Result<_>>()?);
            }
            count += 1;
        }
        done.push(Done { first, count });
    }
    Ok(done)
}

fn value_of_sqlite(value: rusqlite::types::Value) -> Value {
    match value {
        rusqlite::types::Value::Null => Value::Null,
        rusqlite::types::Value::Integer(it) => Value::Integer(it),
        rusqlite::types::Value::Real(it) => Value::Real(it),
        rusqlite::types::Value::Text(it) => Value::Text(it),
        rusqlite::types::Value::Blob(it) => Value::Blob(it),
    }
}

/// The values of a statement, as PostgreSQL's client takes them.
pub(super) struct Arguments<'a>(pub(super) &'a [Value]);

impl pg::Args for Arguments<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> Option<&(dyn postgres_types::ToSql + Sync)> {
        let value = self.0.get(index)?;
        Some(value)
    }
}
