//! Rows as they come.

use std::fmt;

use asyncio_core::Result;

use super::driver::{Arguments, Link};
use super::errors::{MultipleResultsFound, NoResultFound};
use super::row::{Inner, Row};
use super::statement::{Compiled, Scalar};
use crate::{pg, sqlite};

/// The rows of a statement, read as they are asked for (`sqlalchemy.ext.asyncio.AsyncResult`).
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_db::sql::{create_async_engine, text};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let engine = create_async_engine("sqlite://").build()?;
///     let mut connection = engine.connect().await?;
///     let numbers = text("WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n");
///     let mut rows = connection.stream(numbers.columns::<(i64,)>()).await?;
///     let mut sum = 0;
///     while let Some((number,)) = rows.next().await? {
///         sum += number;
///         if number == 10 {
///             break; // there is no end to them
///         }
///     }
///     assert_eq!(sum, 55);
///     Ok(())
/// })
/// # }
/// ```
///
/// When it goes before its end, the database is told to stop.
#[must_use = "rows are read when they are asked for"]
pub struct ResultStream<'a, R> {
    source: Source<'a>,
    make: Make<'a, R>,
}

/// So many rows come from the server at a time.
const PREFETCH: u16 = 500;

/// Makes what is asked for of a row.
type Make<'a, R> = Box<dyn FnMut(&Row) -> Result<R> + Send + 'a>;

/// Each of them is large, and there is one.
enum Source<'a> {
    /// Within a transaction, which is not to fail when it is left before its end.
    Cursor(Box<pg::Cursor<'a>>),
    Pg(Box<pg::RowStream<'a>>),
    Sqlite(Box<sqlite::Cursor>),
}

impl<'a, R> ResultStream<'a, R> {
    pub(super) async fn open(
        link: &'a mut Link,
        statement: &'a Compiled,
        in_transaction: bool,
        make: impl FnMut(&Row) -> Result<R> + Send + 'a,
    ) -> Result<Self> {
        let sql = statement.sql.as_ref();
        let source = match link {
            Link::Pg(lease) => {
                let arguments = Arguments(&statement.values);
                let connection = &mut *lease.connection;
                if in_transaction {
                    let cursor = connection.cursor(sql, arguments).prefetch(PREFETCH);
                    Source::Cursor(Box::new(cursor.await?))
                } else {
                    Source::Pg(Box::new(connection.stream(sql, arguments).await?))
                }
            }
            Link::Sqlite(lease) => {
                let cursor = lease.connection().execute(sql, &statement.values).await?;
                Source::Sqlite(Box::new(cursor))
            }
        };
        Ok(Self {
            source,
            make: Box::new(make),
        })
    }

    /// The next row; `None` after the last.
    ///
    /// # Errors
    ///
    /// What goes wrong on the way; [`ValueError`](super::ValueError) when a row is not what it is to
    /// become.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled there are no more rows. When it is dropped no row is lost.
    pub async fn next(&mut self) -> Result<Option<R>> {
        let row = match &mut self.source {
            Source::Cursor(rows) => rows.next().await?.map(Inner::Pg),
            Source::Pg(rows) => rows.next().await?.map(Inner::Pg),
            Source::Sqlite(cursor) => cursor.fetchone().await?.map(Inner::Sqlite),
        };
        row.map(|row| (self.make)(&Row(row))).transpose()
    }

    /// The next so many rows, fewer at the end (`fetchmany`).
    ///
    /// # Errors
    ///
    /// As of [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// Rows that were read for it are lost.
    pub async fn fetchmany(&mut self, count: usize) -> Result<Vec<R>> {
        let mut rows = Vec::new();
        while rows.len() < count
            && let Some(row) = self.next().await?
        {
            rows.push(row);
        }
        Ok(rows)
    }

    /// The next so many rows, fewer at the end; `None` after the last (`partitions`).
    ///
    /// # Errors
    ///
    /// As of [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// As of [`fetchmany`](Self::fetchmany).
    pub async fn next_partition(&mut self, size: usize) -> Result<Option<Vec<R>>> {
        let rows = self.fetchmany(size.max(1)).await?;
        Ok((!rows.is_empty()).then_some(rows))
    }

    /// The rows that are left.
    ///
    /// # Errors
    ///
    /// As of [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// Rows that were read for it are lost.
    pub async fn all(mut self) -> Result<Vec<R>> {
        self.fetchmany(usize::MAX).await
    }

    /// The first row, if there is one; the others are not read.
    ///
    /// # Errors
    ///
    /// As of [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// As of [`next`](Self::next).
    pub async fn first(mut self) -> Result<Option<R>> {
        self.next().await
    }

    /// The only row.
    ///
    /// # Errors
    ///
    /// As of [`next`](Self::next); [`NoResultFound`] when there is none, [`MultipleResultsFound`] when there
    /// are more.
    ///
    /// # Cancel safety
    ///
    /// As of [`next`](Self::next).
    pub async fn one(self) -> Result<R> {
        self.one_or_none()
            .await?
            .ok_or_else(|| NoResultFound.into())
    }

    /// The only row, if there is one.
    ///
    /// # Errors
    ///
    /// As of [`next`](Self::next); [`MultipleResultsFound`] when there are more.
    ///
    /// # Cancel safety
    ///
    /// As of [`next`](Self::next).
    pub async fn one_or_none(mut self) -> Result<Option<R>> {
        let first = self.next().await?;
        match self.next().await? {
            None => Ok(first),
            Some(_) => Err(MultipleResultsFound.into()),
        }
    }

    /// The first value of each row instead of the row.
    pub fn scalars(self) -> ResultStream<'a, R::Scalar>
    where
        R: Scalar + 'a,
    {
        let Self { source, mut make } = self;
        ResultStream {
            source,
            make: Box::new(move |row| make(row).map(Scalar::into_scalar)),
        }
    }

    /// Gives up the rows that are left, as its drop does.
    pub fn close(self) {}
}

impl<R> fmt::Debug for ResultStream<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source: &dyn fmt::Debug = match &self.source {
            Source::Cursor(rows) => rows,
            Source::Pg(rows) => rows,
            Source::Sqlite(_) => &"sqlite",
        };
        f.debug_tuple("ResultStream").field(source).finish()
    }
}
