//! Tasks of several loops and runtimes, and threads of their own, that do anything to each other.
//!
//! Each round has two event loops, a tokio runtime and a runner with two workers each, and two threads
//! besides. What they make they put on a board, where all others find it. Now and then a loop or a runtime is
//! ended under all of that, and another one takes its place. Whatever is waited for comes in the end:
//! who takes a future or a bell off the board sets or rings it by that. So every task must end, and
//! nothing may be left of what was counted.

mod acts;
mod board;
mod scripts;
mod sites;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use self::board::{Board, Thing};
use self::sites::{Place, Site};
use super::Counts;
use super::random::Random;
use super::tally::{Kind, Tally};

/// Longer than anything here takes on the slowest of machines: somebody waits for what was lost.
const LOST: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(1);
/// Threads besides those of loops and runtimes.
const THREADS: usize = 2;

/// What all threads of a round share.
struct World {
    tally: Arc<Tally>,
    board: Board,
    places: Vec<std::sync::Mutex<Place>>,
    /// Operations still to be done; below zero when the round is over.
    left: AtomicI64,
    /// Those who do them and have not ended.
    drivers: AtomicUsize,
}

/// One who does operations, until it is dropped.
struct Driving(Arc<World>);

impl World {
    /// An operation has been done.
    fn count(&self) {
        // Relaxed, here and below: whether one more or less is done is all the same.
        self.left.fetch_sub(1, Ordering::Relaxed);
    }

    fn count_if(&self, done: bool) {
        if done {
            self.count();
        }
    }

    fn is_over(&self) -> bool {
        self.left.load(Ordering::Relaxed) <= 0
    }

    fn place(&self, random: &mut Random) -> Place {
        let place = &self.places[random.below(self.places.len())];
        board::lock(place).clone()
    }
}

impl Driving {
    fn new(world: &Arc<World>) -> Self {
        world.drivers.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(world))
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        self.0.drivers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One round; see the head of this file.
pub(super) fn round(seed: u64, operations: u64) -> Result<Counts, String> {
    sites::be_quiet();
    let mut random = Random::new(seed);
    let mut sites = sites::KINDS
        .iter()
        .map(|kind| Site::start(*kind, &mut random))
        .collect::<Result<Vec<Site>, String>>()?;
    let world = Arc::new(World {
        tally: Arc::default(),
        board: Board::new(),
        places: sites
            .iter()
            .map(|site| std::sync::Mutex::new(site.place()))
            .collect(),
        left: AtomicI64::new(i64::try_from(operations).unwrap_or(i64::MAX)),
        drivers: AtomicUsize::new(0),
    });
    for site in &sites {
        acts::drive(&world, &site.place(), &mut random);
    }
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (driving, mut random) = (Driving::new(&world), random.fork());
            thread::spawn(move || {
                while !driving.0.is_over() {
                    if !acts::act(&driving.0, &mut random) {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let mut ended = 0;
    while !world.is_over() {
        thread::sleep(PAUSE);
        if random.one_in(4) {
            let at = random.below(sites.len());
            let new = Site::start(sites[at].kind(), &mut random)?;
            *board::lock(&world.places[at]) = new.place();
            std::mem::replace(&mut sites[at], new).end(&mut random)?;
            acts::drive(&world, &sites[at].place(), &mut random);
            ended += 1;
        }
    }
    for thread in threads {
        thread.join().map_err(|_| "a thread has panicked")?;
    }
    settle(&world)?;
    for site in sites {
        site.end(&mut random)?;
    }
    let handles = world.board.clear();
    let unfinished = handles.iter().filter(|thing| !thing.is_over()).count();
    if unfinished > 0 {
        return Err(format!("{unfinished} handles of what never ended"));
    }
    drop(handles);
    let what = "still there when all was over";
    wait_until(
        || world.tally.left().is_empty(),
        || format!("{what}: {}", world.tally.left().join(", ")),
    )?;
    let mut counts = Counts::default();
    world.tally.report(&mut counts);
    // Those that were under way when the last one was done are in the bargain.
    counts.count("operations", operations);
    counts.count("loops and runtimes ended", ended);
    Ok(counts)
}

/// Nobody begins anything new: what is waited for comes by and by, and all tasks end.
fn settle(world: &World) -> Result<(), String> {
    let left = || {
        let drivers = world.drivers.load(Ordering::Relaxed);
        (drivers, world.tally.alive(Kind::Coroutine))
    };
    wait_until(
        || {
            world.board.resolve();
            left() == (0, 0)
        },
        || {
            let (drivers, coroutines) = left();
            format!(
                "{coroutines} tasks never ended, nor {drivers} of those that make them; left: {}",
                world.tally.left().join(", ")
            )
        },
    )
}

/// Waits until something is so, but not for ever.
fn wait_until(mut is_so: impl FnMut() -> bool, or: impl Fn() -> String) -> Result<(), String> {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > LOST {
            return Err(or());
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

impl Thing {
    /// Whether it has ended, where it is something that must.
    fn is_over(&self) -> bool {
        match self {
            Self::Task(task) => task.done(),
            Self::Job(job) => job.done(),
            Self::Nothing | Self::Promise(_) | Self::Bell(_) => true,
        }
    }
}
