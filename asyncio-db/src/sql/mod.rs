//! Statements that are built in Rust, and rows that are structs, on either database: with SQLAlchemy's names.
//!
//! ```
//! use asyncio_core::{Result, run};
//! use asyncio_db::sql::{MetaData, Table, async_sessionmaker, create_async_engine, select};
//!
//! #[derive(Clone, Debug, Table)]
//! #[table(name = "users")]
//! struct User {
//!     #[table(primary_key, generated)]
//!     id: i64,
//!     #[table(unique)]
//!     email: String,
//!     is_active: bool,
//! }
//!
//! # fn main() -> Result<()> {
//! run(async {
//!     // Or "postgresql+asyncpg://user:password@host/database".
//!     let engine = create_async_engine("sqlite+aiosqlite:///:memory:").pool_size(5).build()?;
//!     let tables = MetaData::new().table::<User>();
//!     engine.begin_with(async |connection| tables.create_all(connection).await).await?;
//!     let new_session = async_sessionmaker(&engine).expire_on_commit(false);
//!
//!     let mut session = new_session.session();
//!     let ann = session.add(User { id: 0, email: "ann@example.org".to_owned(), is_active: true });
//!     session.commit().await?;
//!     assert_eq!(ann.get().id, 1);
//!
//!     ann.edit().is_active = false;
//!     let active = select::<User>().filter(User::IS_ACTIVE).limit(100);
//!     assert!(session.scalars(active).await?.all().is_empty());
//!     session.rollback().await?;
//!     assert!(ann.get().is_active);
//!     engine.dispose().await
//! })
//! # }
//! ```
//!
//! The same program runs on PostgreSQL and on SQLite, by its URL alone, with the types that both have:
//! booleans, integers, floats, text, bytes, and [`Field`]s that are kept as one of those.
//!
//! # Two ways to use it
//!
//! A connection of an [`Engine`] executes statements, and the rows of a table are values: structs.
//!
//! A [`Session`] has [`Instance`]s: for each row one, whoever has come across it. It writes what was added,
//! edited and deleted. There is no lazy loading, neither of rows nor of expired columns, as SQLAlchemy's own
//! asyncio has none: what is read is read where an `await` is.
//!
//! # asyncio
//!
//! | SQLAlchemy | here |
//! | --- | --- |
//! | `create_async_engine(url, pool_size=…)` | [`create_async_engine`], with methods for what it is told |
//! | `async with engine.begin() as connection` | [`Engine::begin_with`], or [`Engine::begin`], a guard |
//! | `async with engine.connect() as connection` | [`Engine::connect`] |
//! | `class User(Base)`, `Mapped[…]` | `#[derive(Table)]`: see [`Table`] |
//! | `Base.metadata` | [`MetaData`], which is told the tables |
//! | `select(User).where(User.name == "x")` | `select::<User>().filter(User::NAME.eq("x"))` |
//! | `select(User.id, func.count())` | `select::<User>().columns((User::ID, func::count()))` |
//! | `result.scalars().all()`, `one()`, … | [`ResultSet`] |
//! | `await session.stream(…)` | [`Session::stream`] |
//! | `async_sessionmaker(engine)`, `async_session()` | [`async_sessionmaker`], [`SessionMaker::session`] |
//! | `async with session.begin()` | [`Session::begin_with`], or [`Session::begin`], a guard |
//! | `user.name`, `user.name = "x"` | `user.get().name`, `user.edit().name = "x".to_owned()` |
//! | `relationship` | [`Instance::relate`] sets a foreign key; rows are read by statements |
//! | `run_sync`, events, polymorphism, lazy loading | none |

mod connection;
mod dml;
mod driver;
mod engine;
mod errors;
mod expression;
mod identity;
mod instance;
mod metadata;
mod pool;
mod result;
mod row;
mod select;
mod session;
mod sessionmaker;
mod sessiontransaction;
mod statement;
mod stream;
mod table;
mod text;
mod transaction;
mod unit;
mod url;
mod value;

pub use asyncio_db_macros::Table;

pub use connection::EngineConnection;
pub use dml::{Delete, Insert, Returning, Update, delete, insert, update};
pub use engine::{Engine, EngineBuilder, IsolationLevel, create_async_engine};
pub use errors::{
    ArgumentError, InvalidRequestError, MultipleResultsFound, NoResultFound, PendingRollbackError,
    ResourceClosedError, StaleDataError, ValueError,
};
pub use expression::{Expression, Operand, Ordering, func};
pub use instance::{Edit, Instance, InstanceState};
pub use metadata::MetaData;
pub use pool::PoolStatus;
pub use result::{ResultSet, Scalars};
pub use row::{Row, RowMapping};
pub use select::{Select, select};
pub use session::Session;
pub use sessionmaker::{SessionMaker, async_sessionmaker};
pub use sessiontransaction::SessionTransaction;
pub use statement::{
    Anything, Dialect, Entity, Scalar, Selected, Selection, Shape, Statement, Values,
};
pub use stream::ResultStream;
pub use table::{Column, ColumnInfo, Key, Reference, Table};
pub use text::{Text, text};
pub use transaction::{EngineTransaction, Transaction};
pub use value::{Cell, Field, Kind, Value};

/// What statements are built with underneath: for [`Select::into_query`] and its like.
pub use sea_query;
