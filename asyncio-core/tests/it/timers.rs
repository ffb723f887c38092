//! Clocks and timers: the virtual clock that jumps, and the real one.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use asyncio_core::{
    OwnedEventLoop, Result, Runner, RuntimeError, Task, ValueError, create_local_task, create_task,
    get_running_loop, run, sleep,
};

use crate::support::{Alive, Log, comes_below, run_virtual, turns};

#[test]
fn a_virtual_clock_jumps_and_never_sleeps() -> Result<()> {
    let start = Instant::now();
    run_virtual(async {
        let event_loop = get_running_loop()?;
        assert_eq!(event_loop.time(), 0.0);
        for day in 1..=365 {
            sleep(86_400).await?;
            assert_eq!(event_loop.time(), f64::from(day) * 86_400.0);
        }
        Ok(())
    })?;
    assert!(start.elapsed() < Duration::from_secs(5));
    Ok(())
}

#[test]
fn a_virtual_clock_stops_at_every_timer() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let log = Log::default();
        for delay in [3, 1, 2] {
            let (log, clock) = (log.clone(), event_loop.clone());
            event_loop.call_later(delay, move || {
                log.add(format!("{delay} at {}", clock.time()))
            })?;
        }
        sleep(10).await?;
        assert_eq!(log.take(), ["1 at 1", "2 at 2", "3 at 3"]);
        assert_eq!(event_loop.time(), 10.0);
        Ok(())
    })
}

#[test]
fn equal_deadlines_fire_in_the_order_of_their_making() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let log = Log::default();
        for name in 0..8 {
            let log = log.clone();
            if name % 2 == 0 {
                event_loop.call_at(1.0, move || log.add(format!("call {name}")))?;
            } else {
                drop(create_local_task(async move {
                    sleep(1).await?;
                    log.add(format!("task {name}"));
                    Ok(())
                }));
                turns(1).await?;
            }
        }
        event_loop.call_at(2.0, || ())?;
        sleep(3).await?;
        // A task that slept resumes a turn after its timer.
        assert_eq!(
            log.take(),
            [
                "call 0", "call 2", "call 4", "call 6", "task 1", "task 3", "task 5", "task 7"
            ]
        );
        Ok(())
    })
}

#[test]
fn a_held_clock_does_not_jump_until_the_last_hold_is_gone() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let an_hour = create_task(async { sleep(3600).await });
        let holds = [event_loop.hold_clock()?, event_loop.hold_clock()?];
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(!an_hour.done() && event_loop.time() == 0.0);
        let [first, second] = holds;
        drop(first);
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(!an_hour.done() && event_loop.time() == 0.0);
        // Given back by another thread, the hold wakes the loop all the same.
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(2));
            drop(second);
        });
        an_hour.await?;
        assert_eq!(event_loop.time(), 3600.0);
        thread.join().expect("no panic");
        Ok(())
    })
}

/// As when nothing runs for a while: what is due meanwhile comes in the order of its times, after what was
/// ready.
#[test]
fn a_virtual_clock_can_be_moved_on() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let note = |name| {
            let seen = Arc::clone(&seen);
            move || seen.lock().expect("nobody panics").push(name)
        };
        event_loop.call_later(2, note("two"))?;
        event_loop.call_later(1, note("one"))?;
        event_loop.call_later(5, note("five"))?;
        event_loop.advance_clock(4)?;
        event_loop.call_soon(note("ready"))?;
        turns(2).await?;
        assert_eq!(
            *seen.lock().expect("nobody panics"),
            ["ready", "one", "two"]
        );
        assert_eq!(event_loop.time(), 4.0);
        event_loop.advance_clock(0)?;
        sleep(1.5).await?;
        assert_eq!(seen.lock().expect("nobody panics").len(), 4);
        assert_eq!(event_loop.time(), 5.5);
        for wrong in [-1.0, f64::NAN] {
            assert!(
                event_loop
                    .advance_clock(wrong)
                    .is_err_and(|error| error.is::<ValueError>())
            );
        }
        Ok(())
    })?;
    run(async {
        let refused = get_running_loop()?.advance_clock(1);
        assert!(refused.is_err_and(|error| error.is::<RuntimeError>()));
        Ok(())
    })
}

#[test]
fn a_hold_may_outlive_its_loop() -> Result<()> {
    let event_loop = OwnedEventLoop::builder().virtual_clock(true).build()?;
    let hold = event_loop.hold_clock()?;
    let other = event_loop.hold_clock()?;
    drop(event_loop);
    drop(hold);
    std::thread::spawn(move || drop(other))
        .join()
        .expect("no panic");
    Ok(())
}

/// An idle virtual loop has nowhere to jump to when the only timer is never due.
#[test]
fn a_virtual_clock_does_not_jump_to_infinity() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let never = create_task(async { sleep(f64::INFINITY).await });
        event_loop.call_at(f64::INFINITY, || ())?;
        event_loop.call_at(f64::NEG_INFINITY, || ())?;
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(!never.done());
        assert_eq!(event_loop.time(), 0.0);
        sleep(5).await?;
        assert_eq!(event_loop.time(), 5.0);
        never.cancel();
        turns(1).await?;
        assert!(never.cancelled());
        Ok(())
    })
}

#[test]
fn the_longest_delays_are_only_long() -> Result<()> {
    run(async {
        let naps: Vec<Task<()>> = [f64::INFINITY, f64::MAX, 1e18]
            .into_iter()
            .map(|delay| create_task(async move { sleep(delay).await }))
            .chain([create_task(async { sleep(Duration::MAX).await })])
            .collect();
        sleep(0.005).await?;
        for nap in naps {
            assert!(!nap.done());
            nap.cancel();
            assert!(nap.await.is_err());
        }
        Ok(())
    })
}

#[test]
fn a_real_sleep_takes_its_time_and_little_more() -> Result<()> {
    let nap = || {
        run(async {
            let event_loop = get_running_loop()?;
            let (start, before) = (Instant::now(), event_loop.time());
            sleep(0.05).await?;
            let (counted, took) = (event_loop.time() - before, start.elapsed());
            assert!(took >= Duration::from_millis(50), "{took:?}");
            assert!(
                counted >= 0.05 && counted <= took.as_secs_f64(),
                "{counted}"
            );
            Ok(took)
        })
    };
    assert!(comes_below(Duration::from_millis(80), nap)?);
    Ok(())
}

#[test]
fn a_real_timer_is_never_early() -> Result<()> {
    run(async {
        let event_loop = get_running_loop()?;
        for micros in [1, 10, 100, 500, 999, 1001, 1500] {
            let before = event_loop.time();
            let delay = Duration::from_micros(micros);
            sleep(delay).await?;
            let took = event_loop.time() - before;
            assert!(took >= delay.as_secs_f64() - 1e-9, "{took} for {delay:?}");
        }
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_timeout_rounding`
#[test]
fn tiny_sleeps_do_not_spin_the_loop() -> Result<()> {
    // Each iteration of the loop runs this future once, because it asks to be run in the next one
    // that comes, whatever it comes for.
    async fn iterations(count: Rc<std::cell::Cell<u32>>) -> Result<()> {
        for delay in [0.0001, 0.0005, 0.001] {
            let mut nap = Box::pin(sleep(delay));
            std::future::poll_fn(|cx| {
                count.set(count.get() + 1);
                nap.as_mut().poll(cx)
            })
            .await?;
        }
        Ok(())
    }
    let count = Rc::new(std::cell::Cell::new(0));
    run(iterations(Rc::clone(&count)))?;
    assert!(count.get() <= 20, "{}", count.get());
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test__run_once_cancelled_event_cleanup`
#[test]
fn cancelled_timers_drop_their_functions_at_once() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let alive = Alive::default();
        for many in [1, 50, 500] {
            let mut handles = Vec::new();
            for number in 0..many {
                let held = alive.one();
                handles.push(event_loop.call_later(1000 + number, move || held.touch())?);
            }
            assert_eq!(alive.count(), usize::try_from(many).unwrap_or_default());
            for handle in handles.iter().rev() {
                handle.cancel();
                assert!(handle.cancelled());
            }
            assert_eq!(alive.count(), 0);
        }
        sleep(1).await?;
        assert_eq!(event_loop.time(), 1.0);
        Ok(())
    })
}

#[test]
fn timers_made_while_timers_fire_wait_for_the_next_turn() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let log = Log::default();
        let (outer, inner, clock) = (log.clone(), log.clone(), event_loop.clone());
        event_loop.call_later(1, move || {
            outer.add("outer");
            let inner = inner.clone();
            clock.call_later(0, move || inner.add("inner")).map(drop)
        })?;
        let beside = log.clone();
        event_loop.call_later(1, move || beside.add("beside"))?;
        sleep(2).await?;
        assert_eq!(log.take(), ["outer", "beside", "inner"]);
        Ok(())
    })
}

#[test]
fn ten_thousand_timers_fire_in_order() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let log: Rc<std::cell::RefCell<Vec<(u64, u64)>>> = Rc::default();
        let mut seed = 12345_u64;
        for number in 0..10_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let when = seed >> 54;
            let log = Rc::clone(&log);
            let timer = event_loop.call_at(
                f64::from(u32::try_from(when).unwrap_or_default()),
                move || log.borrow_mut().push((when, number)),
            )?;
            if seed & 3 == 0 {
                timer.cancel();
            }
        }
        sleep(2000).await?;
        let fired = log.take();
        assert!(fired.len() > 5000);
        assert!(
            fired.is_sorted(),
            "by time, and by creation where the times are equal"
        );
        Ok(())
    })
}

#[test]
fn a_sleep_that_moves_to_another_loop_starts_again_there() -> Result<()> {
    let (first, second) = (
        Runner::builder().virtual_clock(true).build()?,
        Runner::builder().virtual_clock(true).build()?,
    );
    let nap = first.run(async {
        let mut nap = Box::pin(sleep(5));
        assert!(::futures::poll!(&mut nap).is_pending());
        Ok(nap)
    })?;
    let took = second.run(async {
        let event_loop = get_running_loop()?;
        // Timers of this loop that have nothing to do with the other one's.
        let others: Vec<_> = (0..3)
            .map(|number| event_loop.call_later(1000 + number, || ()))
            .collect::<Result<_>>()?;
        nap.await?;
        drop(others);
        Ok(event_loop.time())
    })?;
    assert!(took <= 5.0, "{took}");
    first.close()?;
    second.close()
}
