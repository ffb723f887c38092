//! A timer that releases a waiter: the loop's where a task of the loop waits, else tokio's.

use std::pin::Pin;
use std::task::{Context as PollContext, Poll};
use std::time::Duration;

use tokio::time::Sleep as TokioSleep;

use crate::cell::{TaskRef, Wakeup};
use crate::exceptions::{Result, RuntimeError};
use crate::loop_cell::{Core, Mail};
use crate::ready::TimerAction;
use crate::slab::Key;

/// A timer, to be stopped when it is not wanted any more.
pub(crate) enum Alarm {
    None,
    Loop { task: TaskRef, timer: Key },
    Tokio(Pin<Box<TokioSleep>>),
}

impl Alarm {
    /// A timer that wakes a waiter which has just begun to wait.
    pub(crate) fn start(delay: f64, wakeup: &Wakeup) -> Result<Self, RuntimeError> {
        if let Some((task, slot)) = wakeup.slot()
            && let Some(core) = task.cell().home().core()
        {
            let action = TimerAction::Sleep(task.clone(), slot);
            let timer = core.timers.borrow_mut().insert(core.now() + delay, action);
            return Ok(Self::Loop {
                task: task.clone(),
                timer,
            });
        }
        Ok(Self::Tokio(tokio_sleep(delay)?))
    }

    /// Whether tokio's timer is due; the loop's wakes by itself.
    pub(crate) fn poll(&mut self, cx: &mut PollContext<'_>) -> Poll<()> {
        match self {
            Self::Tokio(alarm) => alarm.as_mut().poll(cx),
            Self::None | Self::Loop { .. } => Poll::Pending,
        }
    }

    /// Takes the timer back.
    pub(crate) fn stop(&mut self) {
        if let Self::Loop { task, timer } = self {
            cancel_timer(task, *timer);
        }
        *self = Self::None;
    }
}

/// Takes a timer of a task's loop back, from whichever thread.
fn cancel_timer(task: &TaskRef, timer: Key) {
    let cancel = move |core: &Core| {
        let action = core.timers.borrow_mut().cancel(timer);
        drop(action);
    };
    match task.cell().home().core() {
        Some(core) => cancel(core),
        None => {
            // A closed loop has no timers any more.
            let _ = task.cell().home().post(Mail::Run(Box::new(cancel)));
        }
    }
}

/// tokio's timer, where a tokio runtime is there for it.
pub(crate) fn tokio_sleep(delay: f64) -> Result<Pin<Box<TokioSleep>>, RuntimeError> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(RuntimeError::new("no running event loop"));
    }
    Ok(Box::pin(tokio::time::sleep(tokio_delay(delay))))
}

/// A delay as tokio takes it.
pub(crate) fn tokio_delay(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0))
        .unwrap_or(LONGEST)
        .min(LONGEST)
}

/// The longest that tokio's timer is asked for, about 30 years.
const LONGEST: Duration = Duration::from_secs(1_000_000_000);
