//! PostgreSQL and SQLite for programs that are cancelled: asyncpg and aiosqlite for Rust.
//!
//! **Being built: nothing is here yet.** This page says what the crate is for and what it will hold.
//!
//! It takes its names from the Python packages `asyncpg` and `aiosqlite`; none of it is in CPython. The
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
//! | Python package | will hold |
//! | --- | --- |
//! | `asyncpg` | `postgres`: `connect`, `create_pool`, transactions, cursors, prepared statements, codecs |
//! | `aiosqlite` | `sqlite`: `connect`, cursors, rows |
//! | above both | statements built in Rust instead of written as text |
//!
//! # What it does not do
//!
//! It is no object-relational mapper and migrates no schemas. It speaks to two databases only.
//!
//! # Features
//!
//! - `tls`, on by default: sessions that are encrypted, by rustls with ring.
//! - `testing`: the module `testing`, with throw-away servers and a proxy that makes faults. Unix only.

pub mod exc;
mod exceptions;
pub mod pg;
#[cfg(all(unix, feature = "testing"))]
pub mod testing;

pub use exceptions::{ClientConfigurationError, ExceptionExt, PgError};
