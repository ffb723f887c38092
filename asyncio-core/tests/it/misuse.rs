//! What is asked at the wrong time or place: a typed error each time, never a panic, never a hang.

use asyncio_core::{
    CancelledError, Context, Exception, ExceptionContext, InvalidStateError, Result, Runner,
    RuntimeError, Task, ValueError, all_tasks, create_local_task, create_task, current_task,
    get_running_loop, new_event_loop, run, sleep, try_create_task,
};

use crate::support::{Alive, error_of, fails_with, run_virtual, turns};

#[test]
fn without_a_loop_every_call_is_a_runtime_error() {
    let alive = Alive::default();
    let held = [alive.one(), alive.one(), alive.one(), alive.one()];
    let [first, second, third, fourth] = held;
    let task = create_task(async move {
        first.touch();
        Ok(1)
    });
    assert!(task.done() && !task.cancelled() && !task.cancel());
    assert!(fails_with::<RuntimeError, _>(task.result()));
    assert!(
        task.exception()
            .is_ok_and(|error| error.is_some_and(|error| error.is::<RuntimeError>()))
    );
    assert!(task.handle().is_none());
    assert_eq!(
        (task.cancelling(), task.uncancel(), task.get_name()),
        (0, 0, String::new())
    );
    assert!(task.get_context().is_none());
    assert!(format!("{task:?}").contains("finished"));
    let local = create_local_task(async move {
        second.touch();
        Ok(())
    });
    assert!(fails_with::<RuntimeError, _>(local.result()));
    let tried = try_create_task(async move {
        third.touch();
        Ok(())
    });
    assert!(fails_with::<RuntimeError, _>(tried));
    let built = Task::builder()
        .name("x")
        .context(Context::new())
        .eager_start(true);
    let built = built.spawn(async move {
        fourth.touch();
        Ok(())
    });
    assert!(fails_with::<RuntimeError, _>(built.result()));
    assert_eq!(alive.count(), 0, "the coroutines are gone");
    assert!(fails_with::<RuntimeError, _>(get_running_loop()));
    assert!(current_task().is_none() && all_tasks().is_empty());
    let slept = ::futures::executor::block_on(sleep(1));
    assert!(fails_with::<RuntimeError, _>(slept));
    let awaited = ::futures::executor::block_on(task);
    assert!(fails_with::<RuntimeError, _>(awaited));
}

/// `test_events.EventLoopTestsMixin.test_close`, `test_base_events.BaseEventLoopTests.test_close`
#[test]
fn a_closed_loop_refuses_everything() -> Result<()> {
    let event_loop = new_event_loop()?;
    let other = event_loop.clone();
    event_loop.close()?;
    event_loop.close()?;
    for event_loop in [&*event_loop, &other] {
        assert!(event_loop.is_closed() && !event_loop.is_running());
        let closed = |error: Exception| {
            assert!(error.is::<RuntimeError>());
            assert_eq!(error.to_string(), "Event loop is closed");
        };
        closed(error_of(event_loop.call_soon(|| ())));
        closed(error_of(event_loop.call_soon_in(&Context::new(), || ())));
        closed(error_of(event_loop.call_soon_threadsafe(|| ())));
        closed(error_of(event_loop.call_later(1, || ())));
        closed(error_of(event_loop.call_at(1.0, || ())));
        closed(error_of(event_loop.run_forever()));
        closed(error_of(event_loop.run_until_complete(async { Ok(()) })));
        closed(error_of(event_loop.create_future::<()>().result()));
        closed(error_of(event_loop.create_task(async { Ok(()) }).result()));
        closed(error_of(event_loop.set_exception_handler(None)));
        closed(error_of(event_loop.hold_clock()));
        closed(error_of(event_loop.advance_clock(1)));
        event_loop.stop();
        event_loop.set_debug(true);
        assert!(!event_loop.get_debug());
        assert!(event_loop.time().is_nan());
        assert!(format!("{event_loop:?}").contains("closed: true"));
    }
    other.default_exception_handler(&ExceptionContext::new("on a closed loop", None));
    Ok(())
}

/// `test_events.EventLoopTestsMixin.test_close_running_event_loop`,
/// `test_events.EventLoopTestsMixin.test_run_until_complete_nesting`,
/// `test_base_events.RunningLoopTests.test_running_loop_within_a_loop`
#[test]
fn a_running_loop_can_be_neither_closed_nor_run_again() -> Result<()> {
    let event_loop = new_event_loop()?;
    let other = std::rc::Rc::new(new_event_loop()?);
    let nested = std::rc::Rc::clone(&other);
    event_loop.run_until_complete(async move {
        let running = get_running_loop()?;
        assert!(running.is_running());
        assert_eq!(
            error_of(running.close()).to_string(),
            "Cannot close a running event loop"
        );
        let error = error_of(running.run_forever());
        assert_eq!(error.to_string(), "This event loop is already running");
        let error = error_of(running.run_until_complete(async { Ok(()) }));
        assert_eq!(error.to_string(), "This event loop is already running");
        let error = error_of(nested.run_forever());
        assert_eq!(
            error.to_string(),
            "Cannot run the event loop while another loop is running"
        );
        let alive = Alive::default();
        let held = alive.one();
        let refused = nested.run_until_complete(async move {
            held.touch();
            Ok(())
        });
        assert!(fails_with::<RuntimeError, _>(refused));
        assert_eq!(alive.count(), 0);
        // The other loop is not running: it may be filled and closed.
        nested.call_soon(|| ())?;
        nested.close()?;
        sleep(0).await
    })?;
    assert!(other.is_closed() && !event_loop.is_running());
    event_loop.close()?;
    Ok(())
}

#[test]
fn run_where_a_tokio_runtime_must_not_block_is_a_runtime_error() -> Result<()> {
    for threads in [1, 2] {
        let mut builder = match threads {
            1 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        let runtime = builder.enable_all().build()?;
        runtime.block_on(async {
            assert!(fails_with::<RuntimeError, _>(run(async { Ok(()) })));
            let spawned = tokio::spawn(async { run(async { Ok(()) }).map_err(|e| e.to_string()) });
            let message = spawned.await?.expect_err("it must not run");
            assert!(message.contains("tokio runtime"), "{message}");
            let runner = Runner::new()?;
            assert!(fails_with::<RuntimeError, _>(runner.run(async { Ok(()) })));
            let event_loop = new_event_loop()?;
            assert!(fails_with::<RuntimeError, _>(event_loop.run_forever()));
            runner.close()
        })?;
    }
    // The thread is as good as new.
    assert_eq!(run(async { Ok(1) })?, 1);
    Ok(())
}

#[test]
fn a_loop_that_was_made_inside_a_runtime_may_be_dropped_there() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        drop(new_event_loop()?);
        drop(Runner::new()?);
        Ok(())
    })
}

#[test]
fn a_delay_that_is_not_a_number_is_a_value_error() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        for nan in [f64::NAN, -f64::NAN] {
            assert!(fails_with::<ValueError, _>(sleep(nan).await));
            assert!(fails_with::<ValueError, _>(
                event_loop.call_later(nan, || ())
            ));
            assert!(fails_with::<ValueError, _>(event_loop.call_at(nan, || ())));
        }
        let spawned =
            tokio::spawn(async { sleep(f64::NAN).await.map_err(|e| e.is::<ValueError>()) });
        assert_eq!(spawned.await?, Err(true));
        turns(3).await?;
        assert_eq!(event_loop.time(), 0.0);
        Ok(())
    })
}

#[test]
fn what_is_over_says_so_when_it_is_polled_again() -> Result<()> {
    run_virtual(async {
        let mut nap = Box::pin(sleep(0.5));
        nap.as_mut().await?;
        assert!(fails_with::<RuntimeError, _>(nap.as_mut().await));
        let mut yielded = Box::pin(sleep(0));
        yielded.as_mut().await?;
        assert!(fails_with::<RuntimeError, _>(yielded.as_mut().await));
        let mut bad = Box::pin(sleep(f64::NAN));
        assert!(bad.as_mut().await.is_err());
        assert!(bad.as_mut().await.is_err());
        let mut task = create_task(async { Ok(String::new()) });
        (&mut task).await?;
        assert!(fails_with::<InvalidStateError, _>((&mut task).await));
        let mut failed = create_task::<(), _>(async { Err(ValueError::new("boom").into()) });
        assert!(fails_with::<ValueError, _>((&mut failed).await));
        assert!(fails_with::<ValueError, _>((&mut failed).await));
        let mut cancelled = create_task(async { sleep(1).await });
        cancelled.cancel();
        assert!(fails_with::<CancelledError, _>((&mut cancelled).await));
        assert!(fails_with::<CancelledError, _>((&mut cancelled).await));
        Ok(())
    })
}

#[test]
fn a_value_that_cannot_be_cloned_is_there_once() -> Result<()> {
    struct NoClone;
    run_virtual(async {
        let mut task = create_task(async { Ok(NoClone) });
        let NoClone = (&mut task).await?;
        let again = error_of((&mut task).await);
        assert!(again.is::<InvalidStateError>());
        assert_eq!(again.to_string(), "the result was already taken");
        assert!(task.done() && task.exception()?.is_none());
        Ok(())
    })
}

#[test]
fn asking_too_early_or_setting_twice_is_an_invalid_state() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future();
        assert_eq!(error_of(future.result()).to_string(), "Result is not set.");
        assert_eq!(
            error_of(future.exception()).to_string(),
            "Exception is not set."
        );
        future.set_result(1)?;
        assert_eq!(error_of(future.set_result(2)).to_string(), "invalid state");
        let task = create_task(async { Ok(1) });
        assert!(fails_with::<InvalidStateError, _>(task.result()));
        let handle = task.handle().expect("a task");
        assert!(fails_with::<InvalidStateError, _>(handle.exception()));
        task.await?;
        assert!(handle.exception()?.is_none());
        Ok(())
    })
}

#[test]
fn tasks_that_wait_for_each_other_can_still_be_cancelled() -> Result<()> {
    use std::cell::Cell;
    use std::rc::Rc;
    run_virtual(async {
        let place: Rc<Cell<Option<Task<()>>>> = Rc::default();
        let theirs = Rc::clone(&place);
        let first = create_local_task(async move {
            let second = theirs.take().expect("it was put there");
            second.await
        });
        let awaited = first.clone();
        let second = create_local_task(async move { awaited.await });
        place.set(Some(second.clone()));
        turns(3).await?;
        assert!(!first.done() && !second.done());
        first.cancel();
        turns(6).await?;
        assert!(first.cancelled() && second.cancelled());
        Ok(())
    })
}

#[test]
fn a_task_that_awaits_itself_and_is_cancelled_is_cancelled() -> Result<()> {
    use std::cell::Cell;
    use std::rc::Rc;
    run_virtual(async {
        let place: Rc<Cell<Option<Task<()>>>> = Rc::default();
        let own = Rc::clone(&place);
        let task = create_local_task(async move {
            let myself = own.take().expect("it was put there");
            myself.await
        });
        place.set(Some(task.clone()));
        turns(1).await?;
        task.cancel();
        turns(2).await?;
        assert!(task.cancelled());
        Ok(())
    })
}

#[test]
fn a_future_set_from_another_thread_is_an_invalid_state() -> Result<()> {
    run_virtual(async {
        let future = get_running_loop()?.create_future();
        let away = future.clone();
        let set = std::thread::spawn(move || {
            (
                away.set_result(1),
                away.set_exception(ValueError::new("no")),
            )
        });
        let (result, exception) = set.join().expect("no panic");
        assert!(fails_with::<InvalidStateError, _>(result));
        assert!(fails_with::<InvalidStateError, _>(exception));
        assert!(!future.done());
        Ok(())
    })
}
