//! `as_completed`: several futures, in the order in which they are done.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future as StdFuture, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as PollContext, Poll};
use std::time::Instant;

use futures_core::Stream;
use tokio::time::Sleep as TokioSleep;

use super::alarm::{tokio_delay, tokio_sleep};
use super::ensure::Spawner;
use super::task::Task;
use crate::cell::{self, Callback, CellRef, Token, Waiter, Wakeup, Watcher};
use crate::events::{TimerHandle, get_running_loop};
use crate::exceptions::{Result, TimeoutError};
use crate::time::Delay;

/// Runs several futures at once and hands them out as they are done (`asyncio.as_completed`).
///
/// In a `for` loop it gives one future for each of them at once; awaiting the first gives the result of
/// whatever is done first, and so on.
///
/// ```
/// use asyncio_core::{Result, as_completed, run, sleep};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let mut order = Vec::new();
///     for next in as_completed([30, 10, 20].map(|n| async move {
///         sleep(f64::from(n) / 10_000.0).await?;
///         Ok(n)
///     })) {
///         order.push(next.await?);
///     }
///     assert_eq!(order, [10, 20, 30]);
///     Ok(())
/// })
/// # }
/// ```
///
/// As a [`Stream`] it gives the tasks themselves, which tells which one it is:
///
/// ```
/// use asyncio_core::{Result, as_completed, create_task, run};
/// use futures::StreamExt;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let task = create_task(async { Ok(7) });
///     let mut done = as_completed([task.clone()]).timeout(1);
///     while let Some(next) = done.next().await {
///         let next = next?;
///         assert!(next.same_as(&task));
///         assert_eq!(next.await?, 7);
///     }
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// Each future ends with what its task ends with; with [`TimeoutError`] when the time is over first;
/// with [`CancelledError`](crate::CancelledError) when the task that awaits it is cancelled.
///
/// # Cancel safety
///
/// Nothing is cancelled, whatever becomes of the iterator and of its futures; the tasks run on. One
/// that was handed out to a future which is dropped before it could return it is lost with that.
///
/// # asyncio
///
/// Those that are done already are handed out in the order in which they were given.
#[track_caller]
pub fn as_completed<I, T>(futures: I) -> AsCompleted<T>
where
    I: IntoIterator,
    I::Item: IntoFuture<Output = Result<T>, IntoFuture: Send + 'static>,
    T: Send + 'static,
{
    let spawner = Spawner::new(true, Location::caller());
    let tasks = futures
        .into_iter()
        .map(|future| spawner.ensure(future.into_future()));
    AsCompleted::new(tasks.collect())
}

/// As [`as_completed`], for futures that must stay on this thread.
#[track_caller]
pub fn as_completed_local<I, T>(futures: I) -> AsCompleted<T>
where
    I: IntoIterator,
    I::Item: IntoFuture<Output = Result<T>, IntoFuture: 'static>,
    T: 'static,
{
    let spawner = Spawner::new(false, Location::caller());
    let tasks = futures
        .into_iter()
        .map(|future| spawner.ensure(future.into_future()));
    AsCompleted::new(tasks.collect())
}

/// What [`as_completed`] returns: a [`Stream`], and a plain iterator for a `for` loop.
///
/// A loop over `&mut` of it may be left and taken up again, also as a stream.
#[must_use = "the tasks run on, but nobody learns what became of them"]
pub struct AsCompleted<T: 'static> {
    shared: Arc<Shared<T>>,
    /// How many have not been handed out.
    left: usize,
    /// What the stream waits for.
    next: Option<NextTask<T>>,
}

/// The future of the next result; see [`as_completed`].
#[must_use = "futures do nothing until they are awaited"]
pub struct NextCompleted<T: 'static> {
    next: NextTask<T>,
    /// One of another thread's loop, from where its result is on its way.
    away: Option<Task<T>>,
}

impl<T: 'static> AsCompleted<T> {
    fn new(mut tasks: Vec<Task<T>>) -> Self {
        let mut seen = std::collections::HashSet::new();
        if tasks.len() > 1 {
            tasks.retain(|task| seen.insert(task.typed().cell().address()));
        }
        let left = tasks.len();
        let queue = Arc::new(Queue {
            state: Mutex::new(State {
                done: VecDeque::new(),
                todo: tasks.iter().map(|_| None).collect(),
                todo_left: left,
                getters: VecDeque::new(),
                getters_made: 0,
                timer: None,
                deadline: None,
            }),
        });
        for (number, task) in (0..).zip(&tasks) {
            let child = task.typed().cell().clone();
            let callback = Callback::Watch(Arc::clone(&queue) as Arc<dyn Watcher>, number);
            let token = cell::add_callback(&child, callback);
            queue.lock().todo[number as usize].get_or_insert((child, token));
        }
        Self {
            shared: Arc::new(Shared {
                tasks: Mutex::new(tasks.into_iter().map(Some).collect()),
                queue,
            }),
            left,
            next: None,
        }
    }

    /// How long to wait, from now on, for all of them together.
    ///
    /// A delay that is not a number counts as no time at all.
    pub fn timeout(self, timeout: impl Into<Delay>) -> Self {
        let seconds = timeout.into().as_secs_f64();
        let seconds = if seconds.is_nan() { 0.0 } else { seconds };
        let queue = &self.shared.queue;
        if queue.lock().todo_left == 0 {
            return self;
        }
        if let Ok(event_loop) = get_running_loop() {
            let late = Arc::clone(queue);
            let timer = event_loop.call_later(seconds, move || late.timed_out());
            let old = std::mem::replace(&mut queue.lock().timer, timer.ok());
            if let Some(old) = old {
                old.cancel();
            }
        } else {
            queue.lock().deadline = Some(Instant::now() + tokio_delay(seconds));
        }
        self
    }

    /// The next task that is done, as the [`Stream`] gives it; `None` after the last one.
    ///
    /// ```
    /// use asyncio_core::{Result, as_completed, run};
    ///
    /// # fn main() -> Result<()> {
    /// run(async {
    ///     let mut done = as_completed([async { Ok(1) }]);
    ///     while let Some(task) = done.next_task().await.transpose()? {
    ///         assert_eq!(task.await?, 1);
    ///     }
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`TimeoutError`] for each task that was not done in time;
    /// [`CancelledError`](crate::CancelledError) when the task that awaits is cancelled.
    pub async fn next_task(&mut self) -> Option<Result<Task<T>>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    fn hand_out(&mut self) -> Option<NextTask<T>> {
        self.left = self.left.checked_sub(1)?;
        Some(NextTask {
            shared: Arc::clone(&self.shared),
            waiter: Waiter::new(),
            getter: None,
            alarm: None,
        })
    }
}

impl<T: 'static> IntoIterator for AsCompleted<T> {
    type Item = NextCompleted<T>;
    type IntoIter = AsCompletedIter<Self>;

    fn into_iter(self) -> Self::IntoIter {
        AsCompletedIter(self)
    }
}

impl<T: 'static> IntoIterator for &mut AsCompleted<T> {
    type Item = NextCompleted<T>;
    type IntoIter = AsCompletedIter<Self>;

    fn into_iter(self) -> Self::IntoIter {
        AsCompletedIter(self)
    }
}

/// The plain iterator of [`AsCompleted`], which owns or borrows it.
#[derive(Debug)]
pub struct AsCompletedIter<A>(A);

impl<T: 'static> Iterator for AsCompletedIter<AsCompleted<T>> {
    type Item = NextCompleted<T>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.hand_out().map(NextCompleted::new)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left, Some(self.0.left))
    }
}

impl<T: 'static> ExactSizeIterator for AsCompletedIter<AsCompleted<T>> {}

impl<T: 'static> Iterator for AsCompletedIter<&mut AsCompleted<T>> {
    type Item = NextCompleted<T>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.hand_out().map(NextCompleted::new)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left, Some(self.0.left))
    }
}

impl<T: 'static> ExactSizeIterator for AsCompletedIter<&mut AsCompleted<T>> {}

impl<T: 'static> Stream for AsCompleted<T> {
    type Item = Result<Task<T>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.next.is_none() {
            this.next = this.hand_out();
        }
        let Some(next) = &mut this.next else {
            return Poll::Ready(None);
        };
        let polled = next.poll(cx);
        if polled.is_ready() {
            this.next = None;
        }
        polled.map(Some)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.left + usize::from(self.next.is_some());
        (left, Some(left))
    }
}

impl<T: 'static> StdFuture for NextCompleted<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if let Some(task) = &mut this.away {
                return Pin::new(task).poll(cx);
            }
            match this.next.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(task)) if task.typed().cell().is_reachable() => {
                    return Poll::Ready(task.typed().take_result());
                }
                Poll::Ready(Ok(task)) => this.away = Some(task),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<T: 'static> NextCompleted<T> {
    const fn new(next: NextTask<T>) -> Self {
        Self { next, away: None }
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for NextCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextCompleted").finish_non_exhaustive()
    }
}

struct Shared<T: 'static> {
    /// Each until it is handed out.
    tasks: Mutex<Vec<Option<Task<T>>>>,
    queue: Arc<Queue>,
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // Nobody is left who could be handed anything.
        self.queue.close();
    }
}

/// The queue of those that are done; `None` for each that was not done in time.
struct Queue {
    state: Mutex<State>,
}

struct State {
    done: VecDeque<Option<usize>>,
    /// Our callback at each that is not done.
    todo: Vec<Option<(CellRef, Token)>>,
    todo_left: usize,
    /// Who waits, with a number of its own.
    getters: VecDeque<(u64, Wakeup)>,
    getters_made: u64,
    timer: Option<TimerHandle>,
    /// Where there is no loop.
    deadline: Option<Instant>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a wake to the first who still waits (`Queue._wakeup_next`).
    fn wake_next(&self) {
        loop {
            let next = self.lock().getters.pop_front();
            match next {
                Some((_, wakeup)) if !wakeup.wake() => {}
                _ => return,
            }
        }
    }

    fn put(&self, item: Option<usize>) {
        self.lock().done.push_back(item);
        self.wake_next();
    }

    fn timed_out(&self) {
        let (todo, left) = {
            let mut state = self.lock();
            let left = std::mem::take(&mut state.todo_left);
            let todo: Vec<_> = state.todo.iter_mut().filter_map(Option::take).collect();
            (todo, left)
        };
        for (child, token) in todo {
            cell::remove_callback(&child, token);
        }
        for _ in 0..left {
            self.put(None);
        }
    }

    fn close(&self) {
        let (todo, timer) = {
            let mut state = self.lock();
            state.todo_left = 0;
            let todo: Vec<_> = state.todo.iter_mut().filter_map(Option::take).collect();
            (todo, state.timer.take())
        };
        for (child, token) in todo {
            cell::remove_callback(&child, token);
        }
        if let Some(timer) = timer {
            timer.cancel();
        }
    }
}

impl Watcher for Queue {
    fn done(&self, _: &CellRef, number: u32) {
        let (callback, timer) = {
            let mut state = self.lock();
            if state.todo_left == 0 {
                return;
            }
            state.todo_left -= 1;
            let callback = state.todo[number as usize].take();
            let all_done = state.todo_left == 0;
            (callback, all_done.then(|| state.timer.take()).flatten())
        };
        drop(callback);
        self.put(Some(number as usize));
        if let Some(timer) = timer {
            timer.cancel();
        }
    }
}

/// A place in the queue (`_wait_for_one`).
struct NextTask<T: 'static> {
    shared: Arc<Shared<T>>,
    waiter: Waiter,
    getter: Option<u64>,
    alarm: Option<Pin<Box<TokioSleep>>>,
}

impl<T: 'static> NextTask<T> {
    fn poll(&mut self, cx: &mut PollContext<'_>) -> Poll<Result<Task<T>>> {
        let queue = Arc::clone(&self.shared.queue);
        if let Err(error) = self.poll_deadline(&queue, cx) {
            return Poll::Ready(Err(error));
        }
        loop {
            if self.getter.is_some() {
                let woken = self.waiter.was_woken();
                match self.waiter.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) => self.getter = None,
                    Poll::Ready(Err(cancelled)) => {
                        self.leave(&queue, woken);
                        return Poll::Ready(Err(cancelled.into()));
                    }
                }
            }
            if let Some(item) = queue.lock().done.pop_front() {
                return Poll::Ready(self.hand_over(item));
            }
            let wakeup = self.waiter.begin(cx);
            let mut state = queue.lock();
            if !state.done.is_empty() {
                // On a tokio runtime: it came just now.
                drop(state);
                self.waiter.give_up();
                continue;
            }
            state.getters_made += 1;
            let number = state.getters_made;
            state.getters.push_back((number, wakeup));
            self.getter = Some(number);
        }
    }

    fn hand_over(&self, item: Option<usize>) -> Result<Task<T>> {
        let mut tasks = self
            .shared
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        item.and_then(|number| tasks[number].take())
            .ok_or_else(|| TimeoutError::new("the deadline passed").into())
    }

    /// Leaves the queue; a wake that was for us goes to the next one.
    fn leave(&mut self, queue: &Queue, woken: bool) {
        if let Some(number) = self.getter.take() {
            let items = {
                let mut state = queue.lock();
                state.getters.retain(|(getter, _)| *getter != number);
                !state.done.is_empty()
            };
            if woken && items {
                queue.wake_next();
            }
        }
    }

    fn poll_deadline(&mut self, queue: &Queue, cx: &mut PollContext<'_>) -> Result<()> {
        let deadline = queue.lock().deadline;
        let Some(deadline) = deadline else {
            return Ok(());
        };
        if self.alarm.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            self.alarm = Some(tokio_sleep(left.as_secs_f64())?);
        }
        if let Some(alarm) = &mut self.alarm
            && alarm.as_mut().poll(cx).is_ready()
        {
            queue.lock().deadline = None;
            queue.timed_out();
        }
        Ok(())
    }
}

impl<T> Drop for NextTask<T> {
    fn drop(&mut self) {
        let woken = self.waiter.give_up();
        let queue = Arc::clone(&self.shared.queue);
        self.leave(&queue, woken);
    }
}
