//! A call of a connection's thread, as a future.

use std::any::Any;
use std::future::Future as StdFuture;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as PollContext, Poll};

use asyncio_core::waiting::{Mutex, Waiter, Wakeup};
use asyncio_core::{ClockHold, Result, get_running_loop};

use super::desk::Desk;
use super::error::SqliteError;
use super::worker::{Job, Queue, Stop};

/// A function that the thread of a connection runs, and what becomes of it.
///
/// It is handed over by the first poll. When it is cancelled, or dropped, the function never begins; if it
/// has begun, it is asked to stop, and its result is dropped on the thread.
pub(super) struct Call<T> {
    queue: Arc<Queue>,
    reply: Arc<Reply<T>>,
    waiter: Waiter,
    /// While the call is awaited a virtual clock does not jump.
    hold: Option<ClockHold>,
    stage: Stage,
}

enum Stage {
    New(Job),
    /// Handed over, with this number.
    Sent(u64),
    Over,
}

/// What both sides know of a call.
pub(super) struct Reply<T> {
    stop: AtomicBool,
    state: Mutex<State<T>>,
}

struct State<T> {
    outcome: Outcome<T>,
    waiting: Wakeup,
}

enum Outcome<T> {
    Pending,
    Done(Ended<T>),
    /// Nobody waits any more, or the outcome was taken.
    Gone,
}

/// A result, or a panic.
type Ended<T> = Result<Result<T, SqliteError>, Box<dyn Any + Send>>;

impl<T: Send + 'static> Call<T> {
    /// A call of a function.
    pub(super) fn new<F>(queue: &Arc<Queue>, function: F) -> Self
    where
        F: FnOnce(&mut Desk<'_>) -> Result<T, SqliteError> + Send + 'static,
    {
        let reply = Reply::new();
        let answer = Answer(Some(Arc::clone(&reply)));
        let run = move |desk: &mut Desk<'_>| {
            let result = catch_unwind(AssertUnwindSafe(|| function(desk)));
            desk.look_around();
            answer.give(result);
        };
        Self::of(queue, reply, Box::new(run))
    }

    /// A call whose function ends the connection, or lends it: the answer is given when that is done.
    pub(super) fn leaving<F>(queue: &Arc<Queue>, function: F) -> Self
    where
        F: FnOnce(&mut Desk<'_>, Answer<T>) + Send + 'static,
    {
        let reply = Reply::new();
        let answer = Answer(Some(Arc::clone(&reply)));
        Self::of(
            queue,
            reply,
            Box::new(move |desk: &mut Desk<'_>| function(desk, answer)),
        )
    }

    fn of(
        queue: &Arc<Queue>,
        reply: Arc<Reply<T>>,
        run: Box<dyn for<'c> FnOnce(&mut Desk<'c>) + Send>,
    ) -> Self {
        Self {
            queue: Arc::clone(queue),
            stage: Stage::New(Job {
                stop: Arc::clone(&reply) as Arc<dyn Stop>,
                run,
            }),
            reply,
            waiter: Waiter::new(),
            hold: None,
        }
    }

    /// A call that somebody has handed over already.
    pub(super) fn sent(queue: &Arc<Queue>) -> (Self, Answer<T>) {
        let reply = Reply::new();
        let answer = Answer(Some(Arc::clone(&reply)));
        let call = Self {
            queue: Arc::clone(queue),
            reply,
            waiter: Waiter::new(),
            hold: None,
            stage: Stage::Sent(u64::MAX),
        };
        (call, answer)
    }

    /// What tells the function to stop.
    pub(super) fn stop_of(&self) -> Arc<dyn Stop> {
        Arc::clone(&self.reply) as Arc<dyn Stop>
    }
}

impl<T> Call<T> {
    fn leave(&mut self) {
        self.hold = None;
        if let Stage::Sent(number) = mem::replace(&mut self.stage, Stage::Over) {
            // Relaxed: the flag says all there is to say, and nothing is read because of it.
            self.reply.stop.store(true, Ordering::Relaxed);
            let outcome = mem::replace(&mut self.reply.state.lock().outcome, Outcome::Gone);
            // What is dropped here may hand over what gives back a transaction or a cursor.
            drop(outcome);
            self.queue.forget(number);
        }
    }
}

impl<T> StdFuture for Call<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.waiter.is_waiting() {
            match this.waiter.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(cancelled)) => {
                    this.leave();
                    return Poll::Ready(Err(cancelled.into()));
                }
                Poll::Ready(Ok(())) => {
                    if let Some(ended) = this.reply.take() {
                        this.hold = None;
                        this.stage = Stage::Over;
                        return Poll::Ready(match ended {
                            Ok(result) => result.map_err(Into::into),
                            Err(panic) => resume_unwind(panic),
                        });
                    }
                }
            }
        }
        if this.hold.is_none() {
            this.hold = get_running_loop().and_then(|it| it.hold_clock()).ok();
        }
        let wakeup = this.waiter.begin(cx);
        this.reply.wake(wakeup);
        match mem::replace(&mut this.stage, Stage::Over) {
            Stage::New(job) => match this.queue.push(job) {
                Ok(number) => this.stage = Stage::Sent(number),
                // Its answer says that the connection is closed.
                Err(job) => {
                    this.stage = Stage::Sent(u64::MAX);
                    drop(job);
                }
            },
            stage => this.stage = stage,
        }
        Poll::Pending
    }
}

// A call is not pinned to its place by anything: what it waits for is elsewhere.
impl<T> Unpin for Call<T> {}

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T> Reply<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            stop: AtomicBool::new(false),
            state: Mutex::new(State {
                outcome: Outcome::Pending,
                waiting: Wakeup::none(),
            }),
        })
    }

    fn take(&self) -> Option<Ended<T>> {
        let mut state = self.state.lock();
        match mem::replace(&mut state.outcome, Outcome::Gone) {
            Outcome::Done(ended) => Some(ended),
            other => {
                state.outcome = other;
                None
            }
        }
    }

    /// Says who waits; it is woken at once where the outcome is there.
    fn wake(&self, wakeup: Wakeup) {
        let mut state = self.state.lock();
        if matches!(state.outcome, Outcome::Pending) {
            let before = mem::replace(&mut state.waiting, wakeup);
            drop(state);
            drop(before);
        } else {
            drop(state);
            wakeup.wake();
        }
    }

    fn give(&self, ended: Ended<T>) {
        let mut state = self.state.lock();
        if !matches!(state.outcome, Outcome::Pending) {
            drop(state);
            // Nobody wants it; what it owns is given back by its drop.
            drop(ended);
            return;
        }
        state.outcome = Outcome::Done(ended);
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        waiting.wake();
    }
}

impl<T: Send> Stop for Reply<T> {
    fn stop(&self) {
        // Relaxed: as in `Call::leave`.
        self.stop.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        // Relaxed: to be late by a moment is to stop a moment later.
        self.stop.load(Ordering::Relaxed)
    }
}

/// The obligation to answer a call; what drops it answers that the connection is closed.
pub(super) struct Answer<T>(Option<Arc<Reply<T>>>);

impl<T> Answer<T> {
    pub(super) fn give(mut self, ended: Ended<T>) {
        if let Some(reply) = self.0.take() {
            reply.give(ended);
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if let Some(reply) = self.0.take() {
            reply.give(Ok(Err(SqliteError::closed())));
        }
    }
}
