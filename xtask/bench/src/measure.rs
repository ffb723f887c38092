//! Running the sides of a row in turn, and what their ratios come to.

use std::time::Duration;

use crate::python::Python;
use crate::rows::{BATCH, Row, Run};
use crate::runtimes::{Share, Taken};
use crate::{Failure, memory};

/// How long and how often.
pub(crate) struct Settings {
    /// How long one side runs in one round, about.
    slice: Duration,
    rounds: usize,
}

/// One peer of a row, against ours.
pub(crate) struct Outcome {
    pub(crate) row: &'static str,
    pub(crate) peer: &'static str,
    /// Peer over ours: above one, ours is faster or smaller.
    pub(crate) ratio: Quartiles,
    /// The same of processor time, by the median.
    pub(crate) cpu_ratio: Option<f64>,
    pub(crate) ours: Cost,
    pub(crate) theirs: Cost,
    /// What the costs are of: nanoseconds, or bytes.
    pub(crate) unit: &'static str,
    /// Which build the peer is, where that is not plain from our lock file.
    pub(crate) build: Option<String>,
}

pub(crate) struct Quartiles {
    pub(crate) q1: f64,
    pub(crate) median: f64,
    pub(crate) q3: f64,
}

/// What one operation takes, by the median.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) amount: f64,
    /// Processor time, all threads, in nanoseconds; unknown of a program that does not tell.
    pub(crate) cpu: Option<f64>,
    /// Unknown of another process.
    pub(crate) allocations: Option<f64>,
}

/// Where a side runs.
enum Place<'a> {
    Here(Run),
    Python(&'a mut Python),
}

/// A side of a row that is being measured.
struct Running<'a> {
    row: &'static str,
    name: &'static str,
    place: Place<'a>,
}

impl Settings {
    pub(crate) const fn full() -> Self {
        Self {
            slice: Duration::from_millis(25),
            rounds: 41,
        }
    }

    pub(crate) const fn quick() -> Self {
        Self {
            slice: Duration::from_millis(8),
            rounds: 11,
        }
    }

    /// The same for a row that takes longer than others until it says something.
    fn long(&self) -> Self {
        Self {
            slice: self.slice * 8,
            rounds: (self.rounds * 3 / 8).max(5),
        }
    }
}

/// Runs a row: `rounds` times every side for a slice, each round beginning with another side.
pub(crate) fn row(
    row: &Row,
    pythons: &mut [Python],
    settings: &Settings,
) -> Result<Vec<Outcome>, Failure> {
    let long = settings.long();
    let settings = if row.long { &long } else { settings };
    let mut sides = sides(row, pythons);
    let mut counts = Vec::new();
    for side in &mut sides {
        counts.push(calibrate(side, row.fixed, settings.slice)?);
    }
    let mut samples: Vec<Vec<Cost>> = sides.iter().map(|_| Vec::new()).collect();
    for round in 0..settings.rounds {
        for turn in 0..sides.len() {
            let at = (round + turn) % sides.len();
            samples[at].push(sides[at].sample(counts[at])?);
        }
    }
    let Some((ours, peers)) = samples.split_first() else {
        return Ok(Vec::new());
    };
    let outcome = |(theirs, side): (&Vec<Cost>, &Running<'_>)| {
        let pairs = || ours.iter().zip(theirs);
        let ratios = pairs().map(|(ours, theirs)| theirs.amount / ours.amount);
        Outcome {
            row: row.name,
            peer: side.name,
            ratio: quartiles(ratios.collect()),
            cpu_ratio: median(pairs().filter_map(|(ours, theirs)| Some(theirs.cpu? / ours.cpu?))),
            ours: typical(ours),
            theirs: typical(theirs),
            unit: row.unit,
            build: side.build(),
        }
    };
    Ok(peers.iter().zip(&sides[1..]).map(outcome).collect())
}

/// The peers of a row that cannot take part, and why.
pub(crate) fn missing(row: &Row, pythons: &[Python]) -> Vec<(&'static str, String)> {
    let here = row.sides.iter().filter_map(|side| {
        let missing = (side.needs)().err()?;
        Some((side.name, missing))
    });
    let there = pythons.iter().filter_map(|python| {
        let missing = python.lacks(row.name)?;
        Some((python.name, missing.to_owned()))
    });
    here.chain(there).collect()
}

/// The sides of a row, those on CPython last.
fn sides<'a>(row: &Row, pythons: &'a mut [Python]) -> Vec<Running<'a>> {
    let able = row.sides.iter().filter(|side| (side.needs)().is_ok());
    let here = able.map(|side| Running {
        row: row.name,
        name: side.name,
        place: Place::Here(side.run),
    });
    let there = pythons
        .iter_mut()
        .filter(|python| python.runs(row.name))
        .map(|python| Running {
            row: row.name,
            name: python.name,
            place: Place::Python(python),
        });
    here.chain(there).collect()
}

/// How many operations fill a slice: whole batches, for nothing less is run.
fn calibrate(side: &mut Running<'_>, fixed: u32, slice: Duration) -> Result<u32, Failure> {
    if fixed > 0 {
        // Once, so that what is set up on first use is not measured.
        side.sample(fixed)?;
        return Ok(fixed);
    }
    let slice = slice.as_nanos() as f64;
    let mut count = BATCH;
    loop {
        // The shortest of three: a sample that was interrupted would make all slices too short.
        let mut took = f64::INFINITY;
        for _ in 0..3 {
            took = took.min(side.sample(count)?.amount * f64::from(count));
        }
        if took * 4.0 >= slice || count >= 1 << 24 {
            let fills = f64::from(count) * slice / took.max(1.0);
            return Ok((fills as u32).clamp(1, 1 << 28).next_multiple_of(BATCH));
        }
        count *= 4;
    }
}

impl Running<'_> {
    fn sample(&mut self, count: u32) -> Result<Cost, Failure> {
        match &mut self.place {
            Place::Here(run) => Ok(sample(*run, count)),
            Place::Python(python) => python.sample(self.row, count),
        }
    }

    fn build(&self) -> Option<String> {
        match &self.place {
            Place::Here(_) => None,
            Place::Python(python) => Some(python.build.clone()),
        }
    }
}

fn sample(run: Run, count: u32) -> Cost {
    let (allocations, cpu) = (memory::allocations(), cpu_time());
    let measured = run(count);
    let share = match measured.taken {
        Taken::All => Some(Share {
            cpu: cpu_time() - cpu,
            allocations: memory::allocations() - allocations,
        }),
        Taken::Share(share) => Some(share),
        Taken::Unknown => None,
    };
    let per_operation = |amount: f64| amount / f64::from(count);
    Cost {
        amount: measured
            .bytes
            .unwrap_or_else(|| per_operation(measured.time.as_nanos() as f64)),
        cpu: share.map(|share| per_operation(share.cpu.as_nanos() as f64)),
        allocations: share.map(|share| per_operation(share.allocations as f64)),
    }
}

fn typical(samples: &[Cost]) -> Cost {
    let amounts = samples.iter().map(|cost| cost.amount);
    Cost {
        amount: median(amounts).unwrap_or(f64::NAN),
        cpu: median(samples.iter().filter_map(|cost| cost.cpu)),
        allocations: median(samples.iter().filter_map(|cost| cost.allocations)),
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| quartiles(values).median)
}

fn quartiles(mut values: Vec<f64>) -> Quartiles {
    values.sort_by(f64::total_cmp);
    let at = |part: usize| {
        values
            .get(values.len() * part / 4)
            .copied()
            .unwrap_or(f64::NAN)
    };
    Quartiles {
        q1: at(1),
        median: at(2),
        q3: at(3),
    }
}

/// The processor time that this process has used.
pub(crate) fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    #[expect(
        unsafe_code,
        reason = "the standard library does not tell processor time"
    )]
    // SAFETY: the pointer is that of a place of ours.
    let told = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    if told != 0 {
        return Duration::ZERO;
    }
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
