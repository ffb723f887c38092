//! Rows as they come.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use asyncio_core::{Cancellable, Exception, FutureExt, Result};
use futures_core::Stream;
use postgres_protocol::message::backend::Message;

use super::args::Args;
use super::connection::{Connection, limited};
use super::copy::Tuples;
use super::operation::{Operation, Sorted};
use super::prepared::Query;
use super::protocol::{Incoming, RowRun};
use super::record::{Columns, Record};
use super::statement::Statements;

impl Connection {
    /// Executes a query and returns its rows as they come, in as much memory as they need on their way.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn main() -> asyncio_core::Result<()> {
    /// # let cluster = asyncio_db::testing::PgCluster::create()?;
    /// # let dsn = cluster.dsn();
    /// asyncio_core::run(async move {
    ///     let mut connection = asyncio_db::pg::connect(dsn).await?;
    ///     let mut rows = connection.stream("SELECT generate_series(1, 1000000000)", ()).await?;
    ///     let mut sum = 0;
    ///     for _ in 0..10 {
    ///         if let Some(row) = rows.next().await? {
    ///             sum += row.get::<i32>(0)?;
    ///         }
    ///     }
    ///     assert_eq!(sum, 55);
    ///     drop(rows); // the server stops
    ///     assert_eq!(connection.fetchval("SELECT 'at once'", ()).await?, Some("at once".to_owned()));
    ///     Ok(())
    /// })
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute).
    pub async fn stream(&mut self, query: impl Query, args: impl Args) -> Result<RowStream<'_>> {
        let limit = self.command_timeout;
        let (link, statements) = (&mut self.link, &mut self.statements);
        limited(limit, async {
            let mut operation = link.begin().await?;
            let columns = match begin(&mut operation, statements, &query, &args).await {
                Err(_) if operation.may_be_tried_again() => {
                    begin(&mut operation, statements, &query, &args).await?
                }
                begun => begun?,
            };
            Ok(RowStream {
                columns,
                run: None,
                copied: Tuples::default(),
                failed: None,
                state: State::Idle(operation),
                limit,
            })
        })
        .await
    }
}

/// Has a query executed, up to where its rows begin.
async fn begin(
    operation: &mut Operation<'_>,
    statements: &mut Statements,
    query: &impl Query,
    args: &impl Args,
) -> Result<Arc<Columns>> {
    let statement = statements.of(operation, query).await?;
    operation.about(&statement.query, statement.is_named());
    let wire = operation.wire()?;
    statements.write_closing(wire)?;
    statement.write_execute(wire, args, "", 0)?;
    wire.sync();
    loop {
        let incoming = operation.incoming().await?;
        match operation.sort(incoming)? {
            Sorted::Something(Incoming::Message(Message::BindComplete)) => {
                return Ok(Arc::clone(&statement.columns));
            }
            Sorted::Failed(error) => {
                operation.until_ready(|_| Ok(())).await?;
                return Err(error.into());
            }
            Sorted::Something(_) | Sorted::Nothing | Sorted::Ready => {}
        }
    }
}

/// The rows of a query, as they come.
///
/// When it goes before its end, the server is asked to stop.
#[must_use = "rows are read when it is polled"]
pub struct RowStream<'a> {
    columns: Arc<Columns>,
    run: Option<RowRun>,
    copied: Tuples,
    failed: Option<Exception>,
    state: State<'a>,
    /// How long a row is waited for.
    limit: Option<Duration>,
}

enum State<'a> {
    Idle(Operation<'a>),
    Waiting(Cancellable<Hearing<'a>>),
    Over,
}

/// Waits for what comes next. It has the operation, so that it is left when it is cancelled.
struct Hearing<'a> {
    operation: Option<Operation<'a>>,
}

impl<'a> Future for Hearing<'a> {
    type Output = Result<(Operation<'a>, Incoming)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let incoming = match &mut self.operation {
            Some(operation) => ready!(operation.wire()?.poll_incoming(cx))?,
            None => return Poll::Pending,
        };
        match self.operation.take() {
            Some(operation) => Poll::Ready(Ok((operation, incoming))),
            None => Poll::Pending,
        }
    }
}

impl<'a> RowStream<'a> {
    /// Rows that are copied out, in the server's binary form.
    pub(super) fn copied(
        operation: Operation<'a>,
        columns: Arc<Columns>,
        limit: Option<Duration>,
    ) -> Self {
        Self {
            columns,
            run: None,
            copied: Tuples::default(),
            failed: None,
            state: State::Idle(operation),
            limit,
        }
    }
}

impl RowStream<'_> {
    /// The next row; `None` after the last one.
    ///
    /// The wait for a row has the time limit that the connection sets for each operation; as a
    /// [`Stream`] it has none, but for the first row.
    ///
    /// # Errors
    ///
    /// What goes wrong on the way; nothing comes after that.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled, there are no more rows, and the server is asked to stop. When it is dropped
    /// no row is lost.
    pub async fn next(&mut self) -> Result<Option<Record>> {
        if let Some(row) = self.row_at_hand() {
            return Ok(Some(row));
        }
        let limit = self.limit;
        let next = async {
            std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
                .await
                .transpose()
        };
        match limited(limit, next).await {
            Err(error) => {
                // Over in any case: where there is no task it has not noticed.
                self.state = State::Over;
                Err(error)
            }
            next => next,
        }
    }

    fn row_at_hand(&mut self) -> Option<Record> {
        let row = self.run.as_mut()?.next()?;
        Some(Record::new(Arc::clone(&self.columns), row))
    }

    fn hear(&mut self, operation: &mut Operation<'_>, incoming: Incoming) -> Result<bool> {
        match operation.sort(incoming)? {
            Sorted::Ready => return Ok(true),
            Sorted::Failed(error) => {
                self.failed.get_or_insert(error.into());
            }
            Sorted::Something(Incoming::Rows(run)) => self.run = Some(run),
            Sorted::Something(Incoming::Copied(run)) => self.copied.add(run),
            Sorted::Something(Incoming::Message(_)) | Sorted::Nothing => {}
        }
        Ok(false)
    }
}

impl Stream for RowStream<'_> {
    type Item = Result<Record>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(row) = this.row_at_hand() {
                return Poll::Ready(Some(Ok(row)));
            }
            match this.copied.next() {
                Ok(None) => {}
                Ok(Some(row)) => {
                    return Poll::Ready(Some(Ok(Record::new(Arc::clone(&this.columns), row))));
                }
                Err(error) => {
                    this.state = State::Over;
                    return Poll::Ready(Some(Err(error)));
                }
            }
            match std::mem::replace(&mut this.state, State::Over) {
                State::Over => return Poll::Ready(None),
                State::Idle(operation) => {
                    let hearing = Hearing {
                        operation: Some(operation),
                    };
                    this.state = State::Waiting(hearing.cancellable());
                }
                State::Waiting(mut hearing) => {
                    let heard = match Pin::new(&mut hearing).poll(cx) {
                        Poll::Ready(heard) => heard,
                        Poll::Pending => {
                            this.state = State::Waiting(hearing);
                            return Poll::Pending;
                        }
                    };
                    let (mut operation, incoming) = match heard {
                        Ok(Ok(heard)) => heard,
                        Ok(Err(error)) => return Poll::Ready(Some(Err(error))),
                        Err(cancelled) => return Poll::Ready(Some(Err(cancelled.into()))),
                    };
                    match this.hear(&mut operation, incoming) {
                        Ok(false) => this.state = State::Idle(operation),
                        Ok(true) => {
                            return Poll::Ready(this.failed.take().map(Err));
                        }
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
            }
        }
    }
}

impl fmt::Debug for RowStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowStream")
            .field("over", &matches!(self.state, State::Over))
            .finish_non_exhaustive()
    }
}
