//! `asyncio/events.py`: handles, and what crosses from other threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use asyncio_core::{
    EventLoop, Result, RuntimeError, create_task, get_running_loop, new_event_loop, run, sleep,
};

use crate::support::{Alive, Log, fails_with, run_virtual, turns};

/// `test_events.HandleTests.test_handle`
#[test]
fn a_cancelled_handle_is_not_called_and_lets_go_of_its_function() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let (alive, log) = (Alive::default(), Log::default());
        let (held, called) = (alive.one(), log.clone());
        let handle = event_loop.call_soon(move || {
            held.touch();
            called.add("called");
        })?;
        assert!(!handle.cancelled());
        assert_eq!(format!("{handle:?}"), "Handle { cancelled: false }");
        handle.cancel();
        handle.clone().cancel();
        assert!(handle.cancelled());
        assert_eq!(alive.count(), 0);
        turns(2).await?;
        assert!(log.take().is_empty());
        Ok(())
    })
}

#[test]
fn cancelling_a_handle_after_its_call_changes_nothing() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let log = Log::default();
        let (first, second) = (log.clone(), log.clone());
        let handle = event_loop.call_soon(move || first.add("first"))?;
        turns(1).await?;
        // The place of the first call in the loop's table may be the second's by now.
        let other = event_loop.call_soon(move || second.add("second"))?;
        handle.cancel();
        assert!(!other.cancelled());
        turns(1).await?;
        assert_eq!(log.take(), ["first", "second"]);
        Ok(())
    })
}

#[test]
fn a_handle_later_in_the_same_batch_can_still_be_cancelled() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let log = Log::default();
        let place = std::rc::Rc::new(std::cell::Cell::new(None::<asyncio_core::Handle>));
        let victim = std::rc::Rc::clone(&place);
        event_loop.call_soon(move || {
            if let Some(handle) = victim.take() {
                handle.cancel();
            }
        })?;
        let called = log.clone();
        place.set(Some(event_loop.call_soon(move || called.add("called"))?));
        turns(1).await?;
        assert!(log.take().is_empty());
        Ok(())
    })
}

/// `test_events.TimerTests.test_when`, `test_events.TimerTests.test_timer`
#[test]
fn a_timer_tells_when_it_is_due_and_can_be_cancelled() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let log = Log::default();
        let called = log.clone();
        let timer = event_loop.call_at(10.0, move || called.add("called"))?;
        assert_eq!((timer.when(), timer.cancelled()), (10.0, false));
        assert!(timer.get_context().is_some());
        timer.cancel();
        assert!(timer.clone().cancelled() && timer.get_context().is_none());
        assert_eq!(
            format!("{timer:?}"),
            "TimerHandle { when: 10.0, cancelled: true }"
        );
        sleep(20).await?;
        assert!(log.take().is_empty());
        Ok(())
    })
}

/// `test_events.GetEventLoopTestsMixin.test_get_event_loop_returns_running_loop`
#[test]
fn the_running_loop_is_the_one_that_runs_here() -> Result<()> {
    assert!(fails_with::<RuntimeError, _>(get_running_loop()));
    let event_loop = new_event_loop()?;
    assert!(fails_with::<RuntimeError, _>(get_running_loop()));
    let expected = event_loop.clone();
    event_loop.run_until_complete(async move {
        assert!(get_running_loop()? == expected);
        let elsewhere = tokio::task::spawn_blocking(|| get_running_loop().is_err()).await?;
        assert!(elsewhere, "another thread runs none");
        Ok(())
    })?;
    assert!(fails_with::<RuntimeError, _>(get_running_loop()));
    event_loop.close()?;
    Ok(())
}

/// `test_events.EventLoopTestsMixin.test_call_soon_threadsafe`
#[test]
fn a_call_from_another_thread_wakes_a_sleeping_loop() -> Result<()> {
    run(async {
        let event_loop = get_running_loop()?;
        let future = event_loop.create_future();
        let setter = future.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            event_loop.call_soon_threadsafe(move || setter.set_result("woken"))
        });
        assert_eq!(future.await?, "woken");
        thread.join().expect("no panic")?;
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_call_soon_threadsafe_same_thread`
#[test]
fn on_the_loops_own_thread_threadsafe_calls_keep_their_place() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let log = Log::default();
        // A function that goes to a loop from its own thread must still be one that could travel.
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let first = log.clone();
        event_loop.call_soon(move || first.add("soon"))?;
        event_loop.call_soon_threadsafe(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        })?;
        let (last, seen) = (log.clone(), Arc::clone(&count));
        event_loop.call_soon(move || last.add(format!("after {}", seen.load(Ordering::SeqCst))))?;
        turns(1).await?;
        assert_eq!(log.take(), ["soon", "after 1"]);
        Ok(())
    })
}

/// Each thread's calls arrive in its own order, none is lost, none comes twice.
#[test]
fn calls_of_many_threads_keep_each_threads_order() -> Result<()> {
    const THREADS: usize = 4;
    const CALLS: usize = 5000;
    run(async {
        let event_loop = get_running_loop()?;
        let seen = Arc::new(std::sync::Mutex::new(vec![Vec::new(); THREADS]));
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (event_loop, seen) = (event_loop.clone(), Arc::clone(&seen));
                std::thread::spawn(move || -> Result<()> {
                    for call in 0..CALLS {
                        let seen = Arc::clone(&seen);
                        event_loop.call_soon_threadsafe(move || {
                            seen.lock().expect("not poisoned")[thread].push(call);
                        })?;
                    }
                    Ok(())
                })
            })
            .collect();
        let joined = tokio::task::spawn_blocking(move || {
            threads
                .into_iter()
                .all(|thread| thread.join().is_ok_and(|result| result.is_ok()))
        });
        assert!(joined.await?);
        turns(2).await?;
        let expected: Vec<usize> = (0..CALLS).collect();
        assert!(
            seen.lock()
                .expect("not poisoned")
                .iter()
                .all(|calls| *calls == expected)
        );
        Ok(())
    })
}

#[test]
fn a_call_from_another_thread_can_be_cancelled_there_and_here() -> Result<()> {
    run(async {
        let event_loop = get_running_loop()?;
        let alive = Alive::default();
        let called = Arc::new(AtomicUsize::new(0));
        let (remote, held, counted) = (event_loop.clone(), alive.one(), Arc::clone(&called));
        let handle = std::thread::spawn(move || -> Result<_> {
            let again = held.clone();
            let (first, second) = (Arc::clone(&counted), counted);
            let cancelled = remote.call_soon_threadsafe(move || {
                held.touch();
                first.fetch_add(1, Ordering::SeqCst);
            })?;
            cancelled.cancel();
            assert!(cancelled.cancelled());
            Ok(remote.call_soon_threadsafe(move || {
                again.touch();
                second.fetch_add(1, Ordering::SeqCst);
            })?)
        })
        .join()
        .expect("no panic")?;
        handle.cancel();
        turns(3).await?;
        assert_eq!((called.load(Ordering::SeqCst), alive.count()), (0, 0));
        Ok(())
    })
}

/// `loop.stop` is what ends a loop that another thread is responsible for.
#[test]
fn another_thread_may_stop_a_loop_that_sleeps() -> Result<()> {
    let event_loop = new_event_loop()?;
    let remote = event_loop.clone();
    let barrier = Arc::new(Barrier::new(2));
    let started = Arc::clone(&barrier);
    event_loop.call_soon(move || {
        started.wait();
    })?;
    let thread = std::thread::spawn(move || {
        barrier.wait();
        std::thread::sleep(Duration::from_millis(2));
        remote.stop();
    });
    event_loop.run_forever()?;
    thread.join().expect("no panic");
    event_loop.close()?;
    Ok(())
}

#[test]
fn what_was_given_while_the_loop_did_not_run_is_called_when_it_does() -> Result<()> {
    let event_loop = new_event_loop()?;
    let count = Arc::new(AtomicUsize::new(0));
    let (remote, counted) = (event_loop.clone(), Arc::clone(&count));
    std::thread::spawn(move || {
        remote
            .call_soon_threadsafe(move || {
                counted.fetch_add(1, Ordering::SeqCst);
            })
            .map(drop)
    })
    .join()
    .expect("no panic")?;
    assert_eq!(count.load(Ordering::SeqCst), 0);
    event_loop.run_until_complete(turns(2))?;
    assert_eq!(count.load(Ordering::SeqCst), 1);
    event_loop.close()?;
    Ok(())
}

#[test]
fn a_task_on_tokio_may_schedule_on_the_loop_that_drives_it() -> Result<()> {
    fn schedule(event_loop: &EventLoop, future: &asyncio_core::Future<u8>) -> Result<()> {
        let setter = future.clone();
        event_loop.call_soon(move || setter.set_result(9))?;
        Ok(())
    }
    run(async {
        let event_loop = get_running_loop()?;
        let future = event_loop.create_future();
        let waited = future.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            schedule(&event_loop, &future)
        })
        .await??;
        assert_eq!(create_task(async move { waited.await }).await?, 9);
        Ok(())
    })
}
