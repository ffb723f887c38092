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
            "{row:<18} {peer:<22} {:>6.2}x  [{:>5.2} … {:>5.2}]  ours {}  peer {}",
            ratio.median,
            ratio.q1,
            ratio.q3,
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
        "{:>8.1} {unit} ({:>6.1} cpu{})",
        cost.amount,
        cost.cpu,
        allocations.unwrap_or_default()
    )
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
