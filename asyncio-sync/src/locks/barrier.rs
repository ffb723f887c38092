//! `Barrier` (`asyncio/locks.py`).

use std::fmt;
use std::sync::Arc;

use asyncio_core::waiting::Mutex;
use asyncio_core::{Result, ValueError};

use super::condition::Condition;
use crate::exceptions::BrokenBarrierError;

/// A point that so many tasks have to reach before any of them goes on (`asyncio.Barrier`).
///
/// The last one to [arrive](Self::wait) releases them all, and the barrier can be used again. A task
/// that is cancelled at the barrier frees its place; [`abort`](Self::abort) breaks the barrier for
/// everybody until it is [reset](Self::reset).
///
/// A clone is the same barrier.
///
/// ```
/// use asyncio_core::{Result, create_task, run};
/// use asyncio_sync::Barrier;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let barrier = Barrier::new(2)?;
///     let theirs = barrier.clone();
///     let other = create_task(async move { theirs.wait().await });
///     assert_eq!(barrier.wait().await? + other.await?, 1, "one was first, one was last");
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct Barrier {
    shared: Arc<Shared>,
}

struct Shared {
    parties: usize,
    /// Notified when the phase changes.
    condition: Condition,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// How many have arrived and not left yet.
    count: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Tasks arrive.
    Filling,
    /// All have arrived and leave; who comes now waits for the next round.
    Draining,
    /// It was reset while tasks waited, and they leave with an error.
    Resetting,
    Broken,
}

impl Barrier {
    /// A barrier for so many tasks.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when there are none.
    pub fn new(parties: usize) -> Result<Self, ValueError> {
        if parties == 0 {
            return Err(ValueError::new("a barrier is for one task at the least"));
        }
        Ok(Self {
            shared: Arc::new(Shared {
                parties,
                condition: Condition::new(),
                state: Mutex::new(State {
                    phase: Phase::Filling,
                    count: 0,
                }),
            }),
        })
    }

    /// Waits until all have arrived (`async with barrier`). Returns how many had arrived before: each
    /// has another number.
    ///
    /// # Errors
    ///
    /// [`BrokenBarrierError`] when the barrier is or gets broken, or is reset meanwhile;
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped its place is free again: another has to arrive instead.
    pub async fn wait(&self) -> Result<usize> {
        let condition = &self.shared.condition;
        let _guard = condition.guard().await?;
        condition
            .wait_for(|| !matches!(self.phase(), Phase::Draining | Phase::Resetting))
            .await?;
        if self.broken() {
            return Err(BrokenBarrierError::new().into());
        }
        // It leaves before the guard does.
        let arrival = Arrival::new(&self.shared);
        if arrival.index + 1 == self.shared.parties {
            self.shared.state.lock().phase = Phase::Draining;
            condition.notify_all()?;
        } else {
            condition
                .wait_for(|| self.phase() != Phase::Filling)
                .await?;
            if matches!(self.phase(), Phase::Broken | Phase::Resetting) {
                return Err(BrokenBarrierError::new().into());
            }
        }
        Ok(arrival.index)
    }

    /// Brings the barrier back to its beginning; tasks that wait at it get a [`BrokenBarrierError`].
    ///
    /// # Errors
    ///
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled while it waits for
    /// others to be done with the barrier; nothing is reset then.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, nothing has happened.
    pub async fn reset(&self) -> Result<()> {
        self.change(|state| {
            state.phase = if state.count > 0 {
                Phase::Resetting
            } else {
                Phase::Filling
            };
        })
        .await
    }

    /// Breaks the barrier: tasks that wait at it, or come later, get a [`BrokenBarrierError`].
    ///
    /// # Errors
    ///
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled while it waits for
    /// others to be done with the barrier; nothing is broken then.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, nothing has happened.
    pub async fn abort(&self) -> Result<()> {
        self.change(|state| state.phase = Phase::Broken).await
    }

    /// How many tasks it takes.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.shared.parties
    }

    /// How many tasks wait for the others; none while those of a round are leaving.
    #[must_use]
    pub fn n_waiting(&self) -> usize {
        let state = self.shared.state.lock();
        match state.phase {
            Phase::Filling => state.count,
            Phase::Draining | Phase::Resetting | Phase::Broken => 0,
        }
    }

    /// Whether the barrier was aborted and not reset since.
    #[must_use]
    pub fn broken(&self) -> bool {
        self.phase() == Phase::Broken
    }

    fn phase(&self) -> Phase {
        self.shared.state.lock().phase
    }

    async fn change(&self, change: impl FnOnce(&mut State)) -> Result<()> {
        let condition = &self.shared.condition;
        let _guard = condition.guard().await?;
        change(&mut self.shared.state.lock());
        condition.notify_all()?;
        Ok(())
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.phase() {
            Phase::Filling => "filling",
            Phase::Draining => "draining",
            Phase::Resetting => "resetting",
            Phase::Broken => return f.write_str("<Barrier [broken]>"),
        };
        let (waiting, parties) = (self.n_waiting(), self.parties());
        write!(f, "<Barrier [{name}, waiters:{waiting}/{parties}]>")
    }
}

/// One who has arrived, and leaves when this is dropped.
struct Arrival<'a> {
    shared: &'a Shared,
    index: usize,
}

impl<'a> Arrival<'a> {
    fn new(shared: &'a Shared) -> Self {
        let mut state = shared.state.lock();
        let index = state.count;
        state.count += 1;
        Self { shared, index }
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        let is_last = {
            let mut state = self.shared.state.lock();
            state.count -= 1;
            if state.count == 0 && matches!(state.phase, Phase::Draining | Phase::Resetting) {
                state.phase = Phase::Filling;
            }
            state.count == 0
        };
        if is_last {
            // Those who wait for the round to end. A future that is dropped has lost the lock.
            self.shared.condition.wake(usize::MAX);
        }
    }
}
