//! Workloads of the SQL layer, on SQLite: what it costs above the database.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use asyncio_core::Result;
use asyncio_db::sql::{
    Engine, MetaData, Table, async_sessionmaker, create_async_engine, insert, select,
};
use asyncio_db::sqlite::{connect, rusqlite};

use super::{Row, row};
use crate::runtimes::{current_thread, ours};

/// The thread that asks does the work itself: what SQLite takes.
const DIRECT: &str = "rusqlite";
/// Statements as text, rows as rows: what the layer stands on.
const BELOW: &str = "asyncio_db::sqlite";

/// How many rows the table has.
const ROWS: u32 = 10_000;
const POINT: &str = "SELECT id, score, name FROM item WHERE id = ?";
const FETCH: &str = "SELECT id, score, name FROM item LIMIT ?";
const INSERT: &str = "INSERT INTO item (id, score, name) VALUES (?, ?, ?)";

#[derive(Clone, Debug, Table)]
struct Item {
    #[table(primary_key)]
    id: i64,
    score: f64,
    name: String,
}

fn item(id: u32) -> Item {
    Item {
        id: id.into(),
        score: f64::from(id) / 8.0,
        name: "a name of some length".to_owned(),
    }
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "sql_point",
            &[
                ("ours", |n| ours(move || point(n))),
                (BELOW, |n| ours(move || point_below(n))),
                (DIRECT, |n| {
                    current_thread(move || async move { direct_point(n).expect("no failure") })
                }),
            ],
        ),
        row(
            "sql_session",
            &[
                ("ours", |n| ours(move || session(n))),
                (DIRECT, |n| {
                    current_thread(move || async move { direct_session(n).expect("no failure") })
                }),
            ],
        ),
        row(
            "sql_fetch",
            &[
                ("ours", |n| ours(move || fetch(n))),
                (DIRECT, |n| {
                    current_thread(move || async move { direct_fetch(n).expect("no failure") })
                }),
            ],
        ),
        row(
            "sql_instances",
            &[
                ("ours", |n| ours(move || instances(n))),
                (DIRECT, |n| {
                    current_thread(move || async move { direct_fetch(n).expect("no failure") })
                }),
            ],
        ),
        row(
            "sql_flush",
            &[
                ("ours", |n| ours(move || flush(n))),
                (DIRECT, |n| {
                    current_thread(move || async move { direct_flush(n).expect("no failure") })
                }),
            ],
        ),
    ]
}

/// The file, which is made once.
fn file() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let name = format!("asyncio-bench-sql-{}.db", std::process::id());
        let path = std::env::temp_dir().join(name);
        let url = format!("sqlite:///{}", path.display());
        let filled = asyncio_core::run(async move {
            let engine = create_async_engine(&url).build()?;
            engine
                .begin_with(async |connection| {
                    MetaData::new()
                        .table::<Item>()
                        .create_all(connection)
                        .await?;
                    // SQLite takes so many parameters at a time.
                    for first in (0..ROWS).step_by(1000) {
                        let items: Vec<Item> = (first..first + 1000).map(item).collect();
                        connection.execute(insert().rows(&items)).await?;
                    }
                    Ok(())
                })
                .await?;
            engine.dispose().await
        });
        filled.expect("a file can be written");
        path
    })
}

fn engine() -> Result<Engine> {
    let url = format!("sqlite:///{}", file().display());
    Ok(create_async_engine(&url).build()?)
}

/// In parts that the table has enough rows for.
fn shares(count: u32) -> impl Iterator<Item = u32> {
    (0..count.div_ceil(ROWS)).map(move |share| (count - share * ROWS).min(ROWS))
}

async fn point(count: u32) -> Result<()> {
    let engine = engine()?;
    let mut connection = engine.connect().await?;
    for id in 0..count {
        let one = select::<Item>().filter(Item::ID.eq(i64::from(id % ROWS)));
        black_box(connection.execute(one).await?.one()?);
    }
    drop(connection);
    engine.dispose().await
}

async fn point_below(count: u32) -> Result<()> {
    let db = connect(file()).await?;
    for id in 0..count {
        let rows = db.execute_fetchall(POINT, (id % ROWS,)).await?;
        black_box(rows[0].decode::<(i64, f64, String)>()?);
    }
    db.close().await
}

async fn session(count: u32) -> Result<()> {
    let engine = engine()?;
    let maker = async_sessionmaker(&engine);
    for id in 0..count {
        let mut session = maker.session();
        let one = session.get_one::<Item>(i64::from(id % ROWS)).await?;
        black_box(one.get().score);
        session.close().await?;
    }
    engine.dispose().await
}

async fn fetch(count: u32) -> Result<()> {
    let engine = engine()?;
    let mut connection = engine.connect().await?;
    for share in shares(count) {
        let all = select::<Item>().limit(share.into());
        black_box(connection.execute(all).await?.all());
    }
    drop(connection);
    engine.dispose().await
}

async fn instances(count: u32) -> Result<()> {
    let engine = engine()?;
    let maker = async_sessionmaker(&engine);
    for share in shares(count) {
        let mut session = maker.session();
        let all = select::<Item>().limit(share.into());
        black_box(session.scalars(all).await?.all());
        session.close().await?;
    }
    engine.dispose().await
}

async fn flush(count: u32) -> Result<()> {
    let engine = create_async_engine("sqlite://").build()?;
    engine
        .begin_with(async |it| MetaData::new().table::<Item>().create_all(it).await)
        .await?;
    let mut session = async_sessionmaker(&engine).session();
    drop(session.add_all((0..count).map(item)));
    session.commit().await?;
    drop(session);
    engine.dispose().await
}

fn one_item(row: &rusqlite::Row<'_>) -> rusqlite::Result<Item> {
    Ok(Item {
        id: row.get(0)?,
        score: row.get(1)?,
        name: row.get(2)?,
    })
}

fn direct_point(count: u32) -> rusqlite::Result<()> {
    let db = rusqlite::Connection::open(file())?;
    db.execute_batch("BEGIN")?;
    for id in 0..count {
        let mut statement = db.prepare_cached(POINT)?;
        black_box(statement.query_row([id % ROWS], one_item)?);
    }
    Ok(())
}

fn direct_session(count: u32) -> rusqlite::Result<()> {
    let db = rusqlite::Connection::open(file())?;
    for id in 0..count {
        db.execute_batch("BEGIN")?;
        let mut statement = db.prepare_cached(POINT)?;
        black_box(statement.query_row([id % ROWS], one_item)?);
        db.execute_batch("ROLLBACK")?;
    }
    Ok(())
}

fn direct_fetch(count: u32) -> rusqlite::Result<()> {
    let db = rusqlite::Connection::open(file())?;
    for share in shares(count) {
        let mut statement = db.prepare_cached(FETCH)?;
        let rows = statement.query_map([share], one_item)?;
        black_box(rows.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    Ok(())
}

fn direct_flush(count: u32) -> rusqlite::Result<()> {
    let mut db = rusqlite::Connection::open_in_memory()?;
    db.execute_batch("CREATE TABLE item (id BIGINT NOT NULL PRIMARY KEY, score DOUBLE PRECISION NOT NULL, name TEXT NOT NULL)")?;
    let transaction = db.transaction()?;
    {
        let mut statement = transaction.prepare_cached(INSERT)?;
        for Item { id, score, name } in (0..count).map(item) {
            statement.execute((id, score, name))?;
        }
    }
    transaction.commit()
}
