//! The table, and the same as JSON.

use serde_json::{Value, json};

use crate::measure::{Cost, Outcome};

/// Prints what a row came to, a line a peer.
pub(crate) fn print(outcomes: &[Outcome]) {
    for outcome in outcomes {
        let Outcome {
            row, peer, ratio, ..
        } = outcome;
        println!(
            "{row:<18} {peer:<22} {:>6.2}x  [{:>5.2} … {:>5.2}]  cpu {}  ours {}  peer {}",
            ratio.median,
            ratio.q1,
            ratio.q3,
            outcome
                .cpu_ratio
                .map_or_else(unknown, |ratio| format!("{ratio:>6.2}x")),
            cost(&outcome.ours, outcome.unit),
            cost(&outcome.theirs, outcome.unit),
        );
    }
}

fn cost(cost: &Cost, unit: &str) -> String {
    let allocations = cost
        .allocations
        .map(|number| format!(", {number:>4.1} allocs"));
    format!(
        "{:>8.1} {unit} ({} cpu{})",
        cost.amount,
        cost.cpu.map_or_else(unknown, |cpu| format!("{cpu:>6.1}")),
        allocations.unwrap_or_default()
    )
}

fn unknown() -> String {
    "?".to_owned()
}

/// All of it for another program to read.
pub(crate) fn json(outcomes: &[Outcome]) -> Value {
    let row = |outcome: &Outcome| {
        json!({
            "name": outcome.row,
            "peer": outcome.peer,
            "ratio": outcome.ratio.median,
            "q1": outcome.ratio.q1,
            "q3": outcome.ratio.q3,
            "cpu_ratio": outcome.cpu_ratio,
            "unit": outcome.unit,
            "ours_ns": outcome.ours.amount,
            "peer_ns": outcome.theirs.amount,
            "ours_cpu_ns": outcome.ours.cpu,
            "peer_cpu_ns": outcome.theirs.cpu,
            "ours_allocations": outcome.ours.allocations,
            "peer_allocations": outcome.theirs.allocations,
            "peer_build": outcome.build,
        })
    };
    json!({ "rows": outcomes.iter().map(row).collect::<Vec<Value>>() })
}
