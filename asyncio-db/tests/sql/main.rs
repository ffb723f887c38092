//! The SQL layer, on SQLite and on PostgreSQL.
//!
//! A test that ports one of SQLAlchemy's names it in its doc comment, as
//! `test_session.AsyncSessionTransactionTest.test_flush`: those of `test/ext/asyncio` in full, those of other
//! folders with the folder, as `orm/test_transaction.SavepointTest.test_savepoint_rollback`.
//! `../ported-sql.md` lists them.

mod cancelling;
mod connections;
mod engines;
mod expiry;
mod results;
mod savepoints;
mod sessions;
mod support;
mod transactions;
mod units;
mod values;
