//! `cargo xtask soak`: random operations on many threads, with an account of what must not be lost.
//!
//! A soak goes in rounds, each with what it makes anew. The seed of a round is drawn from that of the
//! round before it, so that a round that went wrong can be the first of another run. The seed decides
//! what is done, and the threads decide when: what went wrong once goes wrong again after some tries.

mod db;
mod primitives;
mod random;
mod tally;
mod threads;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::conformance::fresh_seed;

const USAGE: &str = "\
cargo xtask soak [NAME…] [OPTIONS]

  threads         tasks of several loops and runtimes: spawned, awaited, cancelled, woken, dropped, and
                  their loops and runtimes ended, from everywhere
  primitives      locks, semaphores, events, conditions, barriers and queues, between tasks that are
                  cancelled and dropped
  db [R1 …]       what is promised of asyncio-db's PostgreSQL client (R1 to R6, R10), in full: about half an
                  hour; it has its own numbers of operations, and fixed seeds

  --operations N  so many operations of each (default 10000000)
  --minutes M     each for so long, instead
  --seed S        draw the same operations again (default: a fresh seed, which is printed)

Exit status: 0 nothing was lost, 1 something was, 2 a soak could not be run.";

const OPERATIONS: u64 = 10_000_000;
/// How often it is said how far a soak has come.
const NEWS: Duration = Duration::from_secs(30);

/// Does so many operations that a seed decides, and says what was wrong, if anything was.
type Round = fn(seed: u64, operations: u64) -> Result<Counts, String>;

/// Something that is run for as long as one likes.
struct Soak {
    name: &'static str,
    round: Round,
    /// How many operations a round has at the most.
    most: u64,
}

const SOAKS: [Soak; 2] = [
    Soak {
        name: "threads",
        round: threads::round,
        most: 50_000,
    },
    Soak {
        name: "primitives",
        round: primitives::round,
        most: 5_000,
    },
];

/// How long a soak lasts.
#[derive(Clone, Copy)]
enum Extent {
    Operations(u64),
    Time(Duration),
}

/// What the command line says.
struct Wanted {
    soaks: Vec<&'static Soak>,
    /// Which promises of the PostgreSQL client, all of them if none is named.
    promises: Option<Vec<String>>,
    extent: Extent,
    seed: u64,
}

/// How much of what was done.
#[derive(Default)]
struct Counts(BTreeMap<&'static str, u64>);

/// Runs the command.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> Result<ExitCode, Failure> {
    let Some(wanted) = parse(args)? else {
        say!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    let mut passed = true;
    for soak in wanted.soaks {
        say!("{}, seed {}", soak.name, wanted.seed);
        let started = Instant::now();
        match soak.run(wanted.extent, wanted.seed) {
            Ok(counts) => say!("  {counts} in {:.1} s", started.elapsed().as_secs_f64()),
            Err(violation) => {
                say!("  {violation}");
                passed = false;
            }
        }
    }
    if let Some(promises) = wanted.promises {
        passed &= db::run(&promises)?;
    }
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// None where help was asked for.
fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Wanted>, Failure> {
    use lexopt::prelude::*;

    let (mut soaks, mut promises, mut extent, mut seed) = (Vec::new(), None, None, None);
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Value(name) => {
                let name = name.string()?;
                if name == "db" || db::knows(&name) {
                    let promises = promises.get_or_insert_with(Vec::new);
                    promises.extend((name != "db").then_some(name));
                    continue;
                }
                let soak = SOAKS.iter().find(|soak| soak.name == name);
                soaks.push(soak.ok_or_else(|| format!("no soak {name:?}\n\n{USAGE}"))?);
            }
            Long("operations") => extent = Some(Extent::Operations(parser.value()?.parse()?)),
            Long("minutes") => {
                let minutes: f64 = parser.value()?.parse()?;
                extent = Some(Extent::Time(Duration::try_from_secs_f64(minutes * 60.0)?));
            }
            Long("seed") => seed = Some(parser.value()?.parse()?),
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    if soaks.is_empty() && promises.is_none() {
        soaks.extend(&SOAKS);
        promises = Some(Vec::new());
    }
    Ok(Some(Wanted {
        soaks,
        promises,
        extent: extent.unwrap_or(Extent::Operations(OPERATIONS)),
        seed: seed.unwrap_or_else(fresh_seed),
    }))
}

impl Soak {
    fn run(&self, extent: Extent, first: u64) -> Result<Counts, Violation> {
        let (started, mut told) = (Instant::now(), Instant::now());
        let (mut seed, mut counts) = (first, Counts::default());
        loop {
            let left = match extent {
                Extent::Operations(wanted) => wanted.saturating_sub(counts.operations()),
                Extent::Time(time) if started.elapsed() < time => self.most,
                Extent::Time(_) => 0,
            };
            if left == 0 {
                return Ok(counts);
            }
            let round = (self.round)(seed, left.min(self.most));
            counts.add(&round.map_err(|what| Violation {
                soak: self.name,
                seed,
                what,
            })?);
            counts.count("rounds", 1);
            seed = random::next_seed(seed);
            if told.elapsed() > NEWS {
                told = Instant::now();
                say!("  {} operations so far", counts.operations());
            }
        }
    }
}

impl Counts {
    fn count(&mut self, what: &'static str, more: u64) {
        *self.0.entry(what).or_default() += more;
    }

    fn add(&mut self, other: &Self) {
        for (what, more) in &other.0 {
            self.count(what, *more);
        }
    }

    fn operations(&self) -> u64 {
        self.0.get("operations").copied().unwrap_or_default()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> = self
            .0
            .iter()
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        f.write_str(&counts.join(", "))
    }
}

/// What must not be, and how to see it again.
#[derive(Debug, thiserror::Error)]
#[error("{what}\n  see it again: cargo xtask soak {soak} --seed {seed}")]
struct Violation {
    soak: &'static str,
    /// That of the round.
    seed: u64,
    what: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A few seconds of each, with debug assertions.
    const SHORT: u64 = 100_000;

    #[test]
    fn nothing_is_lost_between_threads() -> Result<(), Violation> {
        SOAKS[0]
            .run(Extent::Operations(SHORT), fresh_seed())
            .map(drop)
    }

    #[test]
    fn nothing_is_lost_by_a_primitive() -> Result<(), Violation> {
        SOAKS[1]
            .run(Extent::Operations(SHORT), fresh_seed())
            .map(drop)
    }
}
