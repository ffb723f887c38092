//! `shield`: CPython's `test_tasks` on it.

use asyncio_core::{
    Result, ValueError, create_task, gather, get_running_loop, new_event_loop, shield, sleep,
};

use crate::support::{Alive, Reports, run_virtual, turns};

/// `test_tasks.BaseTaskTests.test_shield_result`.
#[test]
fn the_result_is_that_of_what_is_inside() -> Result<()> {
    run_virtual(async {
        let inner = get_running_loop()?.create_future();
        let outer = shield(&inner);
        inner.set_result(42)?;
        assert_eq!(outer.await?, 42);
        let failed = get_running_loop()?.create_future::<()>();
        let outer = shield(&failed);
        failed.set_exception(ValueError::new("odd"))?;
        assert!(outer.await.is_err_and(|error| error.is::<ValueError>()));
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_shield_cancel_outer`, and that nothing of it is left at the inner one.
#[test]
fn cancelling_it_leaves_the_inner_one_alone() -> Result<()> {
    run_virtual(async {
        let alive = Alive::default();
        let inner = get_running_loop()?.create_future();
        for _ in 0..100 {
            let outer = shield(&inner);
            let held = alive.one();
            outer.add_local_done_callback(move |_| held.touch())?;
            assert!(outer.cancel());
            turns(1).await?;
            assert!(outer.cancelled() && !inner.done());
        }
        assert_eq!(alive.count(), 0);
        inner.set_result(1)?;
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_shield_cancel_inner`.
#[test]
fn cancelling_the_inner_one_cancels_it() -> Result<()> {
    run_virtual(async {
        let inner = get_running_loop()?.create_future::<()>();
        let outer = shield(&inner);
        inner.cancel();
        turns(1).await?;
        assert!(outer.cancelled());
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_shield_shortcut`.
#[test]
fn what_is_done_comes_back_as_it_is() -> Result<()> {
    run_virtual(async {
        let inner = create_task(async { Ok(42) });
        turns(1).await?;
        let outer = shield(&inner);
        assert!(outer.done());
        assert!(outer.set_result(1).is_err());
        assert_eq!(outer.await?, 42);
        Ok(())
    })
}

/// `test_tasks.BaseTaskTests.test_shield_gather` and `test_gather_shield`.
#[test]
fn it_stands_between_a_gather_and_its_children() -> Result<()> {
    run_virtual(async {
        let [a, b] = [(); 2].map(|()| create_task(async { sleep(1).await }));
        let whole = shield(gather((&a, &b)));
        whole.cancel();
        turns(3).await?;
        assert!(!a.done() && !b.done());
        let whole = gather((shield(&a), shield(&b)));
        whole.cancel();
        assert!(whole.await.is_err_and(|error| error.is_cancelled()));
        a.await?;
        b.await
    })
}

/// An error that comes after the cancellation has nobody, unless it came in the very same turn.
#[test]
fn a_later_error_is_reported() -> Result<()> {
    run_virtual(async {
        let reports = Reports::of_running()?;
        let inner = create_task::<(), _>(async {
            sleep(1).await?;
            Err(ValueError::new("odd").into())
        });
        let outer = shield(inner);
        turns(1).await?;
        outer.cancel();
        sleep(2).await?;
        assert_eq!(
            reports.take_lines(),
            ["Task exception was never retrieved: odd"]
        );

        let inner = get_running_loop()?.create_future::<()>();
        let outer = shield(&inner);
        outer.cancel();
        inner.set_exception(ValueError::new("odd"))?;
        turns(2).await?;
        drop((inner, outer));
        assert_eq!(reports.take_lines(), Vec::<String>::new());
        Ok(())
    })
}

#[test]
fn a_closed_loop_lets_go_of_a_shield_nobody_can_finish() -> Result<()> {
    let alive = Alive::default();
    let event_loop = new_event_loop()?;
    let never = event_loop.create_future::<()>();
    let held = alive.one();
    never.add_local_done_callback(move |_| held.touch())?;
    drop(shield(never));
    event_loop.close()?;
    assert_eq!(alive.count(), 0);
    Ok(())
}
