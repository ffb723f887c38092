//! One query for many sets of arguments, and many queries at once: one answer is waited for.

use std::fmt;
use std::sync::Arc;

use asyncio_core::{Exception, Result};

use super::args::Args;
use super::connection::{Connection, limited};
use super::errors::InterfaceError;
use super::execute::Outcome;
use super::operation::{Operation, Sorted};
use super::prepared::Query;
use super::protocol::{Incoming, Wire};
use super::record::{Columns, Record};
use super::recovery;
use super::statement::Statements;
use super::tag::CommandTag;

/// So much is gathered before it has to be written.
const GATHERED: usize = 1 << 16;
/// Then more is gathered when no more than so much is left.
const LEFT: usize = 1 << 15;

impl Connection {
    /// Executes a query once for each set of arguments: all of them, or, when one goes wrong, none.
    ///
    /// The arguments are taken from the iterator as they are written, and the server answers once, at the
    /// end.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// None of it is done, unless all of it was by then. In a transaction nothing of that can be
    /// committed any more.
    pub async fn executemany<A: Args>(
        &mut self,
        query: impl Query,
        rows: impl IntoIterator<Item = A>,
    ) -> Result<()> {
        let limit = self.command_timeout;
        let loggers = self.loggers.clone();
        let running = limited(limit, self.for_each(&query, rows, false, |_| {}));
        loggers.log(query.text(), &(), limit, running).await
    }

    /// As [`executemany`](Self::executemany), and returns the rows of all, in the order of the arguments.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`executemany`](Self::executemany).
    pub async fn fetchmany<A: Args>(
        &mut self,
        query: impl Query,
        rows: impl IntoIterator<Item = A>,
    ) -> Result<Vec<Record>> {
        let limit = self.command_timeout;
        let mut all = Vec::new();
        let each = self.for_each(&query, rows, true, |outcome| all.append(&mut outcome.rows));
        limited(limit, each).await?;
        Ok(all)
    }

    async fn for_each<A: Args>(
        &mut self,
        query: &impl Query,
        rows: impl IntoIterator<Item = A>,
        rows_count: bool,
        mut done: impl FnMut(&mut Outcome),
    ) -> Result<()> {
        let mut operation = self.link.begin().await?;
        // Nobody would notice that the columns of rows are others by now than those of a statement that is
        // kept, when it is prepared anew below.
        let statement = match query.prepared() {
            None if rows_count => self.statements.anew(&mut operation, query.text()).await?,
            _ => self.statements.of(&mut operation, query).await?,
        };
        operation.about(&statement.query, statement.is_named());
        self.statements.write_closing(operation.wire()?)?;
        let mut outcome = Outcome::of(&statement.columns);
        // Prepared anew, which takes no time of its own: were it outdated, it could not be tried again, for
        // the arguments would be gone. But one that somebody holds says so itself.
        let anew = !(rows_count && statement.is_named());
        if anew {
            statement.write_parse(operation.wire()?)?;
        }
        let mut group = Group::begin(&mut operation);
        for row in rows {
            let added = |wire: &mut Wire| {
                if anew {
                    statement.write_again(wire, &row)
                } else {
                    statement.write_execute(wire, &row, "", 0)
                }
            };
            if !group.add(added)? {
                group
                    .room(|incoming| {
                        outcome.hear(incoming)?;
                        done(&mut outcome);
                        outcome.rows.clear();
                        Ok(())
                    })
                    .await?;
            }
            if group.failed.is_some() {
                break;
            }
        }
        group
            .end(|incoming| {
                outcome.hear(incoming)?;
                done(&mut outcome);
                outcome.rows.clear();
                Ok(())
            })
            .await
    }

    /// Several queries in one: see [`Pipeline`].
    pub const fn pipeline(&mut self) -> Pipeline<'_> {
        Pipeline {
            connection: self,
            queries: Vec::new(),
        }
    }
}

/// Messages that count as a whole or not at all.
struct Group<'o, 'c> {
    operation: &'o mut Operation<'c>,
    failed: Option<Exception>,
}

impl<'o, 'c> Group<'o, 'c> {
    fn begin(operation: &'o mut Operation<'c>) -> Self {
        operation.atomic();
        Self {
            operation,
            failed: None,
        }
    }

    /// Adds one. False when it is time to have some written.
    fn add(&mut self, write: impl FnOnce(&mut Wire) -> Result<()>) -> Result<bool> {
        let before = self.operation.before();
        let wire = self.operation.wire()?;
        if let Err(error) = write(wire) {
            self.failed.get_or_insert(error);
            recovery::abandon_group(wire, before)?;
        }
        Ok(wire.unwritten() < GATHERED)
    }

    /// Waits until there is room for more, and hears what comes meanwhile.
    async fn room(&mut self, mut hear: impl FnMut(Incoming) -> Result<()>) -> Result<()> {
        while let Some(incoming) = self.operation.incoming_or_room(LEFT).await? {
            match self.operation.sort(incoming)? {
                // All that follows is passed over, up to the end of the group.
                Sorted::Failed(error) => {
                    self.failed.get_or_insert(error.into());
                    return Ok(());
                }
                Sorted::Something(incoming) if self.failed.is_none() => hear(incoming)?,
                Sorted::Something(_) | Sorted::Nothing | Sorted::Ready => {}
            }
        }
        Ok(())
    }

    async fn end(self, hear: impl FnMut(Incoming) -> Result<()>) -> Result<()> {
        self.operation.wire()?.sync();
        let ended = self.operation.until_ready(hear).await;
        match (self.failed, ended) {
            (_, Err(error)) if error.is_cancelled() => Err(error),
            (Some(failed), _) => Err(failed),
            (None, ended) => ended,
        }
    }
}

/// Several queries that are written at once and answered at once.
///
/// They count as a whole: when one goes wrong, none is done. A result is taken by the ticket that the
/// query was given.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> asyncio_core::Result<()> {
/// # let cluster = asyncio_db::testing::PgCluster::create()?;
/// # let dsn = cluster.dsn();
/// asyncio_core::run(async move {
///     let mut connection = asyncio_db::pg::connect(dsn).await?;
///     let mut pipeline = connection.pipeline();
///     pipeline.execute("CREATE TABLE visits (page text)", ());
///     let sum = pipeline.fetch("SELECT $1::int + $2::int AS sum", (3, 4));
///     let text = pipeline.fetch("SELECT upper($1)", ("word",));
///     let mut results = pipeline.run().await?;
///     assert_eq!(results.take(sum)?[0].get::<i32>("sum")?, 7);
///     assert_eq!(results.take(text)?[0].get::<&str>(0)?, "WORD");
///     Ok(())
/// })
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[must_use = "nothing is executed before `run`"]
pub struct Pipeline<'a> {
    connection: &'a mut Connection,
    queries: Vec<(String, Box<dyn Args + Send + Sync + 'a>)>,
}

/// Stands for the result of one query of a [`Pipeline`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(usize);

/// What has come of a [`Pipeline`].
#[derive(Debug, Default)]
pub struct PipelineResults {
    outcomes: Vec<Option<Outcome>>,
}

impl<'a> Pipeline<'a> {
    /// Adds a query.
    pub fn fetch(
        &mut self,
        query: impl Into<String>,
        args: impl Args + Send + Sync + 'a,
    ) -> Ticket {
        self.queries.push((query.into(), Box::new(args)));
        Ticket(self.queries.len() - 1)
    }

    /// Adds a command; the same as [`fetch`](Self::fetch), for those that return no rows.
    pub fn execute(
        &mut self,
        query: impl Into<String>,
        args: impl Args + Send + Sync + 'a,
    ) -> Ticket {
        self.fetch(query, args)
    }

    /// Executes all.
    ///
    /// # Errors
    ///
    /// What has gone wrong first; nothing is done then.
    ///
    /// # Cancel safety
    ///
    /// As of [`Connection::executemany`].
    pub async fn run(self) -> Result<PipelineResults> {
        let Self {
            connection,
            queries,
        } = self;
        let limit = connection.command_timeout;
        limited(limit, run(connection, &queries)).await
    }
}

async fn run(
    connection: &mut Connection,
    queries: &[(String, Box<dyn Args + Send + Sync + '_>)],
) -> Result<PipelineResults> {
    if queries.is_empty() {
        return Ok(PipelineResults::default());
    }
    let mut operation = connection.link.begin().await?;
    match run_once(&mut operation, &mut connection.statements, queries).await {
        Err(_) if operation.may_be_tried_again() => {
            run_once(&mut operation, &mut connection.statements, queries).await
        }
        results => results,
    }
}

async fn run_once(
    operation: &mut Operation<'_>,
    cache: &mut Statements,
    queries: &[(String, Box<dyn Args + Send + Sync + '_>)],
) -> Result<PipelineResults> {
    let mut statements = Vec::with_capacity(queries.len());
    for (query, _) in queries {
        statements.push(cache.get(operation, query).await?);
    }
    if let Some(statement) = statements.last() {
        operation.about(&statement.query, statement.is_named());
    }
    cache.write_closing(operation.wire()?)?;
    let columns = statements
        .iter()
        .map(|statement| Arc::clone(&statement.columns));
    let mut answers = Answers::new(columns.collect());
    let mut group = Group::begin(operation);
    for (statement, (_, args)) in statements.iter().zip(queries) {
        if !group.add(|wire| statement.write_execute(wire, &**args, "", 0))? {
            group.room(|incoming| answers.hear(incoming)).await?;
        }
        if group.failed.is_some() {
            break;
        }
    }
    group.end(|incoming| answers.hear(incoming)).await?;
    Ok(answers.results)
}

/// The results so far.
struct Answers {
    columns: std::vec::IntoIter<Arc<Columns>>,
    current: Option<Outcome>,
    results: PipelineResults,
}

impl Answers {
    fn new(columns: Vec<Arc<Columns>>) -> Self {
        let mut columns = columns.into_iter();
        Self {
            current: columns.next().map(|columns| Outcome::of(&columns)),
            columns,
            results: PipelineResults::default(),
        }
    }

    fn hear(&mut self, incoming: Incoming) -> Result<()> {
        let ends = Outcome::is_ended_by(&incoming);
        if let Some(current) = &mut self.current {
            current.hear(incoming)?;
        }
        if ends {
            let next = self.columns.next().map(|columns| Outcome::of(&columns));
            let ended = std::mem::replace(&mut self.current, next);
            self.results.outcomes.push(ended);
        }
        Ok(())
    }
}

impl PipelineResults {
    /// The rows of a query.
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] when they were taken before, and for a ticket of another pipeline that had more
    /// queries.
    pub fn take(&mut self, ticket: Ticket) -> Result<Vec<Record>> {
        let outcome = self.outcomes.get_mut(ticket.0).and_then(Option::as_mut);
        match outcome {
            Some(outcome) => Ok(std::mem::take(&mut outcome.rows)),
            None => Err(InterfaceError::new("there is no such query in the pipeline").into()),
        }
    }

    /// What a command has done.
    #[must_use]
    pub fn tag(&self, ticket: Ticket) -> Option<&CommandTag> {
        let outcome = self.outcomes.get(ticket.0)?.as_ref()?;
        Some(&outcome.tag)
    }
}

impl fmt::Debug for Pipeline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queries = self.queries.iter().map(|(query, _)| query);
        f.debug_list().entries(queries).finish()
    }
}
