//! Lines: who comes first is served first, whoever leaves the line meanwhile.
//!
//! The order of arrival is known because nobody comes before the one before him is seen to wait. Half of
//! the waiters are tasks of ours, which may be cancelled, and half are tokio's, which may be aborted.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use asyncio_core::{Result, Task, create_task};
use asyncio_sync::{BoundedSemaphore, Lock, Queue, Semaphore};
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, yield_now};

use super::super::Counts;
use super::super::random::Random;
use super::{LOST, TASKS, guard};

/// What one waits for.
#[derive(Clone, Debug)]
enum Goal {
    Lock(Lock),
    Semaphore(Semaphore),
    Bounded(BoundedSemaphore),
    /// Room in a queue for one item, or an item.
    Room(Queue<usize>),
    Item(Queue<usize>),
}

/// Those who were served, in that order.
type Served = Arc<Mutex<Vec<usize>>>;

/// One who waits.
enum Waiter {
    Ours(Task<()>),
    Foreign(JoinHandle<Result<()>>),
}

/// As many lines as make so many operations.
pub(super) fn round(
    runtime: &Runtime,
    random: &mut Random,
    operations: u64,
) -> Result<Counts, String> {
    let (mut counts, mut done) = (Counts::default(), 0);
    while done < operations {
        let goal = Goal::draw(random);
        let name = format!("{goal:?}");
        let line = async { tokio::time::timeout(LOST, line(goal, random)).await };
        let gone = runtime
            .block_on(line)
            .unwrap_or_else(|_| Err("somebody in line was never served".to_owned()));
        let gone = gone.map_err(|what| format!("{name}: {what}"))?;
        // Each comes and goes.
        done += TASKS as u64;
        counts.count("cancelled", gone);
        counts.count("lines", 1);
    }
    counts.count("operations", operations);
    Ok(counts)
}

/// One line; how many were told to leave it.
async fn line(goal: Goal, random: &mut Random) -> Result<u64, String> {
    let served = Served::default();
    goal.begin().await.map_err(|error| error.to_string())?;
    let mut waiters = Vec::new();
    for number in 0..TASKS {
        let arrived = Arc::new(AtomicBool::new(false));
        let wait = goal
            .clone()
            .wait(number, Arc::clone(&served), Arc::clone(&arrived));
        waiters.push(if random.one_in(2) {
            Waiter::Ours(create_task(wait))
        } else {
            Waiter::Foreign(tokio::spawn(wait))
        });
        while !arrived.load(Ordering::SeqCst) {
            yield_now().await;
        }
    }
    let leaves: Vec<bool> = (0..TASKS).map(|_| random.one_in(3)).collect();
    let early = random.below(TASKS + 1);
    let leave = |waiters: &[Waiter], numbers: std::ops::Range<usize>| {
        numbers
            .filter(|number| leaves[*number])
            .for_each(|number| waiters[number].leave());
    };
    leave(&waiters, 0..early);
    let serving = tokio::spawn({
        let (goal, served) = (goal.clone(), Arc::clone(&served));
        async move { goal.serve(&served).await }
    });
    leave(&waiters, early..TASKS);
    for waiter in waiters {
        waiter.end().await?;
    }
    goal.is_served().await;
    serving.abort();
    drop(serving.await);
    let served = guard(&served).clone();
    let all_served = (0..TASKS).all(|number| leaves[number] || served.contains(&number));
    if !served.is_sorted() || !all_served {
        let left: Vec<usize> = (0..TASKS).filter(|number| leaves[*number]).collect();
        return Err(format!("served were {served:?}, told to leave {left:?}"));
    }
    Ok(leaves.iter().filter(|leaves| **leaves).count() as u64)
}

impl Goal {
    fn draw(random: &mut Random) -> Self {
        match random.below(5) {
            0 => Self::Lock(Lock::new()),
            1 => Self::Semaphore(Semaphore::new(1)),
            2 => Self::Bounded(BoundedSemaphore::new(1)),
            3 => Self::Room(Queue::new(1)),
            _ => Self::Item(Queue::new(0)),
        }
    }

    /// Sees to it that who comes has to wait.
    async fn begin(&self) -> Result<()> {
        match self {
            Self::Lock(lock) => lock.acquire().await?,
            Self::Semaphore(semaphore) => semaphore.acquire().await?,
            Self::Bounded(semaphore) => semaphore.acquire().await?,
            Self::Room(queue) => queue.put_nowait(0)?,
            Self::Item(_) => {}
        }
        Ok(())
    }

    /// Waits in line, and takes note of having been served.
    async fn wait(self, number: usize, served: Served, arrived: Arc<AtomicBool>) -> Result<()> {
        let wait = async {
            match self {
                Self::Lock(lock) => {
                    let _guard = lock.guard().await?;
                    guard(&served).push(number);
                }
                Self::Semaphore(semaphore) => {
                    let _permit = semaphore.guard().await?;
                    guard(&served).push(number);
                }
                Self::Bounded(semaphore) => {
                    let _permit = semaphore.guard().await?;
                    guard(&served).push(number);
                }
                Self::Room(queue) => queue.put(number).await?,
                Self::Item(queue) => {
                    queue.get().await?;
                    guard(&served).push(number);
                }
            }
            Ok(())
        };
        let mut wait = pin!(wait);
        poll_fn(move |cx| {
            let polled = wait.as_mut().poll(cx);
            if polled.is_pending() {
                arrived.store(true, Ordering::SeqCst);
            }
            polled
        })
        .await
    }

    /// Hands out what is waited for, one after the other.
    async fn serve(self, served: &Served) -> Result<()> {
        match self {
            Self::Lock(lock) => lock.release()?,
            Self::Semaphore(semaphore) => semaphore.release(),
            Self::Bounded(semaphore) => semaphore.release()?,
            Self::Room(queue) => {
                queue.get().await?;
                loop {
                    let number = queue.get().await?;
                    guard(served).push(number);
                }
            }
            Self::Item(queue) => {
                let mut put = 0;
                loop {
                    // The next item comes when the last one is known to have been taken.
                    if guard(served).len() == put {
                        put += 1;
                        queue.put_nowait(put)?;
                    }
                    yield_now().await;
                }
            }
        }
        Ok(())
    }
}

impl Goal {
    /// Waits until what the last one has put was got.
    async fn is_served(&self) {
        if let Self::Room(queue) = self {
            while !queue.empty() {
                yield_now().await;
            }
        }
    }
}

impl Waiter {
    fn leave(&self) {
        match self {
            Self::Ours(task) => {
                task.cancel();
            }
            Self::Foreign(task) => task.abort(),
        }
    }

    /// Waits for its end, of whatever kind.
    async fn end(self) -> Result<(), String> {
        let error = match self {
            Self::Ours(task) => match task.await {
                Err(error) if !error.is_cancelled() => error,
                _ => return Ok(()),
            },
            Self::Foreign(task) => match task.await {
                Ok(Err(error)) => error,
                Ok(Ok(())) => return Ok(()),
                Err(error) if error.is_cancelled() => return Ok(()),
                Err(error) => return Err(error.to_string()),
            },
        };
        Err(error.to_string())
    }
}
