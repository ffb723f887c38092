//! Tests against a PostgreSQL server.

mod cancellation;
mod connect;
mod execute;
mod faults;
mod points;
mod pool;
mod statements;
mod support;
mod transactions;
