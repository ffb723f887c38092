//! One facade with every name of asyncio: `use asyncio_compat as asyncio;`.
//!
//! For people who port a Python program: what is `asyncio.create_task` there is `asyncio::create_task`
//! here, and what is `asyncio.locks.Lock` is `asyncio::locks::Lock`. The names come from
//! `asyncio/__init__.py` of CPython 3.13 and from the modules it collects.
//!
//! ```
//! use asyncio_compat as asyncio;
//!
//! #[asyncio::main]
//! async fn main() -> asyncio::Result<()> {
//!     let queue = asyncio::Queue::<u32>::new(2);
//!     let sums = queue.clone();
//!     let adder = asyncio::create_task(async move {
//!         let (a, b) = (sums.get().await?, sums.get().await?);
//!         Ok(a + b)
//!     });
//!     queue.put(3).await?;
//!     queue.put(4).await?;
//!     assert_eq!(asyncio::wait_for(adder, 1).await?, 7);
//!     Ok(())
//! }
//! ```
//!
//! Which names exist, and where ours differ, is listed in `docs/PARITY.md` of the repository; a test of
//! this crate names each of them for the compiler.
//!
//! # Vocabulary
//!
//! The **home** of a name is the crate that defines it, and the **facade** only repeats it: both paths are
//! the same type, so that code of either kind works together.
//!
//! # Map
//!
//! | asyncio | here | home |
//! | --- | --- | --- |
//! | runners, loop | [`runners`], [`events`] | `asyncio_core` |
//! | tasks, futures | [`tasks`], [`futures`] | `asyncio_core` |
//! | groups, time limits, threads | [`taskgroups`], [`timeouts`], [`threads`], [`staggered`] | `asyncio_core` |
//! | locks, queues | [`locks`], [`queues`] | `asyncio_sync` |
//! | streams, transports, subprocesses | `streams`, `transports`, `protocols`, `subprocess` | `asyncio_net` |
//! | exceptions | [`exceptions`] | all of them |
//! | httpx, aiohttp, aiofiles | `httpx`, `aiohttp`, `aiofiles` | `asyncio_net` |
//! | Python's `contextvars` | [`contextvars`] | `asyncio_core` |
//! | async generators, Python's `contextlib` | [`aiter`], [`contextlib`] | here |
//! | the packages asyncpg, aiosqlite, SQLAlchemy | `asyncpg`, `aiosqlite`, `sqlalchemy` | `asyncio_db` |
//!
//! Every name of a module is at the root as well, as in Python. [`get_event_loop`], [`set_event_loop`]
//! and [`async_generator`] live here.
//!
//! # What it does not do
//!
//! It adds no semantics: a program that needs only some of the names may use their crates directly. What
//! CPython has deprecated or removed (event loop policies, child watchers, generator coroutines) is not
//! here. The attributes [`main`] and [`test`] expect this crate under its own name; where `Cargo.toml`
//! gives it another, they are told so by `crate = name`.
//!
//! # Features
//!
//! - `net`, on by default: streams, transports, servers and subprocesses.
//! - `tls`, on by default: TLS for them, by rustls.
//! - `http`: a client for HTTP, as `httpx` and as `aiohttp`; `http2` for HTTP/2.
//! - `fs`: files, as `aiofiles`.
//! - `retry`: `retry` and `RateLimiter`.
//! - `process-pool`: `ProcessPoolExecutor`, on Unix.
//! - `db`: databases, as the Python packages of which programs know them. What is derived is told where they
//!   are: `#[table(crate = asyncio_compat::sqlalchemy)]`.

#[cfg(feature = "fs")]
pub mod aiofiles;
pub mod aiter;
pub mod contextlib;
pub mod contextvars;
pub mod events;
pub mod exceptions;
pub mod futures;
#[cfg(feature = "http")]
pub mod httpx;
pub mod locks;
#[cfg(feature = "net")]
pub mod protocols;
pub mod queues;
pub mod runners;
pub mod staggered;
#[cfg(feature = "net")]
pub mod streams;
pub mod taskgroups;
pub mod tasks;
pub mod threads;
pub mod timeouts;
#[cfg(feature = "net")]
pub mod transports;
#[cfg(feature = "net")]
pub mod trsock;

/// PostgreSQL: [`asyncio_db::pg`].
#[cfg(feature = "db")]
pub use asyncio_db::pg as asyncpg;
/// Statements and sessions for either database: [`asyncio_db::sql`].
#[cfg(feature = "db")]
pub use asyncio_db::sql as sqlalchemy;
/// SQLite: [`asyncio_db::sqlite`].
#[cfg(feature = "db")]
pub use asyncio_db::sqlite as aiosqlite;

pub use aiter::{AsyncGenerator, GeneratorExit, Yield, async_generator};
#[doc(inline)]
pub use asyncio_core::*;
/// Runs an `async fn main` on an event loop: [`asyncio_core::main`] for programs that know this crate
/// alone.
pub use asyncio_core_macros::compat_main as main;
/// Runs an `async fn` on an event loop as a test: [`asyncio_core::test`] for programs that know this
/// crate alone.
pub use asyncio_core_macros::compat_test as test;
#[cfg(feature = "net")]
#[doc(inline)]
pub use asyncio_net::*;
#[doc(inline)]
pub use asyncio_sync::*;
pub use contextlib::{AsyncExitStack, aclosing, async_exit_stack};
pub use events::{get_event_loop, set_event_loop};
