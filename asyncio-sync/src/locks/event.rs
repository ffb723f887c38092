//! `Event` (`asyncio/locks.py`).

use std::fmt;
use std::sync::Arc;

use asyncio_core::CancelledError;
use asyncio_core::waiting::Mutex;

use crate::waiters::{End, Request, WaitList, Waiting, Wakes};

/// A flag that tasks wait for (`asyncio.Event`).
///
/// [`set`](Self::set) wakes all who wait, and who comes later does not wait until
/// [`clear`](Self::clear). Who was woken has seen the flag set, even if it is cleared before it runs.
///
/// A clone is the same event.
///
/// ```
/// use asyncio_core::{Result, create_task, run};
/// use asyncio_sync::Event;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let ready = Event::new();
///     let theirs = ready.clone();
///     let waiting = create_task(async move { Ok(theirs.wait().await?) });
///     ready.set();
///     waiting.await
/// })
/// # }
/// ```
///
/// # asyncio
///
/// It is not bound to an event loop and may be set from any thread.
#[derive(Clone, Default)]
pub struct Event {
    state: Arc<Mutex<State>>,
}

struct State {
    set: bool,
    waiters: WaitList,
}

impl Event {
    /// An event that is not set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the flag is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.state.lock().set
    }

    /// Sets the flag and wakes all who wait for it.
    pub fn set(&self) {
        let mut wakes = Wakes::default();
        {
            let mut state = self.state.lock();
            if !state.set {
                state.set = true;
                state.waiters.wake_all(&mut wakes);
            }
        }
        wakes.carry_out();
    }

    /// Clears the flag: who comes now waits for the next [`set`](Self::set).
    pub fn clear(&self) {
        self.state.lock().set = false;
    }

    /// Waits until the flag is set; returns at once if it is.
    ///
    /// # Errors
    ///
    /// [`CancelledError`] when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is cancelled or dropped: the others are woken all the same.
    pub async fn wait(&self) -> Result<(), CancelledError> {
        Waiting::new(&self.state, IsSet).await
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let name = if state.set { "set" } else { "unset" };
        match state.waiters.len() {
            0 => write!(f, "<Event [{name}]>"),
            waiters => write!(f, "<Event [{name}, waiters:{waiters}]>"),
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            set: false,
            waiters: WaitList::new(),
        }
    }
}

/// One who waits for the flag.
struct IsSet;

impl Request for IsSet {
    type State = State;
    type Output = ();

    fn list(state: &mut State) -> &mut WaitList {
        &mut state.waiters
    }

    fn take_now(&mut self, state: &mut State, _: &mut Wakes) -> Option<()> {
        state.set.then_some(())
    }

    fn take_woken(&mut self, _: &mut State, _: &mut Wakes) -> Option<()> {
        Some(())
    }

    fn give_up(&mut self, _: &mut State, _: End, _: &mut Wakes) {}
}
