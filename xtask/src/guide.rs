//! `cargo xtask guide`: the porting guide's programs, in Rust and in Python, against what Python printed.
//!
//! `docs/guide/python` has the programs and their records, `docs/guide/src` the twins in Rust, one module
//! each and all of them one program, so that it is linked once. Every twin runs in a process of its own.

mod chapters;
mod programs;
mod runs;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use lexopt::prelude::{Long, Short, Value};
use serde_json::Value as Json;

use self::programs::{Place, Program};
use self::runs::{Outcome, report};
use crate::Failure;
use crate::conformance::python::Python;

const USAGE: &str = "\
cargo xtask guide [NNN…] [OPTIONS]

Runs the guide's programs, or those named, and compares what they print with the records.

  --threads      on many threads, those whose order is not the point
  --live         the Python programs as well, where CPython and their packages are found
  --python PATH  the CPython to use
  --write        write the generated parts of the guide's text
  --check        check them

A record is what CPython printed (NNN-slug.out). Where that can only be said of Python, there is one of
Rust's own (NNN-slug.rust.out), and the twin says why.";

/// Runs the command.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> Result<ExitCode, Failure> {
    let mut parser = lexopt::Parser::from_args(args);
    let (mut numbers, mut python) = (Vec::new(), None);
    let (mut threads, mut live, mut write, mut check) = (false, false, false, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Value(number) => numbers.push(number.string_err()?),
            Long("threads") => threads = true,
            Long("live") => live = true,
            Long("write") => write = true,
            Long("check") => check = true,
            Long("python") => python = Some(PathBuf::from(parser.value()?)),
            Long("help") | Short('h') => {
                say!("{USAGE}");
                return Ok(ExitCode::SUCCESS);
            }
            _ => return Err(arg.unexpected().into()),
        }
    }
    if write || check {
        return Ok(code(if write {
            chapters::write()?
        } else {
            self::check()?
        }));
    }
    let mut all = programs::all()?;
    if let Some(unknown) = numbers
        .iter()
        .find(|wanted| !all.iter().any(|one| one.number == **wanted))
    {
        return Err(format!("no program {unknown:?}\n\n{USAGE}").into());
    }
    all.retain(|program| numbers.is_empty() || numbers.contains(&program.number));
    let mut passed = if threads {
        on_threads(&all)?
    } else {
        on_loops(&all)?
    };
    if live {
        passed &= in_python(&all, python)?;
    }
    Ok(code(passed))
}

/// Whether the generated parts of the text are those of the programs, and the programs in order.
pub(crate) fn check() -> Result<bool, Failure> {
    let all = programs::all()?;
    let mut findings = chapters::stale()?;
    for program in &all {
        findings.extend(program.findings());
    }
    for finding in &findings {
        say!("{finding}");
    }
    say!("guide: {} programs, {} findings", all.len(), findings.len());
    Ok(findings.is_empty())
}

fn on_loops(all: &[Program]) -> Result<bool, Failure> {
    let guide = build()?;
    let twins: Vec<_> = all
        .iter()
        .filter(|program| program.twin.is_some())
        .collect();
    let outcomes = runs::side_by_side(&twins, |program| {
        Outcome::of(Command::new(&guide).arg(&program.number), &program.record())
    });
    let (agree, ran) = report(&twins, &outcomes);
    not_yet(all);
    let instead = twins.iter().filter(|program| program.instead()).count();
    say!("of these {instead} say what Rust does instead");
    say!("guide: {agree} of {ran} programs agree");
    Ok(agree == ran)
}

fn on_threads(all: &[Program]) -> Result<bool, Failure> {
    let guide = build()?;
    let listed = Command::new(&guide).arg("--list").output()?;
    let places = programs::places(&String::from_utf8(listed.stdout)?);
    let twins: Vec<_> = all
        .iter()
        .filter(|program| places.get(&program.number) == Some(&Place::Anywhere))
        .collect();
    let outcomes = runs::side_by_side(&twins, |program| {
        Outcome::of(
            Command::new(&guide).args(["--threads", &program.number]),
            &program.record(),
        )
    });
    let (agree, ran) = report(&twins, &outcomes);
    say!("guide: {agree} of {ran} programs agree on many threads");
    Ok(agree == ran)
}

fn in_python(all: &[Program], given: Option<PathBuf>) -> Result<bool, Failure> {
    let Some(python) = Python::find(given.as_deref())? else {
        say!("skipped: the Python programs, for there is no CPython 3.13 (--python PATH)");
        return Ok(true);
    };
    say!("CPython {} at {}", python.version, python.path.display());
    let (able, unable): (Vec<_>, Vec<_>) = all
        .iter()
        .partition(|program| runs::has_needs(&python, program));
    let outcomes = runs::side_by_side(&able, |program| {
        Outcome::of(
            &mut runs::in_python(&python, program),
            &program.python_record(),
        )
    });
    let (agree, _) = report(&able, &outcomes);
    if !unable.is_empty() {
        let numbers: Vec<_> = unable
            .iter()
            .map(|program| program.number.as_str())
            .collect();
        say!(
            "not run, for a package or a data base is missing: {}",
            numbers.join(" ")
        );
    }
    say!(
        "guide: {agree} of {} Python programs print their records",
        able.len()
    );
    Ok(agree == able.len())
}

/// Names the programs without a twin, by what they wait for.
fn not_yet(all: &[Program]) {
    let mut waiting: Vec<(&str, Vec<&str>)> = Vec::new();
    for program in all.iter().filter(|program| program.twin.is_none()) {
        let reason = program.lacks();
        match waiting.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, numbers)) => numbers.push(&program.number),
            None => waiting.push((reason, vec![&program.number])),
        }
    }
    for (reason, numbers) in waiting {
        say!("not yet ({reason}): {}", numbers.join(" "));
    }
}

/// Builds the program that has all twins, and says where it is.
fn build() -> Result<PathBuf, Failure> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--package", "asyncio-guide"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(programs::root())
        .stderr(Stdio::inherit())
        .output()?;
    if !built.status.success() {
        return Err("the guide's programs do not compile".into());
    }
    let messages = String::from_utf8(built.stdout)?;
    let found = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Json>(line).ok())
        .filter(|message| message["target"]["name"] == "asyncio-guide")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    found.ok_or_else(|| "cargo does not say where the guide's programs are".into())
}

fn code(passed: bool) -> ExitCode {
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

trait StringOf {
    fn string_err(self) -> Result<String, Failure>;
}

impl StringOf for OsString {
    fn string_err(self) -> Result<String, Failure> {
        self.into_string()
            .map_err(|_| "a number is three digits".into())
    }
}
