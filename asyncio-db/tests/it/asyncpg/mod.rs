//! What asyncpg's own tests expect, file by file. `tests/ported.md` lists them all.

mod caches;
mod connecting;
mod cursors;
mod executing;
mod pools;
mod preparing;
mod timing;
mod transacting;
