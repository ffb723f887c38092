//! `asyncio/futures.py`.

use std::future::IntoFuture as _;
use std::rc::Rc;

use asyncio_core::{
    CancelledError, Future, InvalidStateError, Result, RuntimeError, ValueError, create_local_task,
    create_task, get_running_loop, new_event_loop, sleep,
};

use crate::support::{
    Alive, Log, Reports, cancel_message, error_of, fails_with, run_virtual, turns,
};

fn future<T: 'static>() -> Result<Future<T>> {
    Ok(get_running_loop()?.create_future())
}

/// `test_futures.BaseFutureTests.test_initial_state`
#[test]
fn a_new_future_is_neither_done_nor_cancelled() -> Result<()> {
    run_virtual(async {
        let future = future::<u8>()?;
        assert!(!future.done() && !future.cancelled());
        assert_eq!(format!("{future:?}"), "<Future pending>");
        assert!(future.cancel());
        assert!(future.done() && future.cancelled());
        assert_eq!(format!("{future:?}"), "<Future cancelled>");
        Ok(())
    })
}

/// `test_futures.BaseFutureTests.test_cancel`
#[test]
fn a_cancelled_future_raises_and_can_no_longer_be_set() -> Result<()> {
    run_virtual(async {
        let future = future::<u8>()?;
        assert!(future.cancel());
        assert!(!future.cancel());
        assert!(error_of(future.result()).is_cancelled());
        assert!(error_of(future.exception()).is_cancelled());
        assert!(fails_with::<InvalidStateError, _>(future.set_result(1)));
        assert!(fails_with::<InvalidStateError, _>(
            future.set_exception(ValueError::new("late"))
        ));
        assert!(error_of((&future).await).is_cancelled());
        Ok(())
    })
}

/// `test_futures.BaseFutureTests.test_future_cancel_message_getter`
#[test]
fn a_plain_future_keeps_its_cancel_message_for_every_retrieval() -> Result<()> {
    run_virtual(async {
        let future = future::<u8>()?;
        assert!(future.cancel_with_message("my message"));
        for _ in 0..3 {
            let error = error_of(future.result());
            assert_eq!(cancel_message(&error).as_deref(), Some("my message"));
        }
        let error = error_of((&future).await);
        assert_eq!(cancel_message(&error).as_deref(), Some("my message"));
        Ok(())
    })
}

/// `test_futures.BaseFutureTests.test_result`
#[test]
fn a_result_is_set_once_and_read_often() -> Result<()> {
    run_virtual(async {
        let future = future()?;
        assert!(fails_with::<InvalidStateError, _>(future.result()));
        future.set_result(42)?;
        assert!(future.done() && !future.cancelled() && !future.cancel());
        assert_eq!((future.result()?, future.result()?), (42, 42));
        assert!(future.exception()?.is_none());
        assert!(fails_with::<InvalidStateError, _>(future.set_result(43)));
        assert!(fails_with::<InvalidStateError, _>(
            future.set_exception(ValueError::new("late"))
        ));
        assert_eq!(((&future).await?, future.await?), (42, 42));
        Ok(())
    })
}

/// `test_futures.BaseFutureTests.test_exception`
#[test]
fn an_exception_is_set_once_and_raised_often() -> Result<()> {
    run_virtual(async {
        let future = future::<u8>()?;
        assert!(fails_with::<InvalidStateError, _>(future.exception()));
        future.set_exception(ValueError::new("boom"))?;
        assert!(future.done() && !future.cancelled() && !future.cancel());
        let exception = future.exception()?.expect("it was set");
        assert!(exception.is::<ValueError>());
        assert!(error_of(future.result()).same_as(&exception));
        assert!(error_of((&future).await).same_as(&exception));
        assert!(fails_with::<InvalidStateError, _>(future.set_result(1)));
        assert!(fails_with::<InvalidStateError, _>(
            future.set_exception(ValueError::new("late"))
        ));
        Ok(())
    })
}

/// A future that is set with a `CancelledError` raises it and is not itself cancelled.
#[test]
fn a_cancellation_set_as_an_exception_is_raised_but_is_no_state() -> Result<()> {
    run_virtual(async {
        let future = future::<u8>()?;
        future.set_exception(CancelledError::with_message("inner"))?;
        assert!(!future.cancelled());
        let waiter = create_local_task({
            let future = future.clone();
            async move { future.await }
        });
        let error = error_of((&waiter).await);
        assert_eq!(cancel_message(&error).as_deref(), Some("inner"));
        assert!(waiter.cancelled());
        Ok(())
    })
}

/// `test_futures.BaseFutureTests.test_constructor_use_running_loop`
#[test]
fn a_future_of_the_running_loop_wakes_a_task_two_turns_later() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let future = event_loop.create_future();
        let setter = future.clone();
        event_loop.call_soon(move || setter.set_result("set"))?;
        let log = Log::default();
        let ticks = log.clone();
        let ticker = create_local_task(async move {
            for turn in 1.. {
                ticks.add(turn.to_string());
                sleep(0).await?;
            }
            Ok(())
        });
        assert_eq!(future.await?, "set");
        // The callback and the ticker in turn 1; this task in turn 2, ahead of the ticker.
        assert_eq!(log.take(), ["1"]);
        ticker.cancel();
        Ok(())
    })
}

/// `test_futures.BaseFutureTests.test_constructor_without_loop`
#[test]
fn a_closed_loop_makes_only_failed_futures() -> Result<()> {
    let event_loop = new_event_loop()?;
    event_loop.close()?;
    let future = event_loop.create_future::<u8>();
    assert!(future.done() && !future.cancelled());
    assert!(fails_with::<RuntimeError, _>(future.result()));
    Ok(())
}

#[test]
fn awaiting_a_done_future_takes_no_turn() -> Result<()> {
    run_virtual(async {
        let log = Log::default();
        let other = log.clone();
        get_running_loop()?.call_soon(move || other.add("turn"))?;
        let future = future()?;
        future.set_result(())?;
        for _ in 0..10 {
            (&future).await?;
        }
        assert!(log.take().is_empty());
        Ok(())
    })
}

#[test]
fn all_who_await_a_future_resume_in_the_order_in_which_they_came() -> Result<()> {
    run_virtual(async {
        let (future, log) = (future::<String>()?, Log::default());
        for name in 0..5 {
            let (future, log) = (future.clone(), log.clone());
            drop(create_local_task(async move {
                let value = future.await?;
                log.add(format!("{name}{value}"));
                Ok(())
            }));
        }
        turns(1).await?;
        future.set_result("!".to_owned())?;
        turns(1).await?;
        assert_eq!(log.take(), ["0!", "1!", "2!", "3!", "4!"]);
        Ok(())
    })
}

/// `test_futures.BaseFutureDoneCallbackTests.test_callbacks_invoked_on_set_result`
#[test]
fn done_callbacks_run_a_turn_later_in_the_order_of_their_registration() -> Result<()> {
    run_virtual(async {
        let (future, log) = (future()?, Log::default());
        for name in ["first", "second"] {
            let log = log.clone();
            future.add_local_done_callback(move |done| {
                log.add(format!("{name} {:?}", done.result()))
            })?;
        }
        assert!(log.take().is_empty());
        future.set_result("foo")?;
        assert!(log.take().is_empty(), "never at once");
        turns(1).await?;
        assert_eq!(log.take(), ["first Ok(\"foo\")", "second Ok(\"foo\")"]);
        Ok(())
    })
}

/// `test_futures.BaseFutureDoneCallbackTests.test_callbacks_invoked_on_set_exception`
#[test]
fn done_callbacks_run_after_an_exception_and_after_a_cancellation() -> Result<()> {
    run_virtual(async {
        let log = Log::default();
        let futures = [future::<u8>()?, future()?];
        for future in &futures {
            let log = log.clone();
            future.add_local_done_callback(move |done| {
                let exception = done.exception().unwrap_or_else(Some);
                log.add(exception.map_or_else(String::new, |exception| exception.to_string()));
            })?;
        }
        futures[0].set_exception(ValueError::new("boom"))?;
        futures[1].cancel();
        turns(1).await?;
        assert_eq!(log.take(), ["boom", "cancelled"]);
        Ok(())
    })
}

#[test]
fn a_callback_added_to_a_done_future_runs_in_the_next_turn() -> Result<()> {
    run_virtual(async {
        let (future, log) = (future()?, Log::default());
        future.set_result(1)?;
        let inner = log.clone();
        future.add_local_done_callback(move |_| inner.add("called"))?;
        assert!(log.take().is_empty());
        turns(1).await?;
        assert_eq!(log.take(), ["called"]);
        Ok(())
    })
}

fn three_callbacks(future: &Future<u8>, log: &Log) -> Result<Vec<asyncio_core::CallbackId>> {
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        let log = log.clone();
        ids.push(future.add_local_done_callback(move |_| log.add(name))?);
    }
    Ok(ids)
}

/// `test_futures.BaseFutureDoneCallbackTests.test_callbacks_remove_first_callback`,
/// `test_futures.BaseFutureDoneCallbackTests.test_callbacks_remove_first_and_second_callback`,
/// `test_futures.BaseFutureDoneCallbackTests.test_callbacks_remove_third_callback`
#[test]
fn callbacks_that_are_left_after_a_removal_run_in_order() -> Result<()> {
    run_virtual(async {
        let table: [(&[usize], &[&str]); 5] = [
            (&[0], &["b", "c"]),
            (&[0, 1], &["c"]),
            (&[2], &["a", "b"]),
            (&[1], &["a", "c"]),
            (&[2, 1, 0], &[]),
        ];
        for (removed, left) in table {
            let (future, log) = (future()?, Log::default());
            let ids = three_callbacks(&future, &log)?;
            for index in removed {
                assert_eq!(future.remove_done_callback(ids[*index]), 1);
                assert_eq!(future.remove_done_callback(ids[*index]), 0);
            }
            future.set_result(1)?;
            turns(1).await?;
            assert_eq!(log.take(), left);
        }
        Ok(())
    })
}

/// `test_futures.BaseFutureDoneCallbackTests.test_remove_done_callback`
#[test]
fn a_callback_that_is_on_its_way_cannot_be_removed() -> Result<()> {
    run_virtual(async {
        let (future, log) = (future()?, Log::default());
        let ids = three_callbacks(&future, &log)?;
        future.set_result(1)?;
        assert_eq!(future.remove_done_callback(ids[0]), 0);
        turns(1).await?;
        assert_eq!(log.take(), ["a", "b", "c"]);
        Ok(())
    })
}

#[test]
fn a_thousand_waits_that_come_and_go_leave_the_other_callbacks_in_order() -> Result<()> {
    run_virtual(async {
        let (future, log) = (future::<u8>()?, Log::default());
        let early = log.clone();
        future.add_local_done_callback(move |_| early.add("early"))?;
        for _ in 0..1000 {
            let mut wait = future.clone();
            assert!(::futures::poll!(&mut wait).is_pending());
        }
        let late = log.clone();
        future.add_local_done_callback(move |_| late.add("late"))?;
        future.set_result(1)?;
        turns(1).await?;
        assert_eq!(log.take(), ["early", "late"]);
        Ok(())
    })
}

/// `test_futures.BaseFutureTests.test_tb_logger_abandoned`,
/// `test_futures.BaseFutureTests.test_tb_logger_not_called_after_cancel`,
/// `test_futures.BaseFutureTests.test_tb_logger_result_unretrieved`,
/// `test_futures.BaseFutureTests.test_tb_logger_result_retrieved`,
/// `test_futures.BaseFutureTests.test_tb_logger_exception_retrieved`,
/// `test_futures.BaseFutureTests.test_tb_logger_exception_result_retrieved`
#[test]
fn nothing_is_reported_of_a_future_without_an_unseen_exception() -> Result<()> {
    run_virtual(async {
        let reports = Reports::of_running()?;
        drop(future::<u8>()?);
        let cancelled = future::<u8>()?;
        cancelled.set_exception(ValueError::new("boom"))?;
        assert!(!cancelled.cancel(), "it is done");
        drop(cancelled);
        future()?.set_result(1)?;
        let read = future()?;
        read.set_result(1)?;
        read.result()?;
        drop(read);
        let seen = future::<u8>()?;
        seen.set_exception(ValueError::new("boom"))?;
        seen.exception()?;
        drop(seen);
        let raised = future::<u8>()?;
        raised.set_exception(ValueError::new("boom"))?;
        assert!(raised.result().is_err());
        drop(raised);
        let awaited = future::<u8>()?;
        awaited.set_exception(ValueError::new("boom"))?;
        assert!(awaited.await.is_err());
        assert!(reports.take_lines().is_empty());
        Ok(())
    })
}

/// `test_futures.BaseFutureTests.test_tb_logger_exception_unretrieved`,
/// `test_futures.BaseFutureTests.test_future_exception_never_retrieved`
#[test]
fn an_exception_nobody_saw_is_reported_when_the_last_handle_is_gone() -> Result<()> {
    run_virtual(async {
        let reports = Reports::of_running()?;
        let future = future::<u8>()?;
        future.set_exception(ValueError::new("boom"))?;
        let last = future.clone();
        drop(future);
        assert!(reports.take_lines().is_empty());
        drop(last);
        assert_eq!(
            reports.take_lines(),
            ["Future exception was never retrieved: boom"]
        );
        Ok(())
    })
}

#[test]
fn the_first_to_ask_takes_a_value_that_cannot_be_cloned() -> Result<()> {
    struct NoClone(Rc<u8>);
    run_virtual(async {
        let mut future = future()?;
        let value = Rc::new(7);
        future.set_result(NoClone(Rc::clone(&value)))?;
        let taken = (&mut future).await?;
        assert_eq!(*taken.0, 7);
        assert!(fails_with::<InvalidStateError, _>((&mut future).await));
        drop(taken);
        assert_eq!(Rc::strong_count(&value), 1);
        Ok(())
    })
}

#[test]
fn a_value_lives_as_long_as_the_last_handle_that_may_ask_for_it() -> Result<()> {
    run_virtual(async {
        let alive = Alive::default();
        let future = future()?;
        let other = future.clone();
        future.set_result(alive.one())?;
        drop((&future).await?);
        drop(future);
        assert_eq!(alive.count(), 1);
        drop(other.await?);
        assert_eq!(alive.count(), 0, "the last handle was used up by the await");
        Ok(())
    })
}

/// The outcome is looked at without borrowing it: a value's `clone` may ask for it again.
#[test]
fn a_clone_that_asks_the_future_again_finds_no_value_instead_of_a_torn_one() -> Result<()> {
    struct Nosy(Rc<std::cell::RefCell<Option<Future<Self>>>>);
    impl Clone for Nosy {
        fn clone(&self) -> Self {
            let future = self.0.borrow_mut().take();
            if let Some(future) = future {
                assert!(fails_with::<InvalidStateError, _>(future.result()));
            }
            Self(Rc::clone(&self.0))
        }
    }
    run_virtual(async {
        let future = future()?;
        let nosy = Nosy(Rc::new(std::cell::RefCell::new(Some(future.clone()))));
        future.set_result(nosy)?;
        let first = future.result()?;
        assert!(first.0.borrow().is_none(), "the question was asked");
        assert!(future.result().is_ok());
        Ok(())
    })
}

#[test]
fn handles_of_one_future_know_each_other() -> Result<()> {
    run_virtual(async {
        let one = future::<u8>()?;
        assert!(one.same_as(&one.clone()));
        assert!(!one.same_as(&future()?));
        Ok(())
    })
}

/// `test_futures.BaseFutureTests.test_set_result_unless_cancelled`
#[test]
fn setting_a_future_that_was_cancelled_meanwhile_changes_nothing() -> Result<()> {
    run_virtual(async {
        let future = future()?;
        future.cancel_with_message("first");
        assert!(future.set_result(1).is_err());
        assert!(future.cancelled());
        let error = error_of(future.result());
        assert_eq!(cancel_message(&error).as_deref(), Some("first"));
        Ok(())
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

#[test]
fn a_future_made_by_itself_is_of_the_loop_that_runs_here() -> Result<()> {
    run_virtual(async {
        let future = Future::new();
        let setter = future.clone();
        get_running_loop()?.call_later(5, move || setter.set_result(1))?;
        assert_eq!(future.await?, 1);
        assert_eq!(get_running_loop()?.time(), 5.0);
        Ok(())
    })
}

#[test]
fn a_future_of_no_loop_is_set_and_asked_on_any_thread() -> Result<()> {
    runtime().block_on(async {
        let future = Future::<String>::default();
        let (asked, setter) = (future.clone(), future.clone());
        let asks = create_task(asked.into_future());
        std::thread::spawn(move || setter.set_result("there".to_owned()))
            .join()
            .expect("no panic")?;
        assert_eq!(asks.await?, "there");
        assert_eq!(future.result()?, "there");
        let cancelled = Future::<()>::new();
        let asked = cancelled.clone();
        let asks = create_task(asked.into_future());
        cancelled.cancel();
        assert!(asks.await.is_err_and(|error| error.is_cancelled()));
        Ok(())
    })
}

/// There is no thread on which they would have to be dropped.
#[test]
fn the_callbacks_of_a_future_of_no_loop_go_with_its_last_handle() {
    let alive = Alive::default();
    let held = alive.one();
    let future = Future::<()>::new();
    future.add_done_callback(move |_| held.touch());
    assert_eq!(alive.count(), 1);
    drop(future);
    assert_eq!(alive.count(), 0);
}

#[test]
fn a_value_nobody_waits_for_any_more_is_dropped_on_a_tokio_runtime() {
    let alive = Alive::default();
    let (one, two) = (alive.one(), alive.one());
    runtime().block_on(async {
        let (first, second) = (Future::new(), Future::new());
        let setters = (first.clone(), second.clone());
        drop(asyncio_core::shield(first));
        drop(asyncio_core::gather((second,)));
        setters.0.set_result(one).expect("it is pending");
        setters.1.set_result(two).expect("it is pending");
    });
    assert_eq!(alive.count(), 0);
}
