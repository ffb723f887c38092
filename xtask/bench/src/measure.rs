//! Running the sides of a row in turn, and what their ratios come to.

use std::time::Duration;

use crate::memory;
use crate::rows::{Row, Side};

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
    pub(crate) ours: Cost,
    pub(crate) theirs: Cost,
    /// What the costs are of: nanoseconds, or bytes.
    pub(crate) unit: &'static str,
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
    /// Processor time, all threads, in nanoseconds.
    pub(crate) cpu: f64,
    pub(crate) allocations: f64,
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
}

/// Runs a row: `rounds` times every side for a slice, each round beginning with another side.
pub(crate) fn row(row: &Row, settings: &Settings) -> Vec<Outcome> {
    let counts: Vec<u32> = row
        .sides
        .iter()
        .map(|side| calibrate(row, side, settings.slice))
        .collect();
    let mut samples: Vec<Vec<Cost>> = row.sides.iter().map(|_| Vec::new()).collect();
    for round in 0..settings.rounds {
        for turn in 0..row.sides.len() {
            let at = (round + turn) % row.sides.len();
            samples[at].push(sample(&row.sides[at], counts[at]));
        }
    }
    let Some((ours, peers)) = samples.split_first() else {
        return Vec::new();
    };
    peers
        .iter()
        .zip(&row.sides[1..])
        .map(|(theirs, side)| {
            let ratios = ours
                .iter()
                .zip(theirs)
                .map(|(ours, theirs)| theirs.amount / ours.amount);
            Outcome {
                row: row.name,
                peer: side.name,
                ratio: quartiles(ratios.collect()),
                ours: typical(ours),
                theirs: typical(theirs),
                unit: row.unit,
            }
        })
        .collect()
}

/// How many operations fill a slice.
fn calibrate(row: &Row, side: &Side, slice: Duration) -> u32 {
    if row.fixed > 0 {
        // Once, so that what is set up on first use is not measured.
        sample(side, row.fixed);
        return row.fixed;
    }
    let mut count = 64;
    loop {
        let took = (side.run)(count).time;
        if took * 4 >= slice || count >= 1 << 24 {
            let scale = slice.as_secs_f64() / took.as_secs_f64().max(1e-9);
            return ((f64::from(count) * scale) as u32).max(1);
        }
        count *= 4;
    }
}

fn sample(side: &Side, count: u32) -> Cost {
    let (allocations, cpu) = (memory::allocations(), cpu_time());
    let measured = (side.run)(count);
    let per_operation = |amount: f64| amount / f64::from(count);
    Cost {
        amount: measured
            .bytes
            .unwrap_or_else(|| per_operation(measured.time.as_nanos() as f64)),
        cpu: per_operation((cpu_time() - cpu).as_nanos() as f64),
        allocations: per_operation((memory::allocations() - allocations) as f64),
    }
}

fn typical(samples: &[Cost]) -> Cost {
    let median = |of: fn(&Cost) -> f64| quartiles(samples.iter().map(of).collect()).median;
    Cost {
        amount: median(|cost| cost.amount),
        cpu: median(|cost| cost.cpu),
        allocations: median(|cost| cost.allocations),
    }
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
fn cpu_time() -> Duration {
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
