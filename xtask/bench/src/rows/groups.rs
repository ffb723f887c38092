//! Many tasks as one: groups, gather, timeouts.

use std::time::Duration;

use asyncio_core as asyncio;
use asyncio_core::Result;
use tokio::task::JoinSet;

use super::{BATCH, CURRENT_THREAD, JOIN_SET, Row, row};
use crate::runtimes::{current_thread, ours};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "taskgroup",
            &[
                ("ours", |n| ours(move || taskgroup(n))),
                (JOIN_SET, |n| current_thread(move || join_set(n, BATCH))),
            ],
        ),
        Row {
            fixed: 100_000,
            ..row(
                "gather_100k",
                &[
                    ("ours", |n| ours(move || gather(n))),
                    (JOIN_SET, |n| current_thread(move || join_set(n, n))),
                ],
            )
        },
        row(
            "gather_2",
            &[
                ("ours", |n| ours(move || gather_two(n))),
                (CURRENT_THREAD, |n| current_thread(move || join_two(n))),
            ],
        ),
        row(
            "timeout",
            &[
                ("ours", |n| ours(move || timeout(n))),
                (CURRENT_THREAD, |n| current_thread(move || tokio_timeout(n))),
            ],
        ),
    ]
}

async fn taskgroup(count: u32) -> Result<()> {
    for _ in 0..count.div_ceil(BATCH) {
        asyncio::task_group(async |group| {
            for _ in 0..BATCH {
                group.create_task(async { Ok(()) });
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn join_set(count: u32, batch: u32) {
    for _ in 0..count.div_ceil(batch) {
        let mut set = JoinSet::new();
        for _ in 0..batch {
            set.spawn(async {});
        }
        while let Some(ended) = set.join_next().await {
            ended.expect("it does not panic");
        }
    }
}

async fn gather(count: u32) -> Result<()> {
    let tasks: Vec<_> = (0..count)
        .map(|_| asyncio::create_task(async { Ok(()) }))
        .collect();
    asyncio::gather(tasks).await?;
    Ok(())
}

async fn gather_two(count: u32) -> Result<()> {
    for _ in 0..count {
        asyncio::gather((async { Ok(1) }, async { Ok(2) })).await?;
    }
    Ok(())
}

/// What gives both their own tasks, as gather does.
async fn join_two(count: u32) {
    for _ in 0..count {
        let one = tokio::spawn(async { 1 });
        let two = tokio::spawn(async { 2 });
        let both = tokio::join!(one, two);
        assert!(both.0.is_ok() && both.1.is_ok(), "they do not panic");
    }
}

/// Around a yield, so that the timer is really set.
async fn timeout(count: u32) -> Result<()> {
    for _ in 0..count {
        asyncio::timeout(100, asyncio::sleep(0)).await?;
    }
    Ok(())
}

async fn tokio_timeout(count: u32) {
    for _ in 0..count {
        tokio::time::timeout(Duration::from_secs(100), tokio::task::yield_now())
            .await
            .expect("it is in time");
    }
}
