//! Cancellation of tasks, hop for hop (`asyncio/tasks.py`, `Task.cancel` and what follows from it).

use std::cell::Cell;
use std::rc::Rc;
use std::task::Poll;

use asyncio_core::{
    CancelledError, Result, Task, TaskHandle, TimeoutError, ValueError, create_local_task,
    create_task, current_task, get_running_loop, sleep,
};

use crate::support::{Alive, Log, cancel_message, error_of, run_virtual, turns};

fn me() -> TaskHandle {
    current_task().expect("inside a task")
}

/// `test_tasks.BaseTaskTests.test_cancel`
#[test]
fn a_sleeping_task_is_cancelled_where_it_sleeps() -> Result<()> {
    run_virtual(async {
        let task = create_task(async {
            sleep(10).await?;
            Ok(12)
        });
        turns(1).await?;
        assert!(task.cancel());
        assert!(!task.done(), "the request is no end yet");
        assert!(error_of((&task).await).is_cancelled());
        assert!(task.done() && task.cancelled());
        assert!(!task.cancel());
        assert_eq!(get_running_loop()?.time(), 0.0);
        Ok(())
    })
}

/// Raised one turn after the request, the awaiter another turn later.
#[test]
fn a_cancelled_task_ends_a_turn_later_and_its_awaiter_resumes_the_turn_after() -> Result<()> {
    run_virtual(async {
        let task = create_task(async { sleep(10).await });
        turns(1).await?;
        task.cancel();
        turns(1).await?;
        assert!(task.cancelled());
        let outer = create_task(async { create_task(async { sleep(10).await }).await });
        turns(2).await?;
        outer.cancel();
        turns(1).await?;
        assert!(!outer.done(), "the inner task ends first");
        turns(1).await?;
        assert!(outer.cancelled());
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_task_cancel_message_getter`,
/// `test_tasks.BaseTaskTests.test_cancel_with_message_then_future_result`,
/// `test_tasks.BaseTaskTests.test_cancel_with_message_then_future_exception`
#[test]
fn the_message_reaches_the_first_who_asks() -> Result<()> {
    run_virtual(async {
        for ask in [0, 1, 2] {
            let task = create_task(async { sleep(10).await });
            turns(1).await?;
            task.cancel_with_message("why");
            turns(2).await?;
            let first = match ask {
                0 => error_of(task.result()),
                1 => error_of(task.exception()),
                _ => error_of((&task).await),
            };
            assert_eq!(cancel_message(&first).as_deref(), Some("why"));
            // The task ended through `Future.cancel()` without a message; later ones get none.
            assert_eq!(cancel_message(&error_of(task.result())), None);
        }
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_cancellation_exception_context`
#[test]
fn the_message_is_seen_inside_the_task() -> Result<()> {
    run_virtual(async {
        let task = create_task(async {
            let error = error_of(sleep(10).await);
            Ok(cancel_message(&error))
        });
        turns(1).await?;
        task.cancel_with_message("inside");
        assert_eq!(task.await?.as_deref(), Some("inside"));
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_cancel_with_message_before_starting_task`
#[test]
fn a_task_that_is_cancelled_before_it_starts_never_runs() -> Result<()> {
    run_virtual(async {
        let (alive, log) = (Alive::default(), Log::default());
        let (held, theirs) = (alive.one(), log.clone());
        let task = create_local_task(async move {
            theirs.add("started");
            held.touch();
            Ok(())
        });
        task.cancel_with_message("too early");
        assert_eq!(alive.count(), 1, "it ends in its turn, not before");
        let error = error_of((&task).await);
        assert_eq!(cancel_message(&error).as_deref(), Some("too early"));
        assert!(task.cancelled());
        assert_eq!((log.take(), alive.count()), (Vec::new(), 0));
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_cancel_yield`
#[test]
fn a_task_is_cancelled_at_a_bare_yield() -> Result<()> {
    run_virtual(async {
        let task = create_task(async {
            sleep(0).await?;
            sleep(0).await?;
            Ok(12)
        });
        turns(1).await?;
        assert!(task.cancel());
        assert!(error_of((&task).await).is_cancelled());
        assert!(task.cancelled());
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_cancel_inner_future`
#[test]
fn a_cancelled_future_raises_at_whoever_awaits_it() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future::<u8>();
        let waited = future.clone();
        let task = create_local_task(async move { waited.await });
        turns(1).await?;
        future.cancel_with_message("the future");
        let error = error_of((&task).await);
        assert_eq!(cancel_message(&error).as_deref(), Some("the future"));
        assert!(task.cancelled());
        assert_eq!(task.cancelling(), 0, "nobody cancelled the task");
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_cancel_both_task_and_inner_future`
#[test]
fn cancelling_a_task_and_its_future_is_cancelling_once() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future::<u8>();
        let waited = future.clone();
        let task = create_local_task(async move { waited.await });
        turns(1).await?;
        assert!(future.cancel());
        assert!(task.cancel());
        assert!(error_of((&task).await).is_cancelled());
        assert!(future.cancelled() && task.cancelled());
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_cancel_task_catching`
#[test]
fn a_task_may_catch_the_cancellation_and_return_a_value() -> Result<()> {
    run_virtual(async {
        let futures = [
            get_running_loop()?.create_future::<u8>(),
            get_running_loop()?.create_future(),
        ];
        let [first, second] = futures.clone();
        let task = create_local_task(async move {
            first.await?;
            match second.await {
                Err(error) if error.is_cancelled() => Ok(42),
                other => Ok(i32::from(other?)),
            }
        });
        turns(1).await?;
        futures[0].set_result(1)?;
        turns(1).await?;
        task.cancel();
        assert!(futures[1].cancelled());
        assert_eq!((&task).await?, 42);
        assert!(!task.cancelled());
        assert_eq!(task.cancelling(), 1);
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_cancel_task_ignoring`
#[test]
fn a_task_may_ignore_the_cancellation_and_go_on_waiting() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let (first, second) = (event_loop.create_future::<u8>(), event_loop.create_future());
        let (mine, theirs) = (second.clone(), first.clone());
        let task = create_local_task(async move {
            assert!(error_of(theirs.await).is_cancelled());
            mine.await
        });
        turns(1).await?;
        task.cancel();
        turns(2).await?;
        assert!(first.cancelled() && !second.done() && !task.done());
        second.set_result(42)?;
        assert_eq!(task.await?, 42);
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_cancel_current_task`
#[test]
fn a_task_that_cancels_itself_finds_the_error_at_its_next_wait() -> Result<()> {
    run_virtual(async {
        let log = Log::default();
        for wait in [0.0, 100.0] {
            let log = log.clone();
            let task = create_local_task(async move {
                assert!(me().cancel());
                log.add("on");
                sleep(wait).await?;
                log.add("never");
                Ok(())
            });
            turns(2).await?;
            assert!(task.cancelled());
        }
        assert_eq!(log.take(), ["on", "on"]);
        Ok(())
    })
}

#[test]
fn a_done_future_is_no_wait_for_a_task_that_cancelled_itself() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future();
        future.set_result("value")?;
        let (done, log) = (future.clone(), Log::default());
        let theirs = log.clone();
        let task = create_local_task(async move {
            me().cancel();
            theirs.add(done.await?);
            sleep(0).await
        });
        assert!(error_of(task.await).is_cancelled());
        assert_eq!(log.take(), ["value"]);
        Ok(())
    })
}

/// A self-cancelled task that then awaits a pending future cancels that future.
#[test]
fn the_next_wait_of_a_task_that_cancelled_itself_is_cancelled_with_it() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future::<u8>();
        let waited = future.clone();
        let task = create_local_task(async move {
            me().cancel_with_message("self");
            waited.await
        });
        turns(1).await?;
        assert!(future.cancelled() && !task.done());
        let error = error_of(task.await);
        assert_eq!(cancel_message(&error).as_deref(), Some("self"));
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_cancel_at_end`
#[test]
fn a_task_that_cancels_itself_and_returns_is_cancelled() -> Result<()> {
    run_virtual(async {
        let task = create_task(async {
            me().cancel_with_message("at the end");
            Ok(12)
        });
        let error = error_of((&task).await);
        assert_eq!(cancel_message(&error).as_deref(), Some("at the end"));
        assert!(task.cancelled());
        Ok(())
    })
}

#[test]
fn a_task_that_cancels_itself_and_raises_ends_with_what_it_raised() -> Result<()> {
    run_virtual(async {
        let task = create_task(async {
            me().cancel();
            Err::<(), _>(ValueError::new("boom").into())
        });
        assert!(error_of((&task).await).is::<ValueError>());
        assert!(!task.cancelled());
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_cancel_awaited_task`,
/// `test_tasks.BaseTaskTests.test_yield_future_passes_cancel`
#[test]
fn a_request_reaches_the_innermost_future_at_once() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future::<u8>();
        let waited = future.clone();
        let inner = create_local_task(async move { waited.await });
        let awaited = inner.clone();
        let outer = create_local_task(async move { awaited.await });
        turns(2).await?;
        outer.cancel_with_message("from outside");
        assert!(future.cancelled(), "synchronously, through both tasks");
        assert_eq!((inner.cancelling(), outer.cancelling()), (1, 1));
        let error = error_of((&outer).await);
        assert_eq!(cancel_message(&error).as_deref(), Some("from outside"));
        assert!(inner.cancelled() && outer.cancelled());
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_task_cancel_sleeping_task`
#[test]
fn a_task_may_cancel_the_task_it_awaits() -> Result<()> {
    run_virtual(async {
        let sleeper = create_task(async { sleep(1000).await });
        get_running_loop()?.call_later(1, {
            let sleeper = sleeper.clone();
            move || {
                sleeper.cancel();
            }
        })?;
        let error = error_of(sleeper.await);
        assert!(error.is_cancelled());
        assert_eq!(get_running_loop()?.time(), 1.0);
        assert_eq!(me().cancelling(), 0);
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_cancelling`
#[test]
fn every_request_is_counted_and_one_error_is_delivered() -> Result<()> {
    run_virtual(async {
        let log = Log::default();
        let theirs = log.clone();
        let task = create_local_task(async move {
            if sleep(10).await.is_err() {
                theirs.add("cancelled");
            }
            sleep(0).await?;
            theirs.add("went on");
            Ok(())
        });
        turns(1).await?;
        assert_eq!(task.cancelling(), 0);
        assert!(task.cancel() && task.cancel());
        assert_eq!(task.cancelling(), 2);
        (&task).await?;
        assert_eq!(log.take(), ["cancelled", "went on"]);
        assert!(!task.cancel());
        assert_eq!(task.cancelling(), 2);
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_uncancel_basic`
#[test]
fn requests_taken_back_are_not_counted_any_more() -> Result<()> {
    run_virtual(async {
        let task = create_task(async {
            assert!(sleep(10).await.is_err());
            assert_eq!(me().uncancel(), 0);
            sleep(10).await
        });
        turns(1).await?;
        assert_eq!(task.uncancel(), 0, "there is none to take back");
        task.cancel();
        turns(2).await?;
        assert_eq!((task.cancelling(), task.done()), (0, false));
        task.cancel();
        task.cancel();
        assert_eq!((task.uncancel(), task.cancelling()), (1, 1));
        assert!(error_of((&task).await).is_cancelled());
        assert_eq!(task.uncancel(), 0);
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_uncancel_resets_must_cancel`
#[test]
fn a_request_that_is_taken_back_before_it_was_raised_is_not_raised() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future();
        let waited = future.clone();
        let task = create_local_task(async move { waited.await });
        turns(1).await?;
        future.set_result(42)?;
        task.cancel();
        assert_eq!(task.uncancel(), 0);
        assert_eq!(task.await?, 42);

        let fresh = create_task(async { Ok("ran") });
        fresh.cancel();
        fresh.cancel();
        assert_eq!(fresh.uncancel(), 1);
        assert_eq!(fresh.uncancel(), 0);
        assert_eq!(fresh.await?, "ran");
        Ok(())
    })
}

/// The request wins over a result that is on its way, as in `Task.__step`.
#[test]
fn a_result_that_is_on_its_way_is_lost_to_a_cancellation() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future();
        let waited = future.clone();
        let task = create_local_task(async move { waited.await });
        turns(1).await?;
        future.set_result(42)?;
        task.cancel_with_message("late");
        let error = error_of((&task).await);
        assert_eq!(cancel_message(&error).as_deref(), Some("late"));
        assert_eq!(future.result()?, 42);
        Ok(())
    })
}

/// The same with an exception on its way, which is then nobody's to report.
#[test]
fn an_exception_that_is_on_its_way_is_lost_to_a_cancellation() -> Result<()> {
    run_virtual(async {
        let reports = crate::support::Reports::of_running()?;
        let future = get_running_loop()?.create_future::<u8>();
        let waited = future.clone();
        let task = create_local_task(async move { waited.await });
        turns(1).await?;
        future.set_exception(ValueError::new("lost"))?;
        task.cancel();
        assert!(error_of((&task).await).is_cancelled());
        drop((task, future));
        assert!(reports.take_lines().is_empty());
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_uncancel_structured_blocks`
#[test]
fn cancel_and_uncancel_make_a_timeout_that_knows_its_own_cancellation() -> Result<()> {
    async fn with_timeout(delay: f64, work: impl Future<Output = Result<()>>) -> Result<()> {
        let (task, fired) = (me(), Rc::new(Cell::new(false)));
        let (target, flag) = (task.clone(), Rc::clone(&fired));
        let timer = get_running_loop()?.call_later(delay, move || {
            flag.set(true);
            target.cancel();
        })?;
        let result = work.await;
        timer.cancel();
        match result {
            Err(error) if error.is_cancelled() && fired.get() && task.uncancel() == 0 => {
                Err(TimeoutError::new("timed out").into())
            }
            other => other,
        }
    }
    run_virtual(async {
        with_timeout(10.0, async { sleep(1).await }).await?;
        let timed_out = error_of(with_timeout(1.0, async { sleep(10).await }).await);
        assert!(timed_out.is::<TimeoutError>());
        assert_eq!(me().cancelling(), 0);
        let task = create_local_task(with_timeout(1.0, async {
            me().cancel();
            sleep(10).await
        }));
        assert!(error_of((&task).await).is_cancelled());
        // Both at once: the outer request must not be mistaken for the timeout's.
        let task = create_local_task(with_timeout(1.0, async {
            let outer = me();
            get_running_loop()?.call_later(1.0, move || {
                outer.cancel();
            })?;
            sleep(10).await
        }));
        assert!(error_of((&task).await).is_cancelled());
        assert_eq!(task.cancelling(), 1);
        Ok(())
    })
}

#[test]
fn clean_up_may_await_before_it_passes_the_error_on() -> Result<()> {
    run_virtual(async {
        let log = Log::default();
        let theirs = log.clone();
        let task = create_local_task(async move {
            let result = sleep(10).await;
            theirs.add("cleaning");
            sleep(5).await?;
            theirs.add("clean");
            result
        });
        turns(1).await?;
        task.cancel();
        assert!(error_of((&task).await).is_cancelled());
        assert_eq!(log.take(), ["cleaning", "clean"]);
        assert_eq!(get_running_loop()?.time(), 5.0);
        Ok(())
    })
}

#[test]
fn a_second_request_interrupts_the_clean_up() -> Result<()> {
    run_virtual(async {
        let log = Log::default();
        let theirs = log.clone();
        let task = create_local_task(async move {
            let first = error_of(sleep(10).await);
            theirs.add(first.to_string());
            let second = error_of(sleep(5).await);
            theirs.add(second.to_string());
            Err::<(), _>(second)
        });
        turns(1).await?;
        task.cancel_with_message("one");
        turns(1).await?;
        task.cancel_with_message("two");
        assert!(error_of((&task).await).is_cancelled());
        assert_eq!(log.take(), ["cancelled: one", "cancelled: two"]);
        Ok(())
    })
}

#[test]
fn the_error_may_be_replaced_by_another() -> Result<()> {
    run_virtual(async {
        let task = create_task(async {
            match sleep(10).await {
                Err(_) => Err(ValueError::new("instead").into()),
                ok => ok,
            }
        });
        turns(1).await?;
        task.cancel();
        assert!(error_of((&task).await).is::<ValueError>());
        assert!(!task.cancelled());
        Ok(())
    })
}

/// Several leaves in one task: each is cancelled, as each would be in a task of its own.
#[test]
fn every_leaf_of_a_join_is_cancelled() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future::<()>();
        let waited = future.clone();
        let task = create_local_task(async move {
            let child = create_task(async { sleep(30).await });
            let all = ::futures::join!(sleep(10), waited, child, sleep(0), sleep(20));
            Ok([all.0, all.1, all.2, all.3, all.4]
                .map(|result| result.is_err_and(|error| error.is_cancelled())))
        });
        turns(3).await?;
        task.cancel();
        // The sleep of zero was over before the request came.
        assert_eq!(task.await?, [true, true, true, false, true]);
        assert!(future.cancelled());
        Ok(())
    })
}

#[test]
fn every_leaf_is_told_when_the_request_comes_before_any_waits() -> Result<()> {
    run_virtual(async {
        let task = create_task(async {
            me().cancel();
            let all = ::futures::join!(sleep(10), sleep(20));
            Ok((all.0.is_err(), all.1.is_err()))
        });
        assert_eq!(task.await?, (true, true));
        Ok(())
    })
}

#[test]
fn leaves_that_are_polled_by_wakers_of_their_own_are_cancelled_too() -> Result<()> {
    run_virtual(async {
        for count in [1, 5, 31, 100] {
            let task = create_task(async move {
                let sleeps = (0..count).map(|_| sleep(10));
                let results = ::futures::future::join_all(sleeps).await;
                let cancelled = results
                    .iter()
                    .filter(|result| result.as_ref().is_err_and(|error| error.is_cancelled()));
                Ok(cancelled.count())
            });
            turns(1).await?;
            task.cancel();
            assert_eq!(task.await?, count);
        }
        Ok(())
    })
}

#[test]
fn leaves_inside_futures_unordered_are_cancelled_at_bare_yields_too() -> Result<()> {
    run_virtual(async {
        use ::futures::StreamExt as _;
        let task = create_task(async {
            let mut pending: ::futures::stream::FuturesUnordered<_> =
                (0..3).map(|_| async { turns(1000).await }).collect();
            let mut cancelled = 0;
            while let Some(result) = pending.next().await {
                cancelled += u32::from(result.is_err());
            }
            Ok(cancelled)
        });
        turns(3).await?;
        task.cancel();
        assert_eq!(task.await?, 3);
        Ok(())
    })
}

#[test]
fn a_select_between_leaves_ends_with_the_cancellation() -> Result<()> {
    run_virtual(async {
        let task = create_task(async {
            tokio::select! {
                result = sleep(10) => result,
                result = sleep(20) => result,
            }
        });
        turns(1).await?;
        task.cancel();
        assert!(error_of(task.await).is_cancelled());
        let task = create_task(async {
            use ::futures::FutureExt as _;
            ::futures::select! {
                result = sleep(10).fuse() => result,
                result = sleep(20).fuse() => result,
            }
        });
        turns(1).await?;
        task.cancel();
        assert!(error_of(task.await).is_cancelled());
        Ok(())
    })
}

#[test]
fn a_leaf_that_was_woken_keeps_its_result_when_another_takes_the_request() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future();
        let waited = future.clone();
        let task = create_local_task(async move {
            let both = ::futures::join!(waited, sleep(10));
            Ok((both.0.is_ok_and(|value| value == 7), both.1.is_err()))
        });
        turns(1).await?;
        future.set_result(7)?;
        task.cancel();
        assert_eq!(task.await?, (true, true));
        Ok(())
    })
}

/// Cancelling in a done callback, in a destructor, in the poll of another future: all are legal.
#[test]
fn a_task_may_be_cancelled_from_anywhere() -> Result<()> {
    struct CancelsOnDrop(TaskHandle);
    impl Drop for CancelsOnDrop {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    run_virtual(async {
        let victims: Vec<Task<()>> = (0..3)
            .map(|_| create_task(async { sleep(10).await }))
            .collect();
        let handles: Vec<TaskHandle> = victims.iter().filter_map(Task::handle).collect();
        turns(1).await?;
        let trigger = create_task(async { Ok(()) });
        let first = handles[0].clone();
        trigger.add_local_done_callback(move |_| {
            first.cancel();
        })?;
        trigger.await?;
        drop(create_task({
            let guard = CancelsOnDrop(handles[1].clone());
            async move {
                let _guard = guard;
                sleep(0).await
            }
        }));
        let mut third = Some(handles[2].clone());
        std::future::poll_fn(|_| {
            third.take().map(|third| third.cancel());
            Poll::Ready(())
        })
        .await;
        turns(4).await?;
        assert!(victims.iter().all(Task::cancelled));
        Ok(())
    })
}

/// A task that cancels the task that is cancelling it.
#[test]
fn two_tasks_that_cancel_each_other_both_end() -> Result<()> {
    run_virtual(async {
        let second: Rc<Cell<Option<TaskHandle>>> = Rc::default();
        let target = Rc::clone(&second);
        let first = create_local_task(async move {
            let result = sleep(10).await;
            if let Some(second) = target.take() {
                second.cancel();
            }
            result
        });
        let victim = first.handle().expect("a task");
        let other = create_local_task(async move {
            victim.cancel();
            sleep(10).await
        });
        second.set(other.handle());
        assert!(error_of(first.await).is_cancelled());
        assert!(error_of(other.await).is_cancelled());
        Ok(())
    })
}

#[test]
fn an_explicit_cancelled_error_is_passed_on_with_its_message() -> Result<()> {
    run_virtual(async {
        let inner =
            create_task(async { Err::<(), _>(CancelledError::with_message("inner").into()) });
        let outer = create_task(async move { inner.await });
        let error = error_of(outer.await);
        assert_eq!(cancel_message(&error).as_deref(), Some("inner"));
        Ok(())
    })
}
