//! Queries, one at a time: prepare, execute, hear what comes.

use std::fmt;
use std::sync::Arc;

use asyncio_core::Result;
use postgres_protocol::message::backend::{CommandCompleteBody, Message};

use super::args::Args;
use super::link::Link;
use super::operation::Operation;
use super::prepared::Query;
use super::protocol::{Incoming, RowRun};
use super::record::{Columns, Record};
use super::statement::Statements;
use super::tag::CommandTag;

/// What has come of a statement, as it came: most of it is looked at only when it is asked for.
#[derive(Default)]
pub(crate) struct Outcome {
    columns: Arc<Columns>,
    run: Option<RowRun>,
    /// Rows that came later than the first ones, of a result that came in several pieces.
    more: Vec<RowRun>,
    complete: Option<CommandCompleteBody>,
    /// There are more rows than were asked for.
    pub(crate) suspended: bool,
}

impl Outcome {
    pub(crate) fn of(columns: &Arc<Columns>) -> Self {
        Self {
            columns: Arc::clone(columns),
            ..Self::default()
        }
    }

    /// Whether nothing more of this statement comes after it.
    pub(crate) const fn is_ended_by(incoming: &Incoming) -> bool {
        matches!(
            incoming,
            Incoming::Message(
                Message::CommandComplete(_)
                    | Message::EmptyQueryResponse
                    | Message::PortalSuspended
            )
        )
    }

    /// Keeps what comes.
    pub(crate) fn hear(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Rows(run) => match &self.run {
                None => self.run = Some(run),
                Some(_) => self.more.push(run),
            },
            Incoming::Message(Message::CommandComplete(body)) => self.complete = Some(body),
            Incoming::Message(Message::PortalSuspended) => self.suspended = true,
            Incoming::Message(_) | Incoming::Copied(_) => {}
        }
    }

    /// What the command has done; nothing where it has not ended, or said nothing of it.
    ///
    /// # Errors
    ///
    /// When it is no text.
    pub(crate) fn tag(&self) -> Result<CommandTag> {
        Ok(match &self.complete {
            Some(body) => CommandTag::from(body.tag()?),
            None => CommandTag::default(),
        })
    }

    /// Adds its rows to others, and keeps none.
    pub(crate) fn move_rows_to(&mut self, rows: &mut Vec<Record>) {
        let runs = || self.run.iter().chain(&self.more);
        rows.reserve(runs().map(RowRun::rows).sum());
        let runs = self.run.take().into_iter().chain(self.more.drain(..));
        for run in runs {
            rows.extend(run.map(|body| Record::new(Arc::clone(&self.columns), body)));
        }
    }

    pub(crate) fn into_rows(mut self) -> Vec<Record> {
        let mut rows = Vec::new();
        self.move_rows_to(&mut rows);
        rows
    }

    pub(crate) fn into_first_row(self) -> Option<Record> {
        let body = self.run?.next()?;
        Some(Record::new(self.columns, body))
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = self.complete.as_ref().map(CommandCompleteBody::tag);
        f.debug_struct("Outcome")
            .field("tag", &tag)
            .finish_non_exhaustive()
    }
}

/// Executes a script, in the simple protocol; what its last command has done.
///
/// # Errors
///
/// What the server has against it; when the task is cancelled.
pub(crate) async fn script(link: &mut Link, text: &str) -> Result<CommandTag> {
    let mut operation = link.begin().await?;
    tag_of(&mut operation, text).await
}

/// As [`script`], within an operation.
///
/// # Errors
///
/// As of [`script`].
pub(crate) async fn tag_of(operation: &mut Operation<'_>, text: &str) -> Result<CommandTag> {
    operation.about(&text.into(), false);
    operation.wire()?.query(text)?;
    let mut tag = CommandTag::default();
    operation
        .until_ready(|incoming| {
            if let Incoming::Message(Message::CommandComplete(body)) = incoming {
                tag = CommandTag::from(body.tag()?);
            }
            Ok(())
        })
        .await?;
    Ok(tag)
}

/// Executes a query with arguments, and hears so many rows of it; all, if zero.
///
/// # Errors
///
/// As of [`script`]; when the arguments cannot be those of the query.
pub(crate) async fn query(
    link: &mut Link,
    statements: &mut Statements,
    query: &impl Query,
    args: &impl Args,
    most_rows: i32,
) -> Result<Outcome> {
    let mut operation = link.begin().await?;
    let mut left = TRIES;
    loop {
        left -= 1;
        match once(&mut operation, statements, query, args, most_rows).await {
            // In a transaction, which has failed by now, it is for the program to begin again.
            Err(_) if operation.may_be_tried_again() && left > 0 => {}
            outcome => return outcome,
        }
    }
}

/// A migration may change a table again between the two halves of a query, that is prepared and then
/// executed; but hardly so often in a row.
const TRIES: u32 = 10;

async fn once(
    operation: &mut Operation<'_>,
    statements: &mut Statements,
    query: &impl Query,
    args: &impl Args,
    most_rows: i32,
) -> Result<Outcome> {
    let statement = statements.of(operation, query).await?;
    operation.about(&statement.query, statement.is_named());
    let wire = operation.wire()?;
    statements.write_closing(wire)?;
    statement.write_execute(wire, args, "", most_rows)?;
    wire.sync();
    let mut outcome = Outcome::of(&statement.columns);
    operation
        .until_ready(|incoming| {
            outcome.hear(incoming);
            Ok(())
        })
        .await?;
    Ok(outcome)
}
