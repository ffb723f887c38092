//! `Lock` (`test_locks.py`, `LockTests`).

use std::pin::pin;

use asyncio_core::{Result, RuntimeError, create_local_task, create_task, get_running_loop, sleep};
use asyncio_sync::Lock;

use crate::support::{Log, fails_with, is_cancelled, poll_once, run_virtual, turns};

/// `test_locks.LockTests.test_repr`
#[test]
fn it_shows_whether_it_is_locked_and_how_many_wait() -> Result<()> {
    run_virtual(async {
        let lock = Lock::new();
        assert_eq!(format!("{lock:?}"), "<Lock [unlocked]>");
        lock.acquire().await?;
        assert_eq!(format!("{lock:?}"), "<Lock [locked]>");
        let theirs = lock.clone();
        create_task(async move { Ok(theirs.acquire().await?) });
        turns(1).await?;
        assert_eq!(format!("{lock:?}"), "<Lock [locked, waiters:1]>");
        Ok(())
    })
}

/// `test_locks.LockTests.test_acquire`
#[test]
fn it_is_handed_on_first_come_first_served() -> Result<()> {
    run_virtual(async {
        let (lock, result) = (Lock::new(), Log::default());
        let take = |number: u32| {
            let (lock, result) = (lock.clone(), result.clone());
            create_local_task(async move {
                lock.acquire().await?;
                result.add(number);
                Ok(())
            })
        };
        lock.acquire().await?;
        let (first, second) = (take(1), take(2));
        turns(1).await?;
        assert_eq!(result.all(), []);
        lock.release()?;
        turns(1).await?;
        assert_eq!(result.all(), [1]);
        turns(1).await?;
        assert_eq!(result.all(), [1]);
        let third = take(3);
        lock.release()?;
        turns(1).await?;
        assert_eq!(result.all(), [1, 2]);
        lock.release()?;
        turns(1).await?;
        assert_eq!(result.all(), [1, 2, 3]);
        assert!(first.done() && second.done() && third.done());
        Ok(())
    })
}

/// `test_locks.LockTests.test_acquire_cancel`
#[test]
fn a_cancelled_acquire_leaves_the_line() -> Result<()> {
    run_virtual(async {
        let lock = Lock::new();
        lock.acquire().await?;
        let theirs = lock.clone();
        let task = create_task(async move { Ok(theirs.acquire().await?) });
        let handle = task.clone();
        get_running_loop()?.call_soon(move || _ = handle.cancel())?;
        assert!(is_cancelled(task.await));
        assert_eq!(format!("{lock:?}"), "<Lock [locked]>");
        Ok(())
    })
}

/// `test_locks.LockTests.test_cancel_race`
#[test]
fn a_release_passes_over_who_is_cancelled_at_the_same_time() -> Result<()> {
    run_virtual(async {
        let lock = Lock::new();
        let blocker = get_running_loop()?.create_future::<()>();
        let (theirs, blocked) = (lock.clone(), blocker.clone());
        let a = create_local_task(async move {
            theirs.acquire().await?;
            let result = blocked.await;
            theirs.release()?;
            result
        });
        turns(1).await?;
        assert!(lock.locked());
        let take = || {
            let lock = lock.clone();
            create_task(async move {
                lock.acquire().await?;
                lock.release()?;
                Ok(())
            })
        };
        let (b, c) = (take(), take());
        turns(1).await?;
        assert_eq!(format!("{lock:?}"), "<Lock [locked, waiters:2]>");
        blocker.set_result(())?;
        b.cancel();
        turns(1).await?;
        assert!(!lock.locked());
        assert!(a.done() && b.cancelled());
        c.await
    })
}

/// `test_locks.LockTests.test_cancel_release_race`
#[test]
fn a_cancel_and_a_release_at_once_let_one_have_it_and_not_two() -> Result<()> {
    run_virtual(async {
        let (lock, taken) = (Lock::new(), Log::default());
        let take = |number: u32| {
            let (lock, taken) = (lock.clone(), taken.clone());
            create_local_task(async move {
                lock.acquire().await?;
                taken.add(number);
                Ok(())
            })
        };
        lock.acquire().await?;
        let (first, second, third) = (take(1), take(2), take(3));
        turns(1).await?;
        let (cancelled, released) = (first.clone(), lock.clone());
        get_running_loop()?.call_soon(move || -> Result<()> {
            cancelled.cancel();
            Ok(released.release()?)
        })?;
        assert!(is_cancelled((&first).await));
        assert_eq!(taken.all(), [2]);
        assert!(first.cancelled() && second.done());
        third.cancel();
        turns(1).await?;
        assert!(third.cancelled());
        Ok(())
    })
}

/// `test_locks.LockTests.test_finished_waiter_cancelled`
#[test]
fn a_cancel_and_a_release_in_one_turn_wake_the_next() -> Result<()> {
    run_virtual(async {
        let lock = Lock::new();
        let take = || {
            let lock = lock.clone();
            create_task(async move { Ok(lock.acquire().await?) })
        };
        lock.acquire().await?;
        let b = take();
        turns(1).await?;
        let c = take();
        b.cancel();
        lock.release()?;
        turns(1).await?;
        assert!(lock.locked());
        assert!(b.cancelled());
        c.await
    })
}

/// `test_locks.LockTests.test_release_not_acquired`
#[test]
fn to_release_an_unlocked_lock_is_an_error() {
    assert!(fails_with::<RuntimeError>(Lock::new().release()));
}

/// `test_locks.LockTests.test_release_no_waiters`,
/// `test_locks.LockTests.test_context_manager`
#[test]
fn it_is_unlocked_when_nobody_waits() -> Result<()> {
    run_virtual(async {
        let lock = Lock::new();
        lock.acquire().await?;
        assert!(lock.locked());
        lock.release()?;
        assert!(!lock.locked());
        let guard = lock.guard().await?;
        assert!(lock.locked());
        drop(guard);
        assert!(!lock.locked());
        Ok(())
    })
}

#[test]
fn a_value_is_changed_by_one_at_a_time() -> Result<()> {
    run_virtual(async {
        let lock = Lock::with_value(Vec::new());
        let tasks: Vec<_> = (0..3)
            .map(|number| {
                let lock = lock.clone();
                create_task(async move {
                    let mut held = lock.guard().await?;
                    held.push((number, "in"));
                    sleep(0.5).await?;
                    held.push((number, "out"));
                    Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await?;
        }
        let expected: Vec<_> = (0..3)
            .flat_map(|number| [(number, "in"), (number, "out")])
            .collect();
        assert_eq!(*lock.guard().await?, expected);
        assert_eq!(lock.into_inner(), Some(expected));
        Ok(())
    })
}

#[test]
fn who_is_dropped_after_it_was_woken_passes_the_lock_on() -> Result<()> {
    run_virtual(async {
        let lock = Lock::new();
        lock.acquire().await?;
        let mut first = Box::pin(lock.acquire());
        let mut second = pin!(lock.acquire());
        assert!(poll_once(first.as_mut()).is_pending());
        assert!(poll_once(second.as_mut()).is_pending());
        lock.release()?;
        drop(first);
        assert!(poll_once(second.as_mut()).is_ready());
        assert!(lock.locked());
        Ok(())
    })
}

#[test]
fn a_guard_releases_only_what_it_holds() -> Result<()> {
    run_virtual(async {
        let lock = Lock::new();
        let guard = lock.guard().await?;
        lock.release()?;
        lock.acquire().await?;
        drop(guard);
        assert!(lock.locked(), "it is another's by now");
        lock.release()?;
        assert_eq!(*lock.guard().await?, ());
        Ok(())
    })
}

#[test]
fn a_panic_of_the_holder_releases_the_lock() -> Result<()> {
    run_virtual(async {
        let lock = Lock::with_value(1);
        let theirs = lock.clone();
        let task = create_task::<(), _>(async move {
            let mut held = theirs.guard().await?;
            *held = 2;
            panic!("while it is held");
        });
        assert!(task.await.is_err_and(|error| error.is_panic()));
        assert_eq!(*lock.guard().await?, 2);
        Ok(())
    })
}

/// A guard with a lock of its own holds it wherever it goes, and as long.
#[test]
fn an_owned_guard_holds_the_lock_in_another_task() -> Result<()> {
    run_virtual(async {
        let (lock, result) = (Lock::with_value(vec![0]), Log::default());
        let mut guard = lock.guard_owned().await?;
        let log = result.clone();
        let holder = create_local_task(async move {
            guard.push(1);
            sleep(1).await?;
            log.add("released");
            drop(guard);
            Ok(())
        });
        let (theirs, log) = (lock.clone(), result.clone());
        let other = create_local_task(async move {
            let guard = theirs.guard().await?;
            log.add("acquired");
            assert_eq!(*guard, [0, 1]);
            Ok(())
        });
        turns(2).await?;
        assert!(lock.locked());
        holder.await?;
        other.await?;
        assert_eq!(result.all(), ["released", "acquired"]);
        Ok(())
    })
}

/// A wait for an owned guard that is cancelled leaves nothing behind.
#[test]
fn a_wait_for_an_owned_guard_is_cancelled_without_a_trace() -> Result<()> {
    run_virtual(async {
        let lock = Lock::new();
        let guard = lock.guard_owned().await?;
        let theirs = lock.clone();
        let waiting = create_local_task(async move {
            drop(theirs.guard_owned().await?);
            Ok(())
        });
        turns(1).await?;
        waiting.cancel();
        // Handed over and cancelled at once: it goes on to nobody, and the lock is free.
        drop(guard);
        assert!(is_cancelled(waiting.await));
        assert!(!lock.locked());
        drop(lock.guard_owned().await?);
        Ok(())
    })
}
