//! Tests against a PostgreSQL server.

mod cancellation;
mod connect;
mod execute;
mod points;
mod pool;
mod support;
