//! `Cursor` (`aiosqlite.Cursor`).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as PollContext, Poll, ready};

use asyncio_core::Result;
use futures_core::Stream;

use super::call::Call;
use super::connection::Session;
use super::desk::{Executed, Fetched};
use super::guard::Lease;
use super::many;
use super::params::{Parameters, Params};
use super::row::{Chunk, Columns, Row};

/// The most rows that are read at once ahead of those that were asked for.
const MOST_AHEAD: usize = 4096;

/// A statement that was executed, and the rows that it has (`aiosqlite.Cursor`).
///
/// The rows are read chunk by chunk, each larger than the one before; [`fetchone`](Self::fetchone) mostly
/// finds one that has been read. The cursor is a [`Stream`] of them, too. Dropping it gives up the rest.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_db::sqlite::connect;
/// use futures::TryStreamExt;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let db = connect(":memory:").await?;
///     let mut cursor = db.cursor();
///     cursor.execute("create table t (i integer primary key)", ()).await?;
///     cursor.executemany("insert into t values (?)", (1..=5).map(|i| (i,))).await?;
///     assert_eq!(cursor.rowcount(), 5);
///
///     cursor.execute("select i from t order by i", ()).await?;
///     assert_eq!(cursor.fetchone().await?.expect("there is one").get::<i64>(0)?, 1);
///     assert_eq!(cursor.fetchmany(2).await?.len(), 2);
///     let mut rest = Vec::new();
///     while let Some(row) = cursor.try_next().await? {
///         rest.push(row.get::<i64>("i")?);
///     }
///     assert_eq!(rest, [4, 5]);
///     Ok(())
/// })
/// # }
/// ```
///
/// As long as rows are left, the snapshot that they are of is kept. What a transaction that has been rolled
/// back has read may be refused.
pub struct Cursor {
    session: Session,
    columns: Option<Arc<Columns>>,
    rowcount: i64,
    lastrowid: Option<i64>,
    arraysize: usize,
    /// What was read and not asked for: a chunk, and its next row.
    read: Option<(Arc<Chunk>, usize)>,
    rest: Option<Rest>,
    /// A chunk that is being read for the stream.
    reading: Option<Call<Fetched>>,
}

/// What has not been read.
struct Rest {
    lease: Lease,
    /// How many rows have arrived here: whether the thread agrees is found out before it reads on.
    position: u64,
    /// How many rows are read next.
    next: usize,
}

impl Cursor {
    pub(super) fn new(session: Session) -> Self {
        Self {
            read: None,
            session,
            columns: None,
            rowcount: -1,
            lastrowid: None,
            arraysize: 1,
            rest: None,
            reading: None,
        }
    }

    /// Executes a statement with this cursor; what was left of the last one is given up
    /// (`cursor.execute`).
    ///
    /// # Errors
    ///
    /// As of [`Connection::execute`](super::Connection::execute).
    ///
    /// # Cancel safety
    ///
    /// As of [`Connection::execute`](super::Connection::execute).
    pub async fn execute(&mut self, sql: &str, parameters: impl Params) -> Result<()> {
        self.forget();
        let call = self.executing(sql, parameters)?;
        let executed = call.await?;
        self.executed(executed);
        Ok(())
    }

    /// The call that executes a statement.
    pub(super) fn executing(&self, sql: &str, parameters: impl Params) -> Result<Call<Executed>> {
        let parameters = Parameters::one(parameters)?;
        let sql = sql.to_owned();
        let most = self.session.handle.iter_chunk_size;
        let execute = move |desk: &mut super::desk::Desk<'_>| desk.execute(&sql, &parameters, most);
        Ok(self.session.call(execute))
    }

    /// Notes what has come of it.
    pub(super) fn executed(&mut self, executed: Executed) {
        self.columns = Some(executed.columns);
        self.rowcount = executed.rowcount;
        if executed.lastrowid.is_some() {
            self.lastrowid = executed.lastrowid;
        }
        let next = self.session.handle.iter_chunk_size;
        self.rest = executed.rest.map(|lease| Rest {
            lease,
            position: executed.rows.rows() as u64,
            next: next.saturating_mul(2).clamp(next, MOST_AHEAD.max(next)),
        });
        self.read = Some((executed.rows, 0));
    }

    /// Executes a statement once for each set of parameters (`cursor.executemany`), see
    /// [`Connection::executemany`](super::Connection::executemany).
    ///
    /// # Errors
    ///
    /// As of [`Connection::executemany`](super::Connection::executemany).
    ///
    /// # Cancel safety
    ///
    /// As of [`Connection::executemany`](super::Connection::executemany).
    pub async fn executemany<P: Params>(
        &mut self,
        sql: &str,
        sets: impl IntoIterator<Item = P>,
    ) -> Result<()> {
        self.forget();
        let call = many::executemany(&self.session, sql, sets)?;
        self.rowcount = call.await?;
        Ok(())
    }

    /// Executes statements one after the other (`cursor.executescript`).
    ///
    /// # Errors
    ///
    /// As of [`Connection::executescript`](super::Connection::executescript).
    ///
    /// # Cancel safety
    ///
    /// As of [`Connection::executescript`](super::Connection::executescript).
    pub async fn executescript(&mut self, sql: &str) -> Result<()> {
        self.forget();
        self.session.executescript(sql).await
    }

    fn forget(&mut self) {
        self.reading = None;
        self.rest = None;
        self.rowcount = -1;
        self.columns = None;
        self.read = None;
    }

    /// The next row; none after the last (`cursor.fetchone`).
    ///
    /// # Errors
    ///
    /// As of [`Connection::execute`](super::Connection::execute), and once the rest was given up for an
    /// error or a cancelled call.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped while rows are being read, which of them were read is not known any
    /// more: the cursor refuses to go on.
    pub async fn fetchone(&mut self) -> Result<Option<Row>> {
        loop {
            if let Some(row) = self.next_read() {
                return Ok(Some(row));
            }
            if !self.read_on().await? {
                return Ok(None);
            }
        }
    }

    /// The next rows: so many, or as many as there are (`cursor.fetchmany`). `None` stands for
    /// [`arraysize`](Self::arraysize).
    ///
    /// # Errors
    ///
    /// As of [`fetchone`](Self::fetchone).
    ///
    /// # Cancel safety
    ///
    /// As of [`fetchone`](Self::fetchone); the rows that it had are lost.
    pub async fn fetchmany(&mut self, size: impl Into<Option<usize>>) -> Result<Vec<Row>> {
        let size = size.into().unwrap_or(self.arraysize);
        let mut rows = Vec::new();
        while rows.len() < size {
            if let Some(row) = self.next_read() {
                rows.push(row);
                continue;
            }
            if let Some(rest) = &mut self.rest {
                rest.next = rest.next.max((size - rows.len()).min(MOST_AHEAD));
            }
            if !self.read_on().await? {
                break;
            }
        }
        Ok(rows)
    }

    /// All rows that are left (`cursor.fetchall`).
    ///
    /// # Errors
    ///
    /// As of [`fetchone`](Self::fetchone).
    ///
    /// # Cancel safety
    ///
    /// As of [`fetchone`](Self::fetchone).
    pub async fn fetchall(&mut self) -> Result<Vec<Row>> {
        self.await_reading().await?;
        let mut rows = Vec::new();
        if self.rest.is_some() {
            let fetched = self.reading_on(true);
            let fetched = match fetched {
                Some(call) => call.await?,
                None => return Ok(rows),
            };
            self.rest = None;
            rows.reserve(self.left() + fetched.rows.iter().map(|it| it.rows()).sum::<usize>());
            rows.extend(std::iter::from_fn(|| self.next_read()));
            for chunk in &fetched.rows {
                rows.extend((0..chunk.rows()).map(|number| Row::new(chunk, number)));
            }
        } else {
            self.refuse_if_closed()?;
            rows.reserve(self.left());
            rows.extend(std::iter::from_fn(|| self.next_read()));
        }
        Ok(rows)
    }

    /// A closed connection has nothing to say, even if it was read before.
    fn refuse_if_closed(&self) -> Result<()> {
        if self.session.handle.queue.is_closed() {
            return Err(super::error::SqliteError::closed().into());
        }
        Ok(())
    }

    /// How many rows the last statement has changed, and -1 if it is not one that does
    /// (`cursor.rowcount`).
    #[must_use]
    pub const fn rowcount(&self) -> i64 {
        self.rowcount
    }

    /// The number of the row that the last `INSERT` or `REPLACE` of this cursor has made
    /// (`cursor.lastrowid`).
    #[must_use]
    pub const fn lastrowid(&self) -> Option<i64> {
        self.lastrowid
    }

    /// The names of the columns, if the last statement has any (`cursor.description`).
    #[must_use]
    pub fn description(&self) -> Option<Vec<&str>> {
        let columns = self.columns.as_ref()?;
        (columns.len() > 0).then(|| columns.iter().collect())
    }

    /// How many rows [`fetchmany`](Self::fetchmany) gives if nothing is said; 1 by default
    /// (`cursor.arraysize`).
    #[must_use]
    pub const fn arraysize(&self) -> usize {
        self.arraysize
    }

    /// Sets it.
    pub const fn set_arraysize(&mut self, size: usize) {
        self.arraysize = size;
    }

    /// Gives up the rows that are left (`cursor.close`); as its drop does.
    pub fn close(self) {}

    fn next_read(&mut self) -> Option<Row> {
        let (chunk, next) = self.read.as_mut()?;
        if *next == chunk.rows() {
            return None;
        }
        let row = Row::new(chunk, *next);
        *next += 1;
        Some(row)
    }

    /// How many rows were read and not asked for.
    fn left(&self) -> usize {
        self.read
            .as_ref()
            .map_or(0, |(chunk, next)| chunk.rows() - next)
    }

    /// Reads another chunk; false if there is none.
    async fn read_on(&mut self) -> Result<bool> {
        if self.reading.is_some() {
            self.await_reading().await?;
            return Ok(true);
        }
        let Some(call) = self.reading_on(false) else {
            return Ok(false);
        };
        let fetched = call.await?;
        self.fetched(fetched);
        Ok(true)
    }

    /// Ends what the stream has begun.
    async fn await_reading(&mut self) -> Result<()> {
        if let Some(call) = &mut self.reading {
            let fetched = call.await;
            self.reading = None;
            self.fetched(fetched?);
        }
        Ok(())
    }

    /// The call that reads on.
    fn reading_on(&self, all: bool) -> Option<Call<Fetched>> {
        let rest = self.rest.as_ref()?;
        let (name, position) = (rest.lease.name(), rest.position);
        let most = (!all).then_some(rest.next);
        let call = self
            .session
            .call(move |desk| desk.fetch(name, position, most));
        Some(call)
    }

    fn fetched(&mut self, mut fetched: Fetched) {
        if fetched.finished {
            if let Some(rest) = &mut self.rest {
                rest.lease.has_ended();
            }
            self.rest = None;
        }
        let Some(chunk) = fetched.rows.pop() else {
            return;
        };
        if let Some(rest) = &mut self.rest {
            rest.position += chunk.rows() as u64;
            rest.next = rest.next.saturating_mul(2).min(MOST_AHEAD.max(rest.next));
        }
        // Only what has been asked for whole was read.
        debug_assert_eq!(self.left(), 0, "rows were left behind");
        self.read = Some((chunk, 0));
    }
}

impl Stream for Cursor {
    type Item = Result<Row>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(row) = this.next_read() {
                return Poll::Ready(Some(Ok(row)));
            }
            if this.reading.is_none() {
                this.reading = this.reading_on(false);
            }
            let Some(call) = &mut this.reading else {
                return Poll::Ready(None);
            };
            let result = ready!(Pin::new(call).poll(cx));
            this.reading = None;
            match result {
                Ok(fetched) => this.fetched(fetched),
                Err(error) => {
                    if !error.is_cancelled() {
                        this.rest = None;
                    }
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("description", &self.description())
            .field("rowcount", &self.rowcount)
            .field("finished", &self.rest.is_none())
            .finish_non_exhaustive()
    }
}
