//! `gather`: CPython's `test_tasks.GatherTestsBase` and what Rust adds.

use asyncio_core::{
    CancelledError, Future, Result, RuntimeError, Task, ValueError, create_local_task, create_task,
    gather, gather_iter, gather_local, get_running_loop, new_event_loop, sleep, timeout,
};

use crate::support::{Reports, cancel_message, on_small_stack, run_virtual, turns};

fn futures<const N: usize>() -> Result<[Future<u32>; N]> {
    let event_loop = get_running_loop()?;
    Ok([(); N].map(|()| event_loop.create_future()))
}

/// `test_tasks.GatherTestsBase.test_success`: values in the order of the arguments, a turn after the
/// last one.
#[test]
fn values_come_in_the_order_of_the_arguments() -> Result<()> {
    run_virtual(async {
        let [a, b, c] = futures()?;
        let gathering = gather([&a, &b, &c]);
        b.set_result(2)?;
        a.set_result(1)?;
        turns(1).await?;
        assert!(!gathering.done());
        c.set_result(3)?;
        turns(1).await?;
        assert_eq!(gathering.result()?, [1, 2, 3]);
        Ok(())
    })
}

/// `test_tasks.GatherTestsBase.test_one_exception`: the first one ends it, the others run on.
#[test]
fn the_first_exception_ends_it_and_no_other_child() -> Result<()> {
    run_virtual(async {
        let [a, b, c] = futures()?;
        let gathering = gather([&a, &b, &c]);
        a.set_result(1)?;
        b.set_exception(ValueError::new("b"))?;
        turns(1).await?;
        assert!(
            gathering
                .exception()?
                .is_some_and(|error| error.is::<ValueError>())
        );
        assert!(!c.done());
        // One that fails later counts as retrieved.
        let reports = Reports::of_running()?;
        c.set_exception(ValueError::new("c"))?;
        turns(2).await?;
        drop((gathering, c));
        assert_eq!(reports.take_lines(), Vec::<String>::new());
        Ok(())
    })
}

/// `test_tasks.GatherTestsBase.test_return_exceptions`.
#[test]
fn exceptions_are_listed_when_asked_for() -> Result<()> {
    run_virtual(async {
        let [a, b, c, d] = futures()?;
        let gathering = gather([&a, &b, &c, &d]).return_exceptions();
        a.set_result(1)?;
        b.set_exception(ValueError::new("b"))?;
        c.cancel_with_message("c");
        turns(1).await?;
        assert!(!gathering.done());
        d.set_exception(RuntimeError::new("d"))?;
        let [a, b, c, d] = gathering.await?;
        assert_eq!(a?, 1);
        assert!(b.is_err_and(|error| error.is::<ValueError>()));
        assert_eq!(cancel_message(&c.unwrap_err()).as_deref(), Some("c"));
        assert!(d.is_err_and(|error| error.is::<RuntimeError>()));
        Ok(())
    })
}

/// `test_tasks.FutureGatherTests.test_constructor_empty_sequence`.
#[test]
fn gathering_nothing_is_done_at_once() -> Result<()> {
    run_virtual(async {
        assert_eq!(gather(Vec::<Task<()>>::new()).await?, []);
        gather(()).await?;
        assert!(
            gather([(); 0].map(|()| async { Ok(()) }))
                .return_exceptions()
                .done()
        );
        Ok(())
    })
}

/// `test_tasks.GatherTestsBase.test_env_var_debug`'s neighbour: done children are seen at once (3.12).
#[test]
fn children_that_are_done_take_no_turn() -> Result<()> {
    run_virtual(async {
        let [a, b] = futures()?;
        a.set_result(1)?;
        b.set_exception(ValueError::new("b"))?;
        assert!(gather([&a]).done());
        assert!(gather([&a, &b]).exception()?.is_some());
        let listed = gather([&a, &b]).return_exceptions();
        assert!(listed.done());
        let [first, second] = listed.await?;
        assert_eq!((first?, second.is_err()), (1, true));
        Ok(())
    })
}

/// `test_tasks.CoroutineGatherTests.test_duplicate_coroutines`, for what Rust can give twice.
#[test]
fn a_child_may_be_given_several_times() -> Result<()> {
    run_virtual(async {
        let task = create_task(async { Ok("x") });
        assert_eq!(gather([&task, &task, &task]).await?, ["x"; 3]);
        // Each mention is asked to cancel, as in CPython.
        let task = create_task(async { sleep(1).await });
        let gathering = gather_iter(std::iter::repeat_n(&task, 20));
        turns(1).await?;
        assert!(gathering.cancel());
        assert_eq!(task.cancelling(), 20);
        assert!(gathering.await.is_err_and(|error| error.is_cancelled()));
        Ok(())
    })
}

/// `test_tasks.CoroutineGatherTests.test_cancellation_broadcast`.
#[test]
fn cancelling_it_cancels_all_children() -> Result<()> {
    run_virtual(async {
        let children: Vec<_> = (0..3)
            .map(|_| create_task(async { sleep(9).await }))
            .collect();
        let outer = create_task({
            let children = children.clone();
            async move { gather(children).await }
        });
        turns(2).await?;
        assert!(outer.cancel_with_message("stop"));
        let error = outer.await.unwrap_err();
        assert_eq!(cancel_message(&error).as_deref(), Some("stop"));
        assert!(children.iter().all(Task::cancelled));
        Ok(())
    })
}

/// `test_tasks.FutureGatherTests.test_one_cancellation`: a cancelled child is one that failed.
#[test]
fn a_cancelled_child_does_not_cancel_the_whole() -> Result<()> {
    run_virtual(async {
        let [a, b] = futures()?;
        let gathering = gather([&a, &b]);
        a.cancel();
        turns(1).await?;
        assert!(gathering.done() && !gathering.cancelled());
        assert!(
            gathering
                .exception()?
                .is_some_and(|error| error.is_cancelled())
        );
        assert!(!b.done());
        Ok(())
    })
}

/// `test_tasks.GatherTestsBase.test_gather_refcycle`'s neighbour, bpo-32684: a request is raised even
/// where exceptions are listed, and nobody was cancelled in the end.
#[test]
fn a_request_is_raised_even_when_all_children_refuse_it() -> Result<()> {
    run_virtual(async {
        let stubborn = create_task(async {
            let _ = sleep(1).await;
            Ok(1)
        });
        let gathering = gather([stubborn.clone()]).return_exceptions();
        turns(1).await?;
        assert!(gathering.cancel());
        assert!(gathering.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(stubborn.await?, 1);
        Ok(())
    })
}

#[test]
fn a_gather_whose_children_are_done_refuses_a_request() -> Result<()> {
    run_virtual(async {
        let [a] = futures()?;
        let gathering = gather([&a]);
        a.set_result(1)?;
        assert!(!gathering.done() && !gathering.cancel());
        assert_eq!(gathering.await?, [1]);
        Ok(())
    })
}

/// `test_tasks.CoroutineGatherTests.test_exception_marking`: what fails after the end is no news.
#[test]
fn tasks_and_futures_and_coroutines_may_be_mixed() -> Result<()> {
    run_virtual(async {
        let task = create_task(async { Ok(1_u8) });
        let [future] = futures()?;
        future.set_result(2)?;
        let nested = gather!(async { Ok('c') }, async { Ok("d") });
        assert_eq!(
            gather((&task, future, async { Ok(3.0) }, nested)).await?,
            (1, 2, 3.0, ('c', "d"))
        );
        Ok(())
    })
}

/// `test_tasks.FutureGatherTests.test_constructor_heterogenous_futures`.
#[test]
fn children_of_two_loops_are_refused() -> Result<()> {
    let other = new_event_loop()?;
    let theirs = other.create_future::<u32>();
    let waits = theirs.clone();
    run_virtual(async move {
        let [ours] = futures()?;
        let error = gather([ours, waits]).await.unwrap_err();
        assert!(error.is::<ValueError>());
        Ok(())
    })?;
    theirs.cancel();
    Ok(other.close()?)
}

#[test]
fn it_starts_at_the_call() -> Result<()> {
    run_virtual(async {
        let [started] = futures()?;
        let setter = started.clone();
        drop(gather_local([async move { Ok(setter.set_result(1)?) }]));
        assert_eq!(started.await?, 1);
        Ok(())
    })
}

#[test]
fn where_nothing_runs_it_has_failed() {
    let gathering = gather([async { Ok(1) }]);
    assert!(
        gathering
            .exception()
            .is_ok_and(|error| error.is_some_and(|it| it.is::<RuntimeError>()))
    );
}

#[test]
fn a_long_chain_is_cancelled_finished_and_dropped_without_recursion() -> Result<()> {
    fn chain(first: &Future<u32>) -> Future<u32> {
        (0..100_000).fold(first.clone(), |inner, _| {
            gather([inner]).map(|values| values[0] + 1)
        })
    }
    on_small_stack(|| {
        run_virtual(async {
            let [cancelled, finished, dropped] = futures()?;
            let outer = chain(&cancelled);
            assert!(outer.cancel());
            assert!(outer.await.is_err_and(|error| error.is_cancelled()));
            let outer = chain(&finished);
            finished.set_result(0)?;
            assert_eq!(outer.await?, 100_000);
            drop(chain(&dropped));
            Ok(())
        })
    })
}

/// In CPython a RecursionError.
#[test]
fn a_gather_of_its_own_awaiter_can_be_cancelled() -> Result<()> {
    run_virtual(async {
        let [own] = futures()?;
        let me = create_local_task({
            let own = own.clone();
            async move {
                let own = own.await?;
                let _ = own;
                Ok(0)
            }
        });
        let circle: Task<u32> = create_local_task({
            let me = me.clone();
            async move {
                let itself = asyncio_core::current_task().expect("it is a task");
                let (first, _) = gather_local((me, async move {
                    turns(3).await?;
                    itself.cancel();
                    sleep(1).await
                }))
                .await?;
                Ok(first)
            }
        });
        assert!(circle.await.is_err_and(|error| error.is_cancelled()));
        assert!(me.cancelled() && own.cancelled());
        Ok(())
    })
}

#[test]
fn a_closed_loop_lets_go_of_a_gather_nobody_can_finish() -> Result<()> {
    let alive = crate::support::Alive::default();
    let event_loop = new_event_loop()?;
    let held = alive.one();
    let never = event_loop.create_future::<u32>();
    never.add_local_done_callback(move |_| held.touch())?;
    drop(gather([never]).return_exceptions());
    assert_eq!(alive.count(), 1);
    event_loop.close()?;
    assert_eq!(alive.count(), 0);
    Ok(())
}

#[test]
fn the_error_of_a_cancelled_child_is_left_for_whoever_awaits_it() -> Result<()> {
    run_virtual(async {
        let child = create_task(async {
            sleep(1).await?;
            Ok(1)
        });
        turns(1).await?;
        child.cancel_with_message("why");
        turns(2).await?;
        let [listed] = gather([&child]).return_exceptions().await?;
        assert_eq!(cancel_message(&listed.unwrap_err()), None);
        let error = (&child).await.unwrap_err();
        assert_eq!(
            error
                .downcast_ref::<CancelledError>()
                .and_then(|it| it.message()),
            Some("why")
        );
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

/// Gathers a future while another thread sets it, at about the same moment.
fn set_meanwhile<T: Send + 'static>(
    gathered: impl Fn(Future<u32>) -> Future<T>,
    check: impl Fn(Result<T>) -> bool,
) {
    let (sender, futures) = std::sync::mpsc::channel::<(usize, Future<u32>)>();
    let setter = std::thread::spawn(move || {
        for (round, future) in futures {
            spin(round % 61);
            future.set_result(7).expect("it is pending");
        }
    });
    runtime().block_on(async {
        for round in 0..60_000 {
            let future = Future::new();
            sender.send((round, future.clone())).expect("it listens");
            spin(round % 67);
            let result = timeout(30, gathered(future)).await;
            assert!(check(result), "in round {round}");
        }
    });
    drop(sender);
    setter.join().expect("no panic");
}

/// Takes a moment, longer ones by steps that two threads do not have in common.
fn spin(steps: usize) {
    (0..steps * 20).for_each(|_| std::hint::spin_loop());
}

#[test]
fn a_child_that_ends_on_another_thread_while_it_is_gathered_is_counted() {
    set_meanwhile(
        |future| gather((future,)).into_future(),
        |result| result.is_ok_and(|(value,)| value == 7),
    );
}

#[test]
fn a_child_that_ends_on_another_thread_is_among_the_results() {
    set_meanwhile(
        |future| gather((future,)).return_exceptions(),
        |results| results.is_ok_and(|(result,)| result.is_ok_and(|value| value == 7)),
    );
}

/// On a tokio runtime a future that is cancelled tells whoever gathers it at once, while the request is
/// still on its way.
#[test]
fn a_request_is_raised_where_the_children_tell_of_their_end_at_once() {
    runtime().block_on(async {
        let (first, second) = (Future::<u32>::new(), Future::<u32>::new());
        let gathering = gather((first.clone(), second.clone())).return_exceptions();
        assert!(gathering.cancel());
        assert!(first.cancelled() && second.cancelled());
        assert!(gathering.await.is_err_and(|error| error.is_cancelled()));

        let refuses = create_task(async {
            let _refused = sleep(3600).await;
            Ok(1)
        });
        let future = Future::<u32>::new();
        let gathering = gather((refuses, future.clone())).return_exceptions();
        sleep(0.001).await.expect("nobody cancels");
        gathering.cancel_with_message("enough");
        let error = gathering.await.expect_err("it was cancelled");
        assert_eq!(cancel_message(&error).as_deref(), Some("enough"));
    });
}
