//! `copy_from_table` and `copy_from_query`.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;

use asyncio_core::{FutureExt as _, Result};
use postgres_protocol::message::backend::Message;
use postgres_types::Type;

use super::On;
use super::input::BINARY;
use super::options::{CopyColumns, CopyFormat, Options, option_methods};
use super::places::CopySink;
use super::quoting;
use crate::pg::args::Args;
use crate::pg::connection::{Connection, limited};
use crate::pg::execute::Outcome;
use crate::pg::operation::{Operation, Sorted};
use crate::pg::pool::Pool;
use crate::pg::protocol::Incoming;
use crate::pg::record::{Attribute, Columns};
use crate::pg::rows::RowStream;
use crate::pg::statement::{Statement, Statements};
use crate::pg::tag::CommandTag;

impl Connection {
    /// Copies a table to wherever it is to go (`Connection.copy_from_table`).
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
    ///     connection.execute("CREATE TEMP TABLE t AS SELECT 'a;b' AS name, 7 AS n", ()).await?;
    ///     let mut output = Vec::new();
    ///     connection
    ///         .copy_from_table("t", &mut output)
    ///         .format(CopyFormat::Csv)
    ///         .delimiter(';')
    ///         .header(true)
    ///         .await?;
    ///     assert_eq!(output, b"name;n\n\"a;b\";7\n");
    ///     connection.close().await
    /// })
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute); what goes wrong with the output.
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute); the output has a part of it.
    pub fn copy_from_table<'a, W: CopySink>(
        &'a mut self,
        table: &'a str,
        output: W,
    ) -> CopyFromTable<'a, W> {
        CopyFromTable {
            on: On::Connection(self),
            table,
            output,
            options: Options::default(),
        }
    }

    /// Copies the rows of a query to wherever they are to go (`Connection.copy_from_query`).
    ///
    /// The server takes no arguments for that: they are written into the query, by the server's own rules.
    ///
    /// # Errors
    ///
    /// As of [`copy_from_table`](Self::copy_from_table).
    ///
    /// # Cancel safety
    ///
    /// As of [`copy_from_table`](Self::copy_from_table).
    pub fn copy_from_query<'a, A: Args, W: CopySink>(
        &'a mut self,
        query: &'a str,
        args: A,
        output: W,
    ) -> CopyFromQuery<'a, A, W> {
        CopyFromQuery {
            on: On::Connection(self),
            query,
            args,
            output,
            options: Options::default(),
        }
    }

    /// Copies a table out as records, as they come.
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`execute`](Self::execute).
    pub async fn copy_records_from_table(
        &mut self,
        table: &str,
        columns: impl Into<CopyColumns>,
    ) -> Result<RowStream<'_>> {
        let options = Options {
            columns: match columns.into() {
                CopyColumns::All => None,
                CopyColumns::Of(columns) => Some(columns),
            },
            ..Options::default()
        };
        let (from, describing) = (options.table(table), options.describing(table));
        self.copy_out_records(&describing, &from).await
    }

    /// Copies the rows of a query out as records, as they come: for very many of them this takes less time
    /// than [`stream`](Self::stream).
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn main() -> asyncio_core::Result<()> {
    /// # let cluster = asyncio_db::testing::PgCluster::create()?;
    /// # let dsn = cluster.dsn();
    /// asyncio_core::run(async move {
    ///     let mut connection = asyncio_db::pg::connect(dsn).await?;
    ///     let query = "SELECT n, n * 2 AS twice FROM generate_series(1, $1::int) n";
    ///     let mut records = connection.copy_records_from_query(query, (1000,)).await?;
    ///     let mut sum = 0;
    ///     while let Some(record) = records.next().await? {
    ///         sum += record.get::<i32>("twice")?;
    ///     }
    ///     assert_eq!(sum, 1_001_000);
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
    pub async fn copy_records_from_query(
        &mut self,
        query: &str,
        args: impl Args,
    ) -> Result<RowStream<'_>> {
        let limit = self.command_timeout;
        let query = limited(limit, self.inlined(query, &args)).await?;
        let from = format!("({query})");
        self.copy_out_records(&query, &from).await
    }

    async fn copy_out_records(&mut self, describing: &str, from: &str) -> Result<RowStream<'_>> {
        let options = Options {
            format: BINARY,
            ..Options::default()
        };
        let text = format!("COPY {from} TO STDOUT{}", options.clause());
        let limit = self.command_timeout;
        let (link, statements) = (&mut self.link, &mut self.statements);
        limited(limit, async {
            let mut operation = link.begin().await?;
            let described = statements.anew(&mut operation, describing).await?;
            begin(&mut operation, &text).await?;
            Ok(RowStream::copied(
                operation,
                Arc::clone(&described.columns),
                limit,
            ))
        })
        .await
    }

    /// A query with its arguments written into it.
    async fn inlined(&mut self, query: &str, args: &impl Args) -> Result<String> {
        if args.is_empty() {
            return Ok(query.to_owned());
        }
        let (link, statements) = (&mut self.link, &mut self.statements);
        let mut operation = link.begin().await?;
        let values = values(&mut operation, statements, query, args).await?;
        Ok(quoting::inline(query, &values).into_owned())
    }
}

impl Pool {
    /// As [`Connection::copy_from_table`], on a connection of the pool.
    ///
    /// # Errors
    ///
    /// As of [`acquire`](Self::acquire) and of the connection's method.
    ///
    /// # Cancel safety
    ///
    /// As of [`acquire`](Self::acquire) and of the connection's method.
    pub fn copy_from_table<'a, W: CopySink>(
        &'a self,
        table: &'a str,
        output: W,
    ) -> CopyFromTable<'a, W> {
        CopyFromTable {
            on: On::Pool(self),
            table,
            output,
            options: Options::default(),
        }
    }

    /// As [`Connection::copy_from_query`], on a connection of the pool.
    ///
    /// # Errors
    ///
    /// As of [`acquire`](Self::acquire) and of the connection's method.
    ///
    /// # Cancel safety
    ///
    /// As of [`acquire`](Self::acquire) and of the connection's method.
    pub fn copy_from_query<'a, A: Args, W: CopySink>(
        &'a self,
        query: &'a str,
        args: A,
        output: W,
    ) -> CopyFromQuery<'a, A, W> {
        CopyFromQuery {
            on: On::Pool(self),
            query,
            args,
            output,
            options: Options::default(),
        }
    }
}

/// What [`Connection::copy_from_table`] is told by methods; awaiting it copies.
#[must_use = "nothing is copied before it is awaited"]
pub struct CopyFromTable<'a, W> {
    on: On<'a>,
    table: &'a str,
    output: W,
    options: Options,
}

/// What [`Connection::copy_from_query`] is told by methods; awaiting it copies.
#[must_use = "nothing is copied before it is awaited"]
pub struct CopyFromQuery<'a, A, W> {
    on: On<'a>,
    query: &'a str,
    args: A,
    output: W,
    options: Options,
}

impl<W: CopySink> CopyFromTable<'_, W> {
    option_methods!(columns);
    option_methods!(format);
    option_methods!(out);

    async fn run(self) -> Result<CommandTag> {
        let mut borrowed = self.on.borrow().await?;
        let connection = borrowed.connection();
        let text = format!(
            "COPY {} TO STDOUT{}",
            self.options.table(self.table),
            self.options.clause()
        );
        let limit = connection.command_timeout;
        limited(limit, copy_out(connection, &text, self.output)).await
    }
}

impl<A: Args, W: CopySink> CopyFromQuery<'_, A, W> {
    option_methods!(format);
    option_methods!(out);

    async fn run(self) -> Result<CommandTag> {
        let mut borrowed = self.on.borrow().await?;
        let connection = borrowed.connection();
        let limit = connection.command_timeout;
        limited(limit, async {
            let query = connection.inlined(self.query, &self.args).await?;
            let text = format!("COPY ({query}) TO STDOUT{}", self.options.clause());
            copy_out(connection, &text, self.output).await
        })
        .await
    }
}

/// Has the server begin.
async fn begin(operation: &mut Operation<'_>, text: &str) -> Result<()> {
    operation.about(&text.into(), false);
    operation.wire()?.query(text)?;
    loop {
        let incoming = operation.incoming().await?;
        if matches!(incoming, Incoming::Message(Message::CopyOutResponse(_))) {
            return Ok(());
        }
        if let Sorted::Failed(error) = operation.sort(incoming)? {
            operation.until_ready(|_| Ok(())).await?;
            return Err(error.into());
        }
    }
}

async fn copy_out(
    connection: &mut Connection,
    text: &str,
    mut output: impl CopySink,
) -> Result<CommandTag> {
    let mut operation = connection.link.begin().await?;
    begin(&mut operation, text).await?;
    let mut tag = CommandTag::default();
    let mut failed = None;
    let mut chunk = Vec::new();
    loop {
        let incoming = operation.incoming().await?;
        match operation.sort(incoming)? {
            Sorted::Something(Incoming::Copied(run)) => {
                chunk.clear();
                for piece in run {
                    chunk.extend_from_slice(&piece);
                }
                // Where it goes wrong, the server is asked to stop by what puts the session right.
                output.write_chunk(&chunk).cancellable().await??;
            }
            Sorted::Something(Incoming::Message(Message::CommandComplete(body))) => {
                tag = CommandTag::from(body.tag()?);
            }
            Sorted::Failed(error) => failed = Some(error),
            Sorted::Ready => break,
            Sorted::Something(_) | Sorted::Nothing => {}
        }
    }
    drop(operation);
    match failed {
        Some(error) => Err(error.into()),
        None => {
            output.finish().await?;
            Ok(tag)
        }
    }
}

/// The arguments of a query, as the server writes them down.
async fn values(
    operation: &mut Operation<'_>,
    statements: &mut Statements,
    query: &str,
    args: &impl Args,
) -> Result<Vec<String>> {
    let statement = statements.anew(operation, query).await?;
    let casts = statement.params.iter().map(|type_| {
        let name = quoting::table(Some(type_.schema()), type_.name());
        format!("::{name}")
    });
    let casts: Vec<String> = casts.collect();
    let asked = (1..=casts.len()).map(|number| format!("pg_catalog.quote_literal(${number})"));
    let asking: Vec<String> = asked.collect();
    let column = |_| Attribute {
        name: String::new(),
        type_: Type::TEXT,
        text: false,
    };
    let asking = Statement {
        name: String::new(),
        query: format!("SELECT {}", asking.join(", ")).into(),
        columns: Arc::new(Columns::new((0..casts.len()).map(column).collect())),
        params: statement.params.clone(),
    };
    operation.about(&asking.query, false);
    let wire = operation.wire()?;
    asking.write_execute(wire, args, "", 0)?;
    wire.sync();
    let mut outcome = Outcome::of(&asking.columns);
    operation
        .until_ready(|incoming| {
            outcome.hear(incoming);
            Ok(())
        })
        .await?;
    let row = outcome.into_first_row();
    let mut values = Vec::with_capacity(casts.len());
    for (index, cast) in casts.iter().enumerate() {
        let value = match &row {
            Some(row) => row.decode::<Option<&str>>(index)?,
            None => None,
        };
        // In parentheses: what is before it and behind it may bind more than a cast does.
        values.push(format!("({}{cast})", value.unwrap_or("NULL")));
    }
    Ok(values)
}

impl<'a, W: CopySink + Send + 'a> IntoFuture for CopyFromTable<'a, W> {
    type Output = Result<CommandTag>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<CommandTag>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<'a, A, W> IntoFuture for CopyFromQuery<'a, A, W>
where
    A: Args + Send + Sync + 'a,
    W: CopySink + Send + 'a,
{
    type Output = Result<CommandTag>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<CommandTag>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<W> fmt::Debug for CopyFromTable<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyFromTable")
            .field("table", &self.table)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl<A, W> fmt::Debug for CopyFromQuery<'_, A, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyFromQuery")
            .field("query", &self.query)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
