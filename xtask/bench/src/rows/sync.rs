//! Locks, queues and their like.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use asyncio_core as asyncio;
use asyncio_core::Result;
use asyncio_sync::{Event, Lock, Queue, Semaphore};
use tokio::sync::{Mutex, Notify, mpsc};

use super::{CURRENT_THREAD, MULTI_THREAD, Row, bytes, row};
use crate::memory;
use crate::runtimes::{Measured, Taken, current_thread, multi_thread, ours};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "queue_100",
            &[
                ("ours", |n| ours(move || queue(n, 100))),
                (CURRENT_THREAD, |n| current_thread(move || channel(n, 100))),
            ],
        ),
        row(
            "queue_1",
            &[
                ("ours", |n| ours(move || queue(n, 1))),
                (CURRENT_THREAD, |n| current_thread(move || channel(n, 1))),
            ],
        ),
        row(
            "queue_mpmc",
            &[
                ("ours", |n| ours(move || queue_mpmc(n))),
                ("async_channel", |n| current_thread(move || channel_mpmc(n))),
            ],
        ),
        row(
            "semaphore_free",
            &[
                ("ours", |n| ours(move || semaphore_free(n))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || tokio_semaphore_free(n))
                }),
            ],
        ),
        row(
            "semaphore_contended",
            &[
                ("ours", |n| ours(move || semaphore_contended(n))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || tokio_semaphore_contended(n))
                }),
            ],
        ),
        row(
            "lock_contended",
            &[
                ("ours", |n| ours(move || lock_contended(n))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || tokio_lock_contended(n))
                }),
            ],
        ),
        row(
            "event_fanout",
            &[
                ("ours", |n| ours(move || event_fanout(n))),
                (CURRENT_THREAD, |n| current_thread(move || notify_fanout(n))),
            ],
        ),
        // The same on a multi-thread runtime, ours beside tokio's own.
        row(
            "queue_100_threads",
            &[
                ("ours on tokio", |n| {
                    multi_thread(move || driven(queue(n, 100)))
                }),
                (MULTI_THREAD, |n| multi_thread(move || channel(n, 100))),
            ],
        ),
        row(
            "queue_1_threads",
            &[
                ("ours on tokio", |n| {
                    multi_thread(move || driven(queue(n, 1)))
                }),
                (MULTI_THREAD, |n| multi_thread(move || channel(n, 1))),
            ],
        ),
        row(
            "semaphore_threads",
            &[
                ("ours on tokio", |n| {
                    multi_thread(move || driven(semaphore_contended(n)))
                }),
                (MULTI_THREAD, |n| {
                    multi_thread(move || tokio_semaphore_contended(n))
                }),
            ],
        ),
        row(
            "lock_threads",
            &[
                ("ours on tokio", |n| {
                    multi_thread(move || driven(lock_contended(n)))
                }),
                (MULTI_THREAD, |n| {
                    multi_thread(move || tokio_lock_contended(n))
                }),
            ],
        ),
        bytes(
            "waiting_task_bytes",
            &[
                ("ours", |n| waiting_bytes(n)),
                (CURRENT_THREAD, |n| tokio_waiting_bytes(n)),
            ],
        ),
    ]
}

/// How many tasks contend.
const RIVALS: u32 = 10;
/// How many wait for one event.
const WAITERS: u32 = 100;
/// How many put and how many get.
const SIDES: u32 = 4;

async fn driven(workload: impl Future<Output = Result<()>> + Send + 'static) {
    let task = asyncio::create_task(workload);
    task.await.expect("the workload does not fail");
}

async fn queue(count: u32, bound: isize) -> Result<()> {
    let queue = Queue::new(bound);
    let to = queue.clone();
    let producer = asyncio::create_task(async move {
        for item in 0..count {
            to.put(item).await?;
        }
        Ok(())
    });
    for item in 0..count {
        assert_eq!(queue.get().await?, item, "first in, first out");
    }
    producer.await
}

async fn channel(count: u32, bound: usize) {
    let (to, mut from) = mpsc::channel(bound);
    let producer = tokio::spawn(async move {
        for item in 0..count {
            to.send(item).await.expect("somebody receives");
        }
    });
    for item in 0..count {
        assert_eq!(from.recv().await, Some(item), "first in, first out");
    }
    producer.await.expect("it does not panic");
}

async fn queue_mpmc(count: u32) -> Result<()> {
    let queue = Queue::new(100);
    let share = count.div_ceil(SIDES);
    let mut tasks = Vec::new();
    for _ in 0..SIDES {
        let (to, from) = (queue.clone(), queue.clone());
        tasks.push(asyncio::create_task(async move {
            for item in 0..share {
                to.put(item).await?;
            }
            Ok(())
        }));
        tasks.push(asyncio::create_task(async move {
            for _ in 0..share {
                from.get().await?;
            }
            Ok(())
        }));
    }
    for task in tasks {
        task.await?;
    }
    Ok(())
}

async fn channel_mpmc(count: u32) {
    let (to, from) = async_channel::bounded(100);
    let share = count.div_ceil(SIDES);
    let mut tasks = Vec::new();
    for _ in 0..SIDES {
        let (to, from) = (to.clone(), from.clone());
        tasks.push(tokio::spawn(async move {
            for item in 0..share {
                to.send(item).await.expect("somebody receives");
            }
        }));
        tasks.push(tokio::spawn(async move {
            for _ in 0..share {
                from.recv().await.expect("somebody sends");
            }
        }));
    }
    for task in tasks {
        task.await.expect("it does not panic");
    }
}

async fn semaphore_free(count: u32) -> Result<()> {
    let semaphore = Semaphore::new(1);
    for _ in 0..count {
        drop(semaphore.guard().await?);
    }
    Ok(())
}

async fn tokio_semaphore_free(count: u32) {
    let semaphore = tokio::sync::Semaphore::new(1);
    for _ in 0..count {
        drop(semaphore.acquire().await.expect("it is open"));
    }
}

async fn semaphore_contended(count: u32) -> Result<()> {
    let semaphore = Semaphore::new(2);
    let share = count.div_ceil(RIVALS);
    let rival = |semaphore: Semaphore| async move {
        for _ in 0..share {
            let permit = semaphore.guard().await?;
            asyncio::sleep(0).await?;
            drop(permit);
        }
        Ok(())
    };
    let rivals: Vec<_> = (0..RIVALS)
        .map(|_| asyncio::create_task(rival(semaphore.clone())))
        .collect();
    for task in rivals {
        task.await?;
    }
    Ok(())
}

async fn tokio_semaphore_contended(count: u32) {
    let semaphore = Arc::new(tokio::sync::Semaphore::new(2));
    let share = count.div_ceil(RIVALS);
    let rival = |semaphore: Arc<tokio::sync::Semaphore>| async move {
        for _ in 0..share {
            let permit = semaphore.acquire().await.expect("it is open");
            tokio::task::yield_now().await;
            drop(permit);
        }
    };
    let rivals: Vec<_> = (0..RIVALS)
        .map(|_| tokio::spawn(rival(Arc::clone(&semaphore))))
        .collect();
    for task in rivals {
        task.await.expect("it does not panic");
    }
}

async fn lock_contended(count: u32) -> Result<()> {
    let lock = Lock::with_value(0_u32);
    let share = count.div_ceil(RIVALS);
    let rival = |lock: Lock<u32>| async move {
        for _ in 0..share {
            let mut guard = lock.guard().await?;
            asyncio::sleep(0).await?;
            *guard += 1;
        }
        Ok(())
    };
    let rivals: Vec<_> = (0..RIVALS)
        .map(|_| asyncio::create_task(rival(lock.clone())))
        .collect();
    for task in rivals {
        task.await?;
    }
    Ok(())
}

async fn tokio_lock_contended(count: u32) {
    let lock = Arc::new(Mutex::new(0_u32));
    let share = count.div_ceil(RIVALS);
    let rival = |lock: Arc<Mutex<u32>>| async move {
        for _ in 0..share {
            let mut guard = lock.lock().await;
            tokio::task::yield_now().await;
            *guard += 1;
        }
    };
    let rivals: Vec<_> = (0..RIVALS)
        .map(|_| tokio::spawn(rival(Arc::clone(&lock))))
        .collect();
    for task in rivals {
        task.await.expect("it does not panic");
    }
}

/// Everybody waits, and is woken by one call; an operation is one task's wait.
async fn event_fanout(count: u32) -> Result<()> {
    let event = Event::new();
    let rounds = count.div_ceil(WAITERS);
    let waiting = Rc::new(Cell::new(0));
    let wait = |event: Event, waiting: Rc<Cell<u32>>| async move {
        for _ in 0..rounds {
            waiting.set(waiting.get() + 1);
            event.wait().await?;
        }
        Ok(())
    };
    let waiters: Vec<_> = (0..WAITERS)
        .map(|_| asyncio::create_local_task(wait(event.clone(), Rc::clone(&waiting))))
        .collect();
    for _ in 0..rounds {
        while waiting.get() < WAITERS {
            asyncio::sleep(0).await?;
        }
        waiting.set(0);
        event.set();
        event.clear();
    }
    for task in waiters {
        task.await?;
    }
    Ok(())
}

async fn notify_fanout(count: u32) {
    let notify = Arc::new(Notify::new());
    let rounds = count.div_ceil(WAITERS);
    let waiting = Arc::new(AtomicU32::new(0));
    let wait = |notify: Arc<Notify>, waiting: Arc<AtomicU32>| async move {
        for _ in 0..rounds {
            waiting.fetch_add(1, Ordering::Relaxed);
            notify.notified().await;
        }
    };
    let waiters: Vec<_> = (0..WAITERS)
        .map(|_| tokio::spawn(wait(Arc::clone(&notify), Arc::clone(&waiting))))
        .collect();
    for _ in 0..rounds {
        while waiting.load(Ordering::Relaxed) < WAITERS {
            tokio::task::yield_now().await;
        }
        waiting.store(0, Ordering::Relaxed);
        notify.notify_waiters();
    }
    for task in waiters {
        task.await.expect("it does not panic");
    }
}

/// Bytes of a task that waits for an event, beside as many others.
fn waiting_bytes(count: u32) -> Measured {
    let runner = asyncio::Runner::new().expect("a runner");
    let per_task = runner.run(async move {
        let event = Event::new();
        let mut tasks = Vec::with_capacity(2 * count as usize);
        let wait = |event: Event| async move { event.wait().await.map_err(Into::into) };
        let mut before = 0;
        for _ in 0..2 {
            before = memory::live();
            tasks.extend((0..count).map(|_| asyncio::create_task(wait(event.clone()))));
            asyncio::sleep(0).await?;
        }
        Ok((memory::live() - before) as f64 / f64::from(count))
    });
    runner.close().expect("nothing fails");
    Measured {
        taken: Taken::All,
        time: Duration::ZERO,
        bytes: per_task.ok(),
    }
}

fn tokio_waiting_bytes(count: u32) -> Measured {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("a runtime");
    let per_task = runtime.block_on(async move {
        let notify = Arc::new(Notify::new());
        let mut tasks = Vec::with_capacity(2 * count as usize);
        let wait = |notify: Arc<Notify>| async move { notify.notified().await };
        let mut before = 0;
        for _ in 0..2 {
            before = memory::live();
            tasks.extend((0..count).map(|_| tokio::spawn(wait(Arc::clone(&notify)))));
            tokio::task::yield_now().await;
        }
        (memory::live() - before) as f64 / f64::from(count)
    });
    Measured {
        taken: Taken::All,
        time: Duration::ZERO,
        bytes: Some(per_task),
    }
}
