//! One facade with every name of asyncio: `use asyncio_compat as asyncio;`.
//!
//! **Being built: nothing is here yet.** This page says what the crate is for and what it will hold.
//!
//! For people who port a Python program: what is `asyncio.create_task` there will be
//! `asyncio::create_task` here, and what is `asyncio.locks.Lock` will be `asyncio::locks::Lock`. The
//! names come from `asyncio/__init__.py` of CPython 3.13 and from the modules it collects. Which of them
//! exist already, and in which crate, is listed in `docs/PARITY.md` of the repository; a test of this
//! crate names each of those for the compiler.
//!
//! # Vocabulary
//!
//! The **home** of a name is the crate that defines it, and the **facade** only repeats it: both paths are
//! the same type, so that code of either kind works together.
//!
//! # Map
//!
//! | asyncio | home |
//! | --- | --- |
//! | runners, loop, tasks, futures, combinators, task groups, timeouts, threads | `asyncio_core` |
//! | locks, queues | `asyncio_sync` |
//! | streams, transports, servers, subprocesses | `asyncio_net` |
//! | `get_event_loop`, `set_event_loop` | this crate |
//! | the PyPI packages `asyncpg`, `aiosqlite`, `aiohttp` | `asyncio_db`, `asyncio_net` |
//!
//! # What it does not do
//!
//! It adds no semantics: a program that needs only some of the names may use their crates directly. What
//! CPython has deprecated or removed (event loop policies, child watchers, generator coroutines) is not
//! here.
//!
//! # Features
//!
//! None.
