//! What servers, networks and impatient callers do to a pool.
//!
//! These tests are timed, so that they run one after the other, each with a server of its own. Their length
//! is made for every day; `ASYNCIO_DB_SCALE=100` makes them a hundred times as long.

mod fairness;
mod limits;
mod listening;
mod migrations;
mod network;
mod recovery;
mod replays;
mod restarts;
mod storm;
mod support;
