//! PostgreSQL, with asyncpg's names.
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # fn main() -> asyncio_core::Result<()> {
//! # let cluster = asyncio_db::testing::PgCluster::create()?;
//! # let dsn = cluster.dsn();
//! use asyncio_core::timeout;
//! use asyncio_db::pg::connect;
//!
//! asyncio_core::run(async move {
//!     let mut connection = connect(dsn).await?;
//!     connection.execute("CREATE TEMP TABLE towns (name text, people int)", ()).await?;
//!     let towns = [("Bruges", 119_000), ("Ghent", 270_000)];
//!     connection.executemany("INSERT INTO towns VALUES ($1, $2)", towns).await?;
//!
//!     let row = connection.fetchrow("SELECT * FROM towns WHERE people > $1", (200_000,)).await?;
//!     let row = row.expect("there is one");
//!     assert_eq!((row.get::<&str>("name")?, row.get::<i32>("people")?), ("Ghent", 270_000));
//!
//!     // Whoever stops waiting stops the server too.
//!     let slow = timeout(0.01, connection.execute("SELECT pg_sleep(3600)", ())).await;
//!     assert!(slow.is_err());
//!     assert_eq!(connection.fetchval("SELECT count(*) FROM towns", ()).await?, Some(2_i64));
//!     connection.close().await
//! })
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! A query takes its arguments as a tuple, for `$1`, `$2` and so on; the types are those of the traits
//! [`ToSql`](types::ToSql) and [`FromSql`](types::FromSql). Borrowing says what Python finds out when it
//! runs: a connection does one thing at a time.
//!
//! # Who stops waiting
//!
//! An operation may be cancelled, run into a time limit, or have its future dropped, at any point. The
//! server is asked to stop, all that was under way is heard to its end, and a transaction that the
//! operation has begun is ended, by a task of its own. What is used next waits for that, and finds the
//! connection as if nothing had been. A server that does not stop in
//! [time](ConnectBuilder::cancel_timeout) loses the session.
//!
//! What a command has done is undone by that where it was under way, and stays where it had ended by
//! then: nobody can tell which, but for what is within a [transaction](Connection::transaction), of which
//! nothing lasts without its `commit`.
//!
//! # asyncio
//!
//! | asyncpg | here |
//! | --- | --- |
//! | `connect`, `Connection` | [`connect`], [`Connection`] |
//! | `create_pool`, `Pool` | [`create_pool`], [`Pool`]; `async with pool.acquire()` is a guard, [`PooledConnection`] |
//! | `async with connection.transaction()` | [`Connection::transaction`], a guard or a function |
//! | `connection.cursor()` | [`Connection::cursor`] in a transaction; [`Connection::stream`] for all rows as they come |
//! | `PreparedStatement` | [`PreparedStatement`], which goes where a query goes |
//! | `Record` | [`Record`] |
//! | exceptions | [`PgError`](crate::PgError) and its classes in [`exc`](crate::exc), [`InterfaceError`] |
//! | none | [`Connection::pipeline`] |
//!
//! `COPY`, `LISTEN`, codecs of one's own, and Kerberos are to come.

mod args;
mod config;
mod connect;
mod connection;
mod copy;
mod cursor;
mod errors;
mod execute;
mod introspection;
mod link;
mod listen;
mod logging;
mod many;
mod notices;
mod operation;
mod pool;
mod prepared;
mod protocol;
mod record;
mod recovery;
mod rows;
mod statement;
mod tag;
mod target;
mod transaction;

pub use args::Args;
pub use config::{
    Address, ChannelBinding, Config, ConnectionParameters, IntoConfig, RootCertificates, Secret,
    Server, SessionAttrs, TlsParameters, TlsVersion,
};
pub use connect::{ConnectBuilder, connect};
pub use connection::Connection;
pub use copy::{
    Chunks, CopyColumns, CopyFormat, CopyFromQuery, CopyFromTable, CopyRecords, CopySink,
    CopySource, CopyToTable, EachChunk, FileAt, chunks, each_chunk, file_at,
};
pub use cursor::{Cursor, CursorBuilder};
pub use errors::InterfaceError;
pub use link::ServerVersion;
pub use listen::{Listener, ListenerEvent};
pub use logging::{LoggedQuery, QueryLogging};
pub use many::{Pipeline, PipelineResults, Ticket};
pub use notices::{ListenerId, Notification};
pub use pool::{
    Pool, PoolBuilder, PoolClosedError, PoolStats, PoolTimeoutError, PooledConnection, Reset,
    create_pool,
};
pub use prepared::{PreparedStatement, Query};
pub use record::{Attribute, ColumnIndex, DecodeError, Record};
pub use rows::RowStream;
pub use statement::{EncodeError, StatementNames};
pub use tag::CommandTag;
pub use target::SslMode;
pub use transaction::{IsolationLevel, Transaction, TransactionBuilder};

/// The types of values, and what turns them into Rust's: those of the crate `postgres-types`.
///
/// It knows the types of other crates too (dates, JSON, UUIDs and others) when it is built with the
/// feature of that name: `postgres-types = { version = "0.2", features = ["with-uuid-1"] }` in a program's
/// `Cargo.toml` is all that it takes.
pub mod types {
    pub use postgres_types::{
        Field, Format, FromSql, FromSqlOwned, IsNull, Kind, Oid, ToSql, Type, accepts,
        to_sql_checked,
    };
}
