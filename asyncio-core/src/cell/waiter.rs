//! A wait that somebody ends by hand: what awaiting a fresh `loop.create_future()` is in CPython.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::task::{Context as PollContext, Poll, Waker};

use super::driver::Poller;
use super::refs::TaskRef;
use super::step::{
    is_task_waker, is_waker_of_frame, tell, wake_driven_slot, wake_slot, wake_slot_here,
};
use super::wait::{began, begin, end, end_unawaited, slot_state, take_delivery, watched_state};
use super::waits::{SlotId, State};
use crate::current::{self, Frame};
use crate::exceptions::CancelledError;
use crate::primitives::{Mutex, MutexGuard};

/// A wait of the task that is running. Whoever is to end it gets the [`Wakeup`] of it; cancelling the
/// task ends it too. Dropping it gives the wait up.
///
/// A turn of the loop passes between the wake and the task's next step. On a tokio runtime the same
/// holds without turns, and what is no task of ours can wait as well; then there is nobody to cancel.
#[derive(Default)]
pub struct Waiter {
    place: Place,
}

/// Ends a [`Waiter`]'s wait, once, from any thread. The default one is that of no wait.
#[derive(Clone, Default)]
pub struct Wakeup {
    place: Place,
}

/// What is left to do of a wake: telling the task.
#[must_use = "the task does not find out unless it is told"]
pub struct Untold {
    task: TaskRef,
    /// Whom to tell, if anybody.
    poller: Option<Poller>,
}

/// Where it is noted who waits: two words, because it is moved about a lot.
#[derive(Clone)]
enum Place {
    /// In a slot of a task.
    Slot { task: TaskRef, id: SlotId },
    /// For something that is no task of ours; nowhere, if `None`.
    Outside(Option<Arc<Mutex<Outside>>>),
}

#[derive(Default)]
struct Outside {
    state: State,
    waker: Option<Waker>,
}

impl Waiter {
    /// A waiter that does not wait yet.
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self {
            place: Place::none(),
        }
    }

    /// Begins to wait; who polls is to be woken. A wait that was under way is given up.
    pub fn begin(&mut self, cx: &PollContext<'_>) -> Wakeup {
        self.give_up();
        let mut wakeup = Wakeup::none();
        if self.begin_plain(cx, &mut wakeup) {
            return wakeup;
        }
        began();
        let place = current::with(|frame| match frame.and_then(Frame::task) {
            Some(task) => {
                let foreign = !is_task_waker(cx.waker(), task);
                let waker = foreign.then(|| cx.waker().clone());
                Place::Slot {
                    task: task.clone(),
                    id: begin(task, waker, None),
                }
            }
            None => Place::Outside(Some(Arc::new(Mutex::new(Outside {
                state: State::Pending,
                waker: Some(cx.waker().clone()),
            })))),
        });
        self.place.fill(place.clone());
        Wakeup { place }
    }

    /// Begins to wait where that calls nothing of anybody else's, so that any lock may be held: a task
    /// of ours polls, and what polls in it is the task itself. The wake-up is put where there is one of
    /// no wait. False where it is not that, or where a wait is under way: nothing has been done then.
    #[inline]
    pub fn begin_plain(&mut self, cx: &PollContext<'_>, wakeup: &mut Wakeup) -> bool {
        if self.is_waiting() || !wakeup.is_none() {
            return false;
        }
        current::with(|frame| {
            let Some((frame, task)) = frame.and_then(|frame| Some((frame, frame.task()?))) else {
                return false;
            };
            if !is_waker_of_frame(cx.waker(), frame, task) {
                return false;
            }
            let Some(id) = task.cell().access(|| task.begin_wait(None, None)) else {
                return false;
            };
            frame.delivery.begun.set(frame.delivery.begun.get() + 1);
            let [mine, theirs] = task.take_two();
            self.place.fill(Place::Slot { task: mine, id });
            wakeup.place.fill(Place::Slot { task: theirs, id });
            true
        })
    }

    /// Whether a wait has begun and its end has not been seen by [`poll`](Self::poll).
    #[must_use]
    #[inline]
    pub const fn is_waiting(&self) -> bool {
        !self.place.is_none()
    }

    /// Whether the wait was ended by its [`Wakeup`], as far as it is known by now.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        // A slot that is free while there is somebody to wait was woken, and ended for that.
        self.is_waiting() && matches!(self.place.state(), State::Woken | State::Free)
    }

    /// As [`is_woken`](Self::is_woken), also where the next [`poll`](Self::poll) will say that the task
    /// is being cancelled: whoever passes something on with a wake has to pass it to somebody else
    /// then (`not future.cancelled()`).
    #[must_use]
    pub fn was_woken(&self) -> bool {
        match &self.place {
            Place::Slot { task, id } => {
                self.is_woken() || task.cell().access(|| task.was_woken(*id)) == Some(true)
            }
            Place::Outside(_) => self.is_woken(),
        }
    }

    /// Waits on; `Ready` once it has been woken, and where no wait has begun.
    ///
    /// It is also `Ready` on another thread than the one of the loop where it began, which does not
    /// tell: whoever was not woken according to the primitive's own record then begins anew, with
    /// another waiter, and lets go of this one after that.
    ///
    /// # Errors
    ///
    /// [`CancelledError`] when the task is being cancelled here.
    #[inline]
    pub fn poll(&mut self, cx: &PollContext<'_>) -> Poll<Result<(), CancelledError>> {
        let Place::Slot { task, id } = &self.place else {
            return self.poll_on(cx);
        };
        if was_ended(task, *id) {
            if let Place::Slot { task, .. } = std::mem::take(&mut self.place) {
                task.put_back();
            }
            return Poll::Ready(Ok(()));
        }
        if task.cell().access(|| task.end_woken(*id)) == Some(true) {
            self.place = Place::none();
            return Poll::Ready(Ok(()));
        }
        self.poll_on(cx)
    }

    /// There is more to it than to see that it was woken.
    fn poll_on(&mut self, cx: &PollContext<'_>) -> Poll<Result<(), CancelledError>> {
        match &self.place {
            Place::Outside(None) => Poll::Ready(Ok(())),
            Place::Slot { task, .. } if !task.cell().is_reachable() => Poll::Ready(Ok(())),
            Place::Slot { task, id } => {
                let id = *id;
                match watched_state(task, id, cx) {
                    State::Pending => Poll::Pending,
                    State::Woken | State::Free => {
                        self.give_up();
                        Poll::Ready(Ok(()))
                    }
                    State::Thrown | State::Cancelled => {
                        let message = end(task, id);
                        take_delivery(task);
                        self.place = Place::none();
                        Poll::Ready(Err(CancelledError::from_message(message)))
                    }
                }
            }
            Place::Outside(Some(outside)) => {
                let mut waker = Some(cx.waker().clone());
                {
                    let mut outside = lock(outside);
                    if outside.state == State::Pending {
                        std::mem::swap(&mut outside.waker, &mut waker);
                        return Poll::Pending;
                    }
                }
                self.give_up();
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Ends the wait without its outcome; whether it had been woken by then, as far as can be told on
    /// this thread. Whoever passes a wake on asks this, and not [`is_woken`](Self::is_woken) before it:
    /// on a tokio runtime a wake may come in between.
    #[inline]
    pub fn give_up(&mut self) -> bool {
        self.is_waiting() && self.leave()
    }

    #[inline(never)]
    fn leave(&mut self) -> bool {
        match std::mem::take(&mut self.place) {
            Place::Outside(None) => false,
            Place::Slot { task, id } => end_unawaited(task, id),
            Place::Outside(Some(outside)) => {
                let mut outside = lock(&outside);
                if outside.state == State::Pending {
                    outside.state = State::Cancelled;
                }
                outside.state == State::Woken
            }
        }
    }
}

impl Drop for Waiter {
    #[inline]
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Wakeup {
    /// That of no wait.
    #[must_use]
    #[inline]
    pub const fn none() -> Self {
        Self {
            place: Place::none(),
        }
    }

    /// Ends the wait; false when it is over already, woken or cancelled.
    pub fn wake(&self) -> bool {
        match &self.place {
            Place::Slot { task, id } => wake_slot(task, *id),
            Place::Outside(None) => false,
            Place::Outside(Some(outside)) => {
                let waker = {
                    let mut outside = lock(outside);
                    if outside.state != State::Pending {
                        return false;
                    }
                    outside.state = State::Woken;
                    outside.waker.take()
                };
                if let Some(waker) = waker {
                    waker.wake();
                }
                true
            }
        }
    }

    /// Ends the wait where that calls nothing of anybody else's and drops nothing, so that any lock may
    /// be held: where the task waits by itself, on the loop that is running here. This is the wake-up of
    /// no wait then. Otherwise, and where the wait is over, the answer is false and nothing is done.
    #[inline]
    pub fn wake_plain(&mut self) -> bool {
        current::with(|frame| {
            let Place::Slot { task, id } = &self.place else {
                return false;
            };
            let Some(core) = frame.and_then(|frame| wake_slot_here(frame, task, *id)) else {
                return false;
            };
            if let Place::Slot { task, .. } = std::mem::take(&mut self.place) {
                core.push_step(task);
            }
            true
        })
    }

    /// Ends the wait as far as that calls nothing of anybody else's: where a task on a tokio runtime
    /// waits by itself. The rest is left for [`Untold::tell`], and this is the wake-up of no wait. `None`
    /// where it is not that, or where the wait is over; nothing has been done then.
    #[inline]
    pub fn wake_untold(&mut self) -> Option<Untold> {
        let Place::Slot { task, id } = &self.place else {
            return None;
        };
        let poller = wake_driven_slot(task, *id)?;
        match std::mem::take(&mut self.place) {
            Place::Slot { task, .. } => Some(Untold { task, poller }),
            Place::Outside(_) => None,
        }
    }

    /// Whether it is that of no wait.
    #[must_use]
    #[inline]
    pub const fn is_none(&self) -> bool {
        self.place.is_none()
    }

    /// Whether nobody has ended the wait yet (`not future.done()`).
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.place.state() == State::Pending
    }

    /// Whether the wait was cancelled, or given up, before anybody woke it (`future.cancelled()`).
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.place.state(), State::Cancelled | State::Free)
    }

    /// The task and the slot, where a task of ours waits.
    pub(crate) const fn slot(&self) -> Option<(&TaskRef, SlotId)> {
        match &self.place {
            Place::Slot { task, id } => Some((task, *id)),
            Place::Outside(_) => None,
        }
    }
}

impl Untold {
    /// Does what is left of the wake, where no lock is held.
    #[inline]
    pub fn tell(&self) {
        tell(&self.task, self.poller.as_ref());
    }
}

impl Place {
    #[inline]
    const fn none() -> Self {
        Self::Outside(None)
    }

    #[inline]
    const fn is_none(&self) -> bool {
        matches!(self, Self::Outside(None))
    }

    /// Becomes a place, of which there was none.
    #[inline(always)]
    fn fill(&mut self, place: Self) {
        let none = std::mem::replace(self, place);
        debug_assert!(none.is_none(), "a wait was left behind");
        // There is nothing to drop; said so, because finding out takes longer than the rest.
        std::mem::forget(none);
    }

    fn state(&self) -> State {
        match self {
            // A loop of another thread does not tell: as far as is known here the wait goes on.
            Self::Slot { task, .. } if !task.cell().is_reachable() => State::Pending,
            Self::Slot { task, id } => slot_state(task, *id),
            Self::Outside(None) => State::Free,
            Self::Outside(Some(outside)) => lock(outside).state,
        }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::none()
    }
}

/// Whether the step under way has ended the wait when it began.
#[inline]
fn was_ended(task: &TaskRef, id: SlotId) -> bool {
    task.base.is_driven()
        && current::with(|frame| {
            frame.is_some_and(|frame| frame.ended.get() == id && frame.task() == Some(task))
        })
}

fn lock(outside: &Mutex<Outside>) -> MutexGuard<'_, Outside> {
    outside.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("waiting", &self.is_waiting())
            .finish()
    }
}

impl fmt::Debug for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Untold").finish_non_exhaustive()
    }
}

impl fmt::Debug for Wakeup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakeup")
            .field("pending", &self.is_pending())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_and_a_wakeup_are_two_words() {
        let word = size_of::<usize>();
        assert_eq!(
            (size_of::<Waiter>(), size_of::<Wakeup>()),
            (2 * word, 2 * word)
        );
    }
}
