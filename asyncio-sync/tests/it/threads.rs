//! Many threads at once: nothing is lost, whoever is cancelled or dropped.
//!
//! `ASYNCIO_SYNC_OPERATIONS` sets how many operations each test does.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use asyncio_core::{Result, Task, create_task};
use asyncio_sync::{Barrier, Condition, Event, Lock, Queue, Semaphore};
use futures::future::BoxFuture;

const WORKERS: usize = 2;
const TASKS: usize = 8;
/// Far longer than any of these tests takes: something was lost.
const LOST: Duration = Duration::from_secs(300);

fn operations() -> usize {
    let wanted = std::env::var("ASYNCIO_SYNC_OPERATIONS").ok();
    wanted
        .and_then(|count| count.parse().ok())
        .unwrap_or(100_000)
}

/// Runs so many tasks at once on a runtime with two threads, each with a number.
fn on_threads<F>(count: usize, mut make: impl FnMut(usize) -> F)
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_time()
        .build()
        .expect("a runtime can be built");
    let all: Result<Result<()>, _> = runtime.block_on(async {
        let tasks: Vec<Task<()>> = (0..count).map(|number| create_task(make(number))).collect();
        tokio::time::timeout(LOST, async {
            for task in tasks {
                task.await?;
            }
            Ok(())
        })
        .await
    });
    runtime.shutdown_background();
    all.expect("nobody waits for something that was lost")
        .expect("no task fails");
}

/// A source of numbers that are random enough (xorshift).
struct Random(u64);

impl Random {
    fn new(seed: usize) -> Self {
        Self(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed as u64 + 1))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What becomes of an operation.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It runs to its end.
    Ends,
    /// It is polled so often, and dropped if it is not done by then.
    IsDropped(u64),
    /// It is a task of its own, which is cancelled at some moment.
    IsCancelled,
}

impl Fate {
    fn choose(random: &mut Random) -> Self {
        match random.below(10) {
            0..5 => Self::Ends,
            5..8 => Self::IsDropped(random.below(3)),
            _ => Self::IsCancelled,
        }
    }

    /// Whether the operation came to its end.
    async fn meet(
        self,
        operation: BoxFuture<'static, Result<()>>,
        random: &mut Random,
    ) -> Result<bool> {
        match self {
            Self::Ends => operation.await.map(|()| true),
            Self::IsDropped(polls) => {
                let mut operation = operation;
                let mut left = polls;
                let ended = poll_fn(|cx| match operation.as_mut().poll(cx) {
                    Poll::Ready(result) => Poll::Ready(result.map(|()| true)),
                    Poll::Pending if left == 0 => Poll::Ready(Ok(false)),
                    Poll::Pending => {
                        left -= 1;
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                });
                ended.await
            }
            Self::IsCancelled => {
                let task = create_task(operation);
                for _ in 0..random.below(4) {
                    tokio::task::yield_now().await;
                }
                task.cancel();
                match task.await {
                    Ok(()) => Ok(true),
                    Err(error) if error.is_cancelled() => Ok(false),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

#[test]
fn no_permit_is_lost() {
    const PERMITS: usize = 3;
    let semaphore = Semaphore::new(PERMITS);
    let inside = Arc::new(AtomicUsize::new(0));
    let each = operations() / TASKS;
    on_threads(TASKS, |number| {
        let (semaphore, inside) = (semaphore.clone(), Arc::clone(&inside));
        async move {
            let mut random = Random::new(number);
            for _ in 0..each {
                let (theirs, inside) = (semaphore.clone(), Arc::clone(&inside));
                let yields = random.below(2) == 0;
                let operation = Box::pin(async move {
                    let _permit = theirs.guard().await?;
                    let _inside = Inside::enter(&inside, PERMITS);
                    if yields {
                        tokio::task::yield_now().await;
                    }
                    Ok(())
                });
                Fate::choose(&mut random)
                    .meet(operation, &mut random)
                    .await?;
            }
            Ok(())
        }
    });
    assert_eq!(inside.load(Ordering::SeqCst), 0);
    assert_eq!(format!("{semaphore:?}"), "<Semaphore [unlocked, value:3]>");
}

/// Counts who is where only so many may be.
struct Inside<'a>(&'a AtomicUsize);

impl<'a> Inside<'a> {
    fn enter(count: &'a AtomicUsize, most: usize) -> Self {
        assert!(count.fetch_add(1, Ordering::SeqCst) < most);
        Self(count)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn no_lock_is_lost_and_no_change_of_its_value() {
    let lock = Lock::with_value(0_usize);
    let (changes, inside) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let each = operations() / TASKS;
    on_threads(TASKS, |number| {
        let (lock, changes, inside) = (lock.clone(), Arc::clone(&changes), Arc::clone(&inside));
        async move {
            let mut random = Random::new(number);
            for _ in 0..each {
                let (theirs, changes, inside) =
                    (lock.clone(), Arc::clone(&changes), Arc::clone(&inside));
                let yields = random.below(2) == 0;
                let operation = Box::pin(async move {
                    let mut held = theirs.guard().await?;
                    let _inside = Inside::enter(&inside, 1);
                    let read = *held;
                    if yields {
                        tokio::task::yield_now().await;
                    }
                    *held = read + 1;
                    changes.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                });
                Fate::choose(&mut random)
                    .meet(operation, &mut random)
                    .await?;
            }
            Ok(())
        }
    });
    assert_eq!(format!("{lock:?}"), "<Lock [unlocked]>");
    assert_eq!(lock.into_inner(), Some(changes.load(Ordering::SeqCst)));
}

/// Each item is its producer's number and a number of its own.
#[test]
fn no_item_is_lost_or_doubled_and_each_producers_items_come_in_order() {
    const PRODUCERS: usize = TASKS / 2;
    let each = operations() / TASKS;
    for maxsize in [1, 3, 0] {
        let queue = Queue::new(maxsize);
        let (put, got) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let producing = Arc::new(AtomicUsize::new(PRODUCERS));
        on_threads(TASKS, |number| {
            let (queue, put, got) = (queue.clone(), Arc::clone(&put), Arc::clone(&got));
            let producing = Arc::clone(&producing);
            async move {
                let mut random = Random::new(number);
                if number < PRODUCERS {
                    for item in 0..each {
                        let (theirs, put) = (queue.clone(), Arc::clone(&put));
                        let operation = Box::pin(async move {
                            theirs.put((number, item)).await?;
                            put.fetch_add(1, Ordering::SeqCst);
                            Ok(())
                        });
                        Fate::choose(&mut random)
                            .meet(operation, &mut random)
                            .await?;
                    }
                    if producing.fetch_sub(1, Ordering::SeqCst) == 1 {
                        queue.shutdown(false);
                    }
                    return Ok(());
                }
                let last = Lock::with_value([None; PRODUCERS]);
                let ended = Arc::new(AtomicBool::new(false));
                while !ended.load(Ordering::SeqCst) {
                    let (theirs, got, last) = (queue.clone(), Arc::clone(&got), last.clone());
                    let ended = Arc::clone(&ended);
                    let operation = Box::pin(async move {
                        match theirs.get().await {
                            Ok((producer, item)) => {
                                let mut last = last.guard().await?;
                                assert!(last[producer] < Some(item), "first in, first out");
                                last[producer] = Some(item);
                                got.fetch_add(1, Ordering::SeqCst);
                                theirs.task_done()?;
                            }
                            Err(error) if error.is_cancelled() => return Err(error),
                            Err(_) => ended.store(true, Ordering::SeqCst),
                        }
                        Ok(())
                    });
                    Fate::choose(&mut random)
                        .meet(operation, &mut random)
                        .await?;
                }
                Ok(())
            }
        });
        assert_eq!(put.load(Ordering::SeqCst), got.load(Ordering::SeqCst));
        assert_eq!(
            queue.to_string(),
            format!("<Queue maxsize={maxsize} shutdown>")
        );
    }
}

/// One task sets and clears without end; the others pass as often as they like.
#[test]
fn who_waits_for_an_event_is_woken() {
    let event = Event::new();
    let each = operations() / TASKS;
    let left = Arc::new(AtomicUsize::new(TASKS - 1));
    on_threads(TASKS, |number| {
        let (event, left) = (event.clone(), Arc::clone(&left));
        async move {
            let mut random = Random::new(number);
            if number == 0 {
                while left.load(Ordering::SeqCst) > 0 {
                    event.set();
                    event.clear();
                    tokio::task::yield_now().await;
                }
                return Ok(());
            }
            for _ in 0..each / 10 {
                let theirs = event.clone();
                let operation = Box::pin(async move { Ok(theirs.wait().await?) });
                Fate::choose(&mut random)
                    .meet(operation, &mut random)
                    .await?;
            }
            left.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    });
    assert_eq!(format!("{event:?}"), "<Event [unset]>");
}

/// What a consumer was notified of and did not take, because it was cancelled or dropped, another takes.
#[test]
fn no_notification_is_lost() {
    let (condition, stock) = (Condition::new(), Arc::new(AtomicUsize::new(0)));
    let each = operations() / TASKS / 4;
    let to_take = Arc::new(AtomicUsize::new(each * TASKS / 2));
    on_threads(TASKS, |number| {
        let (condition, stock) = (condition.clone(), Arc::clone(&stock));
        let to_take = Arc::clone(&to_take);
        async move {
            let mut random = Random::new(number);
            if number < TASKS / 2 {
                for _ in 0..each {
                    let _guard = condition.guard().await?;
                    stock.fetch_add(1, Ordering::SeqCst);
                    condition.notify(1)?;
                }
                return Ok(());
            }
            while to_take.load(Ordering::SeqCst) > 0 {
                let (theirs, stock) = (condition.clone(), Arc::clone(&stock));
                let to_take = Arc::clone(&to_take);
                let operation = Box::pin(async move {
                    let _guard = theirs.guard().await?;
                    let enough =
                        || stock.load(Ordering::SeqCst) > 0 || to_take.load(Ordering::SeqCst) == 0;
                    theirs.wait_for(enough).await?;
                    if to_take.load(Ordering::SeqCst) > 0 {
                        stock.fetch_sub(1, Ordering::SeqCst);
                        if to_take.fetch_sub(1, Ordering::SeqCst) == 1 {
                            // Nothing more will come.
                            theirs.notify_all()?;
                        }
                    }
                    Ok(())
                });
                Fate::choose(&mut random)
                    .meet(operation, &mut random)
                    .await?;
            }
            Ok(())
        }
    });
    assert_eq!(stock.load(Ordering::SeqCst), 0);
    assert_eq!(format!("{condition:?}"), "<Condition [unlocked]>");
}

#[test]
fn all_pass_a_barrier_together() {
    let barrier = Barrier::new(TASKS).expect("more than none");
    let rounds = operations() / TASKS / 20;
    let arrived = Arc::new(AtomicUsize::new(0));
    on_threads(TASKS, |_| {
        let (barrier, arrived) = (barrier.clone(), Arc::clone(&arrived));
        async move {
            for round in 1..=rounds {
                arrived.fetch_add(1, Ordering::SeqCst);
                barrier.wait().await?;
                let here = arrived.load(Ordering::SeqCst);
                assert!(here >= round * TASKS && here < (round + 1) * TASKS);
            }
            Ok(())
        }
    });
    assert_eq!(format!("{barrier:?}"), "<Barrier [filling, waiters:0/8]>");
}
