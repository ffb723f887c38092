//! So many per second and no more (`aiolimiter`).

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use asyncio_core::waiting::Mutex;
use asyncio_core::{Delay, EventLoop, Result, ValueError, get_running_loop, sleep};
use asyncio_sync::Lock;
use governor::Quota;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};

/// Lets something happen so many times in a span of time, evenly, and first come first served.
///
/// ```
/// use asyncio_core::{Result, Runner, get_running_loop};
/// use asyncio_net::RateLimiter;
///
/// # fn main() -> Result<()> {
/// // A clock that jumps, so that this takes no time.
/// let runner = Runner::builder().virtual_clock(true).build()?;
/// runner.run(async {
///     let ten_a_second = RateLimiter::per_second(10)?;
///     for _ in 0..21 {
///         ten_a_second.acquire().await?;
///     }
///     let took = get_running_loop()?.time();
///     assert!((took - 2.0).abs() < 0.01, "{took}");
///     Ok(())
/// })
/// # }
/// ```
///
/// A clone is the same limiter. With [`acquire_key`](Self::acquire_key) there is one for each key, such as the name
/// of a host. It goes by the clock of the loop, or real time on a tokio runtime, where it is used first.
#[derive(Clone)]
pub struct RateLimiter {
    quota: Quota,
    clock: Clock,
    one: Arc<Line>,
    keys: Arc<Mutex<HashMap<String, Arc<Line>>>>,
}

struct Line {
    turn: Lock,
    limiter: governor::RateLimiter<NotKeyed, InMemoryState, Clock, NoOpMiddleware<Nanos>>,
}

/// From so many keys on, those are forgotten that nobody waits for and whose time is over.
const FULL: usize = 1024;

impl RateLimiter {
    /// So many in a second.
    ///
    /// # Errors
    ///
    /// [`ValueError`] for none.
    pub fn per_second(count: u32) -> Result<Self> {
        Self::new(count, 1)
    }

    /// So many in a minute.
    ///
    /// # Errors
    ///
    /// [`ValueError`] for none.
    pub fn per_minute(count: u32) -> Result<Self> {
        Self::new(count, 60)
    }

    /// So many in a span of time.
    ///
    /// # Errors
    ///
    /// [`ValueError`] for none, and where the span is nothing.
    pub fn new(count: u32, span: impl Into<Delay>) -> Result<Self> {
        let wrong = || ValueError::new("a rate has to be more than nothing");
        let seconds = span.into().as_secs_f64() / f64::from(count);
        let period = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
        let quota = Quota::with_period(period).ok_or_else(wrong)?;
        Ok(Self::of(quota.allow_burst(NonZeroU32::MIN)))
    }

    /// So many may come at once, after a time in which there were fewer; one by default.
    ///
    /// # Errors
    ///
    /// [`ValueError`] for none.
    pub fn burst(self, count: u32) -> Result<Self> {
        let count = NonZeroU32::new(count);
        let count = count.ok_or_else(|| ValueError::new("a burst has to be more than nothing"))?;
        Ok(Self::of(self.quota.allow_burst(count)))
    }

    fn of(quota: Quota) -> Self {
        let clock = Clock::new();
        Self {
            quota,
            one: Line::new(quota, &clock),
            clock,
            keys: Arc::default(),
        }
    }

    /// Waits until it may happen once more.
    ///
    /// # Errors
    ///
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, its place in the line is lost, and nothing has been used up.
    pub async fn acquire(&self) -> Result<()> {
        self.one.wait(&self.clock).await
    }

    /// As [`acquire`](Self::acquire), for each key by itself.
    ///
    /// # Errors
    ///
    /// As of [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    ///
    /// As of [`acquire`](Self::acquire).
    pub async fn acquire_key(&self, key: &str) -> Result<()> {
        let line = self.line(key);
        line.wait(&self.clock).await
    }

    /// Whether it may happen now, which is then used up. Not before those who wait.
    #[must_use]
    pub fn try_acquire(&self) -> bool {
        !self.one.turn.locked() && self.one.limiter.check().is_ok()
    }

    fn line(&self, key: &str) -> Arc<Line> {
        let mut keys = self.keys.lock();
        if let Some(line) = keys.get(key) {
            return Arc::clone(line);
        }
        let mut idle = Vec::new();
        if keys.len() >= FULL {
            // Whose next one may come at once has nothing to remember, where nobody has it in hand.
            let unused: Vec<_> = keys
                .iter()
                .filter(|(_, line)| Arc::strong_count(line) == 1 && line.limiter.check().is_ok())
                .map(|(key, _)| key.clone())
                .collect();
            idle.extend(unused.iter().filter_map(|key| keys.remove(key)));
        }
        let line = Line::new(self.quota, &self.clock);
        keys.insert(key.to_owned(), Arc::clone(&line));
        drop(keys);
        drop(idle);
        line
    }
}

impl Line {
    fn new(quota: Quota, clock: &Clock) -> Arc<Self> {
        Arc::new(Self {
            turn: Lock::new(),
            limiter: governor::RateLimiter::direct_with_clock(quota, clock.clone()),
        })
    }

    async fn wait(&self, clock: &Clock) -> Result<()> {
        // One looks at the clock, the others are in line behind it.
        let _turn = self.turn.guard().await?;
        loop {
            let Err(not_until) = self.limiter.check() else {
                return Ok(());
            };
            let now = clock.nanos();
            // The timer may be early by less than it can tell.
            sleep(not_until.wait_time_from(now) + Duration::from_nanos(100)).await?;
        }
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("period", &self.quota.replenish_interval())
            .field("burst", &self.quota.burst_size())
            .finish_non_exhaustive()
    }
}

/// The clock of the loop where it was looked at first; real time elsewhere.
#[derive(Clone)]
pub(crate) struct Clock(Arc<Mutex<Home>>);

struct Home {
    event_loop: Option<EventLoop>,
    looked: bool,
    /// Real time goes on from where the loop's has stopped.
    start: Instant,
    last: Duration,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Home {
            event_loop: None,
            looked: false,
            start: Instant::now(),
            last: Duration::ZERO,
        })))
    }

    pub(crate) fn now(&self) -> Duration {
        let running = get_running_loop().ok();
        let mut home = self.0.lock();
        if !home.looked {
            home.looked = true;
            home.event_loop = running;
        }
        let time = home.event_loop.as_ref().map(EventLoop::time);
        let now = match time.and_then(|time| Duration::try_from_secs_f64(time).ok()) {
            Some(time) => time,
            None => {
                // The loop is closed, or never was.
                let elapsed = home.start.elapsed();
                home.start = Instant::now();
                home.last + elapsed
            }
        };
        home.start = Instant::now();
        home.last = home.last.max(now);
        home.last
    }

    fn nanos(&self) -> Nanos {
        Nanos::from(self.now())
    }
}

impl governor::clock::Clock for Clock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.nanos()
    }
}
