//! Where a program runs: what its clock, its delays and its callbacks are there.

use std::future::Future as StdFuture;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use asyncio_core::{EventLoop, current_task};
use tokio::task::AbortHandle;

use super::lock;

/// Where a program runs.
pub(super) enum Place {
    /// On an event loop: CPython's order, and CPython's times.
    Loop(EventLoop),
    /// On an event loop that runs what is ready in another order, with everything else drawn as well
    /// that is not certain on several threads: how long a delay is, and where others get in between.
    Drawn {
        event_loop: EventLoop,
        chance: Chance,
        habits: Habits,
    },
    /// On a tokio runtime, whose order is its own.
    Runtime(Box<OnRuntime>),
}

/// What a program's run on a tokio runtime is watched by.
pub(super) struct OnRuntime {
    pub(super) runtime: tokio::runtime::Handle,
    /// Real seconds for one of the program's.
    second: f64,
    started: Instant,
    chance: Chance,
    /// When the last of all timers set so far is due, in microseconds after the start.
    latest: AtomicU64,
    /// Counts the beginnings and ends of steps and callbacks.
    activity: AtomicU64,
    /// The steps and callbacks under way.
    running: AtomicUsize,
    callbacks: Mutex<Vec<AbortHandle>>,
}

/// How far chance goes in a run on a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Timers fire nearly when they should, as on a machine that has nothing else to do.
    Mild,
    /// Any time may pass between any two things.
    Harsh,
}

/// What chance may do in one run.
#[derive(Clone, Copy)]
pub(super) struct Habits {
    manner: Manner,
    /// One delay in so many is drawn; none for 0.
    delays: u64,
    /// Between two statements others get in one time in so many; never for 0.
    gaps: u64,
    /// Timers fire at the multiples of this only, in seconds; whenever they are due for 0.
    grain: f64,
    /// So many of eight delays that are drawn are over before anything else has happened.
    at_once: u64,
}

impl Habits {
    /// Those of the run with this number: what one of them hides another may show.
    pub(super) const fn of(manner: Manner, run: u64) -> Self {
        let (delays, gaps) = match (manner, run % 8) {
            (Manner::Mild, 0 | 1) => (0, 0),
            (Manner::Mild, 2 | 3) => (0, 4),
            (Manner::Mild, 4 | 5) => (1, 0),
            (Manner::Mild, _) => (1, 4),
            (Manner::Harsh, 0 | 1) => (1, 0),
            (Manner::Harsh, 2) => (1, 2),
            (Manner::Harsh, 3) => (2, 4),
            (Manner::Harsh, 4) => (4, 16),
            (Manner::Harsh, 5) => (1, 8),
            (Manner::Harsh, 6) => (8, 3),
            (Manner::Harsh, _) => (2, 1),
        };
        // What slows a machine down does so to all tasks alike. A clock of milliseconds may be coarser than
        // the longest delay of a program whose seconds are shorter: what has waited at all finds that every
        // other time has passed too. And where all threads stand still, every time has passed at once.
        let (grain, at_once) = match (manner, run / 8 % 8) {
            (Manner::Harsh, 1) => (8.0, 3),
            (Manner::Harsh, 3) => (0.0, 8),
            (Manner::Harsh, 4) => (2.0, 3),
            (Manner::Harsh, 5) => (0.0, 7),
            (Manner::Harsh, 7) => (32.0, 7),
            _ => (0.0, 3),
        };
        Self {
            manner,
            delays,
            gaps,
            grain,
            at_once,
        }
    }
}

impl Habits {
    /// The delay after which a timer fires that is due after this one.
    fn to_the_grain(self, delay: f64, now: f64) -> f64 {
        if self.grain == 0.0 {
            return delay;
        }
        (((now + delay) / self.grain).floor() + 1.0) * self.grain - now
    }
}

impl Place {
    /// The time on the program's clock.
    pub(super) fn now(&self) -> f64 {
        match self {
            Self::Loop(event_loop) | Self::Drawn { event_loop, .. } => event_loop.time(),
            Self::Runtime(runtime) => runtime.started.elapsed().as_secs_f64() / runtime.second,
        }
    }

    /// What a delay of the program comes to here. One that is over at once stays so.
    pub(super) fn delay(&self, seconds: f64) -> f64 {
        match self {
            Self::Drawn {
                event_loop,
                chance,
                habits,
            } if seconds > 0.0 && seconds.is_finite() => {
                let drawn = seconds * chance.factor(*habits);
                habits.to_the_grain(drawn, event_loop.time())
            }
            Self::Runtime(runtime) => runtime.delay(seconds),
            Self::Loop(_) | Self::Drawn { .. } => seconds,
        }
    }

    /// The delay from now to a time of the program's clock.
    pub(super) fn until(&self, when: f64) -> f64 {
        self.delay(when - self.now())
    }

    /// What a time limit of the program comes to here. One that is over at once is seen to be at the end of
    /// the step on a loop, and when the clock ticks elsewhere.
    pub(super) fn limit(&self, seconds: f64) -> f64 {
        match self {
            Self::Drawn {
                event_loop, habits, ..
            } if seconds <= 0.0 => habits.to_the_grain(0.0, event_loop.time()),
            _ => self.delay(seconds),
        }
    }

    /// Whether anything may happen between two statements.
    #[inline]
    pub(super) const fn is_restless(&self) -> bool {
        !matches!(self, Self::Loop(_))
    }

    /// Whether chance lets others get in here, which is drawn anew each time.
    pub(super) fn lets_others_in(&self) -> bool {
        match self {
            Self::Drawn { chance, habits, .. } => habits.gaps > 0 && chance.below(habits.gaps) == 0,
            Self::Loop(_) | Self::Runtime(_) => false,
        }
    }

    /// Lets others get in between two statements, where chance says so.
    pub(super) async fn rest(&self) {
        match self {
            Self::Loop(_) => {}
            Self::Drawn {
                event_loop,
                chance,
                habits,
            } => {
                if !GAVE_WAY.get() && self.lets_others_in() {
                    // A thread may lose its core for so long that timers fire; and so may all of them, so
                    // that what has become due meanwhile and what was ready come together.
                    let kind = match habits.manner {
                        Manner::Harsh => chance.below(8),
                        Manner::Mild => 7,
                    };
                    let long = (kind == 0).then(|| 4.0 * chance.fraction());
                    if kind == 1 {
                        // Refused by no virtual clock.
                        let _ = event_loop.advance_clock(4.0 * chance.fraction());
                    }
                    let before = requests();
                    Gap {
                        until: long.map(|delay| (event_loop, delay)),
                        begun: false,
                    }
                    .await;
                    if requests() > before && chance.below(2) == 0 {
                        ask_again();
                    }
                }
            }
            // Not by an await, which would be another program: by taking long.
            Self::Runtime(runtime) => match runtime.chance.below(64) {
                0..4 => thread::yield_now(),
                4..6 => runtime.dawdle(),
                _ => {}
            },
        }
    }

    /// Runs a step of a task, or a callback.
    pub(super) fn step<R>(&self, function: impl FnOnce() -> R) -> R {
        match self {
            Self::Loop(_) => function(),
            Self::Drawn { .. } => {
                // An eager start is a step within a step.
                let outer = GAVE_WAY.replace(false);
                let result = function();
                GAVE_WAY.set(outer);
                result
            }
            Self::Runtime(runtime) => {
                let _running = Running::new(runtime);
                function()
            }
        }
    }
}

thread_local! {
    /// Whether the step under way went on from a gap.
    ///
    /// Who is cancelled in a gap learns of it at the next await, like who is cancelled in the middle
    /// of a step. But a second gap in the step after a request would be in its way, as anything foreign
    /// that is waited for is, and the task would be dropped for it.
    static GAVE_WAY: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// How many requests to cancel the running task has got.
fn requests() -> u32 {
    current_task().map_or(0, |task| task.cancelling())
}

/// Makes of a request that came in a gap one that came while the task was running.
///
/// The two differ where the task ends before its next await: what it waits for besides asyncio came
/// first, and its value stands; what it does itself did not, and the value is lost.
fn ask_again() {
    if let Some(task) = current_task() {
        task.uncancel();
        task.cancel();
    }
}

/// Ends the poll once: until others have had a turn, or for a time of the loop.
struct Gap<'a> {
    until: Option<(&'a EventLoop, f64)>,
    begun: bool,
}

impl StdFuture for Gap<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.begun {
            GAVE_WAY.set(true);
            return Poll::Ready(());
        }
        self.begun = true;
        let waker = cx.waker().clone();
        let long = self.until.take().and_then(|(event_loop, delay)| {
            let wake = waker.clone();
            event_loop.call_later(delay, move || wake.wake()).ok()
        });
        if long.is_none() {
            waker.wake();
        }
        Poll::Pending
    }
}

impl OnRuntime {
    pub(super) fn new(runtime: tokio::runtime::Handle, second: f64, seed: u64) -> Self {
        Self {
            runtime,
            second,
            started: Instant::now(),
            chance: Chance::new(seed),
            latest: AtomicU64::new(0),
            activity: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            callbacks: Mutex::default(),
        }
    }

    fn delay(&self, seconds: f64) -> f64 {
        let scaled = seconds * self.second;
        if let Ok(scaled) = Duration::try_from_secs_f64(scaled) {
            LONGEST.set(LONGEST.get().max(scaled));
        }
        scaled
    }

    /// Takes note that timers have been set which are due after this time at the latest.
    fn set(&self, longest: Duration) {
        let due = self.started.elapsed().saturating_add(longest);
        // Relaxed: `is_quiet` looks again much later than any timer is set.
        self.latest
            .fetch_max(due.as_micros() as u64, Ordering::Relaxed);
    }

    /// Whether no step and no callback is under way.
    pub(super) fn is_still(&self) -> bool {
        self.running.load(Ordering::Relaxed) == 0
    }

    /// Whether nothing will ever happen again unless somebody from outside sees to it: no timer is
    /// pending, nothing runs, and for so long nothing has run.
    ///
    /// It is no matter of time, which on a busy machine says nothing. Whoever has been woken is in the
    /// queue of some worker, or has been taken from there by another one, and a worker goes to sleep only
    /// when it has run all that it has. So every worker must have been asleep, several times one after
    /// the other: nobody is taken from queue to queue so often and never run. And every time this task
    /// slept as well, whom the same driver wakes as all timers; those that were due before this began
    /// have fired when it wakes.
    pub(super) async fn is_quiet(&self, slack: Duration) -> bool {
        let before = self.activity.load(Ordering::Relaxed);
        let latest = Duration::from_micros(self.latest.load(Ordering::Relaxed));
        if self.started.elapsed() < latest + RESOLUTION {
            tokio::time::sleep(slack).await;
            return false;
        }
        for _ in 0..ROUNDS {
            let parked = self.parked();
            tokio::time::sleep(slack / ROUNDS).await;
            let now = self.parked();
            // An odd number is that of a worker that is asleep.
            let slept = |(before, now): (&u64, &u64)| before % 2 == 1 || now != before;
            if !parked.iter().zip(&now).all(slept) {
                return false;
            }
        }
        self.is_still() && self.activity.load(Ordering::Relaxed) == before
    }

    /// How often each worker has gone to sleep and woken.
    fn parked(&self) -> Vec<u64> {
        let metrics = self.runtime.metrics();
        let workers = 0..metrics.num_workers();
        workers
            .map(|worker| metrics.worker_park_unpark_count(worker))
            .collect()
    }

    /// Calls a function on the runtime, after a delay.
    pub(super) fn call(
        &self,
        delay: Option<f64>,
        function: impl FnOnce() + Send + 'static,
    ) -> Detached {
        let cancelled = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&cancelled);
        // tokio's timers are late by a millisecond, also those that are due at once.
        let delay = delay.and_then(|delay| Duration::try_from_secs_f64(delay).ok());
        let delay = delay.filter(|delay| !delay.is_zero());
        let due = delay.and_then(|delay| Instant::now().checked_add(delay));
        let task = self.runtime.spawn(async move {
            if let Some(due) = due {
                tokio::time::sleep_until(due.into()).await;
            }
            if !seen.load(Ordering::Acquire) {
                function();
            }
        });
        lock(&self.callbacks).push(task.abort_handle());
        Detached(cancelled)
    }

    /// Drops the callbacks that are still to come, as the end of a loop does.
    pub(super) fn drop_callbacks(&self) {
        let callbacks = std::mem::take(&mut *lock(&self.callbacks));
        for callback in callbacks {
            callback.abort();
        }
    }

    /// Takes some microseconds.
    fn dawdle(&self) {
        for _ in 0..self.chance.below(2000) {
            std::hint::spin_loop();
        }
    }
}

/// So many times in a row every worker has slept when all is quiet.
const ROUNDS: u32 = 4;
/// A timer of tokio's is late by a millisecond.
const RESOLUTION: Duration = Duration::from_millis(2);

thread_local! {
    /// The longest delay that the step under way has begun. The timer itself is set some time later,
    /// but before the step ends.
    static LONGEST: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) };
}

/// A step or callback, and what the thread had noted before: of the step that this one is part of, or
/// of one that is over, which counts no more.
///
/// The counters are relaxed: `is_quiet` looks at them after every worker has slept, and a worker's
/// sleep puts in order what came before it.
struct Running<'a>(&'a OnRuntime, Duration);

impl<'a> Running<'a> {
    fn new(runtime: &'a OnRuntime) -> Self {
        runtime.running.fetch_add(1, Ordering::Relaxed);
        runtime.activity.fetch_add(1, Ordering::Relaxed);
        Self(runtime, LONGEST.take())
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let longest = LONGEST.get();
        if !longest.is_zero() {
            self.0.set(longest);
        }
        LONGEST.set(longest.max(self.1));
        self.0.activity.fetch_add(1, Ordering::Relaxed);
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What `call_soon` gives where there is no loop.
#[derive(Clone)]
pub(super) struct Detached(Arc<AtomicBool>);

impl Detached {
    pub(super) fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// SplitMix64, drawn from by several threads.
pub(super) struct Chance(AtomicU64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    fn next(&self) -> u64 {
        // Relaxed: only that the numbers differ matters.
        let mut bits = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`, which is not zero.
    fn below(&self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A number from zero up to one.
    fn fraction(&self) -> f64 {
        self.below(1 << 20) as f64 / f64::from(1 << 20)
    }

    /// What a delay is multiplied with.
    fn factor(&self, habits: Habits) -> f64 {
        if habits.delays == 0 || self.below(habits.delays) != 0 {
            return 1.0;
        }
        let drawn = self.fraction();
        match habits.manner {
            Manner::Mild => 0.8 + 0.45 * drawn,
            // Time passes while others are ready to run.
            Manner::Harsh if self.below(8) < habits.at_once => 1e-12,
            Manner::Harsh => 2_f64.powf(8.0 * drawn - 4.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;
    use tokio::time::sleep;

    use super::*;

    const SLACK: Duration = Duration::from_millis(20);

    fn runtime() -> tokio::runtime::Runtime {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).enable_time().build().unwrap()
    }

    /// Whether it gets quiet in the end.
    async fn gets_quiet(place: &OnRuntime) -> bool {
        for _ in 0..500 {
            if place.is_quiet(SLACK).await {
                return true;
            }
        }
        false
    }

    #[test]
    fn while_a_worker_is_busy_nothing_is_quiet() {
        let runtime = runtime();
        let place = OnRuntime::new(runtime.handle().clone(), 1.0, 0);
        let (begun, begins) = std::sync::mpsc::channel();
        let (end, ends) = std::sync::mpsc::channel::<()>();
        // Nothing of the program's runs, as far as it is counted.
        let busy = runtime.spawn(async move {
            begun.send(()).unwrap();
            let _ended = ends.recv();
        });
        begins.recv().unwrap();
        runtime.block_on(async {
            for _ in 0..10 {
                assert!(!place.is_quiet(SLACK).await);
            }
            end.send(()).unwrap();
            busy.await.unwrap();
            assert!(gets_quiet(&place).await);
        });
    }

    #[test]
    fn before_the_last_timer_nothing_is_quiet() {
        let runtime = runtime();
        let place = Place::Runtime(Box::new(OnRuntime::new(runtime.handle().clone(), 0.01, 0)));
        runtime.block_on(async {
            let started = Instant::now();
            let delay = place.step(|| place.delay(30.0));
            assert!((delay - 0.3).abs() < 1e-9);
            let Place::Runtime(on) = &place else {
                unreachable!("it was made so")
            };
            assert!(gets_quiet(on).await);
            assert!(started.elapsed() >= Duration::from_secs_f64(delay));
        });
    }

    #[test]
    fn who_runs_in_the_meantime_is_noticed() {
        let runtime = runtime();
        let place = Box::new(OnRuntime::new(runtime.handle().clone(), 1.0, 0));
        let place = Arc::new(Place::Runtime(place));
        let stepping = Arc::clone(&place);
        runtime.spawn(async move {
            sleep(SLACK / 3).await;
            stepping.step(|| ());
        });
        runtime.block_on(async {
            let Place::Runtime(on) = &*place else {
                unreachable!("it was made so")
            };
            assert!(!on.is_quiet(SLACK).await);
            assert!(gets_quiet(on).await);
        });
    }
}
