//! The workloads, each written once for us and once for every peer.

mod groups;
mod http;
mod net;
pub(crate) mod pg;
mod sql;
mod sqlite;
mod sync;
mod tasks;
mod tls;

use crate::runtimes::Measured;

/// A workload with all its sides, ours first.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) sides: Vec<Side>,
    /// How many operations; zero for as many as fill a slice.
    pub(crate) fixed: u32,
    /// Whether it takes longer than others until it says something.
    pub(crate) long: bool,
}

impl Row {
    /// Whether it asks a PostgreSQL server.
    pub(crate) fn asks_server(&self) -> bool {
        self.name.starts_with("pg_")
    }
}

pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) run: Run,
    /// Says what is missing, where it cannot run.
    pub(crate) needs: fn() -> Result<(), String>,
}

/// Runs a number of operations.
pub(crate) type Run = fn(u32) -> Measured;

/// All rows.
pub(crate) fn all() -> Vec<Row> {
    let mut rows = tasks::rows();
    rows.extend(groups::rows());
    rows.extend(sync::rows());
    rows.extend(net::rows());
    rows.extend(sqlite::rows());
    rows.extend(sql::rows());
    rows.extend(tls::rows());
    rows.extend(http::rows());
    rows.extend(pg::rows());
    rows
}

const CURRENT_THREAD: &str = "tokio_current_thread";
const LOCAL_SET: &str = "tokio_local_set";
const MULTI_THREAD: &str = "tokio_multi_thread";
const JOIN_SET: &str = "join_set";
/// How many tasks a batch has; a multiple of every other number of tasks in a workload.
pub(crate) const BATCH: u32 = 1000;

fn row(name: &'static str, sides: &[(&'static str, Run)]) -> Row {
    Row {
        name,
        unit: "ns",
        sides: sides
            .iter()
            .map(|&(name, run)| Side {
                name,
                run,
                needs: || Ok(()),
            })
            .collect(),
        fixed: 0,
        long: false,
    }
}

/// A row about memory.
fn bytes(name: &'static str, sides: &[(&'static str, Run)]) -> Row {
    Row {
        unit: "B",
        fixed: 20_000,
        ..row(name, sides)
    }
}
