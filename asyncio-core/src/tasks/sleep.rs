//! `sleep` (`asyncio/tasks.py`), and the bare yield it is for a delay of zero.

use std::fmt;
use std::future::Future as StdFuture;
use std::pin::Pin;
use std::task::{Context as PollContext, Poll};

use crate::cell::{self, SlotId, State, TaskRef};
use crate::current::{self, Frame};
use crate::exceptions::{CancelledError, Exception, Result, RuntimeError};
use crate::loop_cell::{Core, Mail};
use crate::ready::TimerAction;
use crate::slab::Key;
use crate::time::{Delay, RESOLUTION};

/// Waits for a while (`asyncio.sleep`).
///
/// A delay of zero or less gives every other task that is ready its turn, and goes on in the next
/// iteration.
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
        turn: u64,
    },
    /// For a timer, in a slot of a task.
    Timer {
        task: TaskRef,
        slot: SlotId,
        timer: Key,
    },
    /// For a time, polled by something that is no task of ours.
    Outside {
        when: f64,
        yielded: bool,
    },
    Over,
}

impl StdFuture for Sleep {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        current::with(|frame| {
            let Some((frame, core)) = frame.and_then(|frame| Some((frame, frame.core()?))) else {
                return this.end(Err(RuntimeError::new("no running event loop").into()));
            };
            match frame.task() {
                Some(task) => this.poll_in_task(core, frame, task, cx),
                None => this.poll_outside(core, cx),
            }
        })
    }
}

impl Sleep {
    fn poll_in_task(
        &mut self,
        core: &Core,
        frame: &Frame,
        current: &TaskRef,
        cx: &mut PollContext<'_>,
    ) -> Poll<Result<()>> {
        match &self.state {
            Waiting::No => self.begin(core, current, cx),
            Waiting::Turn { turn } if *turn == core.turn.get() => {
                // Polled again in the same iteration, as `FuturesUnordered` does.
                wake_in_next_turn(current, cx);
                Poll::Pending
            }
            Waiting::Turn { .. } => {
                if frame.delivery.thrown.get() {
                    cell::take_delivery(current);
                    let error = CancelledError::from_message(frame.delivery.message());
                    return self.end(Err(error.into()));
                }
                self.end(Ok(()))
            }
            Waiting::Timer { task, slot, .. } if task == current => {
                let slot = *slot;
                match current.with_waits(|waits| waits.state(slot)) {
                    State::Pending => {
                        if !cell::refresh_waker(current, slot, cx) {
                            return self.begin_again(core, current, cx);
                        }
                        Poll::Pending
                    }
                    State::Cancelled | State::Thrown => {
                        let message = self.give_up();
                        cell::take_delivery(current);
                        self.end(Err(CancelledError::from_message(message).into()))
                    }
                    State::Woken | State::Free => self.end(Ok(())),
                }
            }
            Waiting::Timer { .. } | Waiting::Outside { .. } => self.begin_again(core, current, cx),
            Waiting::Over => Poll::Ready(Err(over())),
        }
    }

    /// It began elsewhere and was brought here: it goes on for what is left of it.
    fn begin_again(
        &mut self,
        core: &Core,
        current: &TaskRef,
        cx: &mut PollContext<'_>,
    ) -> Poll<Result<()>> {
        let left = self.left(core);
        self.give_up();
        self.delay = Delay::from(left);
        self.begin(core, current, cx)
    }

    fn begin(
        &mut self,
        core: &Core,
        current: &TaskRef,
        cx: &mut PollContext<'_>,
    ) -> Poll<Result<()>> {
        let delay = match self.delay.checked() {
            Ok(delay) => delay,
            Err(error) => return self.end(Err(error.into())),
        };
        cell::began();
        if delay <= 0.0 {
            self.state = Waiting::Turn {
                turn: core.turn.get(),
            };
            wake_in_next_turn(current, cx);
            return Poll::Pending;
        }
        let foreign = !cell::is_task_waker(cx.waker(), current);
        let waker = foreign.then(|| cx.waker().clone());
        let slot = current.with_waits(|waits| waits.begin(waker, None));
        let action = TimerAction::Sleep(current.clone(), slot);
        let timer = core.timers.borrow_mut().insert(core.now() + delay, action);
        self.state = Waiting::Timer {
            task: current.clone(),
            slot,
            timer,
        };
        Poll::Pending
    }

    fn poll_outside(&mut self, core: &Core, cx: &mut PollContext<'_>) -> Poll<Result<()>> {
        if let Waiting::Over = self.state {
            return Poll::Ready(Err(over()));
        }
        if let Waiting::No | Waiting::Turn { .. } | Waiting::Timer { .. } = self.state {
            let left = match self.state {
                Waiting::Timer { .. } => self.left(core),
                _ => match self.delay.checked() {
                    Ok(delay) => delay,
                    Err(error) => return self.end(Err(error.into())),
                },
            };
            self.give_up();
            self.state = Waiting::Outside {
                when: core.now() + left.max(0.0),
                yielded: false,
            };
        }
        if let Waiting::Outside { when, yielded } = &mut self.state {
            if *yielded && *when < core.now() + RESOLUTION {
                return self.end(Ok(()));
            }
            *yielded = true;
            // A poll before the time adds another timer; each wakes whoever polled last time.
            let action = TimerAction::Wake(cx.waker().clone());
            core.timers.borrow_mut().insert(*when, action);
            if !core.polling.get() {
                core.kick();
            }
        }
        Poll::Pending
    }

    /// How much of the delay is still to come.
    fn left(&self, core: &Core) -> f64 {
        match &self.state {
            Waiting::Outside { when, .. } => when - core.now(),
            Waiting::Timer { timer, .. } => core
                .timers
                .borrow()
                .when(*timer)
                .map_or(0.0, |when| when - core.now()),
            _ => self.delay.as_secs_f64(),
        }
    }

    fn end(&mut self, result: Result<()>) -> Poll<Result<()>> {
        self.give_up();
        self.state = Waiting::Over;
        Poll::Ready(result)
    }

    /// Leaves the slot and the timer; the message that a cancellation left in the slot.
    fn give_up(&mut self) -> crate::exceptions::Message {
        if !matches!(self.state, Waiting::Timer { .. }) {
            return None;
        }
        match std::mem::replace(&mut self.state, Waiting::No) {
            Waiting::Timer { task, slot, timer } => {
                let home = task.cell().clone();
                if let Some(core) = home.home().core() {
                    let action = core.timers.borrow_mut().cancel(timer);
                    drop(action);
                    return cell::end(&task, slot);
                }
                let cancel = move |core: &Core| {
                    let action = core.timers.borrow_mut().cancel(timer);
                    drop(action);
                };
                // A closed loop has no timers any more.
                let _ = home.home().post(Mail::Run(Box::new(cancel)));
                cell::end_anywhere(task, slot);
                None
            }
            _ => None,
        }
    }
}

impl Drop for Sleep {
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
