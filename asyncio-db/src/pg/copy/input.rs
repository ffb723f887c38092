//! `copy_to_table`, and what all rows that are copied in have in common.

use std::fmt;
use std::future::{IntoFuture, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use asyncio_core::{Exception, FutureExt, Result};
use bytes::{BufMut, BytesMut};
use postgres_protocol::message::backend::Message;

use super::On;
use super::options::{CopyFormat, Options, option_methods};
use super::places::CopySource;
use crate::pg::connection::{Connection, limited};
use crate::pg::errors::InterfaceError;
use crate::pg::operation::{Operation, Sorted};
use crate::pg::pool::Pool;
use crate::pg::protocol::Incoming;
use crate::pg::tag::CommandTag;

/// So much is gathered before it has to be written.
pub(super) const GATHERED: usize = 1 << 16;
/// Then more is gathered when no more than so much is left.
pub(super) const LEFT: usize = 1 << 15;

impl Connection {
    /// Copies rows into a table that are written as `COPY` reads them (`Connection.copy_to_table`).
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn main() -> asyncio_core::Result<()> {
    /// # let cluster = asyncio_db::testing::PgCluster::create()?;
    /// # let dsn = cluster.dsn();
    /// use asyncio_db::pg::CopyFormat;
    ///
    /// asyncio_core::run(async move {
    ///     let mut connection = asyncio_db::pg::connect(dsn).await?;
    ///     connection.execute("CREATE TEMP TABLE towns (name text, people int)", ()).await?;
    ///     let source = &b"Bruges;119000\nGhent;270000\n"[..];
    ///     let tag = connection
    ///         .copy_to_table("towns", source)
    ///         .columns(["name", "people"])
    ///         .format(CopyFormat::Csv)
    ///         .delimiter(';')
    ///         .await?;
    ///     assert_eq!(tag, "COPY 2");
    ///     connection.close().await
    /// })
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute); what goes wrong with the source. No row is added then.
    ///
    /// # Cancel safety
    ///
    /// No row is added, unless all were by then. In a transaction nothing of that can be committed any
    /// more.
    pub fn copy_to_table<'a, S: CopySource>(
        &'a mut self,
        table: &'a str,
        source: S,
    ) -> CopyToTable<'a, S> {
        CopyToTable::new(On::Connection(self), table, source)
    }
}

impl Pool {
    /// As [`Connection::copy_to_table`], on a connection of the pool.
    ///
    /// # Errors
    ///
    /// As of [`acquire`](Self::acquire) and of the connection's method.
    ///
    /// # Cancel safety
    ///
    /// As of [`acquire`](Self::acquire) and of the connection's method.
    pub fn copy_to_table<'a, S: CopySource>(
        &'a self,
        table: &'a str,
        source: S,
    ) -> CopyToTable<'a, S> {
        CopyToTable::new(On::Pool(self), table, source)
    }
}

/// What [`Connection::copy_to_table`] is told by methods; awaiting it copies.
#[must_use = "nothing is copied before it is awaited"]
pub struct CopyToTable<'a, S> {
    on: On<'a>,
    table: &'a str,
    source: S,
    options: Options,
}

impl<'a, S: CopySource> CopyToTable<'a, S> {
    fn new(on: On<'a>, table: &'a str, source: S) -> Self {
        Self {
            on,
            table,
            source,
            options: Options::default(),
        }
    }

    option_methods!(columns);
    option_methods!(format);
    option_methods!(in);
    option_methods!(where);

    async fn run(self) -> Result<CommandTag> {
        let mut borrowed = self.on.borrow().await?;
        let connection = borrowed.connection();
        let text = format!(
            "COPY {} FROM STDIN{}",
            self.options.table(self.table),
            self.options.clause()
        );
        let limit = connection.command_timeout;
        let link = &mut connection.link;
        limited(limit, async {
            let mut operation = link.begin().await?;
            let mut copying = Copying::begin(&mut operation, &text).await?;
            copying.feed_all(self.source).await?;
            copying.end().await
        })
        .await
    }
}

impl<'a, S: CopySource + Send + 'a> IntoFuture for CopyToTable<'a, S> {
    type Output = Result<CommandTag>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<CommandTag>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<S> fmt::Debug for CopyToTable<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyToTable")
            .field("table", &self.table)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Rows on their way into a table. What leaves it in the middle leaves no row behind: the server is told
/// that there will be no more, by what puts the session right.
pub(super) struct Copying<'o, 'c> {
    operation: &'o mut Operation<'c>,
    failed: Option<Exception>,
}

impl<'o, 'c> Copying<'o, 'c> {
    /// Has the server wait for rows.
    ///
    /// # Errors
    ///
    /// What it has against that; when the task is cancelled.
    pub(super) async fn begin(operation: &'o mut Operation<'c>, text: &str) -> Result<Self> {
        operation.about(&text.into(), false);
        operation.wire()?.query(text)?;
        let mut failed = None;
        loop {
            let incoming = operation.incoming().await?;
            if matches!(incoming, Incoming::Message(Message::CopyInResponse(_))) {
                return Ok(Self {
                    operation,
                    failed: None,
                });
            }
            match operation.sort(incoming)? {
                Sorted::Failed(error) => failed = Some(error),
                Sorted::Ready => {
                    return Err(failed.map_or_else(
                        || InterfaceError::new("the server copies nothing").into(),
                        Into::into,
                    ));
                }
                Sorted::Something(_) | Sorted::Nothing => {}
            }
        }
    }

    /// Copies all of a source.
    ///
    /// # Errors
    ///
    /// What goes wrong with the session; when the task is cancelled. What goes wrong with the source is
    /// told at the [end](Self::end).
    pub(super) async fn feed_all(&mut self, mut source: impl CopySource) -> Result<()> {
        let mut chunk = BytesMut::new();
        while self.failed.is_none() {
            chunk.clear();
            let read = {
                let mut reading = pin!(source.read_chunk(&mut chunk));
                loop {
                    // What the server has against it is heard while the source has nothing.
                    let wire = self.operation.wire()?;
                    let next = poll_fn(|cx| match reading.as_mut().poll(cx) {
                        Poll::Ready(read) => Poll::Ready(Ok(Either::Read(read))),
                        Poll::Pending => wire.poll_incoming(cx).map_ok(Either::Heard),
                    });
                    match next.cancellable().await?? {
                        Either::Read(read) => break Some(read),
                        Either::Heard(incoming) => self.hear(incoming)?,
                    }
                    if self.failed.is_some() {
                        break None;
                    }
                }
            };
            match read {
                Some(Ok(true)) => self.put(&chunk).await?,
                Some(Err(error)) if error.is_cancelled() => return Err(error),
                Some(Err(error)) => self.failed = Some(error),
                Some(Ok(false)) | None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Sends a piece, and waits until there is room for more.
    async fn put(&mut self, chunk: &[u8]) -> Result<()> {
        for piece in chunk.chunks(LONGEST_PIECE) {
            let wire = self.operation.wire()?;
            wire.copy(&head(piece.len()));
            wire.copy(piece);
            if wire.unwritten() >= GATHERED {
                self.room().await?;
            }
            if self.failed.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Waits until there is room for more, and hears what comes meanwhile.
    ///
    /// # Errors
    ///
    /// What goes wrong with the session; when the task is cancelled.
    pub(super) async fn room(&mut self) -> Result<()> {
        while let Some(incoming) = self.operation.incoming_or_room(LEFT).await? {
            self.hear(incoming)?;
            if self.failed.is_some() {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn hear(&mut self, incoming: Incoming) -> Result<()> {
        if let Sorted::Failed(error) = self.operation.sort(incoming)? {
            self.failed.get_or_insert(error.into());
        }
        Ok(())
    }

    pub(super) const fn operation(&mut self) -> &mut Operation<'c> {
        self.operation
    }

    pub(super) fn fail(&mut self, error: Exception) {
        self.failed.get_or_insert(error);
    }

    pub(super) const fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// These were all rows; or, where something has gone wrong, there are none.
    ///
    /// # Errors
    ///
    /// What has gone wrong.
    pub(super) async fn end(self) -> Result<CommandTag> {
        let wire = self.operation.wire()?;
        if wire.is_copying() {
            if self.failed.is_none() {
                wire.end_copy();
            } else {
                wire.refuse_copy();
            }
        }
        let mut tag = CommandTag::default();
        let ended = self
            .operation
            .until_ready(|incoming| {
                if let Incoming::Message(Message::CommandComplete(body)) = incoming {
                    tag = CommandTag::from(body.tag()?);
                }
                Ok(())
            })
            .await;
        match (self.failed, ended) {
            (_, Err(error)) if error.is_cancelled() => Err(error),
            (Some(failed), _) => Err(failed),
            (None, ended) => ended.map(|()| tag),
        }
    }
}

enum Either {
    Read(Result<bool>),
    Heard(Incoming),
}

/// No message may be longer than 1 GiB, and this is as good.
const LONGEST_PIECE: usize = 1 << 20;

/// What stands before a piece.
pub(super) fn head(len: usize) -> [u8; 5] {
    let mut head = [b'd'; 5];
    let len = u32::try_from(len + 4).unwrap_or(u32::MAX);
    (&mut head[1..]).put_u32(len);
    head
}

/// The format of records.
pub(super) const BINARY: Option<CopyFormat> = Some(CopyFormat::Binary);
