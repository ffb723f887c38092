//! `scope`: tasks that borrow from the function around them.

use std::fmt;
use std::future::{Future as StdFuture, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as PollContext, Poll, Wake, Waker};

use crate::cell::{self, TaskRef};
use crate::exceptions::{Exception, InvalidStateError, Result, RuntimeError};
use crate::taskgroups::TaskGroup;
use crate::tasks::{Task, TaskBuilder, TaskHandle};

/// Runs a function with a group of tasks that may borrow from outside of it: they are polled within the
/// task that calls, one after the other, so that they never run in parallel, not even on a runtime with
/// many threads, and their turns are the scope's and not those of CPython's loop. In all else it is a
/// [`task_group`](crate::task_group): each task has a name and a cancellation of its own, the first
/// failure cancels all others, and no task outlives the call.
///
/// ```
/// use asyncio_core::{Result, run, scope, sleep};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let words = vec!["one".to_owned(), "two".to_owned()];
///     let total = scope(async |tasks| {
///         let lengths: Vec<_> = words
///             .iter()
///             .map(|word| {
///                 tasks.spawn(async move {
///                     sleep(0.001).await?;
///                     Ok(word.len())
///                 })
///             })
///             .collect();
///         let mut total = 0;
///         for length in lengths {
///             total += length.await?;
///         }
///         Ok(total)
///     })
///     .await?;
///     assert_eq!(total, 6);
///     assert_eq!(words.len(), 2);
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// As of [`task_group`](crate::task_group).
///
/// # Cancel safety
///
/// As of [`task_group`](crate::task_group). Dropping the scope drops its tasks at once.
pub async fn scope<'env, T, F, Fut>(body: F) -> Result<T>
where
    F: FnOnce(BorrowScope<'env>) -> Fut,
    Fut: StdFuture<Output = Result<T>>,
{
    let group = TaskGroup::enter()?;
    let shared = Arc::new(Shared {
        nursery: Mutex::default(),
        parent: Arc::default(),
    });
    // The tasks may hold the scope, which holds them.
    let nursery = Nursery(Arc::clone(&shared));
    let handle = BorrowScope {
        group: group.clone(),
        shared,
    };
    let mut main = pin!(group.run(async move { body(handle).await }));
    poll_fn(|cx| {
        nursery.0.parent.set(cx.waker());
        nursery.0.poll_children();
        main.as_mut().poll(cx)
    })
    .await
}

/// A scope that is open; see [`scope`]. Clones are the same scope.
#[derive(Clone)]
pub struct BorrowScope<'env> {
    group: TaskGroup,
    shared: Arc<Shared<'env>>,
}

impl<'env> BorrowScope<'env> {
    /// Starts a task that may borrow from outside of the scope.
    ///
    /// When the scope is finished or shutting down the future is dropped, and awaiting the task gives a
    /// [`RuntimeError`]; see [`try_spawn`](Self::try_spawn).
    #[track_caller]
    pub fn spawn<T, F>(&self, future: F) -> ScopedTask<T>
    where
        F: StdFuture<Output = Result<T>> + Send + 'env,
        T: Send + 'env,
    {
        self.try_spawn(future).unwrap_or_else(|error| ScopedTask {
            task: Task::failed(error.into()),
            value: Arc::default(),
        })
    }

    /// As [`spawn`](Self::spawn), but where no task can be started the error is returned at once.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] when the scope is finished or shutting down.
    #[track_caller]
    pub fn try_spawn<T, F>(&self, future: F) -> Result<ScopedTask<T>, RuntimeError>
    where
        F: StdFuture<Output = Result<T>> + Send + 'env,
        T: Send + 'env,
    {
        let place = self.group.place()?;
        let ended = Arc::new(Mutex::new(None));
        let task = TaskBuilder::at(Location::caller()).start_scoped(Remote(Arc::clone(&ended)));
        let value = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&value);
        let future = Box::pin(async move {
            let value = future.await?;
            *lock(&kept) = Some(value);
            Ok(())
        });
        if let Some(child) = task.typed().as_task() {
            let flag = Arc::new(Flag {
                ready: AtomicBool::new(false),
                parent: Arc::clone(&self.shared.parent),
            });
            let waker = Waker::from(Arc::clone(&flag));
            self.shared.lock().push(Child {
                task: child.clone(),
                future,
                ended,
                flag,
                waker: waker.clone(),
            });
            waker.wake();
            place.adopt(child);
        }
        Ok(ScopedTask { task, value })
    }

    /// Cancels the tasks and the function; see [`TaskGroup::cancel`].
    pub fn cancel(&self) {
        self.group.cancel();
    }
}

impl fmt::Debug for BorrowScope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Scope {:?}>", self.group)
    }
}

/// A task of a [`scope`]; awaiting it gives its value.
#[must_use = "the task runs on, but its value is lost"]
pub struct ScopedTask<T> {
    task: Task<()>,
    value: Arc<Mutex<Option<T>>>,
}

impl<T> ScopedTask<T> {
    /// Asks the task to end; see [`Task::cancel`].
    pub fn cancel(&self) -> bool {
        self.task.cancel()
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn done(&self) -> bool {
        self.task.done()
    }

    /// Whether the task ended by being cancelled.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.task.cancelled()
    }

    /// The untyped handle, as [`current_task`](crate::current_task) returns it inside the task; `None`
    /// for a task that never was one.
    #[must_use]
    pub fn handle(&self) -> Option<TaskHandle> {
        self.task.handle()
    }
}

impl<T> StdFuture for ScopedTask<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.task).poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                let value = lock(&self.value).take();
                Poll::Ready(
                    value.ok_or_else(|| {
                        InvalidStateError::new("the result was already taken").into()
                    }),
                )
            }
        }
    }
}

impl<T> fmt::Debug for ScopedTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.task, f)
    }
}

/// What the cell of a scope's task holds instead of its future: ready when that is.
struct Remote(Arc<Mutex<Option<Result<()>>>>);

impl StdFuture for Remote {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, _: &mut PollContext<'_>) -> Poll<Self::Output> {
        let ended = lock(&self.0).take();
        ended.map_or(Poll::Pending, Poll::Ready)
    }
}

struct Shared<'env> {
    nursery: Mutex<Vec<Child<'env>>>,
    parent: Arc<Parent>,
}

/// A task that is not done, with its future.
struct Child<'env> {
    task: TaskRef,
    future: Pin<Box<dyn StdFuture<Output = Result<()>> + Send + 'env>>,
    ended: Arc<Mutex<Option<Result<()>>>>,
    flag: Arc<Flag>,
    waker: Waker,
}

impl<'env> Shared<'env> {
    fn lock(&self) -> MutexGuard<'_, Vec<Child<'env>>> {
        lock(&self.nursery)
    }

    /// Polls each task once that has been woken.
    fn poll_children(&self) {
        // Taken out meanwhile: they may start others.
        let children = std::mem::take(&mut *self.lock());
        let mut left = Vec::with_capacity(children.len());
        for mut child in children {
            // AcqRel: whoever woke it did what it woke for before.
            if !child.flag.ready.swap(false, Ordering::AcqRel) || !child.step() {
                left.push(child);
            }
        }
        let mut nursery = self.lock();
        left.append(&mut nursery);
        *nursery = left;
    }
}

impl Child<'_> {
    /// Runs the task's next step; whether it has ended.
    fn step(&mut self) -> bool {
        let (future, ended) = (&mut self.future, &self.ended);
        cell::step_scoped(&self.task, &self.waker, |cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
            let result = match polled {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(result)) => result,
                Err(panic) => Err(Exception::from_panic(panic)),
            };
            *lock(ended) = Some(result);
            Poll::Ready(())
        })
    }
}

/// Drops the tasks with the scope: each may hold the scope itself.
struct Nursery<'env>(Arc<Shared<'env>>);

impl Drop for Nursery<'_> {
    fn drop(&mut self) {
        let children = std::mem::take(&mut *self.0.lock());
        drop(children);
    }
}

/// Who polls the scope.
#[derive(Default)]
struct Parent(Mutex<Option<Waker>>);

impl Parent {
    fn set(&self, waker: &Waker) {
        let old = {
            let mut known = lock(&self.0);
            if known.as_ref().is_some_and(|known| known.will_wake(waker)) {
                return;
            }
            known.replace(waker.clone())
        };
        drop(old);
    }
}

/// Wakes one task: notes which, and wakes who polls the scope.
struct Flag {
    ready: AtomicBool,
    parent: Arc<Parent>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release, with the swap in `poll_children`.
        self.ready.store(true, Ordering::Release);
        let waker = lock(&self.parent.0).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
