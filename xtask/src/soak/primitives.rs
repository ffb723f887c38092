//! Locks, semaphores, events, conditions, barriers and queues, between tasks that are cancelled and dropped.
//!
//! Each round has eight tasks, on a runtime with two workers, or half of them on a loop besides. Nobody
//! who waits is woken by chance: what he waits for is kept account of, and once all who are left are
//! asleep, none of them may have anything to wait for. Every eighth round has lines instead, in which
//! the order of arrival is known.

mod drivers;
mod lines;
mod stock;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use asyncio_core::{EventLoop, Task, TaskHandle, create_task, new_event_loop};
use asyncio_sync::{Barrier, BoundedSemaphore, Condition, Event, Lock, Semaphore};
use tokio::runtime::{Builder, Runtime};

use self::drivers::Driver;
use self::stock::Shelf;
use super::Counts;
use super::random::Random;

const WORKERS: usize = 2;
const TASKS: usize = 8;
/// So many may wait at a time for what another has to do; the others see to it that it is done.
const SLEEPERS: usize = TASKS - 2;
const PERMITS: usize = 2;
const PARTIES: usize = 3;
/// Longer than anything here takes on the slowest of machines: somebody waits for what was lost.
const LOST: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_micros(200);

/// What the tasks of a round share.
struct Table {
    /// Operations still to be done; below zero when the round is over.
    left: AtomicI64,
    /// Which of the kinds of operations this round has.
    kinds: Vec<drivers::Kind>,
    /// Nobody begins to wait any more for what another has to do.
    closing: AtomicBool,
    /// How many more may.
    sleepers: AtomicUsize,
    wrong: Mutex<Option<String>>,
    tasks: OnceLock<Vec<TaskHandle>>,
    /// What each of them is about to do.
    doing: [Mutex<Option<drivers::Doing>>; TASKS],
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// How many operations were cancelled, and how many dropped.
    cancelled: AtomicU64,
    dropped: AtomicU64,

    lock: Lock<usize>,
    changes: AtomicUsize,
    inside_lock: AtomicUsize,
    semaphore: Semaphore,
    inside_semaphore: AtomicUsize,
    bounded: BoundedSemaphore,
    inside_bounded: AtomicUsize,
    /// Set once, when another one takes its place.
    event: Mutex<Event>,
    asleep_event: AtomicUsize,
    condition: Condition,
    goods: AtomicUsize,
    asleep_condition: AtomicUsize,
    barrier: Barrier,
    asleep_barrier: AtomicUsize,
    shelves: Vec<Shelf>,
}

impl Table {
    fn new(random: &mut Random, operations: i64) -> Self {
        Self {
            left: AtomicI64::new(operations),
            kinds: drivers::Kind::draw(random),
            closing: AtomicBool::new(false),
            sleepers: AtomicUsize::new(SLEEPERS),
            wrong: Mutex::default(),
            tasks: OnceLock::new(),
            doing: Default::default(),
            begun: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            cancelled: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            lock: Lock::with_value(0),
            changes: AtomicUsize::new(0),
            inside_lock: AtomicUsize::new(0),
            semaphore: Semaphore::new(PERMITS),
            inside_semaphore: AtomicUsize::new(0),
            bounded: BoundedSemaphore::new(PERMITS),
            inside_bounded: AtomicUsize::new(0),
            event: Mutex::new(Event::new()),
            asleep_event: AtomicUsize::new(0),
            condition: Condition::new(),
            goods: AtomicUsize::new(0),
            asleep_condition: AtomicUsize::new(0),
            // There is more than one party.
            barrier: Barrier::new(PARTIES).unwrap_or_else(|_| unreachable!("three are enough")),
            asleep_barrier: AtomicUsize::new(0),
            shelves: stock::shelves(random),
        }
    }

    /// Takes note that something is not as it must be.
    fn wrong(&self, what: impl Into<String>) {
        guard(&self.wrong).get_or_insert_with(|| what.into());
        self.left.store(0, Ordering::Relaxed);
    }

    fn is_wrong(&self) -> bool {
        guard(&self.wrong).is_some()
    }

    fn is_over(&self) -> bool {
        // Relaxed: whether one more or less is done is all the same.
        self.left.load(Ordering::Relaxed) <= 0
    }

    /// How many are asleep until another does something.
    fn asleep(&self) -> usize {
        let places = [
            &self.asleep_event,
            &self.asleep_condition,
            &self.asleep_barrier,
        ];
        let shelves = self.shelves.iter().flat_map(Shelf::asleep);
        let counts = places.into_iter().chain(shelves);
        counts.map(|count| count.load(Ordering::SeqCst)).sum()
    }

    /// The primitives, and what each is when nobody uses it.
    fn states(&self) -> [(String, &'static str); 6] {
        [
            (format!("{:?}", self.lock), "<Lock [unlocked]>"),
            (
                format!("{:?}", self.semaphore),
                "<Semaphore [unlocked, value:2]>",
            ),
            (
                format!("{:?}", self.bounded),
                "<BoundedSemaphore [unlocked, value:2]>",
            ),
            (format!("{:?}", guard(&self.event)), "<Event [set]>"),
            (format!("{:?}", self.condition), "<Condition [unlocked]>"),
            (
                format!("{:?}", self.barrier),
                "<Barrier [filling, waiters:0/3]>",
            ),
        ]
    }

    /// Who sleeps though what he waits for is there; nobody else changes anything meanwhile.
    fn forgotten(&self) -> Option<String> {
        let notified = self.asleep_condition.load(Ordering::SeqCst);
        let goods = self.goods.load(Ordering::SeqCst);
        if notified > 0 && goods > 0 {
            return Some(format!(
                "{notified} wait at a condition for {goods} that are there"
            ));
        }
        let arrived = self.asleep_barrier.load(Ordering::SeqCst);
        if arrived >= PARTIES {
            return Some(format!("{arrived} wait at a barrier for {PARTIES}"));
        }
        self.shelves.iter().find_map(Shelf::forgotten)
    }
}

/// One round; see the head of this file.
pub(super) fn round(seed: u64, operations: u64) -> Result<Counts, String> {
    let mut random = Random::new(seed);
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let done = if random.one_in(8) {
        lines::round(&runtime, &mut random, operations)
    } else {
        mixed(&runtime, &mut random, operations)
    };
    // Whoever is asleep for ever is left behind.
    runtime.shutdown_background();
    done
}

fn mixed(runtime: &Runtime, random: &mut Random, operations: u64) -> Result<Counts, String> {
    let operations = i64::try_from(operations).unwrap_or(i64::MAX);
    let table = Arc::new(Table::new(random, operations));
    let other = match random.one_in(4) {
        true => Some(Elsewhere::start()?),
        false => None,
    };
    let tasks = start(runtime, other.as_ref(), &table, random)?;
    // Who is cancelled before he has begun does nothing of what others count on.
    wait_until(
        || table.begun.load(Ordering::SeqCst) == TASKS,
        || "a task has not begun".to_owned(),
    )?;
    let handles = tasks.iter().filter_map(Task::handle).collect();
    // Nobody else sets it.
    let _ = table.tasks.set(handles);
    settle(runtime, &table)?;
    for task in &tasks {
        wait_until(
            || task.done(),
            || "a task that has ended is not done".to_owned(),
        )?;
    }
    drop(tasks);
    if let Some(other) = other {
        other.stop()?;
    }
    if let Some(wrong) = guard(&table.wrong).take() {
        return Err(wrong);
    }
    audit(runtime, &table)?;
    let mut counts = Counts::default();
    counts.count("operations", operations.unsigned_abs());
    counts.count("cancelled", table.cancelled.load(Ordering::Relaxed));
    counts.count("dropped", table.dropped.load(Ordering::Relaxed));
    counts.count("items", table.shelves.iter().map(Shelf::put_in_all).sum());
    Ok(counts)
}

/// Starts the tasks: all on the runtime, or half of them on a loop.
fn start(
    runtime: &Runtime,
    other: Option<&Elsewhere>,
    table: &Arc<Table>,
    random: &mut Random,
) -> Result<Vec<Task<()>>, String> {
    let mut tasks = Vec::new();
    for number in 0..TASKS {
        let driver = drivers::drive(Driver(Arc::clone(table), number), random.fork());
        let task = match other {
            Some(other) if number % 2 == 1 => other.make(|| create_task(driver))?,
            _ => {
                let _inside = runtime.enter();
                create_task(driver)
            }
        };
        tasks.push(task);
    }
    Ok(tasks)
}

/// Waits until all operations are done and all who are left are asleep; sees that nobody was forgotten;
/// and then wakes them.
fn settle(runtime: &Runtime, table: &Table) -> Result<(), String> {
    let ended = || table.ended.load(Ordering::SeqCst);
    let quiet = || table.is_over() && (ended() == TASKS || ended() + table.asleep() == TASKS);
    // Longer than a round takes, by far.
    let state = || {
        let doing: Vec<String> = table
            .doing
            .iter()
            .filter_map(|doing| guard(doing).map(|doing| format!("{doing:?}")))
            .collect();
        format!(
            "{} of {TASKS} tasks have ended, {} are asleep; {}; those that have not ended: {}; {}",
            ended(),
            table.asleep(),
            table
                .forgotten()
                .unwrap_or_else(|| "nobody was forgotten".to_owned()),
            doing.join(", "),
            table.states().map(|(is, _)| is).join(" "),
        )
    };
    // Who has just been woken counts as asleep until it is its turn.
    wait_until(
        || quiet() && (table.is_wrong() || table.forgotten().is_none()),
        state,
    )?;
    {
        // Under the mutex, so that who has seen that this is not so waits for the event of now.
        let event = guard(&table.event);
        table.closing.store(true, Ordering::SeqCst);
        event.set();
    }
    table.shelves.iter().for_each(Shelf::close);
    runtime
        .block_on(drivers::wake_all(table))
        .map_err(|error| format!("nobody can be woken: {error}"))?;
    wait_until(|| ended() == TASKS, state)
}

/// Everything is as it was at the beginning, and what was put was got.
fn audit(runtime: &Runtime, table: &Table) -> Result<(), String> {
    let mut odd = Vec::new();
    if let Err(error) = runtime.block_on(table.barrier.reset()) {
        odd.push(format!("a barrier cannot be reset: {error}"));
    }
    for (is, must) in table.states() {
        if is != must {
            odd.push(format!("{is} instead of {must}"));
        }
    }
    let changes = table.changes.load(Ordering::SeqCst);
    let value = runtime.block_on(async { table.lock.guard().await.map(|value| *value) });
    if value.as_ref().ok() != Some(&changes) {
        odd.push(format!(
            "{value:?} instead of {changes} changes under a lock"
        ));
    }
    odd.extend(table.shelves.iter().filter_map(Shelf::audit));
    match odd.is_empty() {
        true => Ok(()),
        false => Err(odd.join("; ")),
    }
}

/// A loop on a thread of its own.
struct Elsewhere {
    event_loop: EventLoop,
    thread: thread::JoinHandle<asyncio_core::Result<()>>,
}

impl Elsewhere {
    fn start() -> Result<Self, String> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let event_loop = new_event_loop()?;
            let _ = sender.send(EventLoop::clone(&event_loop));
            event_loop.run_forever()
        });
        let event_loop = receiver.recv().map_err(|_| "no loop")?;
        Ok(Self { event_loop, thread })
    }

    fn make<T: Send + 'static>(
        &self,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let called = self.event_loop.call_soon_threadsafe(move || {
            let _ = sender.send(make());
        });
        called.map_err(|error| error.to_string())?;
        receiver.recv().map_err(|error| error.to_string())
    }

    fn stop(self) -> Result<(), String> {
        self.event_loop.stop();
        let ended = self
            .thread
            .join()
            .map_err(|_| "the thread of a loop panicked")?;
        ended.map_err(|error| format!("a loop failed: {error}"))
    }
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

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
