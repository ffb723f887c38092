//! Delays, and the two clocks that a loop may run on.

use std::time::{Duration, Instant};

use crate::exceptions::ValueError;

/// A span of time as asyncio's functions take it: a [`Duration`], or seconds.
///
/// A delay of zero or less means "the next turn of the loop".
///
/// ```
/// use asyncio_core::Delay;
/// use std::time::Duration;
///
/// assert_eq!(Delay::from(1.5), Delay::from(Duration::from_millis(1500)));
/// assert_eq!(Delay::from(2).as_secs_f64(), 2.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Delay {
    seconds: f64,
}

impl Delay {
    /// The delay in seconds, negative or not a number where it was given so.
    #[must_use]
    pub const fn as_secs_f64(self) -> f64 {
        self.seconds
    }

    /// The delay in seconds, unless it is not a number.
    pub(crate) fn checked(self) -> Result<f64, ValueError> {
        if self.seconds.is_nan() {
            return Err(ValueError::new("a delay must be a number, not NaN"));
        }
        Ok(self.seconds)
    }
}

impl From<f64> for Delay {
    fn from(seconds: f64) -> Self {
        Self { seconds }
    }
}

impl From<i32> for Delay {
    fn from(seconds: i32) -> Self {
        Self {
            seconds: f64::from(seconds),
        }
    }
}

impl From<Duration> for Delay {
    fn from(duration: Duration) -> Self {
        Self {
            seconds: duration.as_secs_f64(),
        }
    }
}

/// A span of time, or none: what a timeout takes.
///
/// Made of whatever a [`Delay`] is made of, and of `None`.
///
/// ```
/// use asyncio_core::MaybeDelay;
///
/// assert_eq!(MaybeDelay::from(2).seconds(), Some(2.0));
/// assert_eq!(MaybeDelay::from(None).seconds(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct MaybeDelay {
    delay: Option<Delay>,
}

impl MaybeDelay {
    /// The delay in seconds, where there is one.
    #[must_use]
    pub fn seconds(self) -> Option<f64> {
        self.delay.map(Delay::as_secs_f64)
    }
}

impl From<Option<Delay>> for MaybeDelay {
    fn from(delay: Option<Delay>) -> Self {
        Self { delay }
    }
}

impl From<Delay> for MaybeDelay {
    fn from(delay: Delay) -> Self {
        Self { delay: Some(delay) }
    }
}

impl From<f64> for MaybeDelay {
    fn from(seconds: f64) -> Self {
        Delay::from(seconds).into()
    }
}

impl From<i32> for MaybeDelay {
    fn from(seconds: i32) -> Self {
        Delay::from(seconds).into()
    }
}

impl From<Duration> for MaybeDelay {
    fn from(duration: Duration) -> Self {
        Delay::from(duration).into()
    }
}

/// The smallest step of the monotonic clock, in seconds: a timer is due when its time is less than
/// now plus this (`BaseEventLoop._clock_resolution` on Linux).
const RESOLUTION: f64 = 1e-9;

/// The time before which all timers are due now.
pub(crate) fn due_before(now: f64) -> f64 {
    // In a loop that has run for months the next number is further away than the resolution.
    (now + RESOLUTION).max(now.next_up())
}

/// Where a loop's time comes from.
#[derive(Clone, Copy)]
pub(crate) enum Clock {
    /// The monotonic clock, in seconds since the loop was made.
    Real { start: Instant },
    /// A number that the loop moves to the next timer when nothing is ready.
    Virtual { now: f64 },
}

impl Clock {
    pub(crate) fn real() -> Self {
        Self::Real {
            start: Instant::now(),
        }
    }

    pub(crate) const fn virtual_() -> Self {
        Self::Virtual { now: 0.0 }
    }

    pub(crate) fn now(&self) -> f64 {
        match self {
            Self::Real { start } => start.elapsed().as_secs_f64(),
            Self::Virtual { now } => *now,
        }
    }
}
