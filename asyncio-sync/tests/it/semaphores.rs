//! `Semaphore` and `BoundedSemaphore` (`test_locks.py`, `SemaphoreTests`).

use std::pin::pin;

use asyncio_core::{
    Result, Task, ValueError, create_local_task, create_task, gather, get_running_loop, sleep,
    wait_for,
};
use asyncio_sync::{BoundedSemaphore, Semaphore};

use crate::support::{Log, fails_with, is_cancelled, poll_once, run_virtual, turns};

fn acquire(semaphore: &Semaphore) -> Task<()> {
    let semaphore = semaphore.clone();
    create_task(async move { Ok(semaphore.acquire().await?) })
}

fn shown(semaphore: &Semaphore) -> String {
    format!("{semaphore:?}")
}

/// `test_locks.SemaphoreTests.test_initial_value_zero`
#[test]
fn without_permits_it_is_locked() {
    assert!(Semaphore::new(0).locked());
}

/// `test_locks.SemaphoreTests.test_repr`,
/// `test_locks.SemaphoreTests.test_semaphore`
#[test]
fn it_shows_its_permits_and_how_many_wait() -> Result<()> {
    run_virtual(async {
        let semaphore = Semaphore::default();
        assert_eq!(shown(&semaphore), "<Semaphore [unlocked, value:1]>");
        assert!(!semaphore.locked());
        semaphore.acquire().await?;
        assert_eq!(shown(&semaphore), "<Semaphore [locked]>");
        let (_first, _second) = (acquire(&semaphore), acquire(&semaphore));
        turns(1).await?;
        assert_eq!(shown(&semaphore), "<Semaphore [locked, waiters:2]>");
        let bounded = BoundedSemaphore::new(2);
        assert_eq!(
            format!("{bounded:?}"),
            "<BoundedSemaphore [unlocked, value:2]>"
        );
        Ok(())
    })
}

/// `test_locks.SemaphoreTests.test_acquire`
#[test]
fn permits_are_handed_over_first_come_first_served() -> Result<()> {
    run_virtual(async {
        let semaphore = Semaphore::new(3);
        semaphore.acquire().await?;
        semaphore.acquire().await?;
        assert!(!semaphore.locked());
        let tasks = [(); 3].map(|()| acquire(&semaphore));
        turns(1).await?;
        assert!(tasks[0].done());
        assert_eq!(shown(&semaphore), "<Semaphore [locked, waiters:2]>");
        let fourth = acquire(&semaphore);
        semaphore.release();
        semaphore.release();
        turns(1).await?;
        assert!(tasks.iter().all(Task::done) && !fourth.done());
        assert_eq!(shown(&semaphore), "<Semaphore [locked, waiters:1]>");
        semaphore.release();
        fourth.await
    })
}

/// `test_locks.SemaphoreTests.test_acquire_cancel`
#[test]
fn a_cancelled_acquire_leaves_the_line() -> Result<()> {
    run_virtual(async {
        let semaphore = Semaphore::new(1);
        semaphore.acquire().await?;
        let task = acquire(&semaphore);
        let handle = task.clone();
        get_running_loop()?.call_soon(move || _ = handle.cancel())?;
        assert!(is_cancelled(task.await));
        assert_eq!(shown(&semaphore), "<Semaphore [locked]>");
        Ok(())
    })
}

/// `test_locks.SemaphoreTests.test_acquire_cancel_before_awoken`
#[test]
fn who_was_cancelled_is_given_nothing() -> Result<()> {
    run_virtual(async {
        let semaphore = Semaphore::new(0);
        let tasks = [(); 4].map(|()| acquire(&semaphore));
        turns(1).await?;
        tasks[0].cancel();
        tasks[1].cancel();
        semaphore.release();
        turns(2).await?;
        assert!(tasks[2].done() && !tasks[3].done());
        Ok(())
    })
}

/// `test_locks.SemaphoreTests.test_acquire_hang`
#[test]
fn a_release_passes_over_who_is_cancelled_at_the_same_time() -> Result<()> {
    run_virtual(async {
        let semaphore = Semaphore::new(0);
        let (first, second) = (acquire(&semaphore), acquire(&semaphore));
        turns(1).await?;
        first.cancel();
        semaphore.release();
        turns(2).await?;
        assert!(semaphore.locked());
        assert!(second.done());
        Ok(())
    })
}

/// `test_locks.SemaphoreTests.test_acquire_no_hang`
#[test]
fn who_is_cancelled_after_it_was_given_a_permit_puts_it_back() -> Result<()> {
    run_virtual(async {
        let semaphore = Semaphore::new(1);
        let (theirs, second) = (semaphore.clone(), Log::<Task<()>>::default());
        let to_cancel = second.clone();
        let first = create_local_task(async move {
            let permit = theirs.guard().await?;
            sleep(0).await?;
            drop(permit);
            to_cancel.all()[0].cancel();
            Ok(())
        });
        let theirs = semaphore.clone();
        second.add(create_task(async move {
            let _permit = theirs.guard().await?;
            panic!("it is cancelled before it runs");
        }));
        let results = gather(second.all()).return_exceptions().await?;
        assert!(results.into_iter().all(is_cancelled));
        first.await?;
        let theirs = semaphore.clone();
        wait_for(async move { Ok(theirs.acquire().await?) }, 1.0).await
    })
}

/// `test_locks.SemaphoreTests.test_release_not_acquired`
#[test]
fn a_bounded_semaphore_has_no_more_permits_than_it_began_with() -> Result<()> {
    run_virtual(async {
        let semaphore = BoundedSemaphore::default();
        assert!(fails_with::<ValueError>(semaphore.release()));
        let permit = semaphore.guard().await?;
        assert!(semaphore.locked());
        semaphore.release()?;
        drop(permit);
        assert_eq!(
            format!("{semaphore:?}"),
            "<BoundedSemaphore [unlocked, value:1]>"
        );
        Ok(())
    })
}

/// `test_locks.SemaphoreTests.test_release_no_waiters`
#[test]
fn a_released_permit_is_kept_for_who_comes() -> Result<()> {
    run_virtual(async {
        let semaphore = Semaphore::new(1);
        semaphore.acquire().await?;
        assert!(semaphore.locked());
        semaphore.release();
        assert!(!semaphore.locked());
        Ok(())
    })
}

/// `test_locks.SemaphoreTests.test_acquire_fifo_order`
#[test]
fn who_comes_again_waits_behind_the_others() -> Result<()> {
    run_virtual(async {
        let (semaphore, result) = (Semaphore::new(1), Log::default());
        let tasks = [1, 2, 3].map(|number| {
            let (semaphore, result) = (semaphore.clone(), result.clone());
            create_local_task(async move {
                for round in [1, 2] {
                    semaphore.acquire().await?;
                    result.add((number, round));
                    sleep(0.01).await?;
                    semaphore.release();
                }
                Ok(())
            })
        });
        for task in tasks {
            task.await?;
        }
        assert_eq!(
            result.all(),
            [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (3, 2)]
        );
        Ok(())
    })
}

/// `test_locks.SemaphoreTests.test_acquire_fifo_order_2`
#[test]
fn nobody_overtakes_with_the_permit_it_has_just_released() -> Result<()> {
    run_virtual(async {
        let (semaphore, result) = (Semaphore::new(1), Log::default());
        let take = |number: u32| {
            let (semaphore, result) = (semaphore.clone(), result.clone());
            create_local_task(async move {
                semaphore.acquire().await?;
                result.add(number);
                if number == 2 {
                    semaphore.release();
                    semaphore.acquire().await?;
                    result.add(4);
                }
                Ok(())
            })
        };
        let tasks = [take(1), take(2), take(3)];
        turns(1).await?;
        semaphore.release();
        semaphore.release();
        for task in tasks {
            task.await?;
        }
        assert_eq!(result.all(), [1, 2, 3, 4]);
        Ok(())
    })
}

/// `test_locks.SemaphoreTests.test_acquire_fifo_order_3`
#[test]
fn a_cancelled_one_does_not_disturb_the_order() -> Result<()> {
    run_virtual(async {
        let (semaphore, result) = (Semaphore::new(0), Log::default());
        let take = |number: u32| {
            let (semaphore, result) = (semaphore.clone(), result.clone());
            create_local_task(async move {
                semaphore.acquire().await?;
                result.add(number);
                Ok(())
            })
        };
        let [first, second, third] = [take(1), take(2), take(3)];
        turns(1).await?;
        first.cancel();
        turns(1).await?;
        semaphore.release();
        semaphore.release();
        assert!(is_cancelled(first.await));
        second.await?;
        third.await?;
        assert_eq!(result.all(), [2, 3]);
        Ok(())
    })
}

/// `test_locks.SemaphoreTests.test_acquire_fifo_order_4`
#[test]
fn who_gets_a_permit_wakes_those_for_whom_there_are_more() -> Result<()> {
    run_virtual(async {
        let (semaphore, result) = (Semaphore::new(0), Log::default());
        let (theirs, log) = (semaphore.clone(), result.clone());
        let first = create_local_task(async move {
            theirs.acquire().await?;
            assert_eq!(
                shown(&theirs),
                "<Semaphore [locked, waiters:2]>",
                "both are woken"
            );
            let after = log.clone();
            let fourth = create_local_task(async move {
                after.add(4);
                Ok(())
            });
            log.add(1);
            fourth.await
        });
        let (theirs, log) = (semaphore.clone(), result.clone());
        let second = create_local_task(async move {
            for _ in 0..3 {
                theirs.release();
            }
            assert!(theirs.locked(), "the first has not run yet");
            theirs.acquire().await?;
            log.add(2);
            Ok(())
        });
        let (theirs, log) = (semaphore.clone(), result.clone());
        let third = create_local_task(async move {
            theirs.acquire().await?;
            log.add(3);
            Ok(())
        });
        turns(1).await?;
        assert_eq!(shown(&semaphore), "<Semaphore [locked, waiters:3]>");
        first.await?;
        second.await?;
        third.await?;
        assert_eq!(result.all(), [1, 2, 3, 4]);
        Ok(())
    })
}

#[test]
fn who_is_dropped_after_it_was_given_a_permit_passes_it_on() -> Result<()> {
    run_virtual(async {
        let semaphore = Semaphore::new(0);
        let mut first = Box::pin(semaphore.acquire());
        let mut second = pin!(semaphore.acquire());
        assert!(poll_once(first.as_mut()).is_pending());
        assert!(poll_once(second.as_mut()).is_pending());
        semaphore.release();
        drop(first);
        assert!(poll_once(second.as_mut()).is_ready());
        assert_eq!(shown(&semaphore), "<Semaphore [locked]>");
        Ok(())
    })
}

/// A permit with a semaphore of its own is put back where it goes, and who waits for one gets it.
#[test]
fn an_owned_permit_is_put_back_by_another_task() -> Result<()> {
    run_virtual(async {
        let (plain, bounded) = (Semaphore::new(1), BoundedSemaphore::new(1));
        let permits = (plain.guard_owned().await?, bounded.guard_owned().await?);
        let holder = create_local_task(async move {
            sleep(1).await?;
            drop(permits);
            Ok(())
        });
        let (theirs, also_theirs) = (plain.clone(), bounded.clone());
        let other = create_local_task(async move {
            let permits = (
                theirs.guard_owned().await?,
                also_theirs.guard_owned().await?,
            );
            Ok(permits)
        });
        turns(2).await?;
        assert!(plain.locked() && bounded.locked() && !other.done());
        holder.await?;
        let permits = other.await?;
        assert!(plain.locked() && bounded.locked());
        drop(permits);
        assert!(!plain.locked() && !bounded.locked());
        assert!(fails_with::<ValueError>(bounded.release()));
        Ok(())
    })
}
