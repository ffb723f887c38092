//! `Barrier` (`test_locks.py`, `BarrierTests`).

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;

use asyncio_core::{Result, RuntimeError, Task, ValueError, create_local_task, create_task};
use asyncio_sync::{Barrier, BrokenBarrierError};

use crate::support::{Log, fails_with, is_cancelled, poll_once, run_virtual, turns};

const N: usize = 5;

/// Runs so many tasks to their end.
async fn all<F: Future<Output = Result<()>> + 'static>(
    count: usize,
    mut make: impl FnMut() -> F,
) -> Result<()> {
    let tasks: Vec<_> = (0..count).map(|_| create_local_task(make())).collect();
    for task in tasks {
        task.await?;
    }
    Ok(())
}

fn waiter(barrier: &Barrier) -> Task<usize> {
    let barrier = barrier.clone();
    create_task(async move { barrier.wait().await })
}

fn reset(barrier: &Barrier) -> Task<()> {
    let barrier = barrier.clone();
    create_task(async move { barrier.reset().await })
}

fn shown(barrier: &Barrier) -> String {
    format!("{barrier:?}")
}

fn is_at_rest(barrier: &Barrier) -> bool {
    barrier.n_waiting() == 0 && !barrier.broken() && shown(barrier).contains("filling")
}

/// `test_locks.BarrierTests.test_barrier`,
/// `test_locks.BarrierTests.test_repr`
#[test]
fn it_shows_its_phase_and_how_many_wait() -> Result<()> {
    run_virtual(async {
        let barrier = Barrier::new(N)?;
        assert_eq!(shown(&barrier), "<Barrier [filling, waiters:0/5]>");
        let mut waiters: Vec<_> = (0..2).map(|_| waiter(&barrier)).collect();
        turns(1).await?;
        assert_eq!(shown(&barrier), "<Barrier [filling, waiters:2/5]>");
        waiters.extend((0..barrier.parties() - barrier.n_waiting()).map(|_| waiter(&barrier)));
        turns(1).await?;
        assert_eq!(shown(&barrier), "<Barrier [draining, waiters:0/5]>");
        waiters.extend((0..2).map(|_| waiter(&barrier)));
        turns(1).await?;
        barrier.reset().await?;
        assert_eq!(shown(&barrier), "<Barrier [resetting, waiters:0/5]>");
        waiters.extend((0..2).map(|_| waiter(&barrier)));
        turns(1).await?;
        barrier.abort().await?;
        assert_eq!(shown(&barrier), "<Barrier [broken]>");
        assert!(barrier.broken());
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_barrier_parties`
#[test]
fn it_is_for_one_task_at_the_least() -> Result<()> {
    assert!(fails_with::<ValueError>(Barrier::new(0)));
    assert_eq!(Barrier::new(N)?.parties(), N);
    Ok(())
}

/// `test_locks.BarrierTests.test_context_manager`
#[test]
fn each_has_a_number_of_its_own() -> Result<()> {
    run_virtual(async {
        let (barrier, results) = (Barrier::new(3)?, Log::default());
        all(3, || {
            let (barrier, results) = (barrier.clone(), results.clone());
            async move {
                results.add(barrier.wait().await?);
                Ok(())
            }
        })
        .await?;
        let mut numbers = results.all();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2]);
        assert!(is_at_rest(&barrier));
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_filling_one_task`,
/// `test_locks.BarrierTests.test_filling_one_task_twice`
#[test]
fn one_task_alone_never_waits() -> Result<()> {
    run_virtual(async {
        let barrier = Barrier::new(1)?;
        for _ in 0..2 {
            assert_eq!(barrier.wait().await?, 0);
            assert!(is_at_rest(&barrier));
        }
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_filling_task_by_task`
#[test]
fn it_counts_those_who_wait() -> Result<()> {
    run_virtual(async {
        let barrier = Barrier::new(3)?;
        let mut tasks = Vec::new();
        for count in [1, 2] {
            tasks.push(waiter(&barrier));
            turns(1).await?;
            assert_eq!(barrier.n_waiting(), count);
            assert!(shown(&barrier).contains("filling"));
        }
        tasks.push(waiter(&barrier));
        for task in tasks {
            task.await?;
        }
        assert!(is_at_rest(&barrier));
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_filling_tasks_wait_twice`,
/// `test_locks.BarrierTests.test_filling_tasks_check_return_value`
#[test]
fn it_serves_for_one_round_after_the_other() -> Result<()> {
    run_virtual(async {
        let (barrier, first, second) = (Barrier::new(N)?, Log::default(), Log::default());
        all(N, || {
            let (barrier, first, second) = (barrier.clone(), first.clone(), second.clone());
            async move {
                barrier.wait().await?;
                first.add(());
                second.add(barrier.wait().await?);
                assert_eq!(first.all().len(), N, "all have passed the first round");
                Ok(())
            }
        })
        .await?;
        let mut numbers = second.all();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        assert!(is_at_rest(&barrier));
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_draining_state`
#[test]
fn it_drains_until_the_last_one_has_left() -> Result<()> {
    run_virtual(async {
        let (barrier, results) = (Barrier::new(N)?, Log::default());
        all(N, || {
            let (barrier, results) = (barrier.clone(), results.clone());
            async move {
                barrier.wait().await?;
                results.add(shown(&barrier).contains("draining"));
                Ok(())
            }
        })
        .await?;
        assert_eq!(results.all(), [true, true, true, true, false]);
        assert!(is_at_rest(&barrier));
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_blocking_tasks_while_draining`
#[test]
fn who_comes_while_it_drains_waits_for_the_next_round() -> Result<()> {
    run_virtual(async {
        let again = 2;
        let (barrier, others) = (Barrier::new(N)?, Barrier::new(N - again)?);
        let left = Rc::new(Cell::new(again));
        all(N, || {
            let (barrier, others, left) = (barrier.clone(), others.clone(), Rc::clone(&left));
            async move {
                barrier.wait().await?;
                if left.get() > 0 {
                    left.set(left.get() - 1);
                } else {
                    others.wait().await?;
                }
                barrier.wait().await?;
                Ok(())
            }
        })
        .await?;
        assert!(is_at_rest(&barrier) && is_at_rest(&others));
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_filling_tasks_cancel_one`
#[test]
fn who_is_cancelled_frees_its_place() -> Result<()> {
    run_virtual(async {
        let barrier = Barrier::new(3)?;
        let first = waiter(&barrier);
        turns(1).await?;
        let second = waiter(&barrier);
        turns(1).await?;
        assert_eq!(barrier.n_waiting(), 2);
        first.cancel();
        turns(1).await?;
        assert_eq!(barrier.n_waiting(), 1);
        assert!(is_cancelled(first.await));
        let third = waiter(&barrier);
        turns(1).await?;
        assert_eq!(barrier.n_waiting(), 2);
        barrier.wait().await?;
        second.await?;
        third.await?;
        assert!(is_at_rest(&barrier));
        Ok(())
    })
}

#[test]
fn who_is_dropped_frees_its_place() -> Result<()> {
    run_virtual(async {
        let barrier = Barrier::new(2)?;
        let mut dropped = Box::pin(barrier.wait());
        assert!(poll_once(dropped.as_mut()).is_pending());
        drop(dropped);
        assert!(is_at_rest(&barrier));
        let mut first = pin!(barrier.wait());
        assert!(poll_once(first.as_mut()).is_pending());
        assert_eq!(barrier.n_waiting(), 1);
        assert_eq!(barrier.wait().await?, 1);
        assert_eq!(first.await?, 0);
        assert!(is_at_rest(&barrier));
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_reset_barrier`
#[test]
fn to_reset_it_while_nobody_waits_changes_nothing() -> Result<()> {
    run_virtual(async {
        let barrier = Barrier::new(1)?;
        reset(&barrier).await?;
        assert!(is_at_rest(&barrier));
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_reset_barrier_while_tasks_waiting`
#[test]
fn who_waits_when_it_is_reset_gets_an_error() -> Result<()> {
    run_virtual(async {
        let barrier = Barrier::new(N)?;
        let tasks: Vec<_> = (1..N).map(|_| waiter(&barrier)).collect();
        turns(1).await?;
        reset(&barrier);
        for task in tasks {
            assert!(fails_with::<BrokenBarrierError>(task.await));
        }
        assert!(is_at_rest(&barrier));
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_reset_barrier_when_tasks_half_draining`
#[test]
fn who_has_not_left_when_it_is_reset_gets_an_error() -> Result<()> {
    run_virtual(async {
        let (barrier, broken) = (Barrier::new(N)?, Log::default());
        let passed = Rc::new(Cell::new(0));
        all(N, || {
            let (barrier, broken, passed) = (barrier.clone(), broken.clone(), Rc::clone(&passed));
            async move {
                match barrier.wait().await {
                    Err(error) => broken.add(error.is::<BrokenBarrierError>()),
                    Ok(_) => {
                        passed.set(passed.get() + 1);
                        if passed.get() == N - N / 2 {
                            barrier.reset().await?;
                        }
                    }
                }
                Ok(())
            }
        })
        .await?;
        assert_eq!(broken.all(), vec![true; N / 2]);
        assert!(is_at_rest(&barrier));
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_reset_barrier_when_tasks_half_draining_half_blocking`
#[test]
fn who_waits_for_the_next_round_survives_a_reset() -> Result<()> {
    run_virtual(async {
        let (barrier, waiting, blocked) = (Barrier::new(N)?, Log::default(), Log::default());
        let count = Rc::new(Cell::new(0));
        all(N, || {
            let (barrier, count) = (barrier.clone(), Rc::clone(&count));
            let (waiting, blocked) = (waiting.clone(), blocked.clone());
            async move {
                if barrier.wait().await.is_err() {
                    waiting.add(());
                    barrier.wait().await?;
                    return Ok(());
                }
                count.set(count.get() + 1);
                if count.get() > N / 2 {
                    barrier.reset().await?;
                    barrier.wait().await?;
                } else if barrier.wait().await.is_err() {
                    blocked.add(());
                }
                Ok(())
            }
        })
        .await?;
        assert_eq!(waiting.all().len(), N / 2);
        assert!(blocked.all().is_empty());
        assert!(is_at_rest(&barrier));
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_reset_barrier_while_tasks_waiting_and_waiting_again`
#[test]
fn who_got_an_error_may_wait_again() -> Result<()> {
    run_virtual(async {
        let (barrier, broken, passed) = (Barrier::new(N)?, Log::default(), Log::default());
        let tasks: Vec<_> = (1..N)
            .map(|_| {
                let (barrier, broken, passed) = (barrier.clone(), broken.clone(), passed.clone());
                create_local_task(async move {
                    if barrier.wait().await.is_err() {
                        broken.add(());
                    }
                    barrier.wait().await?;
                    passed.add(());
                    Ok(())
                })
            })
            .collect();
        reset(&barrier);
        turns(1).await?;
        let last = waiter(&barrier);
        for task in tasks {
            task.await?;
        }
        last.await?;
        assert_eq!((broken.all().len(), passed.all().len()), (N - 1, N - 1));
        assert!(is_at_rest(&barrier));
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_reset_barrier_while_tasks_draining`
#[test]
fn the_last_to_leave_may_reset_it() -> Result<()> {
    run_virtual(async {
        let (barrier, second, third) = (Barrier::new(N)?, Log::default(), Log::default());
        let count = Rc::new(Cell::new(0));
        all(N, || {
            let (barrier, count) = (barrier.clone(), Rc::clone(&count));
            let (second, third) = (second.clone(), third.clone());
            async move {
                barrier.wait().await?;
                count.set(count.get() + 1);
                if count.get() == N {
                    barrier.reset().await?;
                    barrier.wait().await?;
                } else {
                    second.add(barrier.wait().await.is_ok());
                }
                barrier.wait().await?;
                third.add(());
                Ok(())
            }
        })
        .await?;
        assert_eq!(second.all(), vec![true; N - 1]);
        assert_eq!(third.all().len(), N);
        assert!(is_at_rest(&barrier));
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_abort_barrier`
#[test]
fn it_stays_broken_after_an_abort() -> Result<()> {
    run_virtual(async {
        let barrier = Barrier::new(1)?;
        barrier.abort().await?;
        assert_eq!(barrier.n_waiting(), 0);
        assert!(barrier.broken());
        assert!(fails_with::<BrokenBarrierError>(barrier.wait().await));
        barrier.reset().await?;
        assert_eq!(barrier.wait().await?, 0);
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_abort_barrier_when_tasks_half_draining_half_blocking`
#[test]
fn an_abort_breaks_those_who_wait_for_the_next_round_too() -> Result<()> {
    run_virtual(async {
        let (barrier, waiting, blocked) = (Barrier::new(N)?, Log::default(), Log::default());
        let count = Rc::new(Cell::new(0));
        all(N, || {
            let (barrier, count) = (barrier.clone(), Rc::clone(&count));
            let (waiting, blocked) = (waiting.clone(), blocked.clone());
            async move {
                if barrier.wait().await.is_err() {
                    waiting.add(());
                    return Ok(());
                }
                count.set(count.get() + 1);
                if count.get() > N / 2 {
                    barrier.abort().await?;
                } else if fails_with::<BrokenBarrierError>(barrier.wait().await) {
                    blocked.add(());
                }
                Ok(())
            }
        })
        .await?;
        assert!(barrier.broken());
        assert_eq!(waiting.all().len(), N / 2);
        assert_eq!(blocked.all().len(), N - N / 2 - 1);
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_abort_barrier_when_exception`
#[test]
fn a_task_that_fails_may_abort_it_for_the_others() -> Result<()> {
    run_virtual(async {
        let (barrier, passed, broken) = (Barrier::new(N)?, Log::default(), Log::default());
        all(N, || {
            let (barrier, passed, broken) = (barrier.clone(), passed.clone(), broken.clone());
            async move {
                match twice(&barrier).await {
                    Ok(()) => passed.add(()),
                    Err(error) if error.is::<BrokenBarrierError>() => broken.add(()),
                    Err(_) => barrier.abort().await?,
                }
                Ok(())
            }
        })
        .await?;
        assert!(barrier.broken());
        assert_eq!((passed.all().len(), broken.all().len()), (0, N - 1));
        Ok(())
    })
}

/// `test_locks.BarrierTests.test_abort_barrier_when_exception_then_resetting`
#[test]
fn an_aborted_barrier_is_as_new_after_a_reset() -> Result<()> {
    run_virtual(async {
        let (first, second) = (Barrier::new(N)?, Barrier::new(N)?);
        let (passed, broken, after) = (Log::default(), Log::default(), Log::default());
        all(N, || {
            let (first, second) = (first.clone(), second.clone());
            let (passed, broken, after) = (passed.clone(), broken.clone(), after.clone());
            async move {
                match twice(&first).await {
                    Ok(()) => passed.add(()),
                    Err(error) if error.is::<BrokenBarrierError>() => broken.add(()),
                    Err(_) => first.abort().await?,
                }
                if second.wait().await? == N / 2 {
                    first.reset().await?;
                }
                second.wait().await?;
                first.wait().await?;
                after.add(());
                Ok(())
            }
        })
        .await?;
        assert_eq!((passed.all().len(), broken.all().len()), (0, N - 1));
        assert_eq!(after.all().len(), N);
        assert!(is_at_rest(&first));
        Ok(())
    })
}

/// Passes the barrier twice, unless it is the one in the middle, which fails in between.
async fn twice(barrier: &Barrier) -> Result<()> {
    if barrier.wait().await? == N / 2 {
        return Err(RuntimeError::new("the one in the middle").into());
    }
    barrier.wait().await?;
    Ok(())
}
