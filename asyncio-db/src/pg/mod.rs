//! PostgreSQL, with asyncpg's names.

mod args;
mod config;
mod connect;
mod connection;
mod cursor;
mod dsn;
mod errors;
mod execute;
mod introspection;
mod link;
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
pub use cursor::{Cursor, CursorBuilder};
pub use errors::InterfaceError;
pub use many::{Pipeline, PipelineResults, Ticket};
pub use notices::ListenerId;
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
pub mod types {
    pub use postgres_types::{
        Field, Format, FromSql, FromSqlOwned, IsNull, Kind, Oid, ToSql, Type, accepts,
        to_sql_checked,
    };
}
