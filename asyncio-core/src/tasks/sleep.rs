//! `sleep` (`asyncio/tasks.py`), and the bare yield it is for a delay of zero.

use std::fmt;
use std::future::Future as StdFuture;
use std::pin::Pin;
use std::task::{Context as PollContext, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep as TokioSleep};

use crate::cell::{self, SlotId, State, TaskRef};
use crate::current::{self, Frame};
use crate::exceptions::{CancelledError, Exception, Message, Result, RuntimeError, ValueError};
use crate::loop_cell::{Core, Mail};
use crate::ready::TimerAction;
use crate::slab::Key;
use crate::time::Delay;

/// Waits for a while (`asyncio.sleep`).
///
/// A delay of zero or less gives every other task that is ready its turn, and goes on in the next
/// iteration. On a tokio runtime it is tokio's timer that is waited for.
///
/// ```
/// use asyncio_core::{Result, run, sleep};
/// use std::time::Duration;
///
/// # fn main() -> Result<()> {
/// run(async {
///     sleep(0.001).await?;
///     sleep(Duration::from_millis(1)).await?;
///     sleep(0).await
/// })
/// # }
/// ```
///
/// # Errors
///
/// The future ends with [`CancelledError`] when the task is cancelled meanwhile, with
/// [`ValueError`](crate::ValueError) when the delay is not a number, and with [`RuntimeError`] where
/// no event loop runs.
///
/// # Cancel safety
///
/// Nothing is lost when it is cancelled or dropped; its timer goes with it.
#[inline]
pub fn sleep(delay: impl Into<Delay>) -> Sleep {
    Sleep {
        delay: delay.into(),
        state: Waiting::No,
    }
}

/// The future of [`sleep`].
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    delay: Delay,
    state: Waiting,
}

enum Waiting {
    No,
    /// For the next iteration.
    Turn {
        turn: Option<u64>,
    },
    /// For a timer of the loop, in a slot of a task.
    Timer {
        task: TaskRef,
        slot: SlotId,
        timer: Key,
    },
    /// For tokio's timer: no task of the loop is waiting. The slot is that of a task on a tokio
    /// runtime.
    Alarm {
        alarm: Pin<Box<TokioSleep>>,
        wait: Option<(TaskRef, SlotId)>,
    },
    Over,
}

impl StdFuture for Sleep {
    type Output = Result<()>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        current::with(|frame| {
            if let Some(frame) = frame
                && let Some(polled) = this.poll_turn(frame, cx)
            {
                return polled;
            }
            this.poll_anywhere(frame, cx)
        })
    }
}

impl Sleep {
    #[inline(never)]
    fn poll_anywhere(
        &mut self,
        frame: Option<&Frame>,
        cx: &mut PollContext<'_>,
    ) -> Poll<Result<()>> {
        if let Waiting::Over = self.state {
            return Poll::Ready(Err(over()));
        }
        match frame.map(|frame| (frame, frame.core(), frame.task())) {
            Some((frame, Some(core), Some(task))) => self.poll_on_loop(core, frame, task, cx),
            Some((frame, None, Some(task))) => self.poll_on_tokio(Some((frame, task)), cx),
            Some((_, _, None)) | None => self.poll_on_tokio(None, cx),
        }
    }

    /// The short way of a bare yield, and of the beginning of a sleep that is the task's only wait: on
    /// the loop of the task that polls it by itself. `None` where it is not that, with nothing done yet.
    #[inline]
    fn poll_turn(&mut self, frame: &Frame, cx: &PollContext<'_>) -> Option<Poll<Result<()>>> {
        let (core, task) = (frame.core()?, frame.task()?);
        match self.state {
            // A delay that is not a number is not this either.
            Waiting::No
                if self.delay.as_secs_f64() <= 0.0
                    && frame.is_home_of(task.cell())
                    && cell::is_own_waker(cx.waker(), task) =>
            {
                frame.delivery.begun.set(frame.delivery.begun.get() + 1);
                self.set_plain(Waiting::Turn {
                    turn: Some(core.turn.get()),
                });
                cell::schedule_here(core, task);
                Some(Poll::Pending)
            }
            Waiting::No
                if self.delay.as_secs_f64() > 0.0
                    && frame.is_home_of(task.cell())
                    && cell::is_own_waker(cx.waker(), task) =>
            {
                let slot = task.begin_bare()?;
                frame.delivery.begun.set(frame.delivery.begun.get() + 1);
                self.set_timer(core, task, slot);
                Some(Poll::Pending)
            }
            Waiting::Turn { turn: Some(turn) }
                if turn != core.turn.get() && !frame.delivery.thrown.get() =>
            {
                self.set_plain(Waiting::Over);
                Some(Poll::Ready(Ok(())))
            }
            _ => None,
        }
    }

    /// Waits for the loop's timer.
    fn set_timer(&mut self, core: &Core, task: &TaskRef, slot: SlotId) {
        let when = core.now() + self.delay.as_secs_f64();
        let action = TimerAction::Sleep(task.clone_here(), slot);
        let timer = core.timers.borrow_mut().insert(when, action);
        self.set_plain(Waiting::Timer {
            task: task.clone_here(),
            slot,
            timer,
        });
    }

    /// Goes from a state that holds nothing to another.
    #[inline(always)]
    fn set_plain(&mut self, state: Waiting) {
        let old = std::mem::replace(&mut self.state, state);
        debug_assert!(
            matches!(old, Waiting::No | Waiting::Turn { .. }),
            "something would be lost"
        );
        // There is nothing to drop; said so, because finding out takes longer than the rest.
        std::mem::forget(old);
    }

    fn poll_on_loop(
        &mut self,
        core: &Core,
        frame: &Frame,
        current: &TaskRef,
        cx: &mut PollContext<'_>,
    ) -> Poll<Result<()>> {
        match &self.state {
            Waiting::Turn { turn } if *turn == Some(core.turn.get()) => {
                // Polled again in the same iteration, as `FuturesUnordered` does.
                wake_in_next_turn(current, cx);
                Poll::Pending
            }
            Waiting::Turn { .. } => self.end_turn(frame, current),
            Waiting::Timer { task, slot, .. } if task == current => {
                let slot = *slot;
                match cell::watched_state(current, slot, cx) {
                    State::Pending => Poll::Pending,
                    State::Cancelled | State::Thrown => self.end_cancelled(current),
                    State::Woken | State::Free => self.end(Ok(())),
                }
            }
            _ => self.begin_on_loop(core, frame, current, cx),
        }
    }

    /// Begins, or goes on for what is left of the delay when it began elsewhere.
    fn begin_on_loop(
        &mut self,
        core: &Core,
        frame: &Frame,
        current: &TaskRef,
        cx: &mut PollContext<'_>,
    ) -> Poll<Result<()>> {
        let delay = match self.left() {
            Ok(delay) => delay,
            Err(error) => return self.end(Err(error.into())),
        };
        self.give_up();
        frame.delivery.begun.set(frame.delivery.begun.get() + 1);
        if delay <= 0.0 {
            self.state = Waiting::Turn {
                turn: Some(core.turn.get()),
            };
            wake_in_next_turn(current, cx);
            return Poll::Pending;
        }
        let foreign = !cell::is_task_waker(cx.waker(), current);
        let waker = foreign.then(|| cx.waker().clone());
        let slot = cell::begin(current, waker, None);
        let action = TimerAction::Sleep(current.clone(), slot);
        let timer = core.timers.borrow_mut().insert(core.now() + delay, action);
        self.state = Waiting::Timer {
            task: current.clone(),
            slot,
            timer,
        };
        Poll::Pending
    }

    fn poll_on_tokio(
        &mut self,
        current: Option<(&Frame, &TaskRef)>,
        cx: &mut PollContext<'_>,
    ) -> Poll<Result<()>> {
        match (&mut self.state, current) {
            (Waiting::Turn { .. }, Some((frame, task))) => return self.end_turn(frame, task),
            (Waiting::Turn { .. }, None) => return self.end(Ok(())),
            (Waiting::Alarm { alarm, wait: None }, None) => {
                return match alarm.as_mut().poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => self.end(Ok(())),
                };
            }
            (
                Waiting::Alarm {
                    alarm,
                    wait: Some((task, slot)),
                },
                Some((_, current)),
            ) if task == current => match cell::slot_state(current, *slot) {
                State::Cancelled | State::Thrown => return self.end_cancelled(current),
                _ if alarm.as_mut().poll(cx).is_ready() => return self.end(Ok(())),
                _ => match cell::watched_state(current, *slot, cx) {
                    State::Pending => return Poll::Pending,
                    State::Cancelled | State::Thrown => return self.end_cancelled(current),
                    State::Woken | State::Free => {}
                },
            },
            _ => {}
        }
        self.begin_on_tokio(current.map(|(_, task)| task), cx)
    }

    fn begin_on_tokio(
        &mut self,
        current: Option<&TaskRef>,
        cx: &mut PollContext<'_>,
    ) -> Poll<Result<()>> {
        let delay = match self.left() {
            Ok(delay) => delay,
            Err(error) => return self.end(Err(error.into())),
        };
        if tokio::runtime::Handle::try_current().is_err() {
            return self.end(Err(RuntimeError::new("no running event loop").into()));
        }
        self.give_up();
        cell::began();
        if delay <= 0.0 {
            self.state = Waiting::Turn { turn: None };
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let delay = Duration::try_from_secs_f64(delay)
            .unwrap_or(LONGEST)
            .min(LONGEST);
        let mut alarm = Box::pin(tokio::time::sleep(delay));
        if alarm.as_mut().poll(cx).is_ready() {
            return self.end(Ok(()));
        }
        let wait = current.map(|task| {
            let foreign = !cell::is_task_waker(cx.waker(), task);
            (
                task.clone(),
                cell::begin(task, foreign.then(|| cx.waker().clone()), None),
            )
        });
        self.state = Waiting::Alarm { alarm, wait };
        Poll::Pending
    }

    /// How much of the delay is still to come.
    fn left(&self) -> Result<f64, ValueError> {
        match &self.state {
            Waiting::Alarm { alarm, .. } => {
                let left = alarm.deadline().checked_duration_since(Instant::now());
                Ok(left.unwrap_or_default().as_secs_f64())
            }
            Waiting::Timer { task, timer, .. } => {
                // A loop of another thread does not tell: then the whole delay is waited again.
                let Some(core) = task.cell().home().core() else {
                    return self.delay.checked();
                };
                let when = core.timers.borrow().when(*timer);
                Ok(when.map_or(0.0, |when| when - core.now()))
            }
            _ => self.delay.checked(),
        }
    }

    #[inline]
    fn end_turn(&mut self, frame: &Frame, current: &TaskRef) -> Poll<Result<()>> {
        if !frame.delivery.thrown.get() {
            self.state = Waiting::Over;
            return Poll::Ready(Ok(()));
        }
        cell::take_delivery(current);
        let error = CancelledError::from_message(frame.delivery.message());
        self.end(Err(error.into()))
    }

    fn end_cancelled(&mut self, current: &TaskRef) -> Poll<Result<()>> {
        let message = self.give_up();
        cell::take_delivery(current);
        self.end(Err(CancelledError::from_message(message).into()))
    }

    fn end(&mut self, result: Result<()>) -> Poll<Result<()>> {
        self.give_up();
        self.state = Waiting::Over;
        Poll::Ready(result)
    }

    /// Leaves the slot and the timer; the message that a cancellation left in the slot.
    #[inline]
    fn give_up(&mut self) -> Message {
        if let Waiting::No | Waiting::Turn { .. } | Waiting::Over = self.state {
            return None;
        }
        self.leave()
    }

    #[inline(never)]
    fn leave(&mut self) -> Message {
        match std::mem::replace(&mut self.state, Waiting::No) {
            Waiting::Timer { task, slot, timer } => {
                if let Some(core) = task.cell().home().core() {
                    let action = core.timers.borrow_mut().cancel(timer);
                    if let Some(TimerAction::Sleep(task, _)) = action {
                        task.into_cell().drop_here();
                    }
                    let message = if task.end_bare(slot) {
                        None
                    } else {
                        cell::end(&task, slot)
                    };
                    task.into_cell().drop_here();
                    return message;
                }
                let cancel = move |core: &Core| {
                    let action = core.timers.borrow_mut().cancel(timer);
                    drop(action);
                };
                // A closed loop has no timers any more.
                let _ = task.cell().home().post(Mail::Run(Box::new(cancel)));
                cell::end_anywhere(task, slot);
                None
            }
            Waiting::Alarm {
                wait: Some((task, slot)),
                ..
            } => cell::end(&task, slot),
            _ => None,
        }
    }
}

impl Drop for Sleep {
    #[inline]
    fn drop(&mut self) {
        self.give_up();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("delay", &self.delay)
            .finish_non_exhaustive()
    }
}

/// The longest that tokio's timer is asked for, about 30 years.
const LONGEST: Duration = Duration::from_secs(1_000_000_000);

fn wake_in_next_turn(task: &TaskRef, cx: &PollContext<'_>) {
    if cell::is_task_waker(cx.waker(), task) {
        cell::schedule(task);
    } else {
        cx.waker().wake_by_ref();
    }
}

fn over() -> Exception {
    RuntimeError::new("a sleep was polled after it was over").into()
}
