//! `as_completed`: CPython's `test_tasks` on it.

use asyncio_core::{
    Result, Task, TimeoutError, ValueError, as_completed, create_task, get_running_loop, sleep,
    timeout,
};
use futures::StreamExt;

use crate::support::{run_virtual, turns};

fn sleeps(delays: &[f64]) -> Vec<Task<f64>> {
    let task = |&delay: &f64| {
        create_task(async move {
            sleep(delay).await?;
            Ok(delay)
        })
    };
    delays.iter().map(task).collect()
}

/// `test_tasks.BaseTaskTests.test_as_completed`.
#[test]
fn results_come_as_they_are_done() -> Result<()> {
    run_virtual(async {
        let mut order = Vec::new();
        for next in as_completed(sleeps(&[0.3, 0.1, 0.2])) {
            order.push((next.await?, get_running_loop()?.time()));
        }
        assert_eq!(order, [(0.1, 0.1), (0.2, 0.2), (0.3, 0.3)]);
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_as_completed_same_tasks_in_as_out`.
#[test]
fn the_stream_gives_the_tasks_themselves() -> Result<()> {
    run_virtual(async {
        let tasks = sleeps(&[0.2, 0.1]);
        let done: Vec<_> = as_completed(tasks.clone()).collect().await;
        let done = done.into_iter().collect::<Result<Vec<_>>>()?;
        assert!(done[0].same_as(&tasks[1]) && done[1].same_as(&tasks[0]));
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_as_completed_duplicate_coroutines`, `test_as_completed_reverse_wait`.
#[test]
fn each_is_handed_out_once_to_whoever_asks_first() -> Result<()> {
    run_virtual(async {
        let tasks = sleeps(&[0.05, 0.1]);
        let mut futures: Vec<_> = as_completed([&tasks[0], &tasks[1], &tasks[0]])
            .into_iter()
            .collect();
        assert_eq!(futures.len(), 2);
        let (second, first) = (futures.remove(1), futures.remove(0));
        assert_eq!(second.await?, 0.05);
        assert_eq!(first.await?, 0.1);
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_as_completed_with_timeout`.
#[test]
fn a_timeout_fails_each_that_is_left() -> Result<()> {
    run_virtual(async {
        let tasks = sleeps(&[0.1, 0.5, 0.6]);
        let mut seen = Vec::new();
        for next in as_completed(tasks.clone()).timeout(0.12) {
            seen.push(next.await.map_err(|error| error.is::<TimeoutError>()));
        }
        assert_eq!(seen, [Ok(0.1), Err(true), Err(true)]);
        assert!(!tasks[1].done(), "nothing is cancelled");
        assert_eq!(get_running_loop()?.time(), 0.12);
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_as_completed_resume_iterator`.
#[test]
fn it_may_be_left_and_taken_up_again() -> Result<()> {
    run_virtual(async {
        let mut done = as_completed(sleeps(&[0.1, 0.2, 0.3]));
        let first = (&mut done).into_iter().next().expect("three are left");
        assert_eq!(first.await?, 0.1);
        assert_eq!(done.next().await.expect("two are left")?.await?, 0.2);
        assert_eq!((&mut done).into_iter().len(), 1);
        assert_eq!(done.next_task().await.expect("one is left")?.await?, 0.3);
        assert!(done.next_task().await.is_none());
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_as_completed_concurrent` and what a cancelled waiter passes on.
#[test]
fn a_cancelled_waiter_passes_its_turn_on() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future();
        let other = get_running_loop()?.create_future();
        let mut waiters = as_completed([future.clone(), other])
            .into_iter()
            .map(create_task);
        let (first, second) = (waiters.next(), waiters.next());
        let (first, second) = first.zip(second).expect("two");
        turns(1).await?;
        future.set_result(1)?;
        turns(1).await?;
        // It has been woken and not resumed.
        first.cancel();
        assert!(first.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(second.await?, 1);
        Ok(())
    })
}

#[test]
fn errors_are_raised_where_they_are_awaited() -> Result<()> {
    run_virtual(async {
        let failing = [async { Err::<(), _>(ValueError::new("odd").into()) }];
        let mut done = as_completed(failing);
        let next = (&mut done).into_iter().next().expect("one");
        assert!(next.await.is_err_and(|error| error.is::<ValueError>()));
        Ok(())
    })
}

#[test]
fn a_waiter_that_is_dropped_passes_its_turn_on() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future();
        let other = get_running_loop()?.create_future();
        let mut next = as_completed([future.clone(), other]).into_iter();
        let (first, second) = next.next().zip(next.next()).expect("two");
        let second = create_task(second);
        assert!(timeout(0, first).await.is_err());
        future.set_result(1)?;
        assert_eq!(second.await?, 1);
        Ok(())
    })
}

#[test]
fn it_works_on_a_tokio_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut seen: Vec<i32> = runtime.block_on(async {
        let work = (0..100).map(|n| async move {
            sleep(0.0001 * f64::from(n % 5)).await?;
            Ok(n)
        });
        let mut seen = Vec::new();
        for next in as_completed(work).timeout(60) {
            seen.push(next.await.expect("none fails"));
        }
        let late = as_completed([std::future::pending::<Result<()>>()]).timeout(0.001);
        assert!(
            late.into_iter()
                .next()
                .expect("one")
                .await
                .is_err_and(|error| error.is::<TimeoutError>())
        );
        seen
    });
    seen.sort_unstable();
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
}
