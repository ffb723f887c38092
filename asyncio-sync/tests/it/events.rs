//! `Event` (`test_locks.py`, `EventTests`).

use asyncio_core::{Result, create_local_task, create_task, get_running_loop};
use asyncio_sync::Event;

use crate::support::{Log, is_cancelled, run_virtual, turns};

/// `test_locks.EventTests.test_repr`
#[test]
fn it_shows_whether_it_is_set_and_how_many_wait() -> Result<()> {
    run_virtual(async {
        let event = Event::new();
        assert_eq!(format!("{event:?}"), "<Event [unset]>");
        let theirs = event.clone();
        create_task(async move { Ok(theirs.wait().await?) });
        turns(1).await?;
        assert_eq!(format!("{event:?}"), "<Event [unset, waiters:1]>");
        event.set();
        assert_eq!(format!("{event:?}"), "<Event [set, waiters:1]>");
        turns(1).await?;
        assert_eq!(format!("{event:?}"), "<Event [set]>");
        Ok(())
    })
}

/// `test_locks.EventTests.test_wait`
#[test]
fn setting_it_wakes_all_and_who_comes_now_does_not_wait() -> Result<()> {
    run_virtual(async {
        let (event, result) = (Event::new(), Log::default());
        let wait = |number: u32| {
            let (event, result) = (event.clone(), result.clone());
            create_local_task(async move {
                event.wait().await?;
                result.add(number);
                Ok(())
            })
        };
        let tasks = [wait(1), wait(2)];
        turns(1).await?;
        assert_eq!(result.all(), []);
        let third = wait(3);
        event.set();
        turns(1).await?;
        assert_eq!(result.all(), [3, 1, 2]);
        assert!(tasks.iter().all(asyncio_core::Task::done) && third.done());
        Ok(())
    })
}

/// `test_locks.EventTests.test_wait_on_set`
#[test]
fn to_wait_for_a_set_event_takes_no_turn() -> Result<()> {
    run_virtual(async {
        let event = Event::new();
        event.set();
        let passed = Log::default();
        let theirs = passed.clone();
        get_running_loop()?.call_soon(move || theirs.add(()))?;
        event.wait().await?;
        assert!(passed.all().is_empty());
        Ok(())
    })
}

/// `test_locks.EventTests.test_wait_cancel`
#[test]
fn a_cancelled_wait_leaves_the_line() -> Result<()> {
    run_virtual(async {
        let event = Event::new();
        let theirs = event.clone();
        let task = create_task(async move { Ok(theirs.wait().await?) });
        let handle = task.clone();
        get_running_loop()?.call_soon(move || _ = handle.cancel())?;
        assert!(is_cancelled(task.await));
        assert_eq!(format!("{event:?}"), "<Event [unset]>");
        Ok(())
    })
}

/// `test_locks.EventTests.test_clear`
#[test]
fn it_is_set_until_it_is_cleared() {
    let event = Event::new();
    assert!(!event.is_set());
    event.set();
    assert!(event.is_set());
    event.clear();
    assert!(!event.is_set());
}

/// `test_locks.EventTests.test_clear_with_waiters`
#[test]
fn who_was_woken_goes_on_though_it_is_cleared_before() -> Result<()> {
    run_virtual(async {
        let event = Event::new();
        let theirs = event.clone();
        let task = create_task(async move { Ok(theirs.wait().await?) });
        turns(1).await?;
        event.set();
        event.clear();
        assert!(!event.is_set());
        event.set();
        event.set();
        event.clear();
        assert_eq!(format!("{event:?}"), "<Event [unset, waiters:1]>");
        turns(1).await?;
        assert!(task.done());
        assert_eq!(format!("{event:?}"), "<Event [unset]>");
        task.await
    })
}
