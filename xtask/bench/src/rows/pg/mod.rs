//! Workloads of PostgreSQL, on one server that is made for them: ours beside tokio-postgres, sqlx, deadpool,
//! pgbench, and asyncpg.
//!
//! Connections and tables are made before the time begins, on every side. The server's own time is in all
//! of them, so that the costs of the processor, which are those of this process, say more than the
//! clock does.

mod ours;
mod peers;
mod programs;

use std::path::PathBuf;
use std::sync::OnceLock;

use asyncio_db::testing::PgCluster;

use super::{Row, Side, row};
use crate::runtimes::{current_thread_within, multi_thread_within, ours_within};

const TOKIO_POSTGRES: &str = "tokio_postgres";
const SQLX: &str = "sqlx";
const DEADPOOL: &str = "deadpool_fast";
const DEADPOOL_CLEAN: &str = "deadpool_clean";
const PGBENCH: &str = "pgbench";

/// How many accounts there are, as pgbench makes them.
const ACCOUNTS: u32 = 100_000;
/// How many rows a fetch returns at the most.
const ROWS: u32 = 10_000;
/// How many queries a pipeline has.
const DEPTH: u32 = 64;
/// How many rows an executemany inserts at once.
const GROUP: u32 = 1000;
/// How many connections are used at the same time.
const CONNECTIONS: u32 = 10;

/// What pgbench asks, too.
const POINT: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = $1";
const FETCH: &str = "SELECT id, total, score, active, name, note FROM sixes LIMIT $1";
const BULK: &str = "CREATE TEMP TABLE bulk \
                    (id int, total bigint, score float8, rate float8, active bool, name text, note text)";
const INSERT: &str = "INSERT INTO bulk VALUES ($1, $2, $3, $4, $5, $6, $7)";
const NAME: &str = "a name of some length";

/// A row that is inserted.
type Seven = (i32, i64, f64, f64, bool, &'static str, Option<&'static str>);

const TABLES: &str = "\
CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
INSERT INTO pgbench_accounts SELECT n, 1, n % 1000, '' FROM generate_series(1, 100000) n;
CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
INSERT INTO pgbench_branches VALUES (1, 0, '');
CREATE TABLE sixes (id int, total bigint, score float8, active bool, name text, note text);
INSERT INTO sixes SELECT n, n * 7, n / 8.0, n % 2 = 0, 'a name of some length', nullif('note', 'note')
    FROM generate_series(1, 10000) n;";

pub(super) fn rows() -> Vec<Row> {
    let rows = vec![
        row(
            "pg_point",
            &[
                ("ours", |n| ours_within(move || ours::point(n))),
                (TOKIO_POSTGRES, |n| {
                    current_thread_within(move || peers::point(n))
                }),
                (SQLX, |n| {
                    current_thread_within(move || peers::sqlx_point(n))
                }),
            ],
        ),
        row(
            "pg_pipeline",
            &[
                ("ours", |n| ours_within(move || ours::pipeline(n))),
                (TOKIO_POSTGRES, |n| {
                    current_thread_within(move || peers::pipeline(n))
                }),
            ],
        ),
        row(
            "pg_fetch",
            &[
                ("ours", |n| ours_within(move || ours::fetch(n))),
                (TOKIO_POSTGRES, |n| {
                    current_thread_within(move || peers::fetch(n))
                }),
                (SQLX, |n| {
                    current_thread_within(move || peers::sqlx_fetch(n))
                }),
            ],
        ),
        row(
            "pg_executemany",
            &[
                ("ours", |n| ours_within(move || ours::executemany(n))),
                (TOKIO_POSTGRES, |n| {
                    current_thread_within(move || peers::executemany(n))
                }),
                (SQLX, |n| {
                    current_thread_within(move || peers::sqlx_executemany(n))
                }),
            ],
        ),
        row(
            "pg_pool",
            &[
                ("ours", |n| ours_within(move || ours::pool(n))),
                (DEADPOOL, |n| {
                    current_thread_within(move || peers::pool(n, peers::fast()))
                }),
                (DEADPOOL_CLEAN, |n| {
                    current_thread_within(move || peers::pool(n, peers::clean()))
                }),
                (SQLX, |n| current_thread_within(move || peers::sqlx_pool(n))),
            ],
        ),
        row(
            "pg_acquire",
            &[
                ("ours", |n| ours_within(move || ours::acquire(n))),
                (DEADPOOL, |n| {
                    current_thread_within(move || peers::acquire(n, peers::fast()))
                }),
                (SQLX, |n| {
                    current_thread_within(move || peers::sqlx_acquire(n))
                }),
            ],
        ),
        row(
            "pg_ten",
            &[
                ("ours", |n| ours_within(move || ours::ten(n))),
                ("ours_multi_thread", |n| {
                    multi_thread_within(
                        move || async move { ours::ten(n).await.expect("no failure") },
                    )
                }),
                (TOKIO_POSTGRES, |n| {
                    current_thread_within(move || peers::ten(n))
                }),
                (SQLX, |n| current_thread_within(move || peers::sqlx_ten(n))),
                (PGBENCH, programs::ten),
            ],
        ),
    ];
    rows.into_iter().map(served).collect()
}

/// A row for which there has to be a server, whose answers take their time.
fn served(row: Row) -> Row {
    let needing = |side: Side| Side {
        needs: match side.name {
            PGBENCH => || programs::pgbench().map(drop),
            _ => || cluster().map(drop),
        },
        ..side
    };
    Row {
        sides: row.sides.into_iter().map(needing).collect(),
        long: true,
        ..row
    }
}

/// The address of the server, for a process of somebody else's.
pub(crate) fn dsn() -> Result<String, String> {
    cluster().map(PgCluster::dsn)
}

/// The server with its tables, which is started once; or why there is none.
fn cluster() -> Result<&'static PgCluster, String> {
    static CLUSTER: OnceLock<Result<PgCluster, String>> = OnceLock::new();
    let made = CLUSTER.get_or_init(|| {
        let made = PgCluster::create().and_then(|cluster| {
            cluster.query(TABLES)?;
            cluster.query("VACUUM ANALYZE")?;
            Ok(cluster)
        });
        made.map_err(|error| error.to_string())
    });
    made.as_ref().map_err(Clone::clone)
}

/// The server, for a workload; it has been found to be there.
fn server() -> &'static PgCluster {
    cluster().expect("rows without what they need do not run")
}

/// The folder of the server's socket.
fn folder() -> PathBuf {
    server().folder().to_owned()
}

/// The accounts that are asked for, all over the table.
fn accounts(count: u32) -> impl Iterator<Item = i32> {
    (0..count).map(|n| (n.wrapping_mul(7919) % ACCOUNTS + 1).cast_signed())
}

/// In parts of so many at the most.
fn shares(count: u32, most: u32) -> impl Iterator<Item = u32> {
    (0..count.div_ceil(most)).map(move |share| (count - share * most).min(most))
}

/// The rows that are inserted at once.
fn sevens(count: u32) -> impl Iterator<Item = Seven> {
    (0..count.cast_signed()).map(|n| {
        let score = f64::from(n) / 8.0;
        (n, i64::from(n) * 7, score, -score, n % 2 == 0, NAME, None)
    })
}
