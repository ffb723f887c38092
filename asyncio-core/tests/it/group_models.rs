//! Groups of any shape on several threads: whatever is cancelled, fails, panics or is dropped, no task
//! outlives its group, and nothing that a task held is left.

use std::pin::pin;
use std::time::{Duration, Instant};

use asyncio_core::{
    Result, TaskGroup, ValueError, create_task, current_task, sleep, task_group, timeout,
};
use proptest::prelude::*;

use crate::support::{Alive, on_threads};

/// What a task of a group does.
#[derive(Clone, Debug)]
enum Child {
    /// Gives way a number of times and ends.
    Ends(u8),
    Fails(u8),
    Panics(u8),
    /// Waits until it is cancelled.
    Waits,
    /// As that, and takes its time to clean up.
    CleansUp(u8),
    /// Cancels itself.
    Cancels,
    /// Starts another task of the same group.
    Starts(Box<Self>),
    /// Has a group of its own.
    Group(Vec<Self>),
    /// Waits for something that knows nothing of groups.
    Foreign,
}

/// What happens to the group from outside.
#[derive(Clone, Copy, Debug)]
enum Fate {
    RunsOn,
    Cancelled(u8),
    TimedOut,
    /// Polled so many times, and then dropped.
    Dropped(u8),
    /// Cancelled by itself (`TaskGroup.cancel`).
    CancelsItself,
}

fn child() -> impl Strategy<Value = Child> {
    let leaf = prop_oneof![
        (0..4_u8).prop_map(Child::Ends),
        (0..4_u8).prop_map(Child::Fails),
        (0..4_u8).prop_map(Child::Panics),
        Just(Child::Waits),
        (0..4_u8).prop_map(Child::CleansUp),
        Just(Child::Cancels),
        Just(Child::Foreign),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            inner
                .clone()
                .prop_map(|child| Child::Starts(Box::new(child))),
            prop::collection::vec(inner, 0..4).prop_map(Child::Group),
        ]
    })
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::RunsOn),
        (0..6_u8).prop_map(Fate::Cancelled),
        Just(Fate::TimedOut),
        (0..6_u8).prop_map(Fate::Dropped),
        Just(Fate::CancelsItself),
    ]
}

fn start(group: &TaskGroup, child: Child, alive: &Alive) {
    let held = alive.one();
    let (inner, alive) = (group.clone(), alive.clone());
    group.create_task(async move {
        let result = Box::pin(live(inner, child, alive)).await;
        held.touch();
        result
    });
}

async fn live(group: TaskGroup, child: Child, alive: Alive) -> Result<()> {
    let give_way = async |times: u8| {
        for _ in 0..times {
            sleep(0).await?;
        }
        Ok::<(), asyncio_core::Exception>(())
    };
    match child {
        Child::Ends(times) => give_way(times).await,
        Child::Fails(times) => {
            give_way(times).await?;
            Err(ValueError::new("failed").into())
        }
        Child::Panics(times) => {
            give_way(times).await?;
            std::panic::resume_unwind(Box::new("panicked"));
        }
        Child::Waits => sleep(3600).await,
        Child::CleansUp(times) => {
            let ended = sleep(3600).await;
            give_way(times).await?;
            ended
        }
        Child::Cancels => {
            if let Some(me) = current_task() {
                me.cancel();
            }
            sleep(0).await
        }
        Child::Starts(child) => {
            start(&group, *child, &alive);
            sleep(0).await
        }
        Child::Group(children) => run_group(children, false, alive).await,
        Child::Foreign => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok(())
        }
    }
}

async fn run_group(children: Vec<Child>, cancels: bool, alive: Alive) -> Result<()> {
    task_group(async |group| {
        for child in children {
            start(&group, child, &alive);
        }
        sleep(0).await?;
        if cancels {
            group.cancel();
        }
        // What only waits is not waited for by the test.
        timeout(0.002, sleep(3600)).await
    })
    .await
}

/// Runs a group and meets it with its fate; the outcome does not matter here.
async fn meet(children: Vec<Child>, fate: Fate, alive: Alive) -> Result<()> {
    let group = run_group(children, matches!(fate, Fate::CancelsItself), alive.clone());
    match fate {
        Fate::RunsOn | Fate::CancelsItself => drop(group.await),
        Fate::TimedOut => drop(timeout(0.000_5, group).await),
        Fate::Cancelled(turns) => {
            let task = create_task(group);
            for _ in 0..turns {
                sleep(0).await?;
            }
            task.cancel();
            drop(task.await);
        }
        Fate::Dropped(polls) => {
            let mut group = pin!(group);
            for _ in 0..=polls {
                std::future::poll_fn(|cx| {
                    drop(group.as_mut().poll(cx));
                    std::task::Poll::Ready(())
                })
                .await;
                // A group that fails cancels this task, its parent, wherever that waits.
                drop(sleep(0).await);
            }
        }
    }
    if !matches!(fate, Fate::Dropped(_)) {
        assert_eq!(alive.count(), 0, "a task has outlived its group");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn no_task_outlives_its_group(
        children in prop::collection::vec(child(), 0..6),
        fate in fate(),
        threads in prop_oneof![Just(1_usize), Just(2), Just(4)],
    ) {
        let alive = Alive::default();
        let met = on_threads(threads, meet(children, fate, alive.clone()));
        prop_assert!(met.is_ok() || matches!(fate, Fate::Dropped(_)), "{met:?}");
        // What was being polled when its group was dropped is dropped by the thread that did.
        let begun = Instant::now();
        while alive.count() > 0 && begun.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        prop_assert_eq!(alive.count(), 0);
    }
}

/// How many groups are tried; more by `ASYNCIO_CORE_GROUPS`.
fn cases() -> u32 {
    std::env::var("ASYNCIO_CORE_GROUPS")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(200)
}
