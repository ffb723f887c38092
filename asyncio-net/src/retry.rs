//! Trying again (`tenacity`, `backoff`): with growing pauses, a limit, and an eye on cancellation.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use asyncio_core::{Exception, MaybeDelay, Result, Timeout, TimeoutError, sleep};
use backon::{BackoffBuilder, ExponentialBuilder};

use crate::rate_limit::Clock;

/// How often something is tried, and how long the pauses are.
///
/// ```
/// use asyncio_core::{Result, RuntimeError, run};
/// use asyncio_net::{Retry, retry};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let policy = Retry::new().attempts(3).base(0.001);
///     let value = retry(policy, async |attempt| {
///         if attempt < 3 {
///             return Err(RuntimeError::new("not yet").into());
///         }
///         Ok(attempt)
///     })
///     .await?;
///     assert_eq!(value, 3);
///     Ok(())
/// })
/// # }
/// ```
///
/// The pauses are `base`, `base * factor`, … up to `longest`; with [`jitter`](Self::jitter), which is the
/// default, each is longer by a random part of itself, up to twice as long, so that many who have failed together
/// do not come back together.
#[derive(Clone)]
#[must_use]
pub struct Retry {
    attempts: usize,
    base: Duration,
    factor: f32,
    longest: Option<Duration>,
    jitter: bool,
    deadline: Option<Duration>,
    when: When,
    pause: Option<Pause>,
}

type When = Arc<dyn Fn(&Exception) -> bool + Send + Sync>;
type Pause = Arc<dyn Fn(&Exception) -> Option<Duration> + Send + Sync>;

impl Retry {
    /// Four attempts, with pauses of a second at first, then twice as long each time, up to a minute.
    ///
    /// What is tried again is every error but a cancellation; of an `HttpError` only
    /// one that may be (`is_retry_safe`).
    pub fn new() -> Self {
        Self {
            attempts: 4,
            base: Duration::from_secs(1),
            factor: 2.0,
            longest: Some(Duration::from_secs(60)),
            jitter: true,
            deadline: None,
            when: Arc::new(is_worth_it),
            pause: None,
        }
    }

    /// How often it is tried in all; once at least.
    pub const fn attempts(mut self, attempts: usize) -> Self {
        self.attempts = attempts;
        self
    }

    /// The first pause.
    pub fn base(mut self, delay: impl Into<MaybeDelay>) -> Self {
        self.base = seconds(delay).unwrap_or_default();
        self
    }

    /// How much longer each pause is than the one before; 1 at least.
    pub const fn factor(mut self, factor: f32) -> Self {
        // Of what is less, or no number, the pauses would shrink.
        self.factor = if factor >= 1.0 { factor } else { 1.0 };
        self
    }

    /// The longest pause, before its random part.
    pub fn longest(mut self, delay: impl Into<MaybeDelay>) -> Self {
        self.longest = seconds(delay);
        self
    }

    /// Whether the pauses have a random part.
    pub const fn jitter(mut self, jitter: bool) -> Self {
        self.jitter = jitter;
        self
    }

    /// How long all of it may take, with the pauses. An attempt that is under way then is cancelled; and a pause
    /// that would end later is not begun.
    pub fn deadline(mut self, delay: impl Into<MaybeDelay>) -> Self {
        self.deadline = seconds(delay);
        self
    }

    /// After which errors it is tried again. A cancellation never is one.
    pub fn when(mut self, when: impl Fn(&Exception) -> bool + Send + Sync + 'static) -> Self {
        self.when = Arc::new(when);
        self
    }

    /// How long to pause after an error, where it says so itself, as by `Retry-After`; `None` for the usual pause.
    pub fn pause(
        mut self,
        pause: impl Fn(&Exception) -> Option<Duration> + Send + Sync + 'static,
    ) -> Self {
        self.pause = Some(Arc::new(pause));
        self
    }

    fn pauses(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        let mut builder = ExponentialBuilder::new()
            .with_min_delay(self.base)
            .with_factor(self.factor)
            .with_max_times(self.attempts.saturating_sub(1));
        builder = match self.longest {
            Some(longest) => builder.with_max_delay(longest.max(self.base)),
            None => builder.without_max_delay(),
        };
        if self.jitter {
            builder = builder.with_jitter();
        }
        builder.build()
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("attempts", &self.attempts)
            .field("base", &self.base)
            .field("factor", &self.factor)
            .field("longest", &self.longest)
            .field("jitter", &self.jitter)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// Calls a function until it succeeds, as a policy says; it is told the number of the attempt, from 1 on.
///
/// See [`Retry`] for an example. Pauses are the loop's: a virtual clock jumps over them.
///
/// # Errors
///
/// The last error, with a note of how often it was tried; [`TimeoutError`] when the deadline was reached in an
/// attempt; [`CancelledError`](asyncio_core::CancelledError) at once, whatever the policy says.
///
/// # Cancel safety
///
/// That of the function's future. Between two attempts nothing is lost.
pub async fn retry<T, F, Fut>(policy: Retry, function: F) -> Result<T>
where
    F: FnMut(usize) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let Some(deadline) = policy.deadline else {
        return attempts(&policy, function, None).await;
    };
    let timeout = Timeout::new(deadline);
    let mut last = None;
    let clock = Clock::new();
    let limit = Limit {
        until: clock.now() + deadline,
        clock,
        last: &mut last,
    };
    let result = timeout.run(attempts(&policy, function, Some(limit))).await;
    match result {
        // What it failed with before says more than that time is over.
        Err(error) if timeout.expired() && error.is::<TimeoutError>() => {
            if let Some(last) = last {
                error.add_note(format!("the attempt before failed: {last}"));
            }
            Err(error)
        }
        other => other,
    }
}

/// Until when, and what it failed with last.
struct Limit<'a> {
    until: Duration,
    clock: Clock,
    last: &'a mut Option<Exception>,
}

async fn attempts<T, F, Fut>(
    policy: &Retry,
    mut function: F,
    mut limit: Option<Limit<'_>>,
) -> Result<T>
where
    F: FnMut(usize) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let mut pauses = policy.pauses();
    let mut attempt = 1;
    loop {
        let error = match function(attempt).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if error.is_cancelled() || !(policy.when)(&error) {
            return Err(error);
        }
        let Some(usual) = pauses.next() else {
            error.add_note(format!("tried {attempt} times"));
            return Err(error);
        };
        let pause = policy.pause.as_ref().and_then(|pause| pause(&error));
        let pause = pause.unwrap_or(usual);
        if let Some(limit) = &mut limit {
            if limit.clock.now() + pause >= limit.until {
                error.add_note(format!(
                    "tried {attempt} times, and there is no time for more"
                ));
                return Err(error);
            }
            *limit.last = Some(error);
        }
        sleep(pause).await?;
        attempt += 1;
    }
}

fn seconds(delay: impl Into<MaybeDelay>) -> Option<Duration> {
    let seconds = delay.into().seconds()?;
    if seconds == f64::INFINITY {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

fn is_worth_it(error: &Exception) -> bool {
    #[cfg(feature = "http")]
    if let Some(error) = crate::http::HttpError::of(error) {
        return error.is_retry_safe();
    }
    !error.is_cancelled() && !error.is_panic()
}
