//! Benchmarks: workloads of ours beside what a user would pick instead, slice by slice in one process.
//!
//! What counts is the ratio within a round, because every side of a row runs within a few
//! milliseconds of the others; absolute times drift with the machine. `cargo xtask bench` runs it.
#![expect(
    clippy::print_stdout,
    reason = "a command-line program prints its results"
)]

mod budget;
mod measure;
mod memory;
mod page;
mod python;
mod report;
mod rows;
mod runtimes;

use std::process::ExitCode;

use measure::Settings;
use python::Python;
use rows::Row;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// What ends the program before it could do its work.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "\
cargo xtask bench [--quick] [--only NAME]… [--json] [--python PATH]
cargo xtask bench --budget | --check-budget

  --quick          fewer and shorter samples
  --only NAME      this row; may be given more than once
  --json           one JSON document in place of lines
  --python PATH    the CPython to compare with, in place of the 3.13 that is found
  --budget         write the instructions of this compiler's build to budget.json
  --check-budget   compare with them";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Failure> {
    use lexopt::prelude::*;
    let mut settings = Settings::full();
    let mut only = Vec::new();
    let mut json = false;
    let mut interpreter = None;
    let rows = rows::all();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("quick") => settings = Settings::quick(),
            Long("only") => only.push(parser.value()?.string()?),
            Long("json") => json = true,
            Long("python") => interpreter = Some(parser.value()?.string()?),
            Long("budget") => return budget::rewrite().map(|()| true),
            Long("check-budget") => return budget::check(),
            Long("count") => {
                let (row, side, count) = counted(&mut parser)?;
                return run_once(&rows, &row, &side, count).map(|()| true);
            }
            Long("help") | Short('h') => {
                println!("{USAGE}");
                return Ok(true);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if let Some(unknown) = only
        .iter()
        .find(|name| rows.iter().all(|row| row.name != **name))
    {
        let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
        return Err(format!("no row {unknown:?}; there are {}", names.join(", ")).into());
    }
    let chosen = |name: &str| only.is_empty() || only.iter().any(|wanted| wanted == name);
    // A server is made only for those that ask it.
    let asked = rows.iter().any(|row| chosen(row.name) && row.asks_server());
    let server = asked.then(rows::pg::dsn).and_then(Result::ok);
    let mut pythons = pythons(interpreter.as_deref(), server.as_deref(), !json);
    let mut results = Vec::new();
    for row in rows.iter().filter(|row| chosen(row.name)) {
        for (name, why) in measure::missing(row, &pythons).iter().filter(|_| !json) {
            println!("{:<18} {name:<22} not measured: {why}", row.name);
        }
        let result = measure::row(row, &mut pythons, &settings)?;
        if !json {
            report::print(&result);
        }
        results.extend(result);
    }
    let page = page::write(&results)?;
    if json {
        println!("{}", report::json(&results));
    } else {
        println!("plots: {}", page.display());
    }
    Ok(true)
}

/// The peers on CPython that can take part. Which they are, or why not, is said once.
fn pythons(interpreter: Option<&str>, server: Option<&str>, aloud: bool) -> Vec<Python> {
    let mut pythons = Vec::new();
    let mut lines = Vec::new();
    if let Some(interpreter) = interpreter {
        for name in ["asyncio", "uvloop"] {
            match Python::start(interpreter, name, server) {
                Ok(python) => {
                    lines.push(format!("{name}: {}", python.build));
                    pythons.push(python);
                }
                Err(error) => lines.push(format!("{name}: not measured: {error}")),
            }
        }
    } else {
        lines.push("no CPython 3.13 is found, so asyncio and uvloop are not measured".to_owned());
    }
    if aloud {
        for line in lines {
            println!("{line}");
        }
    }
    pythons
}

/// The arguments of `--count`: a row, one of its sides and a number of operations.
fn counted(parser: &mut lexopt::Parser) -> Result<(String, String, u32), lexopt::Error> {
    use lexopt::prelude::*;
    Ok((
        parser.value()?.string()?,
        parser.value()?.string()?,
        parser.value()?.parse()?,
    ))
}

/// Runs one side of a row, for those who count its instructions from outside.
fn run_once(rows: &[Row], row: &str, side: &str, count: u32) -> Result<(), Failure> {
    let sides = rows
        .iter()
        .filter(|it| it.name == row)
        .flat_map(|row| &row.sides);
    let Some(side) = sides.into_iter().find(|it| it.name == side) else {
        return Err(format!("no side {side:?} of a row {row:?}").into());
    };
    (side.run)(count);
    Ok(())
}
