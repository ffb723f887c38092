//! `cargo xtask workers`: scenario programs on tokio's multi-thread runtime.
//!
//! The order there is tokio's, so that traces cannot be compared. What can be: no program may hang,
//! panic, leak, or leave somebody asleep who waits for what is there; and a program whose final states
//! do not depend on the order ([`judge::Same`]) must have those of CPython.

mod again;
mod judge;
mod lanes;
mod report;
mod serve;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use crate::Failure;
use crate::conformance::python::Python;
use crate::conformance::{PROFILES, fresh_seed};

const USAGE: &str = "\
cargo xtask workers [OPTIONS]

  --programs N    generate N programs, beside those that are recorded (default 20000)
  --seed S        generate the same programs again (default: a fresh seed, which is printed)
  --profile P     only programs of this profile (may be repeated)
  --workers N,N   how many workers the runtimes have (default 2,4)
  --python PATH   the CPython to compare with (default: a 3.13 on PATH or of pyenv)
  --offline       only the recorded programs
  --file PATH     instead of all these, the programs of a file, one on a line (- for standard input);
                  tells what happened in a run that ended otherwise than it must
  --times N       run each program of a file so many times (default 100)

What the columns of the table mean: endless, CPython does not end them; 16 orders, the final states
are the same in the 16 orders of the loop that are drawn; any order, and in all others that are drawn
when a run on a runtime ends otherwise; any time, also whenever timers fire; sees the same, in any
order no task sees anything else; explained, runs on a runtime that ended otherwise, and the loop ends
so too in some order; unexplained, the loop ends otherwise too, but in the orders that were drawn
(4000) not so. Of the programs in column any order no run may end otherwise: that is a fault.

Exit status: 0 all is well, 1 a fault, 2 the programs could not be run.";

/// At least so much of what is run must end the same in 16 orders of the loop, in percent; otherwise the
/// comparison of final states says too little.
const LEAST_INDEPENDENT: usize = 15;

/// What the command line says.
struct Options {
    programs: usize,
    seed: Option<u64>,
    profiles: Vec<String>,
    workers: Vec<usize>,
    python: Option<PathBuf>,
    offline: bool,
    file: Option<PathBuf>,
    times: usize,
}

/// Runs the command.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> Result<ExitCode, Failure> {
    let mut args = args.peekable();
    if args.next_if(|arg| arg == SERVE).is_some() {
        serve::serve()?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(options) = Options::parse(args)? else {
        say!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    if let Some(file) = &options.file {
        let bad = again::again(file, options.times, &options.workers)?;
        return Ok(if bad == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    run(&options)
}

/// The kind of fault that must be seen again to count: what tasks see is no part of the final states,
/// and tells of moments that not every run has.
const SAW_OTHER: &str = "saw something else";

/// The argument with which this executable starts itself to run programs.
const SERVE: &str = "--serve";

fn run(options: &Options) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let python = if options.offline {
        None
    } else {
        Python::find(options.python.as_deref())?
    };
    let seed = options.seed.unwrap_or_else(fresh_seed);
    match &python {
        Some(python) => say!(
            "CPython {} at {}, seed {seed}",
            python.version,
            python.path.display()
        ),
        None => say!("the recorded programs only"),
    }
    let (rows, findings) = lanes::run(options, python.as_ref(), seed)?;
    let faults = report::explain(&rows, &findings, &options.workers)?;
    report::table(&rows);
    let sum = |count: fn(&lanes::Row) -> usize| rows.iter().map(count).sum::<usize>();
    let (ran, independent) = (sum(|row| row.programs), sum(|row| row.states));
    if ran == 0 {
        return Err("nothing was run".into());
    }
    let first = sum(|row| row.first);
    // Decided by the seed alone, and not by how busy the machine is.
    let enough = first * 100 >= ran * LEAST_INDEPENDENT;
    if !enough {
        say!("fewer than {LEAST_INDEPENDENT} % end the same in 16 orders: too few to compare");
    }
    let workers: Vec<String> = options.workers.iter().map(ToString::to_string).collect();
    let seconds = started.elapsed().as_secs_f64();
    let share = |count: usize| 100.0 * count as f64 / ran as f64;
    say!(
        "{ran} programs on {} workers in {seconds:.1} s ({:.0} a second): {:.1} % end the same in 16 orders of the \
         loop, {independent} ({:.1} %) in all that were tried, and as with CPython; {} runs explained by \
         other orders, {} not; {faults} faults",
        workers.join(" and on "),
        ran as f64 / seconds,
        share(first),
        share(independent),
        sum(|row| row.explained),
        sum(|row| row.unexplained.len()),
    );
    Ok(if faults == 0 && enough {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Options {
    /// None where help was asked for.
    fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        use lexopt::prelude::*;

        let mut options = Self {
            programs: 20_000,
            seed: None,
            profiles: Vec::new(),
            workers: vec![2, 4],
            python: None,
            offline: false,
            file: None,
            times: lanes::REPEATED,
        };
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next()? {
            match arg {
                Long("programs") => options.programs = parser.value()?.parse()?,
                Long("seed") => options.seed = Some(parser.value()?.parse()?),
                Long("profile") => {
                    let profile = parser.value()?.string()?;
                    if !PROFILES.contains(&profile.as_str()) {
                        return Err(format!("no profile {profile:?}").into());
                    }
                    options.profiles.push(profile);
                }
                Long("workers") => {
                    let numbers = parser.value()?.string()?;
                    let numbers = numbers.split(',').map(|number| number.trim().parse());
                    options.workers = numbers.collect::<Result<_, _>>()?;
                    if options.workers.is_empty() || options.workers.contains(&0) {
                        return Err("a runtime needs workers".into());
                    }
                }
                Long("python") => options.python = Some(parser.value()?.into()),
                Long("file") => options.file = Some(parser.value()?.into()),
                Long("times") => options.times = parser.value()?.parse()?,
                Long("offline") => options.offline = true,
                Long("help") | Short('h') => return Ok(None),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Some(options))
    }

    /// The profiles that are asked for.
    fn profiles(&self) -> impl Iterator<Item = &'static str> {
        PROFILES.into_iter().filter(|profile| {
            self.profiles.is_empty() || self.profiles.iter().any(|wanted| wanted == profile)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Option<Options>, Failure> {
        Options::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn workers_and_profiles_are_read() {
        let options = parsed(&["--workers", "1, 8", "--profile", "locks"])
            .unwrap()
            .unwrap();
        assert_eq!(options.workers, [1, 8]);
        assert_eq!(options.profiles().collect::<Vec<_>>(), ["locks"]);
        assert_eq!(
            parsed(&[]).unwrap().unwrap().profiles().count(),
            PROFILES.len()
        );
        assert!(parsed(&["--help"]).unwrap().is_none());
        for args in [
            &["--workers", "0"][..],
            &["--workers", "two"],
            &["--profile", "x"],
            &["x"],
        ] {
            assert!(parsed(args).is_err(), "{args:?}");
        }
    }
}
