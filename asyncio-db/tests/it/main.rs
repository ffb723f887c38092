//! Tests against a PostgreSQL server.

mod auto_traits;
mod cancellation;
mod connect;
mod copy;
mod execute;
mod faults;
mod listeners;
mod points;
mod pool;
mod pool_ends;
mod statements;
mod support;
mod transactions;
