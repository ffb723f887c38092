//! `Semaphore` and `BoundedSemaphore` (`asyncio/locks.py`).

use std::fmt;
use std::sync::Arc;

use asyncio_core::waiting::Mutex;
use asyncio_core::{CancelledError, ValueError};

use crate::waiters::{End, Request, WaitList, Waiting, Wakes};

/// A number of permits (`asyncio.Semaphore`).
///
/// [`acquire`](Self::acquire) takes one, or waits until there is one, and [`release`](Self::release)
/// puts one back; who waits is served first come first served. `async with semaphore` is
/// [`guard`](Self::guard).
///
/// A clone is the same semaphore.
///
/// ```
/// use asyncio_core::{Result, create_task, run, sleep};
/// use asyncio_sync::Semaphore;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let two_at_a_time = Semaphore::new(2);
///     let calls: Vec<_> = (0..4)
///         .map(|_| {
///             let semaphore = two_at_a_time.clone();
///             create_task(async move {
///                 let _permit = semaphore.guard().await?;
///                 sleep(0.001).await
///             })
///         })
///         .collect();
///     for call in calls {
///         call.await?;
///     }
///     Ok(())
/// })
/// # }
/// ```
///
/// # asyncio
///
/// It is not bound to an event loop and may be shared between threads. A negative number of permits,
/// a `ValueError` there, is none that can be written here.
#[derive(Clone)]
pub struct Semaphore {
    state: Arc<Mutex<State>>,
}

/// A [`Semaphore`] that refuses to have more permits than it began with (`asyncio.BoundedSemaphore`).
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_sync::BoundedSemaphore;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let semaphore = BoundedSemaphore::new(1);
///     semaphore.acquire().await?;
///     semaphore.release()?;
///     assert!(semaphore.release().is_err());
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct BoundedSemaphore {
    semaphore: Semaphore,
}

struct State {
    value: usize,
    most: usize,
    waiters: WaitList,
}

impl Semaphore {
    /// A semaphore with so many permits.
    #[must_use]
    pub fn new(value: usize) -> Self {
        Self::bounded(value, usize::MAX)
    }

    fn bounded(value: usize, most: usize) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                value,
                most,
                waiters: WaitList::new(),
            })),
        }
    }

    /// Takes a permit, or waits until it is given one.
    ///
    /// # Errors
    ///
    /// [`CancelledError`] when the task is cancelled meanwhile; it has no permit then.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, its place in the line is lost and nothing else: a permit that
    /// it was about to get goes to the next.
    pub async fn acquire(&self) -> Result<(), CancelledError> {
        // The usual case, in which there is no future to set up.
        if self.take_free() {
            return Ok(());
        }
        Waiting::new(&self.state, Acquire).await
    }

    /// Takes a permit and puts it back when the guard goes (`async with semaphore`).
    ///
    /// # Errors
    ///
    /// [`CancelledError`] when the task is cancelled meanwhile; it has no permit then.
    ///
    /// # Cancel safety
    ///
    /// As of [`acquire`](Self::acquire).
    pub async fn guard(&self) -> Result<Permit<'_>, CancelledError> {
        self.acquire().await?;
        Ok(Permit { semaphore: self })
    }

    /// As [`guard`](Self::guard), with a permit that has a clone of the semaphore: it may go to another
    /// task, which puts the permit back when it has done its work.
    ///
    /// ```
    /// # use asyncio_core::{Result, create_task, run, sleep};
    /// # use asyncio_sync::Semaphore;
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let two_at_a_time = Semaphore::new(2);
    /// let mut calls = Vec::new();
    /// for _ in 0..4 {
    ///     let permit = two_at_a_time.guard_owned().await?;
    ///     calls.push(create_task(async move {
    ///         let _permit = permit;
    ///         sleep(0.001).await
    ///     }));
    /// }
    /// assert!(calls[0].done() && calls[1].done());
    /// # for call in calls {
    /// #     call.await?;
    /// # }
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`guard`](Self::guard).
    ///
    /// # Cancel safety
    ///
    /// As of [`guard`](Self::guard).
    pub async fn guard_owned(&self) -> Result<OwnedPermit, CancelledError> {
        self.acquire().await?;
        Ok(OwnedPermit {
            semaphore: self.clone(),
        })
    }

    /// Puts a permit back, or one more than there were: the first who waits gets it.
    pub fn release(&self) {
        self.put_back();
    }

    /// Whether [`acquire`](Self::acquire) would have to wait: there is no permit, or others wait
    /// already.
    #[must_use]
    pub fn locked(&self) -> bool {
        self.state.lock().locked()
    }

    /// Takes a permit if there is one and nobody is in line.
    #[inline]
    fn take_free(&self) -> bool {
        let mut state = self.state.lock();
        let free = state.value > 0 && state.waiters.is_empty();
        state.value -= usize::from(free);
        free
    }

    /// Whether there was room for one more permit.
    #[inline]
    fn put_back(&self) -> bool {
        let mut wakes = Wakes::default();
        {
            let mut state = self.state.lock();
            if state.value >= state.most {
                return false;
            }
            state.value += 1;
            state.hand_over(&mut wakes);
        }
        wakes.carry_out();
        true
    }

    fn describe(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        write!(f, "<{name} [")?;
        if state.locked() {
            f.write_str("locked")?;
        } else {
            write!(f, "unlocked, value:{}", state.value)?;
        }
        match state.waiters.len() {
            0 => f.write_str("]>"),
            waiters => write!(f, ", waiters:{waiters}]>"),
        }
    }
}

impl BoundedSemaphore {
    /// A semaphore with so many permits, which it never exceeds.
    #[must_use]
    pub fn new(value: usize) -> Self {
        Self {
            semaphore: Semaphore::bounded(value, value),
        }
    }

    /// Takes a permit, or waits until it is given one; see [`Semaphore::acquire`].
    ///
    /// # Errors
    ///
    /// [`CancelledError`] when the task is cancelled meanwhile; it has no permit then.
    ///
    /// # Cancel safety
    ///
    /// As of [`Semaphore::acquire`].
    pub async fn acquire(&self) -> Result<(), CancelledError> {
        self.semaphore.acquire().await
    }

    /// Takes a permit and puts it back when the guard goes (`async with semaphore`).
    ///
    /// # Errors
    ///
    /// [`CancelledError`] when the task is cancelled meanwhile; it has no permit then.
    ///
    /// # Cancel safety
    ///
    /// As of [`Semaphore::acquire`].
    pub async fn guard(&self) -> Result<Permit<'_>, CancelledError> {
        self.semaphore.guard().await
    }

    /// As [`guard`](Self::guard), with a permit that may go to another task; see
    /// [`Semaphore::guard_owned`].
    ///
    /// # Errors
    ///
    /// As of [`guard`](Self::guard).
    ///
    /// # Cancel safety
    ///
    /// As of [`Semaphore::acquire`].
    pub async fn guard_owned(&self) -> Result<OwnedPermit, CancelledError> {
        self.semaphore.guard_owned().await
    }

    /// Puts a permit back: the first who waits gets it.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when all permits are there already.
    pub fn release(&self) -> Result<(), ValueError> {
        if self.semaphore.put_back() {
            Ok(())
        } else {
            Err(ValueError::new("released too many times"))
        }
    }

    /// Whether [`acquire`](Self::acquire) would have to wait.
    #[must_use]
    pub fn locked(&self) -> bool {
        self.semaphore.locked()
    }
}

impl Default for Semaphore {
    /// A semaphore with one permit.
    fn default() -> Self {
        Self::new(1)
    }
}

impl Default for BoundedSemaphore {
    /// A semaphore with one permit.
    fn default() -> Self {
        Self::new(1)
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe("Semaphore", f)
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.semaphore.describe("BoundedSemaphore", f)
    }
}

/// A permit of a [`Semaphore`] or [`BoundedSemaphore`], put back when it goes.
#[must_use = "the permit is put back when it is dropped"]
#[derive(Debug)]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // If somebody released too often before, this one has its place no more.
        self.semaphore.put_back();
    }
}

/// A [`Permit`] that has a clone of its semaphore; see [`Semaphore::guard_owned`].
#[must_use = "the permit is put back when it is dropped"]
#[derive(Debug)]
pub struct OwnedPermit {
    semaphore: Semaphore,
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        // As above.
        self.semaphore.put_back();
    }
}

impl State {
    fn locked(&self) -> bool {
        self.value == 0 || !self.waiters.all_cancelled()
    }

    /// Gives a permit to the first who can be woken, if there is anyone.
    fn hand_over(&mut self, wakes: &mut Wakes) -> bool {
        let woken = self.waiters.wake_next(wakes);
        if woken {
            self.value -= 1;
        }
        woken
    }

    /// Gives permits away as long as there are any and somebody waits: those who came while it was not
    /// their turn.
    fn hand_over_all(&mut self, wakes: &mut Wakes) {
        while self.value > 0 && self.hand_over(wakes) {}
    }
}

/// One who wants a permit.
struct Acquire;

impl Request for Acquire {
    type State = State;
    type Output = ();

    fn list(state: &mut State) -> &mut WaitList {
        &mut state.waiters
    }

    fn take_now(&mut self, state: &mut State, _: &mut Wakes) -> Option<()> {
        if state.locked() {
            return None;
        }
        state.value -= 1;
        Some(())
    }

    fn take_woken(&mut self, state: &mut State, wakes: &mut Wakes) -> Option<()> {
        // The permit was taken by whoever woke it.
        state.hand_over_all(wakes);
        Some(())
    }

    fn give_up(&mut self, state: &mut State, end: End, wakes: &mut Wakes) {
        if end.woken {
            state.value += 1;
        }
        state.hand_over_all(wakes);
    }
}
