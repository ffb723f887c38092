//! A wait that somebody ends by hand: what awaiting a fresh `loop.create_future()` is in CPython.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as PollContext, Poll, Waker};

use super::refs::TaskRef;
use super::step::{is_task_waker, wake_slot};
use super::wait::{began, begin, end, end_unawaited, refresh_waker, slot_state, take_delivery};
use super::waits::{SlotId, State};
use crate::current::{self, Frame};
use crate::exceptions::CancelledError;

/// A wait of the task that is running. Whoever is to end it gets the [`Wakeup`] of it; cancelling the
/// task ends it too. Dropping it gives the wait up.
///
/// A turn of the loop passes between the wake and the task's next step. On a tokio runtime the same
/// holds without turns, and what is no task of ours can wait as well; then there is nobody to cancel.
#[derive(Default)]
pub struct Waiter {
    state: Registration,
    /// See `was_woken`.
    woken: bool,
}

/// Ends a [`Waiter`]'s wait, once, from any thread.
#[derive(Clone)]
pub struct Wakeup {
    state: Registration,
}

#[derive(Clone, Default)]
enum Registration {
    #[default]
    None,
    /// In a slot of a task.
    Slot { task: TaskRef, id: SlotId },
    /// For something that is no task of ours.
    Outside(Arc<Mutex<Outside>>),
}

#[derive(Default)]
struct Outside {
    state: State,
    waker: Option<Waker>,
}

impl Waiter {
    /// A waiter that does not wait yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: Registration::None,
            woken: false,
        }
    }

    /// Begins to wait; who polls is to be woken. A wait that was under way is given up.
    pub fn begin(&mut self, cx: &PollContext<'_>) -> Wakeup {
        self.give_up();
        self.woken = false;
        began();
        self.state = current::with(|frame| match frame.and_then(Frame::task) {
            Some(task) => {
                let foreign = !is_task_waker(cx.waker(), task);
                let waker = foreign.then(|| cx.waker().clone());
                Registration::Slot {
                    task: task.clone(),
                    id: begin(task, waker, None),
                }
            }
            None => Registration::Outside(Arc::new(Mutex::new(Outside {
                state: State::Pending,
                waker: Some(cx.waker().clone()),
            }))),
        });
        Wakeup {
            state: self.state.clone(),
        }
    }

    /// Whether a wait has begun and its end has not been seen by [`poll`](Self::poll).
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        !matches!(self.state, Registration::None)
    }

    /// Whether the wait was ended by its [`Wakeup`], as far as it is known by now.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        self.state.get() == State::Woken
    }

    /// Whether the wait that was cancelled had been woken before: whoever passes something on with a
    /// wake has to pass it to somebody else then (`not future.cancelled()`).
    #[must_use]
    pub const fn was_woken(&self) -> bool {
        self.woken
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
    pub fn poll(&mut self, cx: &PollContext<'_>) -> Poll<Result<(), CancelledError>> {
        match &self.state {
            Registration::None => Poll::Ready(Ok(())),
            Registration::Slot { task, .. } if !task.cell().is_reachable() => Poll::Ready(Ok(())),
            Registration::Slot { task, id } => {
                let id = *id;
                match slot_state(task, id) {
                    State::Pending => {
                        if !refresh_waker(task, id, cx) {
                            place_waker(task, id, cx);
                        }
                        Poll::Pending
                    }
                    State::Woken | State::Free => {
                        self.give_up();
                        Poll::Ready(Ok(()))
                    }
                    State::Thrown | State::Cancelled => {
                        let slot = task.cell().access(|| {
                            task.with_waits(|waits| waits.get(id).is_some_and(|slot| slot.woken))
                        });
                        self.woken = slot == Some(true);
                        let message = end(task, id);
                        take_delivery(task);
                        self.state = Registration::None;
                        Poll::Ready(Err(CancelledError::from_message(message)))
                    }
                }
            }
            Registration::Outside(outside) => {
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
    pub fn give_up(&mut self) -> bool {
        match std::mem::take(&mut self.state) {
            Registration::None => false,
            Registration::Slot { task, id } => end_unawaited(task, id),
            Registration::Outside(outside) => {
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
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Wakeup {
    /// Ends the wait; false when it is over already, woken or cancelled.
    pub fn wake(&self) -> bool {
        match &self.state {
            Registration::None => false,
            Registration::Slot { task, id } => wake_slot(task, *id),
            Registration::Outside(outside) => {
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

    /// Whether nobody has ended the wait yet (`not future.done()`).
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.state.get() == State::Pending
    }

    /// Whether the wait was cancelled, or given up, before anybody woke it (`future.cancelled()`).
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.state.get(), State::Cancelled | State::Free)
    }

    /// The task and the slot, where a task of ours waits.
    pub(crate) const fn slot(&self) -> Option<(&TaskRef, SlotId)> {
        match &self.state {
            Registration::Slot { task, id } => Some((task, *id)),
            Registration::None | Registration::Outside(_) => None,
        }
    }
}

impl Registration {
    fn get(&self) -> State {
        match self {
            Self::None => State::Free,
            // A loop of another thread does not tell: as far as is known here the wait goes on.
            Self::Slot { task, .. } if !task.cell().is_reachable() => State::Pending,
            Self::Slot { task, id } => slot_state(task, *id),
            Self::Outside(outside) => lock(outside).state,
        }
    }
}

/// A wait that the task itself polled is polled by something inside it now, which is to be woken.
fn place_waker(task: &TaskRef, id: SlotId, cx: &PollContext<'_>) {
    let mut waker = Some(cx.waker().clone());
    task.cell().access(|| {
        task.with_waits(|waits| waits.place_waker(id, &mut waker));
    });
    drop(waker);
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

impl fmt::Debug for Wakeup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakeup")
            .field("pending", &self.is_pending())
            .finish()
    }
}
