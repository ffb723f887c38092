//! The statements that make a database again (`sqlite3.Connection.iterdump`).

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context as PollContext, Poll, ready};

use asyncio_core::Result;
use futures_core::Stream;
use rusqlite::Connection;

use super::call::Call;
use super::connection::Session;
use super::cursor::Cursor;
use super::desk::Executed;
use super::error::SqliteError;
use super::row::Row;

/// The lines of a dump, see [`Connection::iterdump`](super::Connection::iterdump).
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_db::sqlite::connect;
/// use futures::TryStreamExt;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let db = connect(":memory:").await?;
///     db.execute("create table t (i integer, k text)", ()).await?;
///     db.execute("insert into t values (1, 'it''s')", ()).await?;
///     let lines: Vec<String> = db.iterdump().try_collect().await?;
///     assert_eq!(lines, [
///         "BEGIN TRANSACTION;",
///         "CREATE TABLE t (i integer, k text);",
///         "INSERT INTO \"t\" VALUES(1,'it''s');",
///         "COMMIT;",
///     ]);
///     Ok(())
/// })
/// # }
/// ```
///
/// The rows are read as the lines are asked for. Whoever wants all of it to be of one moment asks for it
/// inside of a transaction.
pub struct IterDump {
    session: Session,
    parts: VecDeque<Part>,
    stage: Stage,
}

/// Some lines.
enum Part {
    Line(String),
    /// What this query gives, one line for each row.
    Rows(String),
}

enum Stage {
    New,
    Planning(Call<VecDeque<Part>>),
    Planned,
    Querying(Box<(Cursor, Call<Executed>)>),
    Reading(Box<Cursor>),
    Over,
}

impl IterDump {
    pub(super) fn new(session: Session) -> Self {
        Self {
            session,
            parts: VecDeque::new(),
            stage: Stage::New,
        }
    }

    fn poll_line(&mut self, cx: &mut PollContext<'_>) -> Poll<Result<Option<String>>> {
        loop {
            match &mut self.stage {
                Stage::New => {
                    let plan = self.session.call(|desk| plan(desk.connection()));
                    self.stage = Stage::Planning(plan);
                }
                Stage::Planning(call) => {
                    self.parts = ready!(Pin::new(call).poll(cx))?;
                    self.stage = Stage::Planned;
                }
                Stage::Planned => match self.parts.pop_front() {
                    Some(Part::Line(line)) => return Poll::Ready(Ok(Some(line))),
                    Some(Part::Rows(query)) => {
                        let cursor = Cursor::new(self.session.clone());
                        let call = cursor.executing(&query, ())?;
                        self.stage = Stage::Querying(Box::new((cursor, call)));
                    }
                    None => self.stage = Stage::Over,
                },
                Stage::Querying(querying) => {
                    let executed = ready!(Pin::new(&mut querying.1).poll(cx))?;
                    let mut cursor = Cursor::new(self.session.clone());
                    cursor.executed(executed);
                    self.stage = Stage::Reading(Box::new(cursor));
                }
                Stage::Reading(cursor) => match ready!(Pin::new(cursor).poll_next(cx)) {
                    Some(row) => {
                        let line = line_of(&row?)?;
                        return Poll::Ready(Ok(Some(line)));
                    }
                    None => self.stage = Stage::Planned,
                },
                Stage::Over => return Poll::Ready(Ok(None)),
            }
        }
    }
}

impl Stream for IterDump {
    type Item = Result<String>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let line = ready!(this.poll_line(cx));
        if line.is_err() {
            // A dump with a hole is none.
            this.stage = Stage::Over;
        }
        Poll::Ready(line.transpose())
    }
}

impl fmt::Debug for IterDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IterDump")
            .field("over", &matches!(self.stage, Stage::Over))
            .finish_non_exhaustive()
    }
}

fn line_of(row: &Row) -> Result<String, SqliteError> {
    Ok(format!("{};", row.get_str(0)?))
}

/// What a dump consists of, in the order of Python's.
fn plan(db: &Connection) -> Result<VecDeque<Part>, SqliteError> {
    let mut parts = VecDeque::new();
    let mut line = |line: String| parts.push_back(Part::Line(line));
    if db.prepare("PRAGMA foreign_key_check")?.exists([])? {
        line("PRAGMA foreign_keys=OFF;".to_owned());
    }
    line("BEGIN TRANSACTION;".to_owned());
    let mut sequence = false;
    let mut writable_schema = false;
    for (name, sql) in schema(db, "type = 'table' ORDER BY name")? {
        match name.as_str() {
            "sqlite_sequence" => {
                // It is there by itself, and gets its rows at the end.
                sequence = true;
                continue;
            }
            "sqlite_stat1" => parts.push_back(Part::Line("ANALYZE \"sqlite_master\";".to_owned())),
            _ if name.starts_with("sqlite_") => continue,
            _ if is_virtual(&sql) => {
                if !writable_schema {
                    writable_schema = true;
                    parts.push_back(Part::Line("PRAGMA writable_schema=ON;".to_owned()));
                }
                let (name, sql) = (quoted(&name), quoted(&sql));
                parts.push_back(Part::Line(format!(
                    "INSERT INTO sqlite_master(type,name,tbl_name,rootpage,sql)VALUES('table',{name},{name},0,{sql});"
                )));
                // The tables that it is kept in are dumped themselves.
                continue;
            }
            _ => parts.push_back(Part::Line(format!("{sql};"))),
        }
        parts.push_back(Part::Rows(inserts(db, &name)?));
    }
    for (_, sql) in schema(db, "type IN ('index', 'trigger', 'view')")? {
        parts.push_back(Part::Line(format!("{sql};")));
    }
    if writable_schema {
        parts.push_back(Part::Line("PRAGMA writable_schema=OFF;".to_owned()));
    }
    if sequence {
        parts.push_back(Part::Line("DELETE FROM \"sqlite_sequence\";".to_owned()));
        parts.push_back(Part::Rows(inserts(db, "sqlite_sequence")?));
    }
    parts.push_back(Part::Line("COMMIT;".to_owned()));
    Ok(parts)
}

/// The names and the statements of some of what there is.
fn schema(db: &Connection, which: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let sql = format!("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND {which}");
    let mut statement = db.prepare(&sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// A query whose rows are the statements that insert the rows of a table.
fn inserts(db: &Connection, table: &str) -> rusqlite::Result<String> {
    let mut statement = db.prepare("SELECT name FROM pragma_table_info(?)")?;
    let columns = statement.query_map([table], |row| row.get::<_, String>(0))?;
    let values: rusqlite::Result<Vec<String>> = columns
        .map(|column| Ok(format!("'||quote({})||'", named(&column?))))
        .collect();
    let name = named(table);
    let text = name.replace('\'', "''");
    let values = values?.join(",");
    Ok(format!(
        "SELECT 'INSERT INTO {text} VALUES({values})' FROM {name}"
    ))
}

fn is_virtual(sql: &str) -> bool {
    const START: &str = "CREATE VIRTUAL TABLE";
    sql.get(..START.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(START))
}

/// A name as it stands in SQL.
fn named(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as it stands in SQL.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
