//! Everything that may outlive its loop: wakers, tasks, futures, handles, the loop's own handles.

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::thread;

use asyncio_core::{
    EventLoop, Future, Handle, OwnedEventLoop, Result, RuntimeError, Task, TaskHandle, TimerHandle,
    ValueError, as_completed, create_task, gather, new_event_loop, shield, sleep, wait,
};

use crate::support::{Alive, Counted, Reports, error_of, fails_with, turns};

/// What is left of a loop that was closed with one of everything on it.
struct Left {
    event_loop: EventLoop,
    finished: Task<Counted>,
    failed: Task<u8>,
    pending: Task<Counted>,
    set: Future<Counted>,
    unset: Future<Counted>,
    handle: TaskHandle,
    soon: Handle,
    timer: TimerHandle,
    waker: Waker,
    alive: Alive,
}

fn left() -> Result<Left> {
    let event_loop: OwnedEventLoop = new_event_loop()?;
    event_loop.set_exception_handler(Some(Box::new(|_, _| ())))?;
    let alive = Alive::default();
    let (sender, receiver) = std::sync::mpsc::channel();
    let (first, second, third) = (alive.one(), alive.one(), alive.one());
    let finished = event_loop.create_task(async move { Ok(first) });
    let failed = event_loop.create_task(async { Err(ValueError::new("boom").into()) });
    let pending = event_loop.create_task(async move {
        std::future::poll_fn(|cx| {
            let _ = sender.send(cx.waker().clone());
            Poll::<()>::Pending
        })
        .await;
        Ok(second)
    });
    let (set, unset) = (event_loop.create_future(), event_loop.create_future());
    set.set_result(third)?;
    event_loop.run_until_complete(turns(3))?;
    let (called, timed) = (alive.one(), alive.one());
    let soon = event_loop.call_soon(move || called.touch())?;
    let timer = event_loop.call_later(1000, move || timed.touch())?;
    event_loop.close()?;
    Ok(Left {
        event_loop: event_loop.clone(),
        handle: pending
            .handle()
            .ok_or_else(|| RuntimeError::new("it is a task"))?,
        finished,
        failed,
        pending,
        set,
        unset,
        soon,
        timer,
        waker: receiver.recv()?,
        alive,
    })
}

fn use_and_drop(left: Left) {
    let Left {
        event_loop,
        finished,
        failed,
        pending,
        set,
        unset,
        handle,
        soon,
        timer,
        waker,
        alive,
    } = left;
    assert!(event_loop.is_closed());
    assert!(fails_with::<RuntimeError, _>(
        event_loop.call_soon_threadsafe(|| ())
    ));
    // Results may be read after the close, on any thread: several times, and taken.
    assert!(finished.done() && finished.result().is_ok() && finished.result().is_ok());
    assert!(fails_with::<ValueError, _>(failed.result()));
    assert!(failed.exception().is_ok_and(|error| error.is_some()));
    assert!(pending.done() && pending.cancelled() && handle.cancelled());
    assert!(error_of(pending.result()).is_cancelled());
    assert!(set.result().is_ok());
    assert!(!unset.done() && unset.result().is_err());
    // Requests are answered, and do nothing.
    for task in [&finished, &pending] {
        assert!(!task.cancel());
        assert_eq!(task.uncancel(), 0);
        let _ = (
            task.get_name(),
            task.cancelling(),
            task.get_context(),
            task.clone(),
        );
        task.set_name("renamed");
        assert_eq!(task.get_name(), "renamed");
        assert!(!format!("{task:?}").is_empty());
    }
    unset.cancel();
    assert!(unset.set_result(alive.one()).is_err());
    soon.cancel();
    timer.cancel();
    assert!(soon.cancelled() && timer.cancelled() && soon.get_context().is_none());
    assert!(timer.when() > 0.0);
    waker.wake_by_ref();
    let other = waker.clone();
    waker.wake();
    drop(other);
    // Awaited where no loop runs.
    assert!(::futures::executor::block_on(finished.clone()).is_ok());
    assert!(::futures::executor::block_on(set).is_ok());
    drop((
        finished, failed, pending, unset, handle, soon, timer, event_loop,
    ));
    assert_eq!(alive.count(), 0);
}

#[test]
fn what_outlives_its_loop_is_harmless_on_the_loops_thread() -> Result<()> {
    for _ in 0..10 {
        use_and_drop(left()?);
    }
    Ok(())
}

#[test]
fn what_outlives_its_loop_is_harmless_on_another_thread() -> Result<()> {
    for _ in 0..10 {
        let left = left()?;
        thread::spawn(move || use_and_drop(left))
            .join()
            .expect("no panic");
    }
    Ok(())
}

#[test]
fn what_outlives_its_loop_and_its_thread_is_harmless() -> Result<()> {
    for _ in 0..10 {
        let left = thread::spawn(|| left().map_err(|error| error.to_string()));
        use_and_drop(left.join().expect("no panic").map_err(RuntimeError::new)?);
    }
    Ok(())
}

#[test]
fn what_outlives_its_loop_may_be_shared_by_many_threads() -> Result<()> {
    for _ in 0..50 {
        let left = left()?;
        let alive = left.alive.clone();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (finished, pending, set) = (
                    left.finished.clone(),
                    left.pending.clone(),
                    left.set.clone(),
                );
                let (waker, handle) = (left.waker.clone(), left.handle.clone());
                thread::spawn(move || {
                    for _ in 0..20 {
                        assert!(finished.result().is_ok() || finished.clone().done());
                        let _ = set.result();
                        waker.wake_by_ref();
                        drop((waker.clone(), handle.clone(), pending.clone()));
                    }
                })
            })
            .collect();
        drop(left);
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert_eq!(alive.count(), 0);
    }
    Ok(())
}

#[test]
fn a_value_that_must_stay_is_dropped_on_its_own_thread() -> Result<()> {
    struct Stays(
        Arc<std::sync::Mutex<Vec<thread::ThreadId>>>,
        std::rc::Rc<()>,
    );
    impl Drop for Stays {
        fn drop(&mut self) {
            assert_eq!(std::rc::Rc::strong_count(&self.1), 1);
            self.0
                .lock()
                .expect("not poisoned")
                .push(thread::current().id());
        }
    }
    let dropped = Arc::default();
    let event_loop = new_event_loop()?;
    let value = Stays(Arc::clone(&dropped), std::rc::Rc::new(()));
    let task = event_loop.create_task(async move { Ok(value) });
    event_loop.run_until_complete(turns(2))?;
    let handle = task.handle().expect("it is a task");
    drop(task);
    // The last reference goes on another thread, while the loop is open.
    thread::spawn(move || drop(handle))
        .join()
        .expect("no panic");
    event_loop.run_until_complete(turns(2))?;
    event_loop.close()?;
    let dropped = dropped.lock().expect("not poisoned").clone();
    assert_eq!(dropped, [thread::current().id()]);
    Ok(())
}

#[test]
fn a_future_of_a_task_is_dropped_on_the_loops_thread_whoever_cancels_it() -> Result<()> {
    let event_loop = new_event_loop()?;
    let here = thread::current().id();
    struct Checks(thread::ThreadId);
    impl Drop for Checks {
        fn drop(&mut self) {
            assert_eq!(thread::current().id(), self.0);
        }
    }
    let guard = Checks(here);
    let task = event_loop.create_task(async move {
        let _guard = guard;
        std::future::pending::<()>().await;
        Ok(())
    });
    event_loop.run_until_complete(turns(1))?;
    let remote = task.clone();
    thread::spawn(move || remote.cancel())
        .join()
        .expect("no panic");
    event_loop.run_until_complete(turns(2))?;
    assert!(task.cancelled());
    assert!(task.exception().is_err_and(|error| error.is_cancelled()));
    event_loop.close()?;
    Ok(())
}

#[test]
fn a_half_polled_future_of_a_closed_loop_may_be_polled_and_dropped() -> Result<()> {
    let event_loop = new_event_loop()?;
    let reports = Reports::of(&event_loop)?;
    let unset = event_loop.create_future::<u8>();
    let mut waiting = unset.clone();
    let (nap, wait) = event_loop.run_until_complete(async move {
        let mut nap = Box::pin(sleep(1000));
        assert!(::futures::poll!(&mut nap).is_pending());
        assert!(::futures::poll!(&mut waiting).is_pending());
        Ok((nap, waiting))
    })?;
    event_loop.close()?;
    assert!(reports.take().is_empty());
    assert!(::futures::executor::block_on(nap).is_err());
    // The loop is gone, but whoever holds the future may still set it.
    let mut wait = Box::pin(wait);
    let mut cx = std::task::Context::from_waker(Waker::noop());
    assert!(wait.as_mut().poll(&mut cx).is_pending());
    unset.set_result(3)?;
    assert_eq!(::futures::executor::block_on(wait)?, 3);
    Ok(())
}

#[test]
fn a_task_of_a_closed_loop_is_awaited_on_the_next_one() -> Result<()> {
    let first = new_event_loop()?;
    let (done, failed) = first.run_until_complete(async {
        let done = create_task(async { Ok("kept") });
        let failed = create_task::<(), _>(async { Err(ValueError::new("boom").into()) });
        turns(2).await?;
        Ok((done, failed))
    })?;
    first.close()?;
    let second = new_event_loop()?;
    assert_eq!(second.run_until_complete(done.clone())?, "kept");
    second.run_until_complete(async move {
        assert_eq!(done.await?, "kept");
        assert!(error_of(failed.await).is::<ValueError>());
        Ok(())
    })?;
    second.close()?;
    Ok(())
}

/// Nobody calls the done callbacks of a loop that is closed but whoever sets the future.
#[test]
fn a_callback_that_panics_is_not_the_setters_concern() -> Result<()> {
    let event_loop = new_event_loop()?;
    let future: Future<u8> = event_loop.create_future();
    future.add_done_callback(|future| assert!(!future.done(), "in the callback"));
    event_loop.close()?;
    future.set_result(7)?;
    assert_eq!(future.result()?, 7);
    Ok(())
}

#[test]
fn callbacks_that_set_one_future_after_the_other_do_not_recurse() -> Result<()> {
    const MANY: usize = 20_000;
    let event_loop = new_event_loop()?;
    let futures: Vec<Future<usize>> = (0..=MANY).map(|_| event_loop.create_future()).collect();
    for (number, pair) in futures.windows(2).enumerate() {
        let next = pair[1].clone();
        pair[0].add_done_callback(move |_| next.set_result(number + 1));
    }
    event_loop.close()?;
    let (first, last) = (futures[0].clone(), futures[MANY].clone());
    crate::support::on_small_stack(move || first.set_result(0))?;
    assert_eq!(last.result()?, MANY);
    Ok(())
}
/// On other threads, in every way there is.
#[test]
fn who_waits_for_a_task_of_a_loop_that_is_closed_is_told() -> Result<()> {
    fn waits_elsewhere<F>(wait: impl FnOnce(Task<()>) -> F + Send + 'static) -> Result<()>
    where
        F: std::future::Future<Output = Result<()>> + Send + 'static,
    {
        let event_loop = new_event_loop()?;
        event_loop.set_exception_handler(Some(Box::new(|_, _| ())))?;
        let pending = event_loop.create_task(std::future::pending::<Result<()>>());
        let theirs = pending.clone();
        let waiting = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let runtime = runtime.expect("a runtime can be built");
            runtime.block_on(wait(theirs))
        });
        // Long enough for the mail to come; where it comes later it must be read as well.
        event_loop.run_until_complete(sleep(0.02))?;
        event_loop.close()?;
        waiting.join().expect("no panic")
    }
    waits_elsewhere(|task| async move {
        assert!(error_of(task.await).is_cancelled());
        Ok(())
    })?;
    waits_elsewhere(|task| async move {
        create_task(async move {
            assert!(error_of(task.await).is_cancelled());
            Ok(())
        })
        .await
    })?;
    waits_elsewhere(|task| async move {
        let (done, _) = wait([task]).await?;
        assert!(done[0].cancelled());
        Ok(())
    })?;
    waits_elsewhere(|task| async move {
        for next in as_completed([task]) {
            assert!(error_of(next.await).is_cancelled());
        }
        Ok(())
    })
}

#[test]
fn futures_of_a_closed_loop_are_shielded_and_gathered_on_the_next_one() -> Result<()> {
    let alive = Alive::default();
    let first = new_event_loop()?;
    let [unset, set, cancelled] = [(); 3].map(|()| first.create_future());
    set.set_result(alive.one())?;
    first.close()?;
    let second = new_event_loop()?;
    let setter = unset.clone();
    let value = alive.one();
    let values = second.run_until_complete(async move {
        let gathered = gather((set.clone(), unset.clone()));
        drop(shield(set).await?);
        let shielded = [shield(unset), shield(cancelled.clone())];
        turns(2).await?;
        setter.set_result(value)?;
        cancelled.cancel();
        let [shielded, never] = shielded;
        assert!(error_of(never.await).is_cancelled());
        Ok((shielded.await?, gathered.await?))
    })?;
    drop((first, values));
    second.close()?;
    assert_eq!(alive.count(), 0);
    Ok(())
}
