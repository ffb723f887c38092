//! `staggered_race`: several attempts, each begun a little later, until one succeeds
//! (`asyncio/staggered.py`).

use std::fmt;
use std::future::Future as StdFuture;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cell::Typed;
use crate::debug::Unpolled;
use crate::events::with_running;
use crate::exceptions::{Exception, Result};
use crate::futures::Future;
use crate::tasks::{Task, TaskBuilder, wait, wait_for};
use crate::time::MaybeDelay;

/// Runs functions one after the other until one of them succeeds
/// (`asyncio.staggered.staggered_race`).
///
/// The first begins at once, and each next one when the one before it has failed or the delay has
/// passed; `None` waits for failures only. The first to succeed wins, and the others are cancelled and
/// awaited. This is how a connection is made to whichever of several addresses answers first.
///
/// ```
/// use asyncio_core::{Result, run, sleep, staggered_race};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let attempts = [3600.0, 0.001].map(|seconds| move || async move {
///         sleep(seconds).await?;
///         Ok(seconds)
///     });
///     let race = staggered_race(attempts, 0.001).await?;
///     assert_eq!(race.winner(), Some((1, &0.001)));
///     assert!(race.exceptions()[0].as_ref().is_some_and(|error| error.is_cancelled()));
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// [`CancelledError`](crate::CancelledError) when the task is cancelled, and
/// [`KeyboardInterrupt`](crate::KeyboardInterrupt) or [`SystemExit`](crate::SystemExit) of an attempt;
/// other exceptions of the attempts are part of the result.
///
/// # Cancel safety
///
/// The attempts are cancelled when the race is cancelled or dropped, and not awaited.
#[track_caller]
pub fn staggered_race<T, I, F, Fut>(
    functions: I,
    delay: impl Into<MaybeDelay>,
) -> impl StdFuture<Output = Result<Race<T>>> + Send
where
    I: IntoIterator<Item = F>,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: StdFuture<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let functions: Vec<F> = functions.into_iter().collect();
    let attempts = Arc::new(Attempts {
        delay: delay.into(),
        location: Location::caller(),
        state: Mutex::new(State {
            functions: functions.into_iter(),
            race: Race {
                winner: None,
                exceptions: Vec::new(),
            },
            tasks: Vec::new(),
            is_over: false,
        }),
    });
    let unpolled = Unpolled::new(&"staggered_race");
    async move {
        unpolled.polled();
        let running = Running(attempts);
        let attempts = &running.0;
        attempts.start(0, None);
        let mut done_count = 0;
        loop {
            let tasks: Vec<_> = attempts.lock().tasks.iter().flatten().cloned().collect();
            if done_count == tasks.len() {
                break;
            }
            let (done, _) = wait(tasks).await?;
            done_count = done.len();
            for task in &done {
                if let Ok(Some(error)) = task.exception() {
                    return Err(error);
                }
            }
        }
        let mut state = attempts.lock();
        Ok(std::mem::replace(
            &mut state.race,
            Race {
                winner: None,
                exceptions: Vec::new(),
            },
        ))
    }
}

/// How a [`staggered_race`] ended.
#[derive(Clone)]
#[must_use]
pub struct Race<T> {
    winner: Option<(usize, T)>,
    exceptions: Vec<Option<Exception>>,
}

impl<T> Race<T> {
    /// Which function won, and its value; `None` when all have failed.
    pub fn winner(&self) -> Option<(usize, &T)> {
        self.winner.as_ref().map(|(index, value)| (*index, value))
    }

    /// The winner's value, with its place.
    pub fn into_winner(self) -> Option<(usize, T)> {
        self.winner
    }

    /// For each function that was begun why it did not win; `None` for the winner.
    pub fn exceptions(&self) -> &[Option<Exception>] {
        &self.exceptions
    }
}

impl<T: fmt::Debug> fmt::Debug for Race<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Race")
            .field("winner", &self.winner)
            .field("exceptions", &self.exceptions)
            .finish()
    }
}

struct Attempts<T, F> {
    delay: MaybeDelay,
    location: &'static Location<'static>,
    state: Mutex<State<T, F>>,
}

struct State<T, F> {
    functions: std::vec::IntoIter<F>,
    race: Race<T>,
    /// At the place of its function; `None` where the task is being started on another thread.
    tasks: Vec<Option<Task<()>>>,
    /// Somebody has won, or nobody waits any more: no attempt is to begin.
    is_over: bool,
}

impl<T, F> Attempts<T, F> {
    fn lock(&self) -> MutexGuard<'_, State<T, F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, F, Fut> Attempts<T, F>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: StdFuture<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    fn start(self: &Arc<Self>, index: usize, previous_failed: Option<Future<()>>) {
        let attempt: Pin<Box<dyn StdFuture<Output = Result<()>> + Send>> =
            Box::pin(Self::run(Arc::clone(self), index, previous_failed));
        let task = TaskBuilder::at(self.location).start(attempt, true);
        let is_over = {
            let mut state = self.lock();
            // On a tokio runtime the task may have run by now, and have started the next one.
            if state.tasks.len() <= index {
                state.tasks.resize(index + 1, None);
            }
            state.tasks[index] = Some(task.clone());
            state.is_over
        };
        if is_over {
            task.cancel();
        }
    }

    /// One attempt (`run_one_coro`).
    async fn run(this: Arc<Self>, index: usize, previous_failed: Option<Future<()>>) -> Result<()> {
        if let Some(failed) = previous_failed {
            // Either is a reason to begin.
            if let Err(error) = wait_for(failed, this.delay).await
                && !error.is::<crate::TimeoutError>()
            {
                return Err(error);
            }
        }
        let function = {
            let mut state = this.lock();
            let Some(function) = state.functions.next() else {
                return Ok(());
            };
            state.race.exceptions.push(None);
            function
        };
        let this_failed = Future::<()>::of(
            with_running(|core| Typed::future(Some(core))).unwrap_or_else(|| Typed::future(None)),
        );
        this.start(index + 1, Some(this_failed.clone()));
        match function().await {
            Err(error) if error.escapes_the_loop() => return Err(error),
            Err(error) => {
                this.lock().race.exceptions[index] = Some(error);
                // Nobody else sets it; the next one may have given it up, which is its right.
                let _ = this_failed.set_result(());
            }
            Ok(value) => {
                let others = {
                    let mut state = this.lock();
                    state.is_over = true;
                    // On a tokio runtime two may succeed at once: the first stays the winner.
                    if state.race.winner.is_none() {
                        state.race.winner = Some((index, value));
                    }
                    let tasks = state.tasks.iter().enumerate();
                    let others = tasks.filter(|(other, _)| *other != index);
                    let others = others.filter_map(|(_, task)| task.clone());
                    others.collect::<Vec<_>>()
                };
                for task in others {
                    task.cancel();
                }
            }
        }
        Ok(())
    }
}

/// Cancels what is left when the race is over, however it ends.
struct Running<T, F>(Arc<Attempts<T, F>>);

impl<T, F> Drop for Running<T, F> {
    fn drop(&mut self) {
        let tasks = {
            let mut state = self.0.lock();
            state.is_over = true;
            std::mem::take(&mut state.tasks)
        };
        for task in tasks.into_iter().flatten() {
            task.cancel();
        }
    }
}
