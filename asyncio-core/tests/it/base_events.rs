//! `asyncio/base_events.py`: the iterations of the loop, and running and stopping it.

use std::cell::Cell;
use std::rc::Rc;

use asyncio_core::{
    EventLoop, Exception, KeyboardInterrupt, OwnedEventLoop, Result, RuntimeError, SystemExit,
    Task, ValueError, create_task, current_task, ensure_future, gather, get_running_loop,
    new_event_loop, sleep,
};

use crate::support::{Alive, Log, Reports, error_of, fails_with, run_virtual, turns};

fn event_loop() -> Result<OwnedEventLoop> {
    OwnedEventLoop::builder().virtual_clock(true).build()
}

fn logs(log: &Log, entry: &'static str) -> impl FnOnce() + 'static {
    let log = log.clone();
    move || log.add(entry)
}

/// `test_base_events.BaseEventLoopTests.test_call_soon`
#[test]
fn functions_are_called_in_the_order_in_which_they_were_given() -> Result<()> {
    let (event_loop, log) = (event_loop()?, Log::default());
    for entry in ["a", "b", "c"] {
        event_loop.call_soon(logs(&log, entry))?;
    }
    event_loop.stop();
    event_loop.run_forever()?;
    assert_eq!(log.take(), ["a", "b", "c"]);
    event_loop.close()?;
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test__run_once_schedule_handle`
#[test]
fn what_a_callback_schedules_waits_for_the_next_iteration() -> Result<()> {
    let (event_loop, log) = (event_loop()?, Log::default());
    let (again, nested) = (event_loop.clone(), log.clone());
    event_loop.call_soon(move || {
        nested.add("first");
        again.call_soon(logs(&nested, "nested")).map(drop)
    })?;
    event_loop.call_soon(logs(&log, "second"))?;
    event_loop.stop();
    event_loop.run_forever()?;
    assert_eq!(log.take(), ["first", "second"]);
    event_loop.stop();
    event_loop.run_forever()?;
    assert_eq!(log.take(), ["nested"]);
    event_loop.close()?;
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_run_once`,
/// `test_base_events.BaseEventLoopTests.test_run_forever_pre_stopped`
#[test]
fn a_loop_that_was_stopped_beforehand_runs_one_iteration() -> Result<()> {
    let (event_loop, log) = (event_loop()?, Log::default());
    event_loop.stop();
    event_loop.run_forever()?;
    event_loop.call_soon(logs(&log, "ready"))?;
    event_loop.call_later(0, logs(&log, "due"))?;
    event_loop.call_later(5, logs(&log, "later"))?;
    event_loop.stop();
    event_loop.run_forever()?;
    assert_eq!(log.take(), ["ready", "due"]);
    assert_eq!(event_loop.time(), 0.0, "a stopped loop does not wait");
    let handle = event_loop.clone();
    event_loop.call_later(6, move || handle.stop())?;
    event_loop.run_forever()?;
    assert_eq!(log.take(), ["later"]);
    event_loop.close()?;
    Ok(())
}

/// The iteration in which `stop` is called is finished; what comes after is kept.
#[test]
fn stop_lets_the_iteration_finish_and_keeps_the_rest() -> Result<()> {
    let (event_loop, log) = (event_loop()?, Log::default());
    let handle = event_loop.clone();
    let after = log.clone();
    event_loop.call_soon(move || {
        handle.stop();
        handle.call_soon(logs(&after, "next")).map(drop)
    })?;
    event_loop.call_soon(logs(&log, "same"))?;
    event_loop.run_forever()?;
    assert!(!event_loop.is_running());
    assert_eq!(log.take(), ["same"]);
    event_loop.run_until_complete(async { Ok(()) })?;
    assert_eq!(log.take(), ["next"]);
    event_loop.close()?;
    Ok(())
}

/// Within one iteration: what is ready first, then the timers that are due.
#[test]
fn timers_that_are_due_come_after_what_was_ready() -> Result<()> {
    let (event_loop, log) = (event_loop()?, Log::default());
    event_loop.call_later(0, logs(&log, "timer"))?;
    event_loop.call_soon(logs(&log, "soon"))?;
    event_loop.stop();
    event_loop.run_forever()?;
    assert_eq!(log.take(), ["soon", "timer"]);
    event_loop.close()?;
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_call_later_negative_delays`
#[test]
fn negative_delays_run_in_the_order_of_their_deadlines() -> Result<()> {
    let (event_loop, log) = (event_loop()?, Log::default());
    event_loop.call_later(-1, logs(&log, "a"))?;
    event_loop.call_later(-2, logs(&log, "b"))?;
    event_loop.call_at(-0.0, logs(&log, "minus zero"))?;
    event_loop.call_at(0.0, logs(&log, "zero"))?;
    event_loop.stop();
    event_loop.run_forever()?;
    assert_eq!(log.take(), ["b", "a", "minus zero", "zero"]);
    event_loop.close()?;
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_call_later`
#[test]
fn a_timer_waits_and_a_handle_tells_its_deadline() -> Result<()> {
    let (event_loop, log) = (event_loop()?, Log::default());
    let timer = event_loop.call_later(1.5, logs(&log, "timer"))?;
    assert_eq!(timer.when(), 1.5);
    assert!(!timer.cancelled());
    event_loop.run_until_complete(turns(3))?;
    assert!(log.take().is_empty());
    event_loop.run_until_complete(sleep(1.5))?;
    assert_eq!(log.take(), ["timer"]);
    event_loop.close()?;
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_time_and_call_at`,
/// `test_events.EventLoopTestsMixin.test_call_later`,
/// `test_events.EventLoopTestsMixin.test_call_soon`
#[test]
fn a_timer_is_never_early() -> Result<()> {
    let event_loop = new_event_loop()?;
    let log = Log::default();
    let (begun, stop) = (event_loop.time(), event_loop.clone());
    event_loop.call_at(begun + 0.02, logs(&log, "at"))?;
    event_loop.call_later(0.02, logs(&log, "later"))?;
    event_loop.call_later(0.021, move || stop.stop())?;
    event_loop.call_soon(logs(&log, "soon"))?;
    event_loop.run_forever()?;
    assert!(event_loop.time() - begun >= 0.021);
    assert_eq!(log.take(), ["soon", "at", "later"]);
    event_loop.close()?;
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_run_until_complete_loop`: in Python a `ValueError`; here
/// a loop waits for the future of another as for any.
#[test]
fn a_future_of_another_loop_is_waited_for() -> Result<()> {
    let (event_loop, other) = (event_loop()?, event_loop()?);
    let future = other.create_future();
    let setter = future.clone();
    event_loop.call_later(1, move || setter.set_result("from the other"))?;
    assert_eq!(event_loop.run_until_complete(future)?, "from the other");
    assert_eq!(event_loop.time(), 1.0);
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_set_task_factory`,
/// `test_base_events.BaseEventLoopTests.test_create_named_task_with_custom_factory`, and in the place of
/// `test_base_events.BaseEventLoopTests.test_create_task`, which overrides a method, `ensure_future`.
#[test]
fn a_task_factory_makes_every_task_until_it_is_taken_away() -> Result<()> {
    let event_loop = event_loop()?;
    let made = Rc::new(Cell::new(0));
    let counted = Rc::clone(&made);
    event_loop.set_task_factory(Some(Box::new(move |builder| {
        counted.set(counted.get() + 1);
        builder
    })))?;
    let before = event_loop.create_task(async { Ok(()) });
    event_loop.run_until_complete(async move {
        before.await?;
        let named = Task::builder().name("test_task").spawn(async { Ok(()) });
        assert_eq!(named.get_name(), "test_task");
        ensure_future(named).await?;
        ensure_future(async { Ok(()) }).await?;
        gather((async { Ok(()) }, async { Ok(()) })).await.map(drop)
    })?;
    assert_eq!(made.get(), 6, "the program itself is the second");
    event_loop.set_task_factory(None)?;
    event_loop.run_until_complete(async { Ok(()) })?;
    assert_eq!(made.get(), 6);
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_create_task_error_closes_coro`
#[test]
fn a_coroutine_for_a_closed_loop_is_dropped_without_a_word() -> Result<()> {
    let event_loop = event_loop()?;
    event_loop.set_debug(true);
    event_loop.close()?;
    let alive = Alive::default();
    let inside = alive.one();
    let task = event_loop.create_task(async move {
        inside.touch();
        Ok(())
    });
    assert_eq!(alive.count(), 0);
    let error = task.exception()?.expect("it could not be made");
    assert_eq!(error.to_string(), "Event loop is closed");
    Ok(())
}

/// Which loop a future, a task or a handle of one belongs to.
#[test]
fn futures_and_tasks_tell_their_loop() -> Result<()> {
    let (event_loop, other) = (event_loop()?, event_loop()?);
    let (future, task) = (
        other.create_future::<()>(),
        other.create_task(async { Ok(()) }),
    );
    let handle = task.handle().expect("a task");
    event_loop.run_until_complete(async move {
        let mine = get_running_loop().ok();
        assert_eq!(create_task(async { Ok(()) }).get_loop(), mine);
        assert_eq!(current_task().and_then(|me| me.get_loop()), mine);
        Ok(())
    })?;
    for _ in 0..2 {
        let theirs = Some(EventLoop::clone(&other));
        assert_eq!(
            (future.get_loop(), task.get_loop()),
            (theirs.clone(), theirs.clone())
        );
        assert_eq!(handle.get_loop(), theirs);
        other.close()?; // and afterwards
    }
    let stray = create_task(async { Ok(()) });
    assert_eq!(stray.get_loop(), None);
    let (away, known) = (future.clone(), EventLoop::clone(&other));
    drop((other, future, task, handle));
    let elsewhere = std::thread::spawn(move || away.get_loop() == Some(known));
    assert!(elsewhere.join().expect("no panic"));
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test__run_once`
#[test]
fn a_cancelled_timer_does_not_draw_the_clock() -> Result<()> {
    let (event_loop, log) = (event_loop()?, Log::default());
    event_loop.call_later(10, logs(&log, "cancelled"))?.cancel();
    event_loop.call_later(20, logs(&log, "kept"))?;
    event_loop.run_until_complete(sleep(30))?;
    assert_eq!(log.take(), ["kept"]);
    event_loop.close()?;
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_set_debug`
#[test]
fn debug_mode_can_be_switched() -> Result<()> {
    let event_loop = event_loop()?;
    assert!(!event_loop.get_debug());
    event_loop.set_debug(true);
    assert!(event_loop.get_debug());
    event_loop.set_debug(false);
    assert!(!event_loop.get_debug());
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_check_thread`
#[test]
fn another_thread_may_only_call_what_is_made_for_it() -> Result<()> {
    let event_loop = event_loop()?;
    let away = event_loop.clone();
    let refused = std::thread::spawn(move || {
        [
            fails_with::<RuntimeError, _>(away.call_soon(|| ())),
            fails_with::<RuntimeError, _>(away.call_later(1, || ())),
            fails_with::<RuntimeError, _>(away.call_at(1.0, || ())),
            fails_with::<RuntimeError, _>(away.run_forever()),
            fails_with::<RuntimeError, _>(away.run_until_complete(async { Ok(()) })),
            fails_with::<RuntimeError, _>(away.close()),
            fails_with::<RuntimeError, _>(away.hold_clock()),
            fails_with::<RuntimeError, _>(away.set_exception_handler(None)),
            fails_with::<RuntimeError, _>(away.create_future::<()>().result()),
            fails_with::<RuntimeError, _>(away.create_task(async { Ok(()) }).result()),
            away.time().is_nan(),
            away.call_soon_threadsafe(|| ()).is_ok(),
        ]
    });
    assert_eq!(refused.join().expect("no panic"), [true; 12]);
    assert!(!event_loop.is_closed());
    event_loop.close()?;
    Ok(())
}

/// `test_events.EventLoopTestsMixin.test_run_until_complete`
#[test]
fn run_until_complete_returns_the_result() -> Result<()> {
    let event_loop = event_loop()?;
    let answer = event_loop.run_until_complete(async {
        sleep(0.1).await?;
        Ok(42)
    })?;
    assert_eq!(answer, 42);
    let failed = event_loop.run_until_complete::<(), _>(async { Err(ValueError::new("x").into()) });
    assert!(fails_with::<ValueError, _>(failed));
    event_loop.close()?;
    Ok(())
}

/// `test_events.EventLoopTestsMixin.test_run_until_complete_stopped`
#[test]
fn a_loop_stopped_before_its_time_says_so() -> Result<()> {
    let event_loop = event_loop()?;
    let result = event_loop.run_until_complete(async {
        get_running_loop()?.stop();
        sleep(0).await
    });
    let error = error_of(result);
    assert!(error.is::<RuntimeError>());
    assert_eq!(
        error.to_string(),
        "Event loop stopped before Future completed."
    );
    event_loop.close()?;
    Ok(())
}

#[test]
fn run_until_complete_waits_for_futures_and_tasks_as_they_are() -> Result<()> {
    let event_loop = event_loop()?;
    let future = event_loop.create_future();
    let setter = future.clone();
    event_loop.call_later(3, move || setter.set_result("set"))?;
    assert_eq!(event_loop.run_until_complete(future.clone())?, "set");
    assert_eq!(event_loop.time(), 3.0);
    assert_eq!(
        event_loop.run_until_complete(future)?,
        "set",
        "done already"
    );
    let task = event_loop.create_task(async { Ok(1) });
    assert_eq!(event_loop.run_until_complete(task)?, 1);
    let cancelled = event_loop.create_future::<()>();
    cancelled.cancel();
    assert!(error_of(event_loop.run_until_complete(cancelled)).is_cancelled());
    event_loop.close()?;
    Ok(())
}

/// With the future done in iteration N the loop ends after N + 1; later handles stay queued.
#[test]
fn run_until_complete_ends_one_iteration_after_the_result() -> Result<()> {
    let (event_loop, log) = (event_loop()?, Log::default());
    let ends = log.clone();
    event_loop.run_until_complete(async move {
        let event_loop = get_running_loop()?;
        let (nested, again) = (ends.clone(), event_loop.clone());
        event_loop.call_soon(move || {
            nested.add("with the stop");
            again.call_soon(logs(&nested, "after the stop")).map(drop)
        })?;
        Ok(())
    })?;
    assert_eq!(log.take(), ["with the stop"]);
    event_loop.run_until_complete(async { Ok(()) })?;
    assert_eq!(log.take(), ["after the stop"]);
    event_loop.close()?;
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_run_until_complete_baseexception`
#[test]
fn an_exception_that_left_the_loop_does_not_stop_the_next_run() -> Result<()> {
    let event_loop = event_loop()?;
    let result =
        event_loop.run_until_complete::<(), _>(async { Err(KeyboardInterrupt::new().into()) });
    assert!(error_of(result).is::<KeyboardInterrupt>());
    let finished = Rc::new(Cell::new(false));
    let flag = Rc::clone(&finished);
    event_loop.run_until_complete(async move {
        turns(5).await?;
        flag.set(true);
        Ok(())
    })?;
    assert!(finished.get());
    event_loop.close()?;
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_run_until_complete_loop_orphan_future_close_loop`
#[test]
fn a_loop_goes_on_after_a_system_exit_with_what_was_left() -> Result<()> {
    let (event_loop, log) = (event_loop()?, Log::default());
    event_loop.call_soon(|| Err::<(), Exception>(SystemExit::new(1).into()))?;
    event_loop.call_soon(logs(&log, "rest of the batch"))?;
    let error = error_of(event_loop.run_until_complete(sleep(1)));
    assert!(error.is::<SystemExit>());
    assert!(log.take().is_empty());
    event_loop.run_until_complete(async { Ok(()) })?;
    assert_eq!(log.take(), ["rest of the batch"]);
    event_loop.close()?;
    Ok(())
}

#[test]
fn a_task_left_by_an_aborted_run_can_be_waited_for_again() -> Result<()> {
    let event_loop = event_loop()?;
    let task = event_loop.create_task(async {
        sleep(2).await?;
        Ok("survived")
    });
    event_loop.call_later(1, || Err::<(), Exception>(KeyboardInterrupt::new().into()))?;
    assert!(error_of(event_loop.run_until_complete(task.clone())).is::<KeyboardInterrupt>());
    assert_eq!(event_loop.run_until_complete(task)?, "survived");
    event_loop.close()?;
    Ok(())
}

/// Dropping the loop's owner on the loop closes it when it stops.
#[test]
fn the_owner_of_a_loop_may_be_dropped_while_it_runs() -> Result<()> {
    let event_loop = Rc::new(Cell::new(Some(event_loop()?)));
    let handle = {
        let owner = event_loop.take().expect("just put there");
        let handle = owner.clone();
        event_loop.set(Some(owner));
        handle
    };
    let place = Rc::clone(&event_loop);
    handle.run_until_complete(async move {
        drop(place.take());
        assert!(!get_running_loop()?.is_closed());
        sleep(0).await
    })?;
    assert!(handle.is_closed());
    Ok(())
}

#[test]
fn a_destructor_that_schedules_more_does_not_keep_the_loop_from_closing() -> Result<()> {
    struct Reschedules(EventLoop, u32);
    impl Drop for Reschedules {
        fn drop(&mut self) {
            if self.1 < 20 {
                let next = Self(self.0.clone(), self.1 + 1);
                let _ = self.0.call_soon(move || {
                    let _next = &next;
                });
            }
        }
    }
    let event_loop = event_loop()?;
    let reports = Reports::of(&event_loop)?;
    let guard = Reschedules(event_loop.clone(), 0);
    event_loop.call_soon(move || {
        let _guard = &guard;
    })?;
    let spawner = event_loop.clone();
    struct Spawns(EventLoop);
    impl Drop for Spawns {
        fn drop(&mut self) {
            drop(self.0.create_task(async { sleep(1).await }));
        }
    }
    let guard = Spawns(spawner);
    drop(event_loop.create_task(async move {
        let _guard = guard;
        sleep(1).await
    }));
    event_loop.close()?;
    assert!(event_loop.is_closed());
    assert_eq!(
        reports.take_lines(),
        ["Task was destroyed but it is pending!"; 2]
    );
    Ok(())
}

#[test]
fn loops_are_equal_to_their_handles_only() -> Result<()> {
    let (one, two) = (event_loop()?, new_event_loop()?);
    assert!(one.clone() == *one && *one != *two);
    let running = one.run_until_complete(async { Ok(get_running_loop()?) })?;
    assert!(running == *one);
    Ok(())
}

/// A task that is always ready does not keep others from theirs.
#[test]
fn busy_tasks_take_turns() -> Result<()> {
    run_virtual(async {
        let counts = Rc::new([const { Cell::new(0) }; 3]);
        for name in 0..3 {
            let counts = Rc::clone(&counts);
            drop(asyncio_core::create_local_task(async move {
                loop {
                    counts[name].set(counts[name].get() + 1);
                    sleep(0).await?;
                }
                #[expect(unreachable_code, reason = "it says what the task's value would be")]
                Ok(())
            }));
        }
        turns(1000).await?;
        assert!(counts.iter().all(|count| count.get() == 1000));
        create_task(async { Ok(()) }).await
    })
}

/// `BaseEventLoop.run_forever`: the iteration in which `stop` is called is the last one, also where the
/// loop has been busy so long that it gives way to tokio with that iteration's very last handle.
#[test]
fn a_stop_in_the_handle_after_which_the_loop_gives_way_is_seen() -> Result<()> {
    let event_loop = new_event_loop()?;
    let ran = Rc::new(Cell::new(false));
    event_loop.call_soon(|| std::thread::sleep(std::time::Duration::from_millis(2)))?;
    for _ in 0..62 {
        event_loop.call_soon(|| ())?;
    }
    let (inner, late) = (EventLoop::clone(&event_loop), Rc::clone(&ran));
    event_loop.call_soon(move || -> Result<()> {
        inner.stop();
        inner.call_soon(move || late.set(true))?;
        Ok(())
    })?;
    event_loop.run_forever()?;
    assert!(!ran.get(), "it belongs to the next iteration");
    Ok(())
}
