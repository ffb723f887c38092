//! The thread of a connection: what is queued for it, and how its work is stopped.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::call::Answer;
use super::desk::{Desk, Kept, Leave};
use super::error::SqliteError;

/// So long a thread that has done something looks out for more before it sleeps: to be woken takes several
/// times as long as most calls do.
const LOOK_OUT: Duration = Duration::from_micros(30);
/// So many instructions of SQLite's virtual machine may pass until a statement is stopped.
const INSTRUCTIONS: u32 = 1000;
/// The longest sleep of a statement that waits for a lock.
const LONGEST_WAIT: Duration = Duration::from_millis(2);

/// Work for the thread.
pub(super) struct Job {
    pub(super) stop: Arc<dyn Stop>,
    pub(super) run: Run,
}

pub(super) type Run = Box<dyn for<'c> FnOnce(&mut Desk<'c>) + Send>;

/// Tells what runs that it shall stop.
pub(super) trait Stop: Send + Sync {
    fn stop(&self);
    fn is_stopped(&self) -> bool;
}

/// What is queued for a thread, and what it says of its connection.
pub(super) struct Queue {
    state: Mutex<State>,
    ready: Condvar,
    /// Whether there may be a job: for the thread that looks out for one.
    filled: AtomicBool,
    pub(super) in_transaction: AtomicBool,
    pub(super) total_changes: AtomicU64,
    guards: AtomicU64,
    thread: OnceLock<Thread>,
}

#[derive(Default)]
struct State {
    /// In the order of their numbers.
    jobs: VecDeque<(u64, Job)>,
    /// What is to be done before anything else: the giving back of what a call had made for nobody.
    repairs: VecDeque<Run>,
    next: u64,
    running: Option<Running>,
    closed: bool,
    /// Whether the thread sleeps, and is to be woken.
    asleep: bool,
}

struct Running {
    number: u64,
    stop: Arc<dyn Stop>,
}

/// What the thread takes from its queue.
pub(super) enum Taken {
    Job(Job),
    Repair(Run),
    /// There will be none any more.
    Nothing,
}

impl Queue {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            ready: Condvar::new(),
            filled: AtomicBool::new(false),
            in_transaction: AtomicBool::new(false),
            total_changes: AtomicU64::new(0),
            guards: AtomicU64::new(0),
            thread: OnceLock::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another number for what is open on the connection.
    pub(super) fn name(&self) -> u64 {
        // Relaxed: the numbers only have to differ.
        self.guards.fetch_add(1, Ordering::Relaxed)
    }

    /// Queues a job, which gets the number that is returned; it comes back where the queue is closed.
    pub(super) fn push(&self, job: Job) -> Result<u64, Job> {
        let mut state = self.lock();
        if state.closed {
            return Err(job);
        }
        let number = state.next;
        state.next += 1;
        state.jobs.push_back((number, job));
        self.filled(state);
        Ok(number)
    }

    /// Has something done before everything else, where there is still a connection to do it with.
    pub(super) fn repair(&self, run: Run) {
        let mut state = self.lock();
        if state.closed && state.jobs.is_empty() {
            drop(state);
            drop(run);
            return;
        }
        state.repairs.push_back(run);
        self.filled(state);
    }

    fn filled(&self, mut state: MutexGuard<'_, State>) {
        // Release: whoever sees the flag without the lock then takes the lock, so that it need order
        // nothing; with it a thread that looks out sees it no later than what was queued.
        self.filled.store(true, Ordering::Release);
        let asleep = std::mem::take(&mut state.asleep);
        drop(state);
        if asleep {
            self.ready.notify_one();
        }
    }

    /// Takes a job back that has not begun, and has one that runs notice that it is to stop.
    pub(super) fn forget(&self, number: u64) {
        let mut state = self.lock();
        let place = state.jobs.binary_search_by_key(&number, |(it, _)| *it);
        let job = place.ok().and_then(|at| state.jobs.remove(at));
        let runs = state.running.as_ref().is_some_and(|it| it.number == number);
        drop(state);
        drop(job);
        if runs {
            self.rouse();
        }
    }

    /// Ends a sleep in the wait for a lock.
    pub(super) fn rouse(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Stops what is running.
    pub(super) fn interrupt(&self) {
        let stop = self.lock().running.as_ref().map(|it| Arc::clone(&it.stop));
        if let Some(stop) = stop {
            stop.stop();
            self.rouse();
        }
    }

    /// Takes no more jobs; the thread ends when it has done those that there are.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.filled(state);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Takes no more jobs, and drops those that there are.
    fn clear(&self) {
        let mut state = self.lock();
        state.closed = true;
        let jobs = std::mem::take(&mut state.jobs);
        let repairs = std::mem::take(&mut state.repairs);
        let running = state.running.take();
        drop(state);
        // Whoever waits for them is told by their drop.
        drop((jobs, repairs, running));
    }

    /// The next job, by the thread itself. With a deadline there may be none by then.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Option<Taken> {
        self.look_out(deadline);
        let mut state = self.lock();
        loop {
            if let Some(run) = state.repairs.pop_front() {
                return Some(Taken::Repair(run));
            }
            if let Some((number, job)) = state.jobs.pop_front() {
                let stop = Arc::clone(&job.stop);
                let before = state.running.replace(Running { number, stop });
                drop(state);
                drop(before);
                return Some(Taken::Job(job));
            }
            if state.closed && deadline.is_none() {
                return Some(Taken::Nothing);
            }
            // Relaxed: under the lock, as every store.
            self.filled.store(false, Ordering::Relaxed);
            let now = Instant::now();
            state = match deadline {
                Some(deadline) if deadline <= now => return None,
                Some(deadline) => {
                    state.asleep = true;
                    let waited = self.ready.wait_timeout(state, deadline - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    state.asleep = true;
                    let waited = self.ready.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// Looks for a while whether something comes, without sleeping.
    fn look_out(&self, deadline: Option<Instant>) {
        if deadline.is_some() || !is_worth_looking_out() {
            return;
        }
        let begun = Instant::now();
        // Acquire: pairs with the store where something is queued.
        while !self.filled.load(Ordering::Acquire) && begun.elapsed() < LOOK_OUT {
            std::hint::spin_loop();
        }
    }
}

/// Where there is one processor, nothing comes while this thread occupies it.
fn is_worth_looking_out() -> bool {
    static MANY: OnceLock<bool> = OnceLock::new();
    *MANY.get_or_init(|| thread::available_parallelism().is_ok_and(|it| it.get() > 1))
}

thread_local! {
    /// What is running on this thread.
    static CURRENT: RefCell<Option<Arc<dyn Stop>>> = const { RefCell::new(None) };
    static WAIT: Cell<Wait> = const { Cell::new(Wait { limit: Duration::ZERO, begun: None }) };
}

/// How long statements of this thread's connection wait for a lock.
#[derive(Clone, Copy)]
struct Wait {
    limit: Duration,
    begun: Option<Instant>,
}

/// Whether what is running on this thread is to stop.
pub(super) fn is_stopped() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|it| it.is_stopped()))
}

/// Runs something that may be stopped.
pub(super) fn stoppable<R>(stop: Arc<dyn Stop>, run: impl FnOnce() -> R) -> R {
    let before = CURRENT.replace(Some(stop));
    let result = run();
    CURRENT.set(before);
    result
}

/// Sets up how a connection waits and is stopped.
pub(super) fn prepare(
    connection: &mut rusqlite::Connection,
    limit: Duration,
) -> rusqlite::Result<()> {
    WAIT.set(Wait { limit, begun: None });
    connection.busy_handler(Some(wait_for_lock))?;
    watch(connection, INSTRUCTIONS, || false)
}

/// Has a function called every so many instructions, which stops a statement by saying so.
pub(super) fn watch(
    connection: &mut rusqlite::Connection,
    instructions: u32,
    mut function: impl FnMut() -> bool + Send + 'static,
) -> rusqlite::Result<()> {
    // Ours is to be asked more often than that of the program may want to be.
    let step = instructions.clamp(1, INSTRUCTIONS);
    let every = instructions.max(1) / step;
    let mut passed = 0;
    let handler = move || {
        if is_stopped() {
            return true;
        }
        passed += 1;
        if passed < every {
            return false;
        }
        passed = 0;
        function()
    };
    connection.progress_handler(step.cast_signed(), Some(handler))
}

/// As above, without a function of the program's.
pub(super) fn unwatch(connection: &mut rusqlite::Connection) -> rusqlite::Result<()> {
    watch(connection, INSTRUCTIONS, || false)
}

/// A statement finds a lock taken for the so-manieth time. It waits, in steps that become longer, and gives
/// up when the time is over or it is to stop; SQLite's own handler could not be stopped.
fn wait_for_lock(times: i32) -> bool {
    let now = Instant::now();
    let mut wait = WAIT.get();
    let begun = match wait.begun {
        Some(begun) if times > 0 => begun,
        _ => now,
    };
    wait.begun = Some(begun);
    WAIT.set(wait);
    let left = wait.limit.saturating_sub(now - begun);
    if left.is_zero() || is_stopped() {
        return false;
    }
    let step = Duration::from_micros(50 << times.clamp(0, 10));
    thread::park_timeout(step.min(LONGEST_WAIT).min(left));
    !is_stopped()
}

/// The life of the thread: opens a connection, serves it, and closes it.
pub(super) fn work(
    queue: &Arc<Queue>,
    stop: Arc<dyn Stop>,
    open: impl FnOnce() -> Result<rusqlite::Connection, SqliteError>,
    opened: Answer<()>,
) {
    let _clear = ClearOnDrop(queue);
    let _ = queue.thread.set(thread::current());
    let mut connection = match stoppable(stop, open) {
        Ok(connection) => connection,
        Err(error) => {
            queue.clear();
            opened.give(Ok(Err(error)));
            return;
        }
    };
    opened.give(Ok(Ok(())));
    let mut kept = Kept::default();
    loop {
        let (leave, left) = Desk::new(&connection, queue, kept).serve();
        kept = left;
        match leave {
            Leave::Gone => break,
            Leave::Close(answer) => {
                let closed = connection.close().map_err(|(_, error)| error.into());
                queue.clear();
                answer.give(Ok(closed));
                break;
            }
            Leave::Lend(lend) => match lend(connection) {
                Some(back) => connection = back,
                None => break,
            },
            Leave::Alter(alter) => alter(&mut connection),
        }
    }
}

/// However the thread ends: nobody waits for it afterwards.
struct ClearOnDrop<'a>(&'a Queue);

impl Drop for ClearOnDrop<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}
