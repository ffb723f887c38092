//! What was found: a table by area, and every fault as small as it can be made.

use std::time::{Duration, Instant};

use super::SAW_OTHER;
use super::lanes::{Finding, REPEATED, Row, Runner};
use crate::Failure;
use crate::conformance::corpus;
use crate::conformance::minimise::minimise;

/// How many faults of a kind are minimised and shown.
const SHOWN: usize = 4;
/// How long the minimising of one fault may take, and of all together.
const BUDGET: Duration = Duration::from_secs(30);
const BUDGET_OF_ALL: Duration = Duration::from_secs(180);

/// Prints the findings, and says how many faults they are.
pub(super) fn explain(
    rows: &[Row],
    findings: &[Finding],
    workers: &[usize],
) -> Result<usize, Failure> {
    let mut faults = findings.len();
    let deadline = Instant::now() + BUDGET_OF_ALL;
    let mut runner = Runner::new(workers)?;
    for (number, finding) in findings.iter().enumerate() {
        let row = &rows[finding.row];
        let name = corpus::name(&finding.program);
        let alike = findings[..number]
            .iter()
            .filter(|other| other.kind == finding.kind);
        say!(
            "\n{name} ({}, {}): {}: {}",
            row.area,
            row.source,
            finding.kind,
            finding.text
        );
        if finding.program.is_null() {
            continue;
        }
        if alike.count() >= SHOWN {
            say!("  {}", finding.program);
            continue;
        }
        let mut text = None;
        let mut failure = None;
        let mut shows = |candidate: &serde_json::Value| match runner.fault_of(candidate) {
            Ok(Some((kind, why))) if kind == finding.kind => {
                text = Some(why);
                true
            }
            Ok(_) => false,
            Err(error) => {
                failure = Some(error);
                false
            }
        };
        say!("  {}", finding.program);
        if !shows(&finding.program) {
            say!("  not seen again in {REPEATED} runs");
            faults -= usize::from(finding.kind == SAW_OTHER);
            continue;
        }
        let least = minimise(
            &finding.program,
            (Instant::now() + BUDGET).min(deadline),
            &mut shows,
        );
        if let Some(failure) = failure {
            return Err(failure);
        }
        say!("  and in short: {}\n  {least}", text.unwrap_or_default());
    }
    if !findings.is_empty() {
        say!(
            "\nto run one of them again: cargo xtask workers --file FILE, with its line of JSON in FILE"
        );
    }
    Ok(faults)
}

/// Prints the table.
pub(super) fn table(rows: &[Row]) {
    let header = [
        "area",
        "programs",
        "run",
        "endless",
        "16 orders",
        "any order",
        "share",
        "any time",
        "sees the same",
        "explained",
        "unexplained",
        "faults",
    ];
    let mut lines = vec![header.map(str::to_owned)];
    for row in rows {
        let share = 100.0 * row.states as f64 / row.programs.max(1) as f64;
        lines.push([
            row.area.clone(),
            row.source.to_owned(),
            row.programs.to_string(),
            row.endless.to_string(),
            row.first.to_string(),
            row.states.to_string(),
            format!("{share:.1} %"),
            row.harsh.to_string(),
            row.histories.to_string(),
            row.explained.to_string(),
            row.unexplained.len().to_string(),
            row.faults.to_string(),
        ]);
    }
    for text in rows.iter().flat_map(|row| &row.unexplained) {
        say!("unexplained, and perhaps only never drawn: {text}");
    }
    let widths = (0..header.len()).map(|column| {
        let cells = lines.iter().map(|line| line[column].len());
        cells.max().unwrap_or_default()
    });
    let widths: Vec<usize> = widths.collect();
    say!("");
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate();
        let cells: Vec<String> = cells
            .map(|(column, (cell, &width))| match column {
                0 | 1 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        say!("{}", cells.join("  ").trim_end());
    }
}
