//! What servers, networks and impatient callers do to a pool.
//!
//! They run one after the other, each with a server of its own. Their length is made for every day, and so
//! are their limits: what fails them is a hang. `cargo xtask soak db` runs them in full
//! (`ASYNCIO_DB_FULL=1`), and says what was counted.

mod fairness;
mod limits;
mod listening;
mod migrations;
mod network;
mod pooler;
mod recovery;
mod replays;
mod restarts;
mod storm;
mod support;
