//! Making a loop, owning it, and holding its clock.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use super::EventLoop;
use crate::debug;
use crate::exceptions::Result;
use crate::loop_cell::{Core, LoopCell, Mail};
use crate::shuffle::Shuffle;
use crate::time::Clock;

/// Keeps a virtual clock from jumping; see [`EventLoop::hold_clock`].
#[derive(Debug)]
#[must_use = "the clock is held only as long as this lives"]
pub struct ClockHold {
    pub(super) event_loop: EventLoop,
}

impl Drop for ClockHold {
    fn drop(&mut self) {
        let release = |core: &Core| {
            core.holds.set(core.holds.get().saturating_sub(1));
            if !core.polling.get() {
                core.kick();
            }
        };
        match self.event_loop.cell.core() {
            Some(core) => release(core),
            // A closed loop's clock stands still anyway.
            None => drop(self.event_loop.cell.post(Mail::Run(Box::new(release)))),
        }
    }
}

/// An event loop that belongs to this thread, and is closed when this is dropped.
///
/// Everything else is done through the [`EventLoop`] it derefs to.
///
/// ```
/// # use asyncio_core::{Result, new_event_loop};
/// # fn main() -> Result<()> {
/// let event_loop = new_event_loop()?;
/// let handle = event_loop.clone(); // of the `EventLoop`, and it owns nothing
/// drop(event_loop);
/// assert!(handle.is_closed());
/// # Ok(())
/// # }
/// ```
pub struct OwnedEventLoop {
    event_loop: EventLoop,
    /// A loop is run and dropped by the thread that made it.
    stays_here: PhantomData<*const ()>,
}

impl OwnedEventLoop {
    /// A loop with other settings than the defaults.
    ///
    /// ```
    /// use asyncio_core::{OwnedEventLoop, Result, sleep};
    ///
    /// # fn main() -> Result<()> {
    /// let event_loop = OwnedEventLoop::builder().virtual_clock(true).build()?;
    /// event_loop.run_until_complete(sleep(3600))?; // takes no time at all
    /// assert_eq!(event_loop.time(), 3600.0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> EventLoopBuilder {
        EventLoopBuilder::default()
    }
}

impl Deref for OwnedEventLoop {
    type Target = EventLoop;

    fn deref(&self) -> &EventLoop {
        &self.event_loop
    }
}

impl Drop for OwnedEventLoop {
    fn drop(&mut self) {
        if let Some(core) = self.event_loop.cell.core()
            && core.running.get()
        {
            // Dropped by something that runs on the loop: it is closed as soon as it stops.
            core.close_at_end.set(true);
            return;
        }
        // It was made by this thread and is not running, so that closing cannot fail.
        let _ = self.event_loop.close();
    }
}

impl fmt::Debug for OwnedEventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.event_loop, f)
    }
}

/// The settings of a new loop; see [`OwnedEventLoop::builder`].
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct EventLoopBuilder {
    debug: Option<bool>,
    virtual_clock: bool,
    shuffle: Option<u64>,
}

impl EventLoopBuilder {
    /// Whether the loop runs in debug mode, see [`EventLoop::set_debug`]; by default only where the
    /// environment variable `ASYNCIO_DEBUG` is set to anything.
    pub const fn debug(mut self, enabled: bool) -> Self {
        self.debug = Some(enabled);
        self
    }

    /// Whether the loop's clock jumps to the next timer instead of waiting for it; off by default.
    ///
    /// Only timers of this crate follow it: sockets, and tokio's own timers, take their real time.
    pub const fn virtual_clock(mut self, enabled: bool) -> Self {
        self.virtual_clock = enabled;
        self
    }

    /// Has chance decide the order, for tests: each iteration runs some of what is ready, at least one
    /// entry, in an order drawn with the seed. The rest waits until it is drawn, with some seeds for long, so
    /// that one task may get far ahead of another, as on several threads.
    ///
    /// A program that ends differently under some seed depends on the order of the loop, and may end
    /// so on a tokio runtime too. With a virtual clock the same seed always gives the same order.
    ///
    /// ```
    /// use asyncio_core::{OwnedEventLoop, Result, sleep};
    /// use std::cell::RefCell;
    /// use std::collections::HashSet;
    /// use std::rc::Rc;
    ///
    /// # fn main() -> Result<()> {
    /// let mut seen = HashSet::new();
    /// for seed in 0..50 {
    ///     let event_loop = OwnedEventLoop::builder().shuffle(seed).build()?;
    ///     let log = Rc::new(RefCell::new(String::new()));
    ///     for name in ["a", "b"] {
    ///         let log = Rc::clone(&log);
    ///         event_loop.call_soon(move || log.borrow_mut().push_str(name))?;
    ///     }
    ///     event_loop.run_until_complete(sleep(0.001))?;
    ///     seen.insert(log.take());
    /// }
    /// assert_eq!(seen, HashSet::from(["ab".to_owned(), "ba".to_owned()]));
    /// # Ok(())
    /// # }
    /// ```
    pub const fn shuffle(mut self, seed: u64) -> Self {
        self.shuffle = Some(seed);
        self
    }

    /// Debug mode where it was asked for, and whether the clock jumps.
    pub(crate) const fn settings(self) -> (Option<bool>, bool) {
        (self.debug, self.virtual_clock)
    }

    /// Makes the loop.
    ///
    /// # Errors
    ///
    /// An I/O error when the operating system refuses what a loop needs.
    pub fn build(self) -> Result<OwnedEventLoop> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let clock = if self.virtual_clock {
            Clock::virtual_()
        } else {
            Clock::real()
        };
        let cell = LoopCell::make(clock);
        cell.set_debug(self.debug.unwrap_or_else(debug::is_wanted));
        if let Some(core) = cell.core() {
            core.runtime.replace(Some(runtime));
            core.shuffle.set(self.shuffle.map(Shuffle::new));
        }
        Ok(OwnedEventLoop {
            event_loop: EventLoop::of(cell),
            stays_here: PhantomData,
        })
    }
}
