//! `wait`: several futures, until some or all of them are done.

use std::collections::HashSet;
use std::fmt;
use std::future::Future as StdFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as PollContext, Poll};

use super::alarm::Alarm;
use super::child::Waitable;
use crate::cell::{self, CANCELLED, Callback, CellRef, Token, Waiter, Wakeup, Watcher};
use crate::exceptions::{Result, ValueError};
use crate::time::Delay;

/// When [`wait`] returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReturnWhen {
    /// Once one of them is done.
    FirstCompleted,
    /// Once one of them has failed, or all are done; being cancelled is not failing.
    FirstException,
    /// Once all of them are done.
    #[default]
    AllCompleted,
}

/// [`ReturnWhen::FirstCompleted`] under its name in asyncio.
pub const FIRST_COMPLETED: ReturnWhen = ReturnWhen::FirstCompleted;
/// [`ReturnWhen::FirstException`] under its name in asyncio.
pub const FIRST_EXCEPTION: ReturnWhen = ReturnWhen::FirstException;
/// [`ReturnWhen::AllCompleted`] under its name in asyncio.
pub const ALL_COMPLETED: ReturnWhen = ReturnWhen::AllCompleted;

/// Waits for tasks and futures (`asyncio.wait`) and says which are done and which are not, each in the
/// order in which they were given.
///
/// Nothing is cancelled, and no exception of theirs is raised: ask the ones that are done. A timeout
/// is no error either; what is not done by then is pending.
///
/// ```
/// use asyncio_core::{FIRST_COMPLETED, Result, create_task, run, sleep, wait};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let fast = create_task(async { Ok("fast") });
///     let slow = create_task(async {
///         sleep(3600).await?;
///         Ok("slow")
///     });
///     let (done, pending) = wait([fast, slow]).return_when(FIRST_COMPLETED).timeout(1).await?;
///     assert_eq!((done.len(), pending.len()), (1, 1));
///     assert_eq!(done[0].result()?, "fast");
///     pending[0].cancel();
///     Ok(())
/// })
/// # }
/// ```
///
/// Tasks with values of different types are waited for by their [handles](crate::TaskHandle):
///
/// ```
/// # use asyncio_core::{Result, create_task, run, wait};
/// # fn main() -> Result<()> {
/// # run(async {
/// let number = create_task(async { Ok(1) });
/// let text = create_task(async { Ok("one") });
/// wait([number.handle(), text.handle()].into_iter().flatten()).await?;
/// assert!(number.done() && text.done());
/// # Ok(())
/// # })
/// # }
/// ```
///
/// # Errors
///
/// [`ValueError`] when nothing is given and when the timeout is not a number;
/// [`CancelledError`](crate::CancelledError) when the task is cancelled meanwhile.
///
/// # Cancel safety
///
/// The tasks run on when the wait is cancelled or dropped.
pub fn wait<I>(tasks: I) -> Wait<I::Item>
where
    I: IntoIterator,
    I::Item: Waitable,
{
    Wait {
        tasks: tasks.into_iter().collect(),
        timeout: None,
        return_when: ReturnWhen::default(),
        waiter: Waiter::new(),
        watch: None,
        alarm: Alarm::None,
    }
}

/// The future of [`wait`]; what it waits for may be set until it is awaited.
#[must_use = "a wait does nothing until it is awaited"]
pub struct Wait<W> {
    tasks: Vec<W>,
    timeout: Option<Delay>,
    return_when: ReturnWhen,
    waiter: Waiter,
    /// Our callbacks, while waiting.
    watch: Option<Vec<(CellRef, Token)>>,
    alarm: Alarm,
}

impl<W> Wait<W> {
    /// How long to wait at the most.
    pub fn timeout(mut self, timeout: impl Into<Delay>) -> Self {
        self.timeout = Some(timeout.into());
        self
    }

    /// When to return; by default once all are done.
    pub const fn return_when(mut self, return_when: ReturnWhen) -> Self {
        self.return_when = return_when;
        self
    }

    /// Takes the callbacks and the timer back.
    fn leave(&mut self) {
        self.alarm.stop();
        self.waiter.give_up();
        for (child, token) in self.watch.take().into_iter().flatten() {
            cell::remove_callback(&child, token);
        }
    }
}

impl<W: Waitable> Wait<W> {
    fn begin(&mut self, cx: &PollContext<'_>) -> Result<()> {
        if self.tasks.is_empty() {
            return Err(ValueError::new("Set of Tasks/Futures is empty.").into());
        }
        let timeout = self.timeout.map(Delay::checked).transpose()?;
        let mut seen = HashSet::new();
        if self.tasks.len() > 1 {
            self.tasks
                .retain(|task| seen.insert(task.child().0.address()));
        }
        let wakeup = self.waiter.begin(cx);
        if let Some(timeout) = timeout {
            self.alarm = Alarm::start(timeout, &wakeup)?;
        }
        let released = Arc::new(Released {
            return_when: self.return_when,
            left: AtomicUsize::new(self.tasks.len()),
            wakeup,
        });
        let add = |task: &W| {
            let child = task.child().0.clone();
            let watcher = Arc::clone(&released);
            let token = cell::add_callback(&child, Callback::Watch(watcher, 0));
            (child, token)
        };
        self.watch = Some(self.tasks.iter().map(add).collect());
        Ok(())
    }
}

// Nothing in it is pinned: the tasks are handles.
impl<W> Unpin for Wait<W> {}

impl<W: Waitable> StdFuture for Wait<W> {
    type Output = Result<(Vec<W>, Vec<W>)>;

    fn poll(self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let begins = this.watch.is_none();
        if begins && let Err(error) = this.begin(cx) {
            this.leave();
            return Poll::Ready(Err(error));
        }
        let is_due = this.alarm.poll(cx).is_ready();
        if begins {
            // Whatever became of the wait by now comes with the task's next step.
            if is_due {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        match this.waiter.poll(cx) {
            Poll::Pending if !is_due => return Poll::Pending,
            // A request is raised also when the time is over.
            Poll::Ready(Err(cancelled)) => {
                this.leave();
                return Poll::Ready(Err(cancelled.into()));
            }
            Poll::Pending | Poll::Ready(Ok(())) => {}
        }
        this.leave();
        let tasks = std::mem::take(&mut this.tasks);
        Poll::Ready(Ok(tasks
            .into_iter()
            .partition(|task| task.child().0.is_done())))
    }
}

impl<W> Drop for Wait<W> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<W> fmt::Debug for Wait<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("tasks", &self.tasks.len())
            .field("timeout", &self.timeout)
            .field("return_when", &self.return_when)
            .finish_non_exhaustive()
    }
}

/// Counts the tasks that are done, and releases the waiter (`_on_completion`).
struct Released {
    return_when: ReturnWhen,
    left: AtomicUsize,
    wakeup: Wakeup,
}

impl Watcher for Released {
    fn done(&self, child: &CellRef, _: u32) {
        // AcqRel: the one that counts to zero wakes somebody who looks at all of them.
        let left = self.left.fetch_sub(1, Ordering::AcqRel) - 1;
        let release = match self.return_when {
            _ if left == 0 => true,
            ReturnWhen::FirstCompleted => true,
            ReturnWhen::FirstException => {
                !child.has(CANCELLED) && matches!(cell::error(child), Ok(Some(_)))
            }
            ReturnWhen::AllCompleted => false,
        };
        if release {
            self.wakeup.wake();
        }
    }
}

/// Cancels something and waits until it is done, however long that takes (`_cancel_and_wait`).
pub(super) async fn cancel_and_wait(task: &impl Waitable) -> Result<()> {
    let mut waited = CancelAndWait {
        child: task.child().0.clone(),
        waiter: Waiter::new(),
        token: None,
    };
    std::future::poll_fn(|cx| waited.poll(cx)).await
}

struct CancelAndWait {
    child: CellRef,
    waiter: Waiter,
    token: Option<Token>,
}

impl CancelAndWait {
    fn poll(&mut self, cx: &PollContext<'_>) -> Poll<Result<()>> {
        if self.token.is_none() {
            // Before there is a wait of ours: it may be the very task that runs here.
            cell::cancel(&self.child, &None);
            let released = Arc::new(Released {
                return_when: ReturnWhen::AllCompleted,
                left: AtomicUsize::new(1),
                wakeup: self.waiter.begin(cx),
            });
            let token = cell::add_callback(&self.child, Callback::Watch(released, 0));
            self.token = Some(token);
            return Poll::Pending;
        }
        self.waiter.poll(cx).map_err(Into::into)
    }
}

impl Drop for CancelAndWait {
    fn drop(&mut self) {
        if let Some(token) = self.token {
            cell::remove_callback(&self.child, token);
        }
    }
}
