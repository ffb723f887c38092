//! `cargo xtask conformance`: the same programs on CPython's asyncio and on this workspace's crates.
//!
//! The recorded corpus needs no Python. Where a CPython 3.13 is found, freshly generated programs
//! are compared live as well. Our side runs in worker processes, so that a program that hangs or
//! crashes is a finding like any other.

pub(crate) mod corpus;
pub(crate) mod faults;
pub(crate) mod minimise;
pub(crate) mod options;
pub(crate) mod peer;
pub(crate) mod python;
mod record;
mod report;
mod run;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use self::corpus::Corpus;
use self::options::Options;
use self::python::Python;
use crate::Failure;

/// The profiles of `generate.py`, which are also the areas of the hand-written programs.
pub(crate) const PROFILES: [&str; 8] = [
    "core", "combine", "scopes", "locks", "queues", "eager", "all", "streams",
];

/// Runs the command.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> Result<ExitCode, Failure> {
    let Some(options) = Options::parse(args)? else {
        say!("{}", options::USAGE);
        return Ok(ExitCode::SUCCESS);
    };
    if options.print {
        print_programs(&options)?;
        return Ok(ExitCode::SUCCESS);
    }
    let python = if options.offline {
        None
    } else {
        Python::find(options.python.as_deref())?
    };
    if options.record {
        let python = python.ok_or("recording needs CPython 3.13 (--python PATH)")?;
        record::record(&options, &python)?;
        return Ok(ExitCode::SUCCESS);
    }
    compare(&options, python.as_ref())
}

fn compare(options: &Options, python: Option<&Python>) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let seed = options.seed.unwrap_or_else(fresh_seed);
    match python {
        Some(python) => say!("CPython {} at {}", python.version, python.path.display()),
        None if options.offline => say!("offline: the recorded corpus only"),
        None => say!(
            "skipped: the live comparison, for there is no CPython 3.13 on PATH or of pyenv (--python PATH)"
        ),
    }
    let mut corpus = Corpus::load(options)?;
    let gaps = std::mem::take(&mut corpus.gaps);
    let live = python.map(|python| run::Live {
        python,
        seed,
        count: options.fuzz,
    });
    let (mut rows, divergences) = run::run(options, corpus, live)?;
    if let Some(live) = live.filter(|live| live.count > 0) {
        say!(
            "seed {seed}: the generated programs of this run again by --seed {seed} --fuzz {}",
            live.count
        );
    }
    let known = faults::load()?;
    let reported = report::explain(&mut rows, divergences, &known, python)?;
    report::table(&rows);
    say!("{:.1} s", started.elapsed().as_secs_f64());
    for gap in &gaps {
        say!("{gap}");
    }
    if !gaps.is_empty() {
        say!(
            "{} gaps: cargo xtask conformance --record closes them",
            gaps.len()
        );
    }
    let compared: usize = rows.iter().map(|row| row.compared).sum();
    if compared == 0 {
        return Err("nothing was compared".into());
    }
    Ok(if reported == 0 && gaps.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Writes the hand-written programs, without anything the language does not know.
fn print_programs(options: &Options) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    for (_, programs) in corpus::hand_written(options)? {
        for mut program in programs {
            if let Some(keys) = program.as_object_mut() {
                keys.retain(|key, _| matches!(key.as_str(), "name" | "objects" | "funcs" | "pins"));
            }
            match writeln!(out, "{program}") {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                outcome => outcome?,
            }
        }
    }
    Ok(())
}

pub(crate) fn fresh_seed() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // Short enough to be typed again.
    (now.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(20)) % 1_000_000_000
}
