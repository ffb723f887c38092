//! `wait` and `wait_for`: CPython's `test_tasks` on `wait` and its `test_waitfor`.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use asyncio_core::{
    FIRST_COMPLETED, FIRST_EXCEPTION, Future, Result, Task, TimeoutError, ValueError,
    create_local_task, create_task, current_task, get_running_loop, sleep, wait, wait_for,
    wait_for_local,
};

use crate::support::{error_of, run_virtual, turns};

fn sleeps(delays: &[f64]) -> Vec<Task<f64>> {
    let task = |&delay: &f64| {
        create_task(async move {
            sleep(delay).await?;
            Ok(delay)
        })
    };
    delays.iter().map(task).collect()
}

/// `test_tasks.BaseTaskTests.test_wait`: both sets keep the order of the arguments.
#[test]
fn all_are_waited_for() -> Result<()> {
    run_virtual(async {
        let tasks = sleeps(&[0.15, 0.1]);
        let (done, pending) = wait(&tasks).await?;
        assert!(pending.is_empty());
        assert!(done[0].same_as(&tasks[0]) && done[1].same_as(&tasks[1]));
        assert_eq!(get_running_loop()?.time(), 0.15);
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_wait_duplicate_coroutines`.
#[test]
fn duplicates_count_once() -> Result<()> {
    run_virtual(async {
        let task = create_task(async { Ok(1) });
        let (done, pending) = wait([&task, &task]).await?;
        assert_eq!((done.len(), pending.len()), (1, 0));
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_wait_errors`.
#[test]
fn an_empty_wait_is_a_value_error() -> Result<()> {
    run_virtual(async {
        let error = wait(Vec::<Task<()>>::new()).await.unwrap_err();
        assert!(error.is::<ValueError>());
        let error = wait(sleeps(&[0.0])).timeout(f64::NAN).await.unwrap_err();
        assert!(error.is::<ValueError>());
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_wait_first_completed`.
#[test]
fn the_first_to_complete_ends_the_wait() -> Result<()> {
    run_virtual(async {
        let tasks = sleeps(&[10.0, 0.1]);
        let (done, pending) = wait(tasks).return_when(FIRST_COMPLETED).await?;
        assert_eq!(done[0].result()?, 0.1);
        assert!(!pending[0].done(), "nothing is cancelled");
        assert_eq!(get_running_loop()?.time(), 0.1);
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_wait_really_done`: who ends before the wait resumes is done.
#[test]
fn all_that_are_done_on_resumption_are_done() -> Result<()> {
    run_virtual(async {
        let one = create_task(turns(1));
        let two = create_task(turns(2));
        let (done, pending) = wait([one, two]).return_when(FIRST_COMPLETED).await?;
        assert_eq!((done.len(), pending.len()), (2, 0));
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_wait_first_exception`, and that being cancelled is none.
#[test]
fn the_first_exception_ends_the_wait() -> Result<()> {
    run_virtual(async {
        let fails = create_task::<f64, _>(async {
            sleep(2).await?;
            Err(ValueError::new("odd").into())
        });
        let cancelled = sleeps(&[9.0]).remove(0);
        let long = sleeps(&[10.0]).remove(0);
        turns(1).await?;
        cancelled.cancel();
        let waited = wait([&long, &cancelled, &fails]);
        let (done, pending) = waited.return_when(FIRST_EXCEPTION).await?;
        assert!(done[0].same_as(&cancelled) && done[1].same_as(&fails));
        assert!(pending[0].same_as(&long));
        assert_eq!(get_running_loop()?.time(), 2.0);
        fails.exception().map(drop)
    })
}

/// `test_tasks.BaseTaskTests.test_wait_with_timeout`.
#[test]
fn a_timeout_ends_the_wait_without_an_error() -> Result<()> {
    run_virtual(async {
        let (done, pending) = wait(sleeps(&[0.1, 9.0])).timeout(0.5).await?;
        assert_eq!((done.len(), pending.len()), (1, 1));
        let (done, pending) = wait(pending).timeout(0).await?;
        assert_eq!((done.len(), pending.len()), (0, 1));
        assert_eq!(get_running_loop()?.time(), 0.5);
        Ok(())
    })
}

#[test]
fn a_cancelled_wait_leaves_the_tasks_alone() -> Result<()> {
    run_virtual(async {
        let tasks = sleeps(&[1.0]);
        let waits = create_task(wait(tasks.clone()));
        turns(2).await?;
        waits.cancel();
        assert!(waits.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(tasks[0].clone().await?, 1.0);
        Ok(())
    })
}

#[test]
fn handles_are_waited_for_as_tasks_are() -> Result<()> {
    run_virtual(async {
        let number = create_task(async { Ok(1) });
        let text = create_task(async { Ok("one") });
        let handles = [number.handle(), text.handle()].map(|it| it.expect("it is a task"));
        let (done, _) = wait(&handles).await?;
        assert_eq!(*done[0], handles[0]);
        Ok(())
    })
}

/// Dropped in the middle, it leaves nothing behind at the tasks.
#[test]
fn waits_that_come_and_go_do_not_pile_up() -> Result<()> {
    run_virtual(async {
        let tasks = sleeps(&[1.0]);
        for _ in 0..10_000 {
            let (_, pending) = wait(&tasks).timeout(0).await?;
            assert_eq!(pending.len(), 1);
        }
        Ok(())
    })
}

/// `test_waitfor.AsyncioWaitForTest.test_wait_for_timeout_less_then_0_or_0`.
#[test]
fn without_time_a_coroutine_never_begins() -> Result<()> {
    run_virtual(async {
        for seconds in [0.0, -1.0] {
            let begun = Rc::new(Cell::new(false));
            let sees = Rc::clone(&begun);
            let late = wait_for_local(
                async move {
                    sees.set(true);
                    Ok(())
                },
                seconds,
            );
            assert!(late.await.is_err_and(|error| error.is::<TimeoutError>()));
            assert!(!begun.get());
        }
        assert_eq!(get_running_loop()?.time(), 0.0);
        Ok(())
    })
}

/// `test_waitfor.AsyncioWaitForTest.test_wait_for_timeout_less_then_0_or_0_future_done`.
#[test]
fn without_time_what_is_done_gives_its_value() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future();
        future.set_result("done")?;
        assert_eq!(wait_for(&future, 0).await?, "done");
        Ok(())
    })
}

/// `test_waitfor.AsyncioWaitForTest.test_wait_for`.
#[test]
fn a_task_that_is_late_is_cancelled() -> Result<()> {
    run_virtual(async {
        let tasks = sleeps(&[9.0]);
        let late = wait_for(&tasks[0], 0.1).await;
        assert!(late.is_err_and(|error| error.is::<TimeoutError>()));
        assert!(tasks[0].cancelled());
        assert_eq!(wait_for(sleeps(&[0.1]).remove(0), None).await?, 0.1);
        Ok(())
    })
}

/// `test_waitfor.AsyncioWaitForTest.test_wait_for_race_condition` and its kin: a value that comes all
/// the same is returned.
#[test]
fn a_value_that_comes_despite_the_cancellation_is_the_result() -> Result<()> {
    run_virtual(async {
        let stubborn = async {
            if sleep(9).await.is_err() {
                sleep(1).await?;
            }
            Ok("all the same")
        };
        assert_eq!(wait_for(stubborn, 0.5).await?, "all the same");
        assert_eq!(get_running_loop()?.time(), 1.5);
        Ok(())
    })
}

/// `test_waitfor.AsyncioWaitForTest.test_cancel_wait_for`.
#[test]
fn cancelling_it_cancels_what_it_waits_for() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future::<()>();
        let inner = future.clone();
        let waits = create_local_task(wait_for(inner, 9));
        turns(1).await?;
        waits.cancel();
        assert!(waits.await.is_err_and(|error| error.is_cancelled()));
        assert!(future.cancelled());
        Ok(())
    })
}

/// `test_waitfor.WaitForShieldTests.test_zero_timeout`'s kin: who waits for the end of what is late may
/// be cancelled himself.
#[test]
fn waiting_for_the_end_of_what_is_late_can_be_cancelled() -> Result<()> {
    run_virtual(async {
        let stubborn = create_task(async {
            let _ = sleep(9).await;
            sleep(9).await?;
            Ok(1)
        });
        turns(1).await?;
        let waits = create_task(wait_for(stubborn.clone(), 0));
        turns(2).await?;
        waits.cancel();
        assert!(waits.await.is_err_and(|error| error.is_cancelled()));
        assert!(!stubborn.done(), "it was asked once only");
        assert_eq!(stubborn.cancelling(), 1);
        Ok(())
    })
}

/// The timer of a tokio runtime may be due in the very step that has a request to raise.
#[test]
fn a_request_is_raised_though_the_time_is_over_as_well() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        // Begun, and in so little time that the timer is not due yet: on a slow machine that takes a few tries.
        let task = loop {
            let began = Instant::now();
            let future = Future::<()>::new();
            let task = create_task(async move { wait([future]).timeout(0.05).await });
            sleep(0).await.expect("nobody cancels");
            if began.elapsed() < Duration::from_millis(40) {
                break task;
            }
            task.cancel();
        };
        std::thread::sleep(Duration::from_millis(100));
        // tokio wakes the task, but this goes on first.
        sleep(0).await.expect("nobody cancels");
        task.cancel();
        assert!(error_of(task.await.map(drop)).is_cancelled());

        let future = Future::<()>::new();
        let task = create_task(async move {
            if let Some(me) = current_task() {
                me.cancel();
            }
            let waited = wait([future]).timeout(0).await.map(drop);
            Ok(waited.is_err())
        });
        assert!(
            task.await.expect("the request was raised before"),
            "every wait gives way"
        );
    });
}
