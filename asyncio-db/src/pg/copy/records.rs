//! `copy_records_to_table`.

use std::fmt;
use std::future::{IntoFuture, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_core::{FutureExt, Result};
use bytes::BytesMut;
use futures_core::Stream;
use postgres_types::Type;

use super::On;
use super::input::{BINARY, Copying, GATHERED, LEFT, head};
use super::options::{Options, option_methods};
use super::tuples;
use crate::pg::args::Args;
use crate::pg::connection::{Connection, limited};
use crate::pg::pool::Pool;
use crate::pg::protocol::Incoming;
use crate::pg::tag::CommandTag;

impl Connection {
    /// Copies records into a table, in the server's binary form: the fastest way to add many rows
    /// (`Connection.copy_records_to_table`).
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn main() -> asyncio_core::Result<()> {
    /// # let cluster = asyncio_db::testing::PgCluster::create()?;
    /// # let dsn = cluster.dsn();
    /// asyncio_core::run(async move {
    ///     let mut connection = asyncio_db::pg::connect(dsn).await?;
    ///     connection.execute("CREATE TEMP TABLE squares (n int, square bigint)", ()).await?;
    ///     let records = (0..1000).map(|n| (n, i64::from(n * n)));
    ///     let tag = connection
    ///         .copy_records_to_table("squares", records)
    ///         .columns(["n", "square"])
    ///         .await?;
    ///     assert_eq!(tag.rows(), Some(1000));
    ///     connection.close().await
    /// })
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute); [`EncodeError`](crate::pg::EncodeError) when a value is not of
    /// its column's type. No record is added then.
    ///
    /// # Cancel safety
    ///
    /// No record is added, unless all were by then. In a transaction nothing of that can be committed any
    /// more.
    pub fn copy_records_to_table<'a, A: Args, I: IntoIterator<Item = A>>(
        &'a mut self,
        table: &'a str,
        records: I,
    ) -> CopyRecords<'a, impl Stream<Item = Result<A>> + use<'a, A, I>> {
        CopyRecords::new(On::Connection(self), table, AtHand(records.into_iter()))
    }

    /// As [`copy_records_to_table`](Self::copy_records_to_table), with records that come in their own
    /// time: Python's asynchronous generator.
    ///
    /// # Errors
    ///
    /// As of [`copy_records_to_table`](Self::copy_records_to_table); what the stream goes wrong with.
    ///
    /// # Cancel safety
    ///
    /// As of [`copy_records_to_table`](Self::copy_records_to_table).
    pub fn copy_stream_to_table<'a, A: Args, S: Stream<Item = Result<A>>>(
        &'a mut self,
        table: &'a str,
        records: S,
    ) -> CopyRecords<'a, S> {
        CopyRecords::new(On::Connection(self), table, records)
    }
}

impl Pool {
    /// As [`Connection::copy_records_to_table`], on a connection of the pool.
    ///
    /// # Errors
    ///
    /// As of [`acquire`](Self::acquire) and of the connection's method.
    ///
    /// # Cancel safety
    ///
    /// As of [`acquire`](Self::acquire) and of the connection's method.
    pub fn copy_records_to_table<'a, A: Args, I: IntoIterator<Item = A>>(
        &'a self,
        table: &'a str,
        records: I,
    ) -> CopyRecords<'a, impl Stream<Item = Result<A>> + use<'a, A, I>> {
        CopyRecords::new(On::Pool(self), table, AtHand(records.into_iter()))
    }

    /// As [`Connection::copy_stream_to_table`], on a connection of the pool.
    ///
    /// # Errors
    ///
    /// As of [`acquire`](Self::acquire) and of the connection's method.
    ///
    /// # Cancel safety
    ///
    /// As of [`acquire`](Self::acquire) and of the connection's method.
    pub fn copy_stream_to_table<'a, A: Args, S: Stream<Item = Result<A>>>(
        &'a self,
        table: &'a str,
        records: S,
    ) -> CopyRecords<'a, S> {
        CopyRecords::new(On::Pool(self), table, records)
    }
}

/// Records that are all there.
struct AtHand<I>(I);

// Nothing in it is ever pinned.
impl<I> Unpin for AtHand<I> {}

impl<A, I: Iterator<Item = A>> Stream for AtHand<I> {
    type Item = Result<A>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<A>>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}

/// What [`Connection::copy_records_to_table`] is told by methods; awaiting it copies.
#[must_use = "nothing is copied before it is awaited"]
pub struct CopyRecords<'a, S> {
    on: On<'a>,
    table: &'a str,
    records: Pin<Box<S>>,
    options: Options,
}

impl<'a, A: Args, S: Stream<Item = Result<A>>> CopyRecords<'a, S> {
    fn new(on: On<'a>, table: &'a str, records: S) -> Self {
        Self {
            on,
            table,
            records: Box::pin(records),
            options: Options::default(),
        }
    }

    option_methods!(columns);
    option_methods!(where);

    async fn run(mut self) -> Result<CommandTag> {
        let mut borrowed = self.on.borrow().await?;
        let connection = borrowed.connection();
        self.options.format = BINARY;
        let text = format!(
            "COPY {} FROM STDIN{}",
            self.options.table(self.table),
            self.options.clause()
        );
        let describing = self.options.describing(self.table);
        let limit = connection.command_timeout;
        let (link, statements) = (&mut connection.link, &mut connection.statements);
        limited(limit, async {
            let mut operation = link.begin().await?;
            let described = statements.anew(&mut operation, &describing).await?;
            let columns: Vec<Type> = described
                .columns
                .all
                .iter()
                .map(|it| it.type_.clone())
                .collect();
            let mut copying = Copying::begin(&mut operation, &text).await?;
            copying.feed(self.records.as_mut(), &columns).await?;
            copying.end().await
        })
        .await
    }
}

/// So many pieces are written before others have a turn.
const AT_ONCE: u32 = 16;

/// What has come of a step.
enum Step {
    Heard(Incoming),
    More,
    End,
}

impl Copying<'_, '_> {
    /// Copies all records of a stream.
    ///
    /// # Errors
    ///
    /// What goes wrong with the session; when the task is cancelled. What goes wrong with a record is told
    /// at the [end](Self::end).
    async fn feed<A: Args, S: Stream<Item = Result<A>>>(
        &mut self,
        mut records: Pin<&mut S>,
        columns: &[Type],
    ) -> Result<()> {
        // A piece is made here and sent as a whole: whatever a record does, half a message is never sent.
        let mut piece = BytesMut::with_capacity(GATHERED + (GATHERED >> 3));
        piece.extend_from_slice(&head(0));
        tuples::put_header(&mut piece);
        let mut number = 0_u64;
        let mut steps = 0;
        loop {
            let mut failed = None;
            let wire = self.operation().wire()?;
            let step = poll_fn(|cx| {
                // As long as there is no room, nobody is asked.
                let mut fed = Poll::Ready(Step::More);
                while wire.unwritten() < LEFT && piece.len() < GATHERED {
                    fed = match records.as_mut().poll_next(cx) {
                        Poll::Ready(Some(record)) => {
                            number += 1;
                            let put =
                                record.and_then(|it| tuples::put_row(&it, columns, &mut piece));
                            match put {
                                Ok(()) => Poll::Ready(Step::More),
                                Err(error) => {
                                    failed = Some(error);
                                    Poll::Ready(Step::End)
                                }
                            }
                        }
                        Poll::Ready(None) => {
                            tuples::put_trailer(&mut piece);
                            Poll::Ready(Step::End)
                        }
                        Poll::Pending => Poll::Pending,
                    };
                    if !matches!(fed, Poll::Ready(Step::More)) {
                        break;
                    }
                }
                if piece.len() > HEAD && failed.is_none() {
                    let head = head(piece.len() - HEAD);
                    piece[..HEAD].copy_from_slice(&head);
                    wire.copy(&piece);
                    piece.truncate(HEAD);
                }
                if matches!(fed, Poll::Ready(Step::End)) {
                    return fed.map(Ok);
                }
                match wire.poll_incoming(cx) {
                    Poll::Ready(incoming) => return Poll::Ready(incoming.map(Step::Heard)),
                    Poll::Pending if wire.unwritten() >= LEFT => return Poll::Pending,
                    Poll::Pending if fed.is_pending() => return Poll::Pending,
                    Poll::Pending => {}
                }
                steps += 1;
                if steps % AT_ONCE == 0 {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(Step::More))
            });
            match step.cancellable().await?? {
                Step::Heard(incoming) => self.hear(incoming)?,
                Step::More => {}
                Step::End => {
                    if let Some(error) = failed {
                        if error.is_cancelled() {
                            return Err(error);
                        }
                        error.add_note(format!("in record {number}"));
                        self.fail(error);
                    }
                    return Ok(());
                }
            }
            if self.has_failed() {
                return Ok(());
            }
        }
    }
}

/// The tag and the length of a message.
const HEAD: usize = 5;

impl<'a, A, S> IntoFuture for CopyRecords<'a, S>
where
    A: Args + Send + 'a,
    S: Stream<Item = Result<A>> + Send + 'a,
{
    type Output = Result<CommandTag>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<CommandTag>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<S> fmt::Debug for CopyRecords<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyRecords")
            .field("table", &self.table)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
