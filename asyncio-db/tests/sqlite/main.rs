//! What `asyncio_db::sqlite` promises.
//!
//! A test that ports one of aiosqlite's names it in its doc comment, as `smoke.test_fetch_all`.

mod cancelling;
mod outside;
mod points;
mod pool;
mod processes;
mod smoke;
mod storm;
mod support;
mod values;
