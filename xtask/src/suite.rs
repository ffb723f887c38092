//! `cargo xtask test`: everything a change must pass, in stages.

mod models;
mod postgres;
mod tidy;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::{Failure, api, guide};

const USAGE: &str = "\
cargo xtask test [STAGE…]

Runs all stages, or those named: fmt clippy test loom doc tidy conformance workers guide budget;
and valgrind, which runs only when it is named";

/// The programs generated for each profile in the conformance stage.
const FUZZ: &str = "300";

/// These need what cargo does not bring, or a long time.
const ON_REQUEST: [&str; 1] = ["valgrind"];

type Stage = (&'static str, fn() -> Result<bool, Failure>);

const STAGES: [Stage; 11] = [
    ("fmt", || cargo(&["fmt", "--all", "--check"])),
    ("clippy", || {
        cargo(&[
            "clippy",
            "--workspace",
            "--all-features",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])
    }),
    ("test", postgres::test),
    ("loom", || models::loom(&root())),
    ("valgrind", || models::valgrind(&root())),
    ("doc", doc),
    ("tidy", || {
        Ok(tidy::check(&root())? & api::check(&root())? & guide::check()?)
    }),
    ("conformance", conformance),
    ("workers", workers),
    ("guide", programs_of_the_guide),
    ("budget", budget),
];

/// Runs the stages. All of them run, even after one has failed.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> Result<ExitCode, Failure> {
    let mut wanted = Vec::new();
    for arg in args {
        let arg = arg.to_string_lossy().into_owned();
        if arg == "--help" || arg == "-h" {
            say!("{USAGE}");
            return Ok(ExitCode::SUCCESS);
        }
        if !STAGES.iter().any(|(stage, _)| *stage == arg) {
            return Err(format!("no stage {arg:?}\n\n{USAGE}").into());
        }
        wanted.push(arg);
    }
    let mut results = Vec::new();
    for (stage, run) in STAGES {
        let by_default = wanted.is_empty() && !ON_REQUEST.contains(&stage);
        if by_default || wanted.iter().any(|name| name == stage) {
            say!("\n== {stage}");
            let started = Instant::now();
            let passed = run().unwrap_or_else(|error| {
                say!("{error}");
                false
            });
            results.push((stage, passed, started.elapsed()));
        }
    }
    say!("\nstage         minutes");
    for (stage, passed, took) in &results {
        say!(
            "{stage:<14}{:>7}  {}",
            minutes(*took),
            if *passed { "passed" } else { "FAILED" }
        );
    }
    say!(
        "{:<14}{:>7}",
        "all",
        minutes(results.iter().map(|(_, _, took)| *took).sum())
    );
    let passed = results.iter().all(|(_, passed, _)| *passed);
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The root of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

fn minutes(took: Duration) -> String {
    format!("{}:{:02}", took.as_secs() / 60, took.as_secs() % 60)
}

fn cargo(args: &[&str]) -> Result<bool, Failure> {
    ran(cargo_command().args(args))
}

fn doc() -> Result<bool, Failure> {
    ran(cargo_command()
        .args(["doc", "--workspace", "--all-features", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings"))
}

fn conformance() -> Result<bool, Failure> {
    // Which CPython was found, or that none was, is the first line of its output: the recorded
    // corpus is compared in either case, and CPython is no part of what the tests need.
    ran(Command::new(env::current_exe()?).args(["conformance", "--fuzz", FUZZ]))
}

fn workers() -> Result<bool, Failure> {
    // The same programs each time; what the threads make of them is new enough.
    let programs = ["workers", "--programs", "1000", "--seed", "1121"];
    ran(Command::new(env::current_exe()?).args(programs))
}

/// The twins of the guide's programs, in both places where they may run.
fn programs_of_the_guide() -> Result<bool, Failure> {
    let guide = |args: &[&str]| ran(Command::new(env::current_exe()?).arg("guide").args(args));
    Ok(guide(&[])? & guide(&["--threads"])?)
}

/// The instructions of an operation, counted with optimisation.
fn budget() -> Result<bool, Failure> {
    cargo(&[
        "run",
        "--quiet",
        "--release",
        "--package",
        "asyncio-bench",
        "--",
        "--check-budget",
    ])
}

fn cargo_command() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command with its output where ours goes.
fn ran(command: &mut Command) -> Result<bool, Failure> {
    Ok(command.status()?.success())
}
