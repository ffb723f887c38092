//! Benchmarks: workloads of ours beside what a user would pick instead, slice by slice in one process.
//!
//! What counts is the ratio within a round, because every side of a row runs within a few
//! milliseconds of the others; absolute times drift with the machine. `cargo xtask bench` runs it.
#![expect(
    clippy::print_stdout,
    reason = "a command-line program prints its results"
)]

mod measure;
mod memory;
mod report;
mod rows;
mod runtimes;

use std::process::ExitCode;

use measure::Settings;
use rows::Row;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), lexopt::Error> {
    use lexopt::prelude::*;
    let mut settings = Settings::full();
    let mut only = Vec::new();
    let mut json = false;
    let mut count = None;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("quick") => settings = Settings::quick(),
            Long("only") => only.push(parser.value()?.string()?),
            Long("json") => json = true,
            Long("count") => count = Some(counted(&mut parser)?),
            Long("help") | Short('h') => {
                println!("cargo xtask bench [--quick] [--only NAME]… [--json]");
                return Ok(());
            }
            other => return Err(other.unexpected()),
        }
    }
    let rows = rows::all();
    if let Some((row, side, count)) = count {
        return run_once(&rows, &row, &side, count);
    }
    if let Some(unknown) = only
        .iter()
        .find(|name| rows.iter().all(|row| row.name != **name))
    {
        let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
        return Err(format!("no row {unknown:?}; there are {}", names.join(", ")).into());
    }
    let chosen = |name: &str| only.is_empty() || only.iter().any(|wanted| wanted == name);
    let mut results = Vec::new();
    for row in rows.iter().filter(|row| chosen(row.name)) {
        let result = measure::row(row, &settings);
        if !json {
            report::print(&result);
        }
        results.extend(result);
    }
    if json {
        println!("{}", report::json(&results));
    }
    Ok(())
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
fn run_once(rows: &[Row], row: &str, side: &str, count: u32) -> Result<(), lexopt::Error> {
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
