//! `Condition` (`test_locks.py`, `ConditionTests`).

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;

use asyncio_core::{
    CancelledError, Result, RuntimeError, Task, TimeoutError, create_local_task, create_task,
    get_running_loop, sleep, timeout, wait_for,
};
use asyncio_sync::{Condition, Lock};

use crate::support::{Log, fails_with, is_cancelled, poll_once, run_virtual, turns};

/// A task that waits for the condition, logs its number when notified, and perhaps releases.
fn waiter(condition: &Condition, log: &Log<u32>, number: u32, releases: bool) -> Task<()> {
    let (condition, log) = (condition.clone(), log.clone());
    create_local_task(async move {
        condition.acquire().await?;
        condition.wait().await?;
        log.add(number);
        if releases {
            condition.release()?;
        }
        Ok(())
    })
}

/// `test_locks.ConditionTests.test_wait`
#[test]
fn who_is_notified_goes_on_when_it_has_the_lock() -> Result<()> {
    run_virtual(async {
        let (condition, result) = (Condition::new(), Log::default());
        let tasks = [1, 2, 3].map(|number| waiter(&condition, &result, number, false));
        turns(1).await?;
        assert_eq!(result.all(), []);
        assert!(!condition.locked());
        condition.acquire().await?;
        condition.notify(1)?;
        turns(1).await?;
        assert_eq!(result.all(), []);
        assert!(condition.locked());
        condition.release()?;
        turns(1).await?;
        assert_eq!(result.all(), [1]);
        assert!(condition.locked());
        condition.notify(2)?;
        turns(1).await?;
        assert_eq!(result.all(), [1]);
        condition.release()?;
        turns(1).await?;
        assert_eq!(result.all(), [1, 2]);
        condition.release()?;
        turns(1).await?;
        assert_eq!(result.all(), [1, 2, 3]);
        assert!(condition.locked());
        assert!(tasks.iter().all(Task::done));
        Ok(())
    })
}

/// `test_locks.ConditionTests.test_wait_cancel`
#[test]
fn a_cancelled_wait_leaves_the_line_and_holds_the_lock() -> Result<()> {
    run_virtual(async {
        let condition = Condition::new();
        condition.acquire().await?;
        let theirs = condition.clone();
        let task = create_task(async move { theirs.wait().await });
        let handle = task.clone();
        get_running_loop()?.call_soon(move || _ = handle.cancel())?;
        assert!(is_cancelled(task.await));
        assert_eq!(format!("{condition:?}"), "<Condition [locked]>");
        Ok(())
    })
}

/// `test_locks.ConditionTests.test_wait_cancel_contested`
#[test]
fn a_cancel_that_comes_after_the_notification_finds_the_lock_held_in_the_end() -> Result<()> {
    run_virtual(async {
        let condition = Condition::new();
        condition.acquire().await?;
        let theirs = condition.clone();
        let task = create_task(async move { theirs.wait().await });
        turns(1).await?;
        assert!(!condition.locked());
        condition.acquire().await?;
        condition.notify(1)?;
        let (handle, theirs) = (task.clone(), condition.clone());
        get_running_loop()?.call_soon(move || _ = handle.cancel())?;
        get_running_loop()?.call_soon(move || theirs.release())?;
        // Either way, what counts is that the lock is held.
        let _outcome = task.await;
        assert!(condition.locked());
        Ok(())
    })
}

/// `test_locks.ConditionTests.test_wait_cancel_after_notify`
#[test]
fn a_cancel_during_the_second_acquire_is_raised_after_it() -> Result<()> {
    run_virtual(async {
        let condition = Condition::new();
        let theirs = condition.clone();
        let task = create_task(async move {
            let _guard = theirs.guard().await?;
            theirs.wait().await
        });
        turns(1).await?;
        condition.acquire().await?;
        condition.notify(1)?;
        turns(1).await?;
        task.cancel();
        turns(1).await?;
        assert!(!task.done(), "it waits for the lock all the same");
        condition.release()?;
        turns(1).await?;
        assert!(task.cancelled());
        assert!(!condition.locked());
        Ok(())
    })
}

/// `test_locks.ConditionTests.test_wait_unacquired`,
/// `test_locks.ConditionTests.test_notify_unacquired`,
/// `test_locks.ConditionTests.test_notify_all_unacquired`
#[test]
fn it_is_used_under_its_lock_only() -> Result<()> {
    run_virtual(async {
        let condition = Condition::new();
        assert!(fails_with::<RuntimeError>(condition.wait().await));
        assert!(fails_with::<RuntimeError>(condition.notify(1)));
        assert!(fails_with::<RuntimeError>(condition.notify_all()));
        assert!(fails_with::<RuntimeError>(condition.release()));
        Ok(())
    })
}

/// `test_locks.ConditionTests.test_wait_for`
#[test]
fn wait_for_waits_until_the_predicate_holds() -> Result<()> {
    run_virtual(async {
        let (condition, holds) = (Condition::new(), Rc::new(Cell::new(false)));
        let (theirs, predicate) = (condition.clone(), Rc::clone(&holds));
        let task = create_local_task(async move {
            theirs.acquire().await?;
            theirs.wait_for(|| predicate.get()).await?;
            Ok(theirs.release()?)
        });
        turns(1).await?;
        for now in [false, true] {
            assert!(!task.done());
            holds.set(now);
            condition.acquire().await?;
            condition.notify(1)?;
            condition.release()?;
            turns(1).await?;
        }
        assert!(task.done());
        task.await
    })
}

/// `test_locks.ConditionTests.test_wait_for_unacquired`
#[test]
fn wait_for_needs_the_lock_only_to_wait() -> Result<()> {
    run_virtual(async {
        let condition = Condition::new();
        condition.wait_for(|| true).await?;
        assert!(fails_with::<RuntimeError>(
            condition.wait_for(|| false).await
        ));
        Ok(())
    })
}

/// `test_locks.ConditionTests.test_notify`
#[test]
fn notify_wakes_so_many_and_no_more_than_there_are() -> Result<()> {
    run_virtual(async {
        let (condition, result) = (Condition::new(), Log::default());
        let tasks = [1, 2, 3].map(|number| waiter(&condition, &result, number, true));
        turns(1).await?;
        condition.acquire().await?;
        condition.notify(1)?;
        condition.release()?;
        turns(1).await?;
        assert_eq!(result.all(), [1]);
        condition.acquire().await?;
        condition.notify(1)?;
        condition.notify(2048)?;
        condition.release()?;
        turns(1).await?;
        assert_eq!(result.all(), [1, 2, 3]);
        assert!(tasks.iter().all(Task::done));
        Ok(())
    })
}

/// `test_locks.ConditionTests.test_notify_all`
#[test]
fn notify_all_wakes_everybody() -> Result<()> {
    run_virtual(async {
        let (condition, result) = (Condition::new(), Log::default());
        let tasks = [1, 2].map(|number| waiter(&condition, &result, number, true));
        turns(1).await?;
        condition.acquire().await?;
        condition.notify_all()?;
        condition.release()?;
        turns(1).await?;
        assert_eq!(result.all(), [1, 2]);
        assert!(tasks.iter().all(Task::done));
        Ok(())
    })
}

/// `test_locks.ConditionTests.test_repr`
#[test]
fn it_shows_its_lock_and_how_many_wait() -> Result<()> {
    run_virtual(async {
        let condition = Condition::new();
        assert_eq!(format!("{condition:?}"), "<Condition [unlocked]>");
        for _ in 0..2 {
            let theirs = condition.clone();
            create_task(async move {
                let _guard = theirs.guard().await?;
                theirs.wait().await
            });
        }
        turns(1).await?;
        let _guard = condition.guard().await?;
        assert_eq!(format!("{condition:?}"), "<Condition [locked, waiters:2]>");
        Ok(())
    })
}

/// `test_locks.ConditionTests.test_context_manager`,
/// `test_locks.ConditionTests.test_explicit_lock`
#[test]
fn its_lock_may_be_that_of_others() -> Result<()> {
    run_virtual(async {
        let lock = Lock::new();
        let condition = Condition::with_lock(lock.clone());
        assert!(!lock.locked() && !condition.locked());
        let guard = condition.guard().await?;
        assert!(lock.locked() && condition.locked());
        drop(guard);
        assert!(!lock.locked() && !condition.locked());
        let guard = lock.guard().await?;
        assert!(lock.locked() && condition.locked());
        drop(guard);
        assert!(!lock.locked() && !condition.locked());
        Ok(())
    })
}

/// `test_locks.ConditionTests.test_timeout_in_block`
#[test]
fn a_timeout_of_a_wait_leaves_the_lock_held() -> Result<()> {
    run_virtual(async {
        let condition = Condition::new();
        let guard = condition.guard().await?;
        let theirs = condition.clone();
        let waited = wait_for(async move { theirs.wait().await }, 0.5).await;
        assert!(fails_with::<TimeoutError>(waited));
        assert!(condition.locked());
        drop(guard);
        assert!(!condition.locked());
        Ok(())
    })
}

/// `test_locks.ConditionTests.test_cancelled_error_wakeup`,
/// `test_locks.ConditionTests.test_cancelled_error_re_aquire`
#[test]
fn the_error_that_is_raised_is_the_one_that_came() -> Result<()> {
    run_virtual(async {
        for reacquires in [false, true] {
            let condition = Condition::new();
            let theirs = condition.clone();
            let task = create_task(async move {
                let _guard = theirs.guard().await?;
                let error = theirs.wait().await.expect_err("it is cancelled");
                assert!(theirs.locked());
                Ok(error)
            });
            turns(1).await?;
            if reacquires {
                condition.acquire().await?;
                condition.notify(1)?;
                turns(1).await?;
            }
            task.cancel_with_message("foo");
            if reacquires {
                condition.release()?;
            }
            let error = task.await?;
            let error = error.downcast_ref::<CancelledError>();
            assert_eq!(error.and_then(CancelledError::message), Some("foo"));
        }
        Ok(())
    })
}

/// `test_locks.ConditionTests.test_cancelled_wakeup`,
/// `test_locks.ConditionTests.test_cancelled_wakeup_relock`
#[test]
fn who_is_cancelled_after_it_was_notified_notifies_another() -> Result<()> {
    run_virtual(async {
        for relocks in [false, true] {
            let (condition, state) = (Condition::new(), Rc::new(Cell::new(0)));
            let consumer = || {
                let (condition, state) = (condition.clone(), Rc::clone(&state));
                create_local_task(async move {
                    let _guard = condition.guard().await?;
                    loop {
                        condition.wait_for(|| state.get() != 0).await?;
                        if state.get() < 0 {
                            return Ok(());
                        }
                        state.set(state.get() - 1);
                        condition.notify_all()?;
                    }
                })
            };
            let consumers = [consumer(), consumer()];
            turns(1).await?;
            let guard = condition.guard().await?;
            state.set(1);
            condition.notify(1)?;
            if relocks {
                turns(1).await?;
            }
            consumers[0].cancel();
            timeout(0.01, condition.wait_for(|| state.get() == 0)).await?;
            assert_eq!(state.get(), 0);
            state.set(-1);
            condition.notify_all()?;
            drop(guard);
            let [first, second] = consumers;
            assert!(is_cancelled(first.await));
            second.await?;
        }
        Ok(())
    })
}

#[test]
fn who_is_dropped_after_it_was_notified_notifies_another() -> Result<()> {
    run_virtual(async {
        for relocks in [false, true] {
            let condition = Condition::new();
            condition.acquire().await?;
            let mut first = Box::pin(condition.wait());
            assert!(poll_once(first.as_mut()).is_pending());
            condition.acquire().await?;
            let mut second = pin!(condition.wait());
            assert!(poll_once(second.as_mut()).is_pending());
            condition.acquire().await?;
            condition.notify(1)?;
            if relocks {
                assert!(poll_once(first.as_mut()).is_pending());
            }
            drop(first);
            condition.release()?;
            assert!(poll_once(second.as_mut()).is_ready());
            assert!(condition.locked());
        }
        Ok(())
    })
}

/// A future that is dropped cannot acquire the lock again, and its guard must not release another's.
#[test]
fn a_guard_does_not_release_what_a_dropped_wait_gave_away() -> Result<()> {
    run_virtual(async {
        let condition = Condition::new();
        let theirs = condition.clone();
        let mut waiting = Box::pin(async move {
            let _guard = theirs.guard().await?;
            theirs.wait().await
        });
        assert!(poll_once(waiting.as_mut()).is_pending());
        condition.acquire().await?;
        drop(waiting);
        assert!(condition.locked());
        Ok(())
    })
}

#[test]
fn many_cancels_during_the_second_acquire_are_all_swallowed() -> Result<()> {
    run_virtual(async {
        let condition = Condition::new();
        let theirs = condition.clone();
        let task = create_task(async move {
            let _guard = theirs.guard().await?;
            theirs.wait().await
        });
        turns(1).await?;
        condition.acquire().await?;
        for number in 0..5 {
            task.cancel_with_message(number.to_string());
            sleep(0.5).await?;
            assert!(!task.done());
        }
        condition.release()?;
        let error = task.await.expect_err("it was cancelled");
        let error = error.downcast_ref::<CancelledError>();
        assert_eq!(error.and_then(CancelledError::message), Some("4"));
        Ok(())
    })
}

/// Keeps the future of a wait from growing unseen: it stands in every task that waits.
#[test]
fn a_wait_is_small() {
    fn size<F: Future>(_: impl FnOnce(&'static Condition) -> F) -> usize {
        size_of::<F>()
    }
    assert!(size(|condition| condition.wait()) <= 320);
}
