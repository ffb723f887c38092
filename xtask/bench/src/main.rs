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
mod net;
mod report;
mod rows;
mod runtimes;

use std::process::ExitCode;

use measure::Settings;

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
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("quick") => settings = Settings::quick(),
            Long("only") => only.push(parser.value()?.string()?),
            Long("json") => json = true,
            Long("help") | Short('h') => {
                println!("cargo xtask bench [--quick] [--only NAME]… [--json]");
                return Ok(());
            }
            other => return Err(other.unexpected()),
        }
    }
    let rows = rows::all();
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
