//! A loop that leaves the order to chance.

use std::collections::HashSet;

use asyncio_core::{
    OwnedEventLoop, Result, Runner, create_local_task, gather_local, get_running_loop, sleep,
    task_group,
};

use crate::support::{Log, turns};

/// What a program does in an order that the seed decides, at a virtual clock.
fn drawn<F>(seed: u64, program: impl FnOnce(Log) -> F + 'static) -> Result<Vec<String>>
where
    F: Future<Output = Result<()>> + 'static,
{
    let runner = Runner::builder()
        .virtual_clock(true)
        .shuffle(seed)
        .build()?;
    let log = Log::default();
    let theirs = log.clone();
    runner.run(async move { program(theirs).await })?;
    runner.close()?;
    Ok(log.take())
}

/// Whatever order a program can run in, some seed draws it.
fn orders<F>(program: impl Fn(Log) -> F + Copy + 'static) -> Result<HashSet<String>>
where
    F: Future<Output = Result<()>> + 'static,
{
    (0..200)
        .map(|seed| Ok(drawn(seed, program)?.concat()))
        .collect()
}

fn set(orders: &[&str]) -> HashSet<String> {
    orders.iter().map(|&order| order.to_owned()).collect()
}

const ANY: [&str; 6] = ["abc", "acb", "bac", "bca", "cab", "cba"];

#[test]
fn tasks_run_in_any_order() -> Result<()> {
    let seen = orders(async |log| {
        let tasks = ["a", "b", "c"].map(|name| {
            let log = log.clone();
            create_local_task(async move {
                log.add(name);
                Ok(())
            })
        });
        gather_local(tasks).await.map(drop)
    })?;
    assert_eq!(seen, set(&ANY));
    Ok(())
}

#[test]
fn timers_that_are_due_together_fire_in_any_order_and_others_in_theirs() -> Result<()> {
    let seen = orders(async |log| {
        let event_loop = get_running_loop()?;
        for (name, delay) in [("a", 1), ("b", 1), ("c", 1), ("d", 2)] {
            let log = log.clone();
            event_loop.call_later(delay, move || log.add(name))?;
        }
        sleep(3).await
    })?;
    let all: Vec<String> = ANY.iter().map(|order| format!("{order}d")).collect();
    assert_eq!(seen, all.into_iter().collect());
    Ok(())
}

/// One that is ready need not run before another has had several turns.
#[test]
fn one_task_may_get_far_ahead_of_another() -> Result<()> {
    let seen = orders(async |log| {
        let (ahead, behind) = (log.clone(), log);
        let runs = create_local_task(async move {
            for _ in 0..3 {
                ahead.add("r");
                sleep(0).await?;
            }
            Ok(())
        });
        let waits = create_local_task(async move {
            behind.add("w");
            Ok(())
        });
        gather_local((runs, waits)).await.map(drop)
    })?;
    assert_eq!(seen, set(&["wrrr", "rwrr", "rrwr", "rrrw"]));
    Ok(())
}

#[test]
fn the_same_seed_draws_the_same_order() -> Result<()> {
    let program = async |log: Log| {
        task_group(async |group| {
            for number in 0..20 {
                let log = log.clone();
                group.create_local_task(async move {
                    turns(number % 3).await?;
                    log.add(number.to_string());
                    Ok(())
                });
            }
            Ok(())
        })
        .await
    };
    assert_eq!(drawn(7, program)?, drawn(7, program)?);
    assert_ne!(drawn(7, program)?, drawn(8, program)?);
    Ok(())
}

/// What was drawn out of the way when the loop was stopped runs when it is run again.
#[test]
fn nothing_is_lost_when_the_loop_stops() -> Result<()> {
    for seed in 0..50 {
        let event_loop = OwnedEventLoop::builder().shuffle(seed).build()?;
        let log = Log::default();
        for name in ["a", "b", "c"] {
            let log = log.clone();
            event_loop.call_soon(move || log.add(name))?;
        }
        while log.len() < 3 {
            event_loop.run_until_complete(async { Ok(()) })?;
        }
        let mut names = log.take();
        names.sort_unstable();
        assert_eq!(names, ["a", "b", "c"]);
    }
    Ok(())
}
