//! What a comparison found: a table by area, and every divergence as small as it can be made.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::Value as Json;

use super::corpus;
use super::faults::{self, Fault};
use super::minimise::minimise;
use super::peer::{Peer, Reply};
use super::python::Python;
use super::run::{Divergence, PATIENCE, Row, Source, Verdict, judge};
use crate::Failure;
use crate::interp::Outcome;

/// How many divergences of a row are minimised and shown; the rest are named.
const SHOWN: usize = 3;
/// How long the minimising of one divergence may take, and of all together.
const BUDGET: Duration = Duration::from_secs(20);
const BUDGET_OF_ALL: Duration = Duration::from_secs(180);
/// How long a smaller program may take where the first one hung.
const SHORT_PATIENCE: Duration = Duration::from_millis(500);
/// Lines of the traces shown before and after the first difference.
const CONTEXT: usize = 3;
/// Names of programs that are not shown.
const NAMED: usize = 10;
const TICK: Duration = Duration::from_millis(100);

/// Prints the divergences, and gives the number of those that are no known faults of CPython.
pub(crate) fn explain(
    rows: &mut [Row],
    divergences: Vec<Divergence>,
    known: &[Fault],
    python: Option<&Python>,
) -> Result<usize, Failure> {
    let deadline = Instant::now() + BUDGET_OF_ALL;
    let mut sides = Sides::new(python)?;
    let spinner = ProgressBar::new_spinner();
    let mut reported = 0;
    let mut shown = vec![0; rows.len()];
    let mut others = Vec::new();
    for divergence in divergences {
        let name = corpus::name(&divergence.program);
        let row = &mut rows[divergence.row];
        if let Some(fault) = faults::find(known, &divergence.program) {
            row.excuse(name, &fault.reason);
            continue;
        }
        if shown[divergence.row] == SHOWN {
            reported += 1;
            others.push(divergence);
            continue;
        }
        spinner.set_message(format!("minimising {name}"));
        spinner.enable_steady_tick(TICK);
        let least = sides.minimise(&divergence, (Instant::now() + BUDGET).min(deadline));
        spinner.finish_and_clear();
        let least = least?;
        if let Some(fault) = faults::find(known, &least.program) {
            row.excuse(name, &fault.reason);
            continue;
        }
        reported += 1;
        shown[divergence.row] += 1;
        if least.stale {
            say!(
                "\n{name} ({}, {}): the recorded trace is not what CPython gives; record it anew",
                row.area,
                row.source.text()
            );
            continue;
        }
        say!(
            "\n{name} ({}, {}):\n  {}",
            row.area,
            row.source.text(),
            least.program
        );
        difference(&least.theirs, &least.ours);
    }
    list(rows, &others);
    Ok(reported)
}

/// Prints the table.
pub(crate) fn table(rows: &[Row]) {
    let header = [
        "area",
        "programs",
        "compared",
        "equal",
        "diverged",
        "known faults",
        "skipped by CPython",
        "skipped by us",
    ];
    let mut lines = vec![header.map(str::to_owned)];
    for row in rows {
        let numbers = [
            row.compared,
            row.equal,
            row.diverged,
            row.known,
            row.skipped_by_cpython,
            row.skipped_by_us,
        ];
        let [compared, equal, diverged, known, by_cpython, by_us] =
            numbers.map(|number| number.to_string());
        lines.push([
            row.area.clone(),
            row.source.text().to_owned(),
            compared,
            equal,
            diverged,
            known,
            by_cpython,
            by_us,
        ]);
    }
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].len())
                .max()
                .unwrap_or_default()
        })
        .collect();
    say!("");
    for line in lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, &width))| match column {
                0 | 1 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        say!("{}", cells.join("  ").trim_end());
    }
}

impl Source {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::HandWritten => "hand-written",
            Self::Recorded => "generated, recorded",
            Self::Live => "generated, live",
        }
    }
}

impl Row {
    /// Counts a divergence as a known fault of CPython's.
    fn excuse(&mut self, name: &str, reason: &str) {
        self.known += 1;
        self.diverged = self.diverged.saturating_sub(1);
        say!(
            "\n{name} ({}, {}): a known fault of CPython: {reason}",
            self.area,
            self.source.text()
        );
    }
}

/// A program with what the two sides make of it.
struct Least {
    program: Json,
    theirs: Reply,
    ours: Reply,
    /// CPython says the same as we do, against what is recorded.
    stale: bool,
}

struct Sides {
    oracle: Option<Peer>,
    worker: Peer,
}

impl Sides {
    fn new(python: Option<&Python>) -> Result<Self, Failure> {
        let oracle = python
            .cloned()
            .map(|python| Peer::new(move || python.oracle()));
        Ok(Self {
            oracle,
            worker: Peer::ours()?,
        })
    }

    /// Makes the program smaller as long as the two sides differ in the same manner. Without a
    /// CPython nobody knows what a smaller program should do.
    fn minimise(&mut self, found: &Divergence, deadline: Instant) -> Result<Least, Failure> {
        let Divergence {
            program,
            theirs,
            ours,
            ..
        } = found;
        let mut least = Least {
            program: program.clone(),
            theirs: theirs.clone(),
            ours: ours.clone(),
            stale: false,
        };
        let Some(oracle) = &mut self.oracle else {
            return Ok(least);
        };
        if judge(&oracle.ask(&program.to_string(), PATIENCE)?, ours) == Verdict::Equal {
            least.stale = true;
            return Ok(least);
        }
        let patience = if found.ours == Reply::Hung {
            SHORT_PATIENCE
        } else {
            PATIENCE
        };
        let manner = (manner(&found.theirs), manner(&found.ours));
        let mut failure = None;
        minimise(&found.program, deadline, &mut |candidate| {
            let text = candidate.to_string();
            let asked = oracle
                .ask(&text, PATIENCE)
                .and_then(|theirs| Ok((theirs, self.worker.ask(&text, patience)?)));
            let (theirs, ours) = match asked {
                Ok(replies) => replies,
                Err(error) => {
                    failure = Some(error);
                    return false;
                }
            };
            let differs = matches!(
                judge(&theirs, &ours),
                Verdict::Diverged | Verdict::SkippedByUs
            ) && manner == (self::manner(&theirs), self::manner(&ours));
            if differs {
                least = Least {
                    program: candidate.clone(),
                    theirs,
                    ours,
                    stale: false,
                };
            }
            differs
        });
        failure.map_or(Ok(least), Err)
    }
}

/// Names the programs that are not shown, by row.
fn list(rows: &[Row], divergences: &[Divergence]) {
    for same in divergences.chunk_by(|one, next| one.row == next.row) {
        let row = &rows[same[0].row];
        let names: Vec<&str> = same
            .iter()
            .take(NAMED)
            .map(|divergence| corpus::name(&divergence.program))
            .collect();
        let dots = if same.len() > NAMED { " …" } else { "" };
        let (area, source) = (&row.area, row.source.text());
        say!(
            "\n{area} ({source}): {} programs diverged as well: {}{dots}",
            same.len(),
            names.join(" ")
        );
    }
}

/// What kind of reply it is; the first word of a reason belongs to it.
fn manner(reply: &Reply) -> String {
    match reply {
        Reply::Answered(Outcome::Trace(_)) => "trace".to_owned(),
        Reply::Answered(Outcome::Skip(why)) => {
            format!("skip {}", why.split(':').next().unwrap_or_default())
        }
        Reply::Hung => "hung".to_owned(),
        Reply::Crashed(_) => "crashed".to_owned(),
    }
}

fn difference(theirs: &Reply, ours: &Reply) {
    let (Reply::Answered(Outcome::Trace(left)), Reply::Answered(Outcome::Trace(right))) =
        (theirs, ours)
    else {
        say!(
            "  CPython: {}\n  ours:    {}",
            summary(theirs),
            summary(ours)
        );
        return;
    };
    let same = left
        .iter()
        .zip(right)
        .take_while(|(left, right)| left == right)
        .count();
    say!("  line {} differs (- CPython, + ours):", same + 1);
    for line in &left[same.saturating_sub(CONTEXT)..same] {
        say!("      {line}");
    }
    for (sign, trace) in [('-', left), ('+', right)] {
        let end = trace.len().min(same + CONTEXT);
        for line in &trace[same..end] {
            say!("    {sign} {line}");
        }
        if trace.len() == same {
            say!("    {sign} (no more lines)");
        }
    }
}

fn summary(reply: &Reply) -> String {
    match reply {
        Reply::Answered(Outcome::Trace(lines)) => format!("a trace of {} lines", lines.len()),
        Reply::Answered(Outcome::Skip(why)) => format!("skipped: {why}"),
        Reply::Hung => "hung".to_owned(),
        Reply::Crashed(status) => format!("crashed with {status}"),
    }
}
