//! `timeout`: CPython's `test_timeouts` and what Rust adds.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio_core::{
    ExceptionGroup, Result, RuntimeError, Timeout, TimeoutError, ValueError, create_local_task,
    create_task, current_task, get_running_loop, sleep, task_group, timeout, timeout_at,
    timeout_with,
};

use crate::support::{Alive, error_of, run_virtual, turns};

fn now() -> f64 {
    get_running_loop().map_or(f64::NAN, |event_loop| event_loop.time())
}

fn cancelling() -> u32 {
    current_task().map_or(0, |task| task.cancelling())
}

/// `test_timeouts.TimeoutTests.test_timeout_basic`.
#[test]
fn what_takes_too_long_is_cancelled() -> Result<()> {
    run_virtual(async {
        let cm = Timeout::new(0.01);
        let error = cm.run(sleep(10)).await.unwrap_err();
        assert!(error.is::<TimeoutError>());
        assert!(cm.expired());
        assert_eq!((now(), cancelling()), (0.01, 0));
        Ok(())
    })
}

/// `test_timeouts.TimeoutTests.test_timeout_at_basic`.
#[test]
fn a_time_of_the_clock_is_a_deadline() -> Result<()> {
    run_virtual(async {
        sleep(1).await?;
        let error = timeout_at(1.5, sleep(10)).await.unwrap_err();
        assert!(error.is::<TimeoutError>());
        assert_eq!(now(), 1.5);
        Ok(())
    })
}

/// `test_timeouts.TimeoutTests.test_timeout_zero` and `test_timeout_in_the_past_with_pending`.
#[test]
fn a_time_that_is_over_takes_effect_at_the_first_wait() -> Result<()> {
    run_virtual(async {
        for deadline in [-1.0, 0.0] {
            assert!(timeout_at(deadline, sleep(0)).await.is_err());
            assert_eq!(timeout_at(deadline, async { Ok(1) }).await?, 1);
        }
        Ok(())
    })
}

/// `test_timeouts.TimeoutTests.test_timeout_disabled` and `test_timeout_not_called`.
#[test]
fn what_is_in_time_is_left_alone() -> Result<()> {
    run_virtual(async {
        for cm in [Timeout::new(None), Timeout::new(10)] {
            cm.run(sleep(1)).await?;
            assert!(!cm.expired());
        }
        assert_eq!(Timeout::new(None).when(), None);
        Ok(())
    })
}

/// `test_timeouts.TimeoutTests.test_nested_timeouts` and its kin.
#[test]
fn of_nested_timeouts_the_right_one_raises() -> Result<()> {
    run_virtual(async {
        // Due together: the inner one leaves it to the outer one.
        let (outer, inner) = (Timeout::new(1), Timeout::new(1));
        let seen = outer.run(async {
            let seen = inner.run(sleep(10)).await;
            assert!(seen.as_ref().is_err_and(|error| error.is_cancelled()));
            seen
        });
        assert!(seen.await.is_err_and(|error| error.is::<TimeoutError>()));
        assert!(outer.expired() && inner.expired());
        // The inner one alone; the outer one goes on.
        let seen = timeout(5, async {
            assert!(
                timeout(1, sleep(10))
                    .await
                    .is_err_and(|error| error.is::<TimeoutError>())
            );
            sleep(1).await?;
            Ok(now())
        });
        assert_eq!(seen.await?, 3.0);
        // The outer one alone.
        let inner = Timeout::new(9);
        let seen = timeout(1, inner.run(sleep(10))).await;
        assert!(seen.is_err_and(|error| error.is::<TimeoutError>()));
        assert!(!inner.expired());
        Ok(())
    })
}

/// `test_timeouts.TimeoutTests.test_outer_task_cancel`'s kin: somebody else's cancellation wins.
#[test]
fn a_cancellation_from_outside_is_not_converted() -> Result<()> {
    run_virtual(async {
        let task = create_task(async { timeout(1, sleep(10)).await });
        let other = task.clone();
        get_running_loop()?.call_later(1, move || {
            other.cancel();
        })?;
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        Ok(())
    })
}

/// `test_timeouts.TimeoutTests.test_timeout_taskgroup` and `test_timeout_exception_*`.
#[test]
fn only_a_cancellation_becomes_a_timeout() -> Result<()> {
    run_virtual(async {
        let error = timeout(1, async {
            let _ = sleep(10).await;
            Err::<(), _>(ValueError::new("odd").into())
        });
        assert!(error.await.is_err_and(|error| error.is::<ValueError>()));
        let error = timeout(1, async {
            task_group(async |group| {
                group.create_task(async {
                    let _ = sleep(10).await;
                    Err::<(), _>(ValueError::new("odd").into())
                });
                Ok(())
            })
            .await
        });
        assert!(error.await.is_err_and(|error| error.is::<ExceptionGroup>()));
        assert_eq!(cancelling(), 0);
        Ok(())
    })
}

/// A cancellation that is swallowed is the end of it, and the timeout says that it expired.
#[test]
fn a_value_despite_the_timeout_is_the_result() -> Result<()> {
    run_virtual(async {
        let cm = Timeout::new(1);
        let value = cm.run(async { Ok(sleep(10).await.is_err()) }).await?;
        assert!(value && cm.expired());
        assert_eq!(cancelling(), 0);
        sleep(1).await
    })
}

/// `test_timeouts.TimeoutTests.test_repr_active` and its kin, `test_reschedule`.
#[test]
fn it_is_shown_and_moved_while_it_is_active() -> Result<()> {
    run_virtual(async {
        let cm = Timeout::new(1);
        assert_eq!(format!("{cm:?}"), "<Timeout [created]>");
        assert!(cm.reschedule(2.0).is_err_and(|error| {
            error.to_string() == "Timeout has not been entered" && error.is::<RuntimeError>()
        }));
        cm.run(async {
            assert_eq!(format!("{cm:?}"), "<Timeout [active] when=1.000>");
            cm.reschedule(None)?;
            assert_eq!(
                (format!("{cm:?}").as_str(), cm.when()),
                ("<Timeout [active] when=None>", None)
            );
            sleep(5).await?;
            cm.reschedule(6.0)?;
            assert!(sleep(9).await.is_err());
            assert_eq!(format!("{cm:?}"), "<Timeout [expiring]>");
            let error = cm.reschedule(9.0).unwrap_err();
            assert_eq!(error.to_string(), "Cannot change state of expiring Timeout");
            Ok(())
        })
        .await?;
        assert_eq!(
            (format!("{cm:?}").as_str(), now()),
            ("<Timeout [expired]>", 6.0)
        );
        assert!(cm.reschedule(None).is_err());
        let cm = Timeout::new(1);
        cm.run(sleep(0)).await?;
        assert_eq!(format!("{cm:?}"), "<Timeout [finished]>");
        Ok(())
    })
}

/// `test_timeouts.TimeoutTests.test_enter_twice`-like: of the usage errors, typed.
#[test]
fn entering_twice_is_an_error() -> Result<()> {
    run_virtual(async {
        let cm = Timeout::new(1);
        cm.run(sleep(0)).await?;
        assert!(
            cm.run(sleep(0))
                .await
                .is_err_and(|error| error.is::<RuntimeError>())
        );
        let cm = Timeout::new(5);
        let inner = cm.clone();
        let twice = cm.run(async move {
            let error = inner.run(sleep(0)).await.unwrap_err();
            assert_eq!(error.to_string(), "Timeout has already been entered");
            sleep(1).await
        });
        twice.await?;
        assert!(
            timeout(f64::NAN, sleep(0))
                .await
                .is_err_and(|error| error.is::<ValueError>())
        );
        Ok(())
    })
}

/// `test_timeouts.TimeoutTests.test_timeout_outside_task`.
#[test]
fn it_needs_a_task_or_a_runtime() {
    let error = futures::executor::block_on(timeout(1, async { Ok(()) })).unwrap_err();
    assert!(error.is::<RuntimeError>());
}

#[test]
fn a_foreign_future_inside_is_dropped() -> Result<()> {
    run_virtual(async {
        let alive = Alive::default();
        let held = alive.one();
        let error = timeout(1, async move {
            std::future::pending::<()>().await;
            held.touch();
            Ok(())
        });
        assert!(error.await.is_err_and(|error| error.is::<TimeoutError>()));
        assert_eq!((alive.count(), cancelling()), (0, 0));
        sleep(1).await?;

        // The innermost scope is where it ends: the code around goes on.
        let task = create_task(async {
            let inner = timeout(9, async {
                std::future::pending::<()>().await;
                Ok(())
            });
            let error = inner.await.unwrap_err();
            sleep(1).await?;
            Ok(error.is_cancelled())
        });
        turns(1).await?;
        task.cancel();
        assert!(task.await?);
        Ok(())
    })
}

#[test]
fn a_foreign_future_inside_a_foreign_combinator_is_dropped_too() -> Result<()> {
    run_virtual(async {
        use futures::stream::{FuturesUnordered, StreamExt};
        let mut all = FuturesUnordered::new();
        all.push(timeout(1, async {
            std::future::pending::<()>().await;
            Ok(())
        }));
        assert!(all.next().await.is_some_and(|ended| ended.is_err()));
        sleep(1).await
    })
}

#[test]
fn dropping_it_takes_its_request_back() -> Result<()> {
    run_virtual(async {
        let mut scope = Box::pin(timeout(0, std::future::pending::<Result<()>>()));
        let pending =
            std::future::poll_fn(|cx| std::task::Poll::Ready(scope.as_mut().poll(cx).is_pending()));
        assert!(pending.await);
        drop(scope);
        turns(2).await?;
        assert_eq!(cancelling(), 0);
        Ok(())
    })
}

#[test]
fn the_object_is_given_to_a_closure() -> Result<()> {
    run_virtual(async {
        let text = "borrowed".to_owned();
        let value = timeout_with(1, async |cm| {
            cm.reschedule(9.0)?;
            sleep(5).await?;
            Ok(text.as_str())
        });
        assert_eq!(value.await?, "borrowed");
        Ok(())
    })
}

/// Without a task of ours there is nobody to cancel: the future is dropped, wherever it runs.
#[test]
fn on_a_tokio_runtime_it_works_with_and_without_a_task() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let late = timeout(0.005, std::future::pending::<Result<()>>()).await;
        assert!(late.is_err_and(|error| error.is::<TimeoutError>()));
        assert_eq!(timeout(5, async { Ok(1) }).await.ok(), Some(1));
        let cleaned = create_task(async {
            timeout(0.005, async {
                let slept = sleep(60).await;
                sleep(0.001).await?;
                slept
            })
            .await
        });
        assert!(cleaned.await.is_err_and(|error| error.is::<TimeoutError>()));
        let foreign =
            create_task(async { timeout(0.005, std::future::pending::<Result<()>>()).await });
        assert!(foreign.await.is_err_and(|error| error.is::<TimeoutError>()));
    });
}

#[test]
fn many_timeouts_leave_nothing_behind() -> Result<()> {
    run_virtual(async {
        for _ in 0..10_000 {
            timeout(3600, async { Ok(()) }).await?;
        }
        create_local_task(async { sleep(1).await }).await?;
        assert_eq!(now(), 1.0);
        Ok(())
    })
}

/// What was awaited is done in the very step of the limit's own request: the value counts, and the
/// request goes with the limit.
#[test]
fn a_foreign_future_that_is_done_as_the_time_is_over_leaves_no_request_behind() -> Result<()> {
    run_virtual(async {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let event_loop = get_running_loop()?;
        event_loop.call_later(1, move || assert!(sender.send(7).is_ok()))?;
        let value = timeout(1, async { Ok(receiver.await?) }).await?;
        assert_eq!(value, 7);
        sleep(1).await?;
        sleep(0).await?;
        assert_eq!(current_task().map(|me| me.cancelling()), Some(0));
        Ok(())
    })
}

/// As above, and what follows at once is foreign: it is not taken for what is in the way.
#[test]
fn what_follows_such_a_limit_is_left_alone() -> Result<()> {
    run_virtual(async {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let (later, then) = tokio::sync::oneshot::channel();
        let event_loop = get_running_loop()?;
        event_loop.call_later(1, move || assert!(sender.send(7).is_ok()))?;
        event_loop.call_later(2, move || assert!(later.send(8).is_ok()))?;
        let first = timeout(1, async { Ok(receiver.await?) }).await?;
        let second = then.await?;
        assert_eq!((first, second), (7, 8));
        Ok(())
    })
}

/// On a tokio runtime every scope looks at its own timer, one within the other; but the request is one,
/// and it is delivered to what is inside of all of them.
#[test]
fn scopes_whose_time_is_over_at_once_cancel_what_is_inside_and_drop_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let log = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&log);
        let task = create_task(async move {
            let cleans_up = async {
                let slept = sleep(3600).await;
                theirs.lock().expect("no panic").push("cancelled");
                // It is one request, so that this is not cancelled as well.
                sleep(0.001).await?;
                theirs.lock().expect("no panic").push("cleaned up");
                slept
            };
            timeout(0.001, timeout(0.001, timeout(0.001, cleans_up))).await
        });
        sleep(0).await.expect("nobody cancels");
        // Nothing else runs meanwhile, and then all three are due.
        std::thread::sleep(Duration::from_millis(20));
        assert!(error_of(task.await).is::<TimeoutError>());
        assert_eq!(*log.lock().expect("no panic"), ["cancelled", "cleaned up"]);
    });
}
