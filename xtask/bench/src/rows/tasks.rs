//! Tasks, timers and threads.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use asyncio_core as asyncio;
use asyncio_core::Result;

use super::{BATCH, CURRENT_THREAD, LOCAL_SET, MULTI_THREAD, Row, bytes, row};
use crate::memory;
use crate::runtimes::{
    Measured, Taken, current_thread, local_set, multi_thread, ours, ours_virtual,
};

/// The rows about tasks, timers and threads.
pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "spawn_serial",
            &[
                ("ours", |n| ours(move || spawn_serial(n))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || tokio_spawn_serial(n))
                }),
                (LOCAL_SET, |n| {
                    local_set(move || tokio_local_spawn_serial(n))
                }),
            ],
        ),
        row(
            "spawn_batch",
            &[
                ("ours", |n| ours(move || spawn_batch(n))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || tokio_spawn_batch(n))
                }),
                (LOCAL_SET, |n| local_set(move || tokio_local_spawn_batch(n))),
                (MULTI_THREAD, |n| multi_thread(move || tokio_spawn_batch(n))),
            ],
        ),
        row(
            "switch",
            &[
                ("ours", |n| ours(move || switch(n))),
                (CURRENT_THREAD, |n| current_thread(move || tokio_switch(n))),
            ],
        ),
        row(
            "timer_cancel",
            &[
                ("ours", |n| ours(move || timer_cancel(n))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || tokio_timer_cancel(n))
                }),
            ],
        ),
        // As many at a time for each side, for how many are live is what it is about.
        Row {
            fixed: 100_000,
            ..row(
                "timers_live",
                &[
                    ("ours", |n| ours(move || timers_live(n))),
                    (CURRENT_THREAD, |n| {
                        current_thread(move || tokio_timers_live(n))
                    }),
                ],
            )
        },
        row(
            "sleepers_100k",
            &[
                ("ours", |n| ours_virtual(move || sleepers(n))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || tokio_sleepers(n))
                }),
            ],
        ),
        row(
            "cancel_storm",
            &[
                ("ours", |n| ours(move || cancel_storm(n))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || tokio_cancel_storm(n))
                }),
            ],
        ),
        row(
            "to_thread",
            &[
                ("ours", |n| ours(move || to_thread(n))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || tokio_spawn_blocking(n))
                }),
                ("ours on tokio", |n| {
                    current_thread(move || to_thread_on_tokio(n))
                }),
            ],
        ),
        row(
            "call_soon",
            &[
                ("ours", |n| ours(move || call_soon(n))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || tokio_spawn_batch(n))
                }),
            ],
        ),
        row(
            "tokio_mode_spawn",
            &[
                ("ours on tokio", |n| current_thread(move || driven_spawn(n))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || tokio_spawn_serial(n))
                }),
            ],
        ),
        row(
            "tokio_mode_batch",
            &[
                ("ours on tokio", |n| multi_thread(move || driven_batch(n))),
                (MULTI_THREAD, |n| multi_thread(move || tokio_spawn_batch(n))),
            ],
        ),
        bytes(
            "idle_task_bytes",
            &[
                ("ours", |n| ours_bytes(n)),
                (CURRENT_THREAD, |n| tokio_bytes(n)),
            ],
        ),
    ]
}

/// How many tasks a crowd has that takes turns.
const CROWD: u32 = 100;

async fn spawn_serial(count: u32) -> Result<()> {
    for _ in 0..count {
        asyncio::create_task(async { Ok(()) }).await?;
    }
    Ok(())
}

async fn tokio_spawn_serial(count: u32) {
    for _ in 0..count {
        tokio::spawn(async {}).await.expect("it does not panic");
    }
}

async fn tokio_local_spawn_serial(count: u32) {
    for _ in 0..count {
        tokio::task::spawn_local(async {})
            .await
            .expect("it does not panic");
    }
}

async fn driven_spawn(count: u32) {
    for _ in 0..count {
        asyncio::create_task(async { Ok(()) })
            .await
            .expect("it does not fail");
    }
}

async fn spawn_batch(count: u32) -> Result<()> {
    for _ in 0..count.div_ceil(BATCH) {
        let tasks: Vec<_> = (0..BATCH)
            .map(|_| asyncio::create_task(async { Ok(()) }))
            .collect();
        for task in tasks {
            task.await?;
        }
    }
    Ok(())
}

async fn driven_batch(count: u32) {
    spawn_batch(count).await.expect("it does not fail");
}

async fn tokio_spawn_batch(count: u32) {
    for _ in 0..count.div_ceil(BATCH) {
        let tasks: Vec<_> = (0..BATCH).map(|_| tokio::spawn(async {})).collect();
        for task in tasks {
            task.await.expect("it does not panic");
        }
    }
}

async fn tokio_local_spawn_batch(count: u32) {
    for _ in 0..count.div_ceil(BATCH) {
        let tasks: Vec<_> = (0..BATCH)
            .map(|_| tokio::task::spawn_local(async {}))
            .collect();
        for task in tasks {
            task.await.expect("it does not panic");
        }
    }
}

async fn switch(count: u32) -> Result<()> {
    let turns = count.div_ceil(CROWD);
    let take_turns = move || async move {
        for _ in 0..turns {
            asyncio::sleep(0).await?;
        }
        Ok(())
    };
    let tasks: Vec<_> = (0..CROWD)
        .map(|_| asyncio::create_task(take_turns()))
        .collect();
    for task in tasks {
        task.await?;
    }
    Ok(())
}

async fn tokio_switch(count: u32) {
    let turns = count.div_ceil(CROWD);
    let take_turns = move || async move {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    };
    let tasks: Vec<_> = (0..CROWD).map(|_| tokio::spawn(take_turns())).collect();
    for task in tasks {
        task.await.expect("it does not panic");
    }
}

/// Polls once, so that what waits has begun to.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) {
    poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        drop(polled);
        Poll::Ready(())
    })
    .await;
}

async fn timer_cancel(count: u32) -> Result<()> {
    for _ in 0..count {
        let sleep = pin!(asyncio::sleep(100));
        poll_once(sleep).await;
    }
    Ok(())
}

async fn tokio_timer_cancel(count: u32) {
    for _ in 0..count {
        let sleep = pin!(tokio::time::sleep(Duration::from_secs(100)));
        poll_once(sleep).await;
    }
}

async fn timers_live(count: u32) -> Result<()> {
    let mut timers: Vec<_> = (0..count)
        .map(|number| Box::pin(asyncio::sleep(100.0 + f64::from(number % 1000) / 100.0)))
        .collect();
    for timer in &mut timers {
        poll_once(timer.as_mut()).await;
    }
    Ok(())
}

async fn tokio_timers_live(count: u32) {
    let mut timers: Vec<_> = (0..count)
        .map(|number| 100_000 + u64::from(number % 1000) * 10)
        .map(|delay| Box::pin(tokio::time::sleep(Duration::from_millis(delay))))
        .collect();
    for timer in &mut timers {
        poll_once(timer.as_mut()).await;
    }
}

/// Tasks that each sleep a little, all at once; the deadlines are a tenth of a millisecond apart.
async fn sleepers(count: u32) -> Result<()> {
    let nap = |number: u32| async move { asyncio::sleep(f64::from(number % 100) / 1e4).await };
    let tasks: Vec<_> = (0..count)
        .map(|number| asyncio::create_task(nap(number)))
        .collect();
    for task in tasks {
        task.await?;
    }
    Ok(())
}

async fn tokio_sleepers(count: u32) {
    let nap = |number: u32| async move {
        tokio::time::sleep(Duration::from_micros(u64::from(number % 100) * 100)).await;
    };
    let tasks: Vec<_> = (0..count).map(|number| tokio::spawn(nap(number))).collect();
    for task in tasks {
        task.await.expect("it does not panic");
    }
}

async fn cancel_storm(count: u32) -> Result<()> {
    for _ in 0..count.div_ceil(BATCH) {
        let tasks: Vec<_> = (0..BATCH)
            .map(|_| asyncio::create_task(asyncio::sleep(1000)))
            .collect();
        asyncio::sleep(0).await?;
        for task in &tasks {
            task.cancel();
        }
        for task in tasks {
            assert!(task.await.is_err(), "it was cancelled");
        }
    }
    Ok(())
}

async fn tokio_cancel_storm(count: u32) {
    for _ in 0..count.div_ceil(BATCH) {
        let tasks: Vec<_> = (0..BATCH)
            .map(|_| tokio::spawn(tokio::time::sleep(Duration::from_secs(1000))))
            .collect();
        tokio::task::yield_now().await;
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            assert!(task.await.is_err(), "it was aborted");
        }
    }
}

/// Short functions on another thread, one after the other: what handing over and coming back cost.
async fn to_thread(count: u32) -> Result<()> {
    for n in 0..count {
        asyncio::to_thread(move || Ok(std::hint::black_box(n))).await?;
    }
    Ok(())
}

async fn to_thread_on_tokio(count: u32) {
    to_thread(count).await.expect("no call fails");
}

async fn tokio_spawn_blocking(count: u32) {
    for n in 0..count {
        tokio::task::spawn_blocking(move || std::hint::black_box(n))
            .await
            .expect("it does not panic");
    }
}

async fn call_soon(count: u32) -> Result<()> {
    let event_loop = asyncio::get_running_loop()?;
    for _ in 0..count.div_ceil(BATCH) {
        for _ in 0..BATCH {
            event_loop.call_soon(|| ())?;
        }
        asyncio::sleep(0).await?;
    }
    Ok(())
}

/// Bytes of a task that waits for something foreign, beside as many others: what a crowd that is gone
/// has left in the loop's free lists would not be counted.
fn ours_bytes(count: u32) -> Measured {
    let runner = asyncio::Runner::new().expect("a runner");
    let per_task = runner.run(async move {
        let mut tasks = Vec::with_capacity(2 * count as usize);
        let wait = || std::future::pending::<Result<()>>();
        let mut before = 0;
        for _ in 0..2 {
            before = memory::live();
            tasks.extend((0..count).map(|_| asyncio::create_task(wait())));
            asyncio::sleep(0).await?;
        }
        // Cancelled and awaited by `close`, so that nothing is destroyed while it is pending.
        Ok((memory::live() - before) as f64 / f64::from(count))
    });
    runner.close().expect("nothing fails");
    Measured {
        taken: Taken::All,
        time: Duration::ZERO,
        bytes: per_task.ok(),
    }
}

fn tokio_bytes(count: u32) -> Measured {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("a runtime");
    let per_task = runtime.block_on(async move {
        let mut tasks = Vec::with_capacity(2 * count as usize);
        let wait = || std::future::pending::<()>();
        let mut before = 0;
        for _ in 0..2 {
            before = memory::live();
            tasks.extend((0..count).map(|_| tokio::spawn(wait())));
            tokio::task::yield_now().await;
        }
        let bytes = (memory::live() - before) as f64 / f64::from(count);
        drop(tasks);
        bytes
    });
    Measured {
        taken: Taken::All,
        time: Duration::ZERO,
        bytes: Some(per_task),
    }
}
