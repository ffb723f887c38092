//! Tests against a PostgreSQL server.

mod cancellation;
mod execute;
mod points;
mod pool;
mod support;
