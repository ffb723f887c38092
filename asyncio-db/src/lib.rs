//! PostgreSQL and SQLite for programs that are cancelled: asyncpg and aiosqlite for Rust.
//!
//! PostgreSQL is in [`pg`], SQLite in `sqlite`, and in `sql` what is above both: statements that are built in
//! Rust, and sessions that know rows. **Being built:** PostgreSQL's `COPY` and `LISTEN`.
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # fn main() -> asyncio_core::Result<()> {
//! # let cluster = asyncio_db::testing::PgCluster::create()?;
//! # let dsn = cluster.dsn();
//! use asyncio_db::pg::create_pool;
//!
//! asyncio_core::run(async move {
//!     let pool = create_pool(dsn).min_size(1).await?;
//!     let rows = pool.fetch("SELECT n, n * n AS square FROM generate_series(1, $1) n", (3,)).await?;
//!     assert_eq!(rows[2].get::<i32>("square")?, 9);
//!     pool.close().await
//! })
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! It takes its names from the Python packages `asyncpg`, `aiosqlite` and `SQLAlchemy`; none of it is in CPython. The
//! rule that shapes it: a query that is cancelled leaves its connection fit for the next user, or the
//! connection is closed.
//!
//! # Vocabulary
//!
//! - A **connection** is one session with the server, or one open database file with a thread of its
//!   own, used by one task at a time.
//! - A **pool** lends connections, first come first served, and takes back only those that are idle and
//!   outside of any transaction.
//! - A **record** is one row of a result, by position or by name.
//! - A **codec** turns a value of the server's into one of Rust's, and back.
//!
//! # Map
//!
//! | Python package | here | to come |
//! | --- | --- | --- |
//! | `asyncpg` | [`pg`]: [`connect`](pg::connect), [`create_pool`](pg::create_pool), transactions, cursors, prepared statements; [`exc`], its classes of errors | `COPY`, `LISTEN`, codecs |
//! | `aiosqlite` | `sqlite`: `connect`, `create_pool`, transactions, cursors, rows | |
//! | `SQLAlchemy` | `sql`: `create_async_engine`, `select` and its like, `async_sessionmaker`, sessions, `#[derive(Table)]` | |
//!
//! # What it does not do
//!
//! It migrates no schemas, loads nothing behind one's back, and speaks to two databases only.
//!
//! # Features
//!
//! - `sqlite`, on by default: the module `sqlite`; with `sqlite-bundled`, on by default too, SQLite is
//!   built along, and with `sqlite-load-extension` programs can load extensions.
//! - `tls`, on by default: sessions that are encrypted, by rustls with ring.
//! - `sql`: the module `sql`; SQLite comes with it.
//! - `testing`: the module `testing`, with throw-away servers and a proxy that makes faults. Unix only.

pub mod exc;
mod exceptions;
pub mod pg;
#[cfg(feature = "sql")]
pub mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(all(unix, feature = "testing"))]
pub mod testing;

// So that what `#[derive(Table)]` makes is found within this crate, too.
#[cfg(all(test, feature = "sql"))]
extern crate self as asyncio_db;

pub use exceptions::{ClientConfigurationError, ExceptionExt, PgError};
