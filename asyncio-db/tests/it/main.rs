//! Tests against a PostgreSQL server.

mod asyncpg;
mod auto_traits;
mod cancellation;
mod codecs;
mod connect;
mod copy;
mod copy_cancelled;
mod execute;
mod faults;
mod listeners;
mod own_codecs;
mod points;
mod pool;
mod pool_ends;
mod poolers;
mod ported;
mod records;
mod statements;
mod support;
mod transactions;
