//! One query for many sets of arguments, and many queries at once: one answer is waited for.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use asyncio_core::{Exception, Result};

use super::args::Args;
use super::connection::{Connection, limited};
use super::errors::InterfaceError;
use super::execute::Outcome;
use super::operation::{Operation, Sorted};
use super::prepared::Query;
use super::protocol::{Incoming, Passing, Wire};
use super::record::Record;
use super::recovery;
use super::statement::{Statement, Statements};
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
        let running = limited(limit, self.for_each(&query, rows, None));
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
        limited(limit, self.for_each(&query, rows, Some(&mut all))).await?;
        Ok(all)
    }

    async fn for_each<A: Args>(
        &mut self,
        query: &impl Query,
        rows: impl IntoIterator<Item = A>,
        mut results: Option<&mut Vec<Record>>,
    ) -> Result<()> {
        let rows_count = results.is_some();
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
        let mut hear = |incoming| {
            if let Some(results) = &mut results {
                outcome.hear(incoming);
                outcome.move_rows_to(results);
            }
            Ok(())
        };
        // Prepared anew, which takes no time of its own: were it outdated, it could not be tried again, for
        // the arguments would be gone. But one that somebody holds says so itself.
        let anew = !(rows_count && statement.is_named());
        if anew {
            statement.write_parse(operation.wire()?)?;
        }
        if !rows_count {
            operation.wire()?.pass(Passing::Statements);
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
                group.room(&mut hear).await?;
            }
            if group.failed.is_some() {
                break;
            }
        }
        group.end(hear).await
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
        let failed = &mut self.failed;
        let hear = |sorted| {
            match sorted {
                // All that follows is passed over, up to the end of the group.
                Sorted::Failed(error) => {
                    failed.get_or_insert(error.into());
                }
                Sorted::Something(incoming) if failed.is_none() => hear(incoming)?,
                Sorted::Something(_) | Sorted::Nothing | Sorted::Ready => {}
            }
            Ok(())
        };
        self.operation.until_room(LEFT, hear).await
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
    queries: Vec<Asked<'a>>,
}

/// A query and its arguments.
type Asked<'a> = (Cow<'a, str>, Box<dyn Args + Send + Sync + 'a>);

/// Stands for the result of one query of a [`Pipeline`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(usize);

/// What has come of a [`Pipeline`].
#[derive(Debug, Default)]
pub struct PipelineResults {
    answers: Vec<Answer>,
}

#[derive(Debug)]
struct Answer {
    outcome: Outcome,
    taken: bool,
    /// Made when it is asked for.
    tag: OnceLock<Option<CommandTag>>,
}

impl<'a> Pipeline<'a> {
    /// Adds a query.
    pub fn fetch(
        &mut self,
        query: impl Into<Cow<'a, str>>,
        args: impl Args + Send + Sync + 'a,
    ) -> Ticket {
        self.queries.push((query.into(), Box::new(args)));
        Ticket(self.queries.len() - 1)
    }

    /// Adds a command; the same as [`fetch`](Self::fetch), for those that return no rows.
    pub fn execute(
        &mut self,
        query: impl Into<Cow<'a, str>>,
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

async fn run(connection: &mut Connection, queries: &[Asked<'_>]) -> Result<PipelineResults> {
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
    queries: &[Asked<'_>],
) -> Result<PipelineResults> {
    let mut statements: Vec<Arc<Statement>> = Vec::with_capacity(queries.len());
    for (query, _) in queries {
        // Most often it is one query, again and again.
        let statement = match statements.last() {
            Some(last) if *last.query == **query && last.is_named() => Arc::clone(last),
            _ => cache.get(operation, query).await?,
        };
        statements.push(statement);
    }
    if let Some(statement) = statements.last() {
        operation.about(&statement.query, statement.is_named());
    }
    cache.write_closing(operation.wire()?)?;
    let mut answers = Answers::new(&statements);
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
    results: PipelineResults,
    /// Whose answer comes next.
    current: usize,
}

impl Answers {
    fn new(statements: &[Arc<Statement>]) -> Self {
        let answers = statements.iter().map(|statement| Answer {
            outcome: Outcome::of(&statement.columns),
            taken: false,
            tag: OnceLock::new(),
        });
        Self {
            results: PipelineResults {
                answers: answers.collect(),
            },
            current: 0,
        }
    }

    fn hear(&mut self, incoming: Incoming) -> Result<()> {
        let ends = Outcome::is_ended_by(&incoming);
        if let Some(current) = self.results.answers.get_mut(self.current) {
            current.outcome.hear(incoming);
        }
        self.current += usize::from(ends);
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
        match self.answers.get_mut(ticket.0) {
            Some(answer) if !answer.taken => {
                answer.taken = true;
                let mut rows = Vec::new();
                answer.outcome.move_rows_to(&mut rows);
                Ok(rows)
            }
            Some(_) => Err(InterfaceError::new("these rows were taken before").into()),
            None => Err(InterfaceError::new("there is no such query in the pipeline").into()),
        }
    }

    /// What a command has done.
    #[must_use]
    pub fn tag(&self, ticket: Ticket) -> Option<&CommandTag> {
        let answer = self.answers.get(ticket.0)?;
        let tag = answer.tag.get_or_init(|| answer.outcome.tag().ok());
        tag.as_ref()
    }
}

impl fmt::Debug for Pipeline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queries = self.queries.iter().map(|(query, _)| query);
        f.debug_list().entries(queries).finish()
    }
}
