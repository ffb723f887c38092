//! pgbench: as much as the server can answer.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{CONNECTIONS, cluster, server};
use crate::runtimes::Measured;

/// Where pgbench is, if the installation has one.
pub(super) fn pgbench() -> Result<PathBuf, String> {
    let program = cluster()?.programs().program("pgbench");
    program.ok_or_else(|| "this PostgreSQL has no pgbench".to_owned())
}

/// The same query by as many connections, on as many threads as there are cores.
pub(super) fn ten(count: u32) -> Measured {
    let transactions = (count / CONNECTIONS).to_string();
    let connections = CONNECTIONS.to_string();
    let output = Command::new(pgbench().expect("it was found"))
        .args(["--no-vacuum", "--select-only", "--protocol=prepared"])
        .args(["--jobs=2", "--client", &connections])
        .args(["--transactions", &transactions])
        .arg(server().dsn())
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&output.stdout);
    let rate = rate(&told).unwrap_or_else(|| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        panic!("pgbench says {told}{complaint}")
    });
    Measured::elsewhere(Duration::from_secs_f64(f64::from(count) / rate))
}

/// The number in the line `tps = 123.4 (without initial connection time)`.
fn rate(told: &str) -> Option<f64> {
    let number = told.lines().find_map(|line| line.strip_prefix("tps = "))?;
    number.split_whitespace().next()?.parse().ok()
}
