//! SQLite, with aiosqlite's names.
//!
//! Each [`Connection`] has a thread of its own, on which all is done that may wait: a call goes there as a
//! whole, and its result comes back. Calls are done one after the other, in the order in which they were
//! made.
//!
//! ```
//! use asyncio_core::{Result, run};
//! use asyncio_db::sqlite::connect;
//!
//! # fn main() -> Result<()> {
//! run(async {
//!     let db = connect(":memory:").await?;
//!     db.execute("create table pets (name text, legs integer)", ()).await?;
//!     db.executemany("insert into pets values (?, ?)", [("cat", 4), ("hen", 2)]).await?;
//!     let mut cursor = db.execute("select name from pets where legs > ?", (3,)).await?;
//!     while let Some(pet) = cursor.fetchone().await? {
//!         assert_eq!(pet.get::<String>("name")?, "cat");
//!     }
//!     db.close().await
//! })
//! # }
//! ```
//!
//! It works on an event loop of `asyncio-core` and on any tokio runtime.
//!
//! # Transactions
//!
//! A statement outside of a transaction is one by itself, unless an
//! [`isolation_level`](ConnectBuilder::isolation_level) is set, as Python's default is. What belongs
//! together goes into a [`Transaction`], which is rolled back when it is dropped.
//!
//! ```
//! # use asyncio_core::{Result, run};
//! # use asyncio_db::sqlite::{Behavior, connect};
//! # fn main() -> Result<()> {
//! # run(async {
//! # let db = connect(":memory:").await?;
//! # db.execute("create table accounts (owner text, balance integer)", ()).await?;
//! let transaction = db.transaction(Behavior::Immediate).await?;
//! transaction.execute("update accounts set balance = balance - 5 where owner = ?", ("A",)).await?;
//! transaction.execute("update accounts set balance = balance + 5 where owner = ?", ("B",)).await?;
//! transaction.commit().await?;
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Cancelling
//!
//! When a task is cancelled at a call, or the call's future is dropped, the await is over at once. A call
//! that has not begun never begins. One that has is interrupted, in a statement as well as in the wait for
//! another process's lock, and no other call is: the connection is as usable as before. SQLite rolls back
//! the whole transaction when it is interrupted in a statement that writes;
//! [`Transaction::is_active`] says whether it did, and statements of a transaction that is over are
//! refused.
//!
//! # Ending
//!
//! The thread ends when the [`Connection`] is dropped, and it holds up no process that ends without that.

mod backup;
mod call;
mod connect;
mod connection;
mod cursor;
mod desk;
mod dump;
mod error;
mod guard;
mod hooks;
mod many;
mod params;
mod pool;
mod row;
mod transaction;
mod worker;

pub use backup::{Backup, Progress};
pub use connect::{ConnectBuilder, connect};
pub use connection::Connection;
pub use cursor::Cursor;
pub use dump::IterDump;
pub use error::{ErrorClass, SqliteError};
pub use params::{Named, Params, named};
pub use pool::{Pool, PoolBuilder, PooledConnection, create_pool};
pub use row::{ColumnIndex, FromRow, Row};
pub use transaction::{Behavior, Transaction};

/// Which crate the values, the functions and the authorizers are of: for [`Connection::call`].
pub use rusqlite;
pub use rusqlite::functions::Context as FunctionContext;
pub use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
pub use rusqlite::types::{FromSql, ToSql, Value, ValueRef};
