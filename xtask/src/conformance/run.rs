//! Runs every program of a comparison, on as many lanes as there are processors.

use std::io::{BufRead, BufReader};
use std::num::NonZero;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value as Json;

use super::PROFILES;
use super::corpus::Corpus;
use super::options::Options;
use super::peer::{Peer, Reply};
use super::python::Python;
use crate::Failure;
use crate::interp::Outcome;

/// How long a program may take before it counts as hung. The slowest takes some milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// So many programs may hang before less patience is shown to the others.
const HANGS: usize = 4;
const LESS_PATIENCE: Duration = Duration::from_secs(1);

/// A comparison with a running CPython.
#[derive(Clone, Copy)]
pub(crate) struct Live<'a> {
    pub(crate) python: &'a Python,
    pub(crate) seed: u64,
    pub(crate) count: usize,
}

/// Where the programs of a row come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    HandWritten,
    Recorded,
    Live,
}

/// One line of the final table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) area: String,
    pub(crate) source: Source,
    /// The programs that CPython finishes: equal, diverged, known and skipped by us together.
    pub(crate) compared: usize,
    pub(crate) equal: usize,
    pub(crate) diverged: usize,
    /// Divergences that are known faults of CPython.
    pub(crate) known: usize,
    pub(crate) skipped_by_cpython: usize,
    pub(crate) skipped_by_us: usize,
}

/// A program of which the two sides made something different.
#[derive(Debug)]
pub(crate) struct Divergence {
    pub(crate) row: usize,
    number: usize,
    pub(crate) program: Json,
    pub(crate) theirs: Reply,
    pub(crate) ours: Reply,
}

/// Compares everything, and gives the rows of the table with the divergences in them.
pub(crate) fn run(
    options: &Options,
    corpus: Corpus,
    live: Option<Live<'_>>,
) -> Result<(Vec<Row>, Vec<Divergence>), Failure> {
    let mut rows = Vec::new();
    let mut cases = Vec::new();
    for (source, areas) in [
        (Source::HandWritten, corpus.hand_written),
        (Source::Recorded, corpus.generated),
    ] {
        for (area, programs) in areas {
            let row = Row::new(area, source);
            for (number, (program, expected)) in programs.into_iter().enumerate() {
                // A trace that is not recorded yet can be had from a running CPython only.
                if expected.is_none() && live.is_none() {
                    continue;
                }
                let program = program.to_string();
                cases.push(Case {
                    row: rows.len(),
                    number,
                    program,
                    expected,
                });
            }
            rows.push(row);
        }
    }
    let mut profiles = Vec::new();
    if live.is_some_and(|live| live.count > 0) {
        for profile in PROFILES
            .into_iter()
            .filter(|profile| options.wants_profile(profile))
        {
            profiles.push((rows.len(), profile));
            rows.push(Row::new(profile.to_owned(), Source::Live));
        }
    }

    let bar = progress(cases.len() + profiles.len() * live.map_or(0, |live| live.count));
    let mut divergences = Vec::new();
    let (jobs, queue) = sync_channel(256);
    let queue = Mutex::new(queue);
    let hangs = AtomicUsize::new(0);
    let (verdicts, finished) = channel();
    let outcome = thread::scope(|scope| {
        let lanes = thread::available_parallelism().map_or(1, NonZero::get);
        for _ in 0..lanes {
            let (queue, hangs, verdicts) = (&queue, &hangs, verdicts.clone());
            scope.spawn(move || lane(queue, hangs, &verdicts, live.map(|live| live.python)));
        }
        let feeder = verdicts.clone();
        scope.spawn(move || {
            if let Err(error) = feed(cases, live, &profiles, &jobs) {
                // Nobody listens any more only when another failure came first.
                let _unheard = feeder.send(Err(error));
            }
        });
        drop(verdicts);
        let outcome = collect(&finished, &mut rows, &mut divergences, &bar);
        if outcome.is_err() {
            // Lets the feeder and the lanes end without doing the rest.
            while queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv()
                .is_ok()
            {}
        }
        outcome
    });
    bar.finish_and_clear();
    outcome?;
    // The lanes finish in no particular order.
    divergences.sort_by_key(|divergence| (divergence.row, divergence.number));
    Ok((rows, divergences))
}

impl Row {
    fn new(area: String, source: Source) -> Self {
        Self {
            area,
            source,
            compared: 0,
            equal: 0,
            diverged: 0,
            known: 0,
            skipped_by_cpython: 0,
            skipped_by_us: 0,
        }
    }

    fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Equal => self.equal += 1,
            Verdict::SkippedByUs => self.skipped_by_us += 1,
            Verdict::Diverged => self.diverged += 1,
            Verdict::SkippedByCpython => {
                self.skipped_by_cpython += 1;
                return;
            }
        }
        self.compared += 1;
    }
}

/// What two replies mean together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Equal,
    Diverged,
    SkippedByUs,
    SkippedByCpython,
}

/// Judges one program. What CPython skips must still be survived.
pub(crate) fn judge(theirs: &Reply, ours: &Reply) -> Verdict {
    match (theirs, ours) {
        (Reply::Answered(Outcome::Trace(theirs)), Reply::Answered(Outcome::Trace(ours))) => {
            if theirs == ours {
                Verdict::Equal
            } else {
                Verdict::Diverged
            }
        }
        (Reply::Crashed(_), _) | (_, Reply::Crashed(_)) => Verdict::Diverged,
        (_, Reply::Answered(Outcome::Skip(why))) if why.starts_with("panicked") => {
            Verdict::Diverged
        }
        (Reply::Answered(Outcome::Trace(_)), Reply::Answered(Outcome::Skip(_))) => {
            Verdict::SkippedByUs
        }
        (Reply::Answered(_), Reply::Hung) => Verdict::Diverged,
        _ => Verdict::SkippedByCpython,
    }
}

struct Case {
    row: usize,
    /// Its place among the programs of the row.
    number: usize,
    program: String,
    /// What is recorded; None where CPython is asked.
    expected: Option<Outcome>,
}

struct Judged {
    case: Case,
    theirs: Reply,
    ours: Reply,
}

fn feed(
    cases: Vec<Case>,
    live: Option<Live<'_>>,
    profiles: &[(usize, &str)],
    jobs: &SyncSender<Case>,
) -> Result<(), Failure> {
    for case in cases {
        jobs.send(case)?;
    }
    let Some(live) = live else { return Ok(()) };
    for (row, profile) in profiles {
        let mut generator = live
            .python
            .generator(profile, live.seed, live.count)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(output) = generator.stdout.take() {
            for (number, line) in BufReader::new(output).lines().enumerate() {
                jobs.send(Case {
                    row: *row,
                    number,
                    program: line?,
                    expected: None,
                })?;
            }
        }
        let status = generator.wait()?;
        if !status.success() {
            return Err(format!("generate.py failed: {status}").into());
        }
    }
    Ok(())
}

fn lane(
    queue: &Mutex<Receiver<Case>>,
    hangs: &AtomicUsize,
    verdicts: &Sender<Result<Judged, Failure>>,
    python: Option<&Python>,
) {
    let mut oracle = python
        .cloned()
        .map(|python| Peer::new(move || python.oracle()));
    let mut worker = match Peer::ours() {
        Ok(worker) => worker,
        Err(error) => {
            let _unheard = verdicts.send(Err(error.into()));
            return;
        }
    };
    loop {
        let case = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(case) = case else { return };
        if verdicts
            .send(both(case, hangs, oracle.as_mut(), &mut worker))
            .is_err()
        {
            return;
        }
    }
}

/// Runs a program on both sides at the same time.
fn both(
    case: Case,
    hangs: &AtomicUsize,
    oracle: Option<&mut Peer>,
    worker: &mut Peer,
) -> Result<Judged, Failure> {
    worker.send(&case.program)?;
    let theirs = match (&case.expected, oracle) {
        (Some(recorded), _) => Reply::Answered(recorded.clone()),
        (None, Some(oracle)) => oracle.ask(&case.program, PATIENCE)?,
        (None, None) => return Err("a program without a trace, and no CPython to ask".into()),
    };
    let patience = if hangs.load(Ordering::Relaxed) < HANGS {
        PATIENCE
    } else {
        LESS_PATIENCE
    };
    let ours = worker.receive(patience)?;
    if ours == Reply::Hung {
        hangs.fetch_add(1, Ordering::Relaxed);
    }
    Ok(Judged { case, theirs, ours })
}

fn collect(
    finished: &Receiver<Result<Judged, Failure>>,
    rows: &mut [Row],
    divergences: &mut Vec<Divergence>,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    for judged in finished {
        let Judged { case, theirs, ours } = judged?;
        let verdict = judge(&theirs, &ours);
        let row = &mut rows[case.row];
        row.count(verdict);
        if matches!(verdict, Verdict::Diverged | Verdict::SkippedByUs) {
            let program = serde_json::from_str(&case.program)?;
            divergences.push(Divergence {
                row: case.row,
                number: case.number,
                program,
                theirs,
                ours,
            });
        }
        bar.set_message(format!("{} ({} diverged)", row.area, divergences.len()));
        bar.inc(1);
    }
    Ok(())
}

fn progress(length: usize) -> ProgressBar {
    // indicatif draws on standard error, and only where that is a terminal.
    let bar = ProgressBar::new(length as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {eta} {msg}") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let trace = |line: &str| Reply::Answered(Outcome::Trace(vec![line.to_owned()]));
        let skip = |why: &str| Reply::Answered(Outcome::Skip(why.to_owned()));
        let crashed = || Reply::Crashed("signal: 6".to_owned());
        for (theirs, ours, verdict) in [
            (trace("a"), trace("a"), Verdict::Equal),
            (trace("a"), trace("b"), Verdict::Diverged),
            (trace("a"), skip("ill-formed: why"), Verdict::SkippedByUs),
            (trace("a"), skip("panicked: no"), Verdict::Diverged),
            (trace("a"), Reply::Hung, Verdict::Diverged),
            (trace("a"), crashed(), Verdict::Diverged),
            (skip("hung"), skip("hung"), Verdict::SkippedByCpython),
            (skip("hung"), trace("a"), Verdict::SkippedByCpython),
            (skip("hung"), Reply::Hung, Verdict::Diverged),
            (skip("hung"), crashed(), Verdict::Diverged),
            (Reply::Hung, Reply::Hung, Verdict::SkippedByCpython),
            (Reply::Hung, crashed(), Verdict::Diverged),
            (crashed(), trace("a"), Verdict::Diverged),
        ] {
            assert_eq!(judge(&theirs, &ours), verdict, "{theirs:?} {ours:?}");
        }
    }
}
