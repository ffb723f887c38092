//! Workloads of SQLite: a table of ten thousand rows in a file, and one in memory to write to.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::OnceLock;

use asyncio_core::Result;
use asyncio_db::sqlite::{connect, rusqlite};

use super::{CURRENT_THREAD, Row, row};
use crate::runtimes::{current_thread, ours};

/// The thread that asks does the work itself: what SQLite takes.
const DIRECT: &str = "rusqlite";
const TOKIO_RUSQLITE: &str = "tokio_rusqlite";

/// How many rows the table has.
const ROWS: u32 = 10_000;
const POINT: &str = "select name from t where id = ?";
const FETCH: &str = "select id, score, name from t limit ?";
const TABLE: &str = "create table t (id integer primary key, score real, name text)";
const INSERT: &str = "insert into t values (?, ?, ?)";

pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "sqlite_roundtrip",
            &[
                ("ours", |n| ours(move || roundtrip(n))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || async move { roundtrip(n).await.expect("no failure") })
                }),
                (TOKIO_RUSQLITE, |n| {
                    current_thread(
                        move || async move { peer_roundtrip(n).await.expect("no failure") },
                    )
                }),
            ],
        ),
        row(
            "sqlite_point",
            &[
                ("ours", |n| ours(move || point(n))),
                (DIRECT, |n| {
                    current_thread(move || async move { direct_point(n).expect("no failure") })
                }),
                (TOKIO_RUSQLITE, |n| {
                    current_thread(move || async move { peer_point(n).await.expect("no failure") })
                }),
            ],
        ),
        row(
            "sqlite_fetch",
            &[
                ("ours", |n| ours(move || fetch(n))),
                (DIRECT, |n| {
                    current_thread(move || async move { direct_fetch(n).expect("no failure") })
                }),
                (TOKIO_RUSQLITE, |n| {
                    current_thread(move || async move { peer_fetch(n).await.expect("no failure") })
                }),
            ],
        ),
        row("sqlite_iterate", &[("ours", |n| ours(move || iterate(n)))]),
        row(
            "sqlite_executemany",
            &[
                ("ours", |n| ours(move || executemany(n))),
                (DIRECT, |n| {
                    current_thread(
                        move || async move { direct_executemany(n).expect("no failure") },
                    )
                }),
                (TOKIO_RUSQLITE, |n| {
                    current_thread(move || async move {
                        peer_executemany(n).await.expect("no failure");
                    })
                }),
            ],
        ),
    ]
}

/// The file, which is made once.
fn file() -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let name = format!("asyncio-bench-{}.db", std::process::id());
        let path = std::env::temp_dir().join(name);
        let filled = || -> rusqlite::Result<()> {
            let mut db = rusqlite::Connection::open(&path)?;
            db.execute_batch(TABLE)?;
            fill(&mut db, ROWS)
        };
        filled().expect("a file can be written");
        path
    })
}

fn fill(db: &mut rusqlite::Connection, count: u32) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    {
        let mut statement = transaction.prepare_cached(INSERT)?;
        for (id, score, name) in values(count) {
            statement.execute((id, score, name))?;
        }
    }
    transaction.commit()
}

fn values(count: u32) -> impl Iterator<Item = (u32, f64, &'static str)> {
    (0..count).map(|id| (id, f64::from(id) / 8.0, "a name of some length"))
}

/// In parts that the table has enough rows for.
fn shares(count: u32) -> impl Iterator<Item = u32> {
    (0..count.div_ceil(ROWS)).map(move |share| (count - share * ROWS).min(ROWS))
}

async fn roundtrip(count: u32) -> Result<()> {
    let db = connect(":memory:").await?;
    for _ in 0..count {
        db.call(|_| Ok(())).await?;
    }
    db.close().await
}

async fn point(count: u32) -> Result<()> {
    let db = connect(file()).await?;
    for id in 0..count {
        let row = db.execute(POINT, (id % ROWS,)).await?.fetchone().await?;
        black_box(row.expect("it is there").get_str(0)?);
    }
    db.close().await
}

async fn fetch(count: u32) -> Result<()> {
    let db = connect(file()).await?;
    for share in shares(count) {
        let rows = db.execute_fetchall(FETCH, (share,)).await?;
        for row in &rows {
            black_box((row.get::<i64>(0)?, row.get::<f64>(1)?, row.get_str(2)?));
        }
    }
    db.close().await
}

async fn iterate(count: u32) -> Result<()> {
    let db = connect(file()).await?;
    for share in shares(count) {
        let mut cursor = db.execute(FETCH, (share,)).await?;
        while let Some(row) = cursor.fetchone().await? {
            black_box((row.get::<i64>(0)?, row.get::<f64>(1)?, row.get_str(2)?));
        }
    }
    db.close().await
}

async fn executemany(count: u32) -> Result<()> {
    let db = connect(":memory:").await?;
    db.execute(TABLE, ()).await?;
    db.executemany(INSERT, values(count)).await?;
    db.close().await
}

fn direct_point(count: u32) -> rusqlite::Result<()> {
    let db = rusqlite::Connection::open(file())?;
    for id in 0..count {
        let mut statement = db.prepare_cached(POINT)?;
        black_box(statement.query_row([id % ROWS], |row| row.get::<_, String>(0))?);
    }
    Ok(())
}

fn direct_fetch(count: u32) -> rusqlite::Result<()> {
    let db = rusqlite::Connection::open(file())?;
    for share in shares(count) {
        black_box(all_rows(&db, share)?);
    }
    Ok(())
}

fn all_rows(db: &rusqlite::Connection, count: u32) -> rusqlite::Result<Vec<(i64, f64, String)>> {
    let mut statement = db.prepare_cached(FETCH)?;
    let rows = statement.query_map([count], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

fn direct_executemany(count: u32) -> rusqlite::Result<()> {
    let mut db = rusqlite::Connection::open_in_memory()?;
    db.execute_batch(TABLE)?;
    fill(&mut db, count)
}

type PeerResult = std::result::Result<(), tokio_rusqlite::Error>;

async fn peer_roundtrip(count: u32) -> PeerResult {
    let db = tokio_rusqlite::Connection::open_in_memory().await?;
    for _ in 0..count {
        db.call(|_| rusqlite::Result::Ok(())).await?;
    }
    db.close().await
}

async fn peer_point(count: u32) -> PeerResult {
    let db = tokio_rusqlite::Connection::open(file()).await?;
    for id in 0..count {
        let name = db.call(move |db| {
            let mut statement = db.prepare_cached(POINT)?;
            statement.query_row([id % ROWS], |row| row.get::<_, String>(0))
        });
        black_box(name.await?);
    }
    db.close().await
}

async fn peer_fetch(count: u32) -> PeerResult {
    let db = tokio_rusqlite::Connection::open(file()).await?;
    for share in shares(count) {
        black_box(db.call(move |db| all_rows(db, share)).await?);
    }
    db.close().await
}

async fn peer_executemany(count: u32) -> PeerResult {
    let db = tokio_rusqlite::Connection::open_in_memory().await?;
    db.call(move |db| {
        db.execute_batch(TABLE)?;
        fill(db, count)
    })
    .await?;
    db.close().await
}
