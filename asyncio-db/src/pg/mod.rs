//! PostgreSQL, with asyncpg's names.

mod args;
mod connect;
mod connection;
mod dsn;
mod errors;
mod execute;
mod introspection;
mod link;
mod notices;
mod operation;
mod protocol;
mod record;
mod recovery;
mod statement;
mod tag;
mod target;

pub use args::Args;
pub use connect::{ConnectBuilder, connect};
pub use connection::Connection;
pub use errors::{InterfaceError, PgError};
pub use notices::ListenerId;
pub use record::{Attribute, ColumnIndex, DecodeError, Record};
pub use statement::{EncodeError, StatementNames};
pub use tag::CommandTag;
pub use target::SslMode;

/// The types of values, and what turns them into Rust's: those of the crate `postgres-types`.
pub mod types {
    pub use postgres_types::{
        Field, Format, FromSql, FromSqlOwned, IsNull, Kind, Oid, ToSql, Type, accepts,
        to_sql_checked,
    };
}
