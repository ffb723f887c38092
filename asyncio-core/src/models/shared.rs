//! Cells of no loop, which any thread may use.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as PollContext, Poll, Waker};

use loom::sync::atomic::AtomicBool;

use super::{Alive, Counted, begun, block_on, check, spawn, task};
use crate::cancellable::FutureExt;
use crate::cell::{self, Typed, Waiter};
use crate::exceptions::{Result, RuntimeError};
use crate::executors::Work;
use crate::futures::Future;
use crate::runners::workers::Workers;
use crate::tasks::{Task, gather, shield};

/// A future of no loop.
fn future<T: 'static>() -> Future<T> {
    Future::of(Typed::future(None))
}

/// What a task awaits whose value is to be counted; the value is gone when this is.
async fn consume(future: Future<Counted>) -> Result<()> {
    future.await?.touch();
    Ok(())
}

#[test]
fn a_result_is_set_while_it_is_awaited() {
    check("set against await", Some(4), || {
        let alive = Alive::default();
        let future = future();
        let (setter, value) = (future.clone(), alive.one());
        let (waiting, driven) = task(consume(future));
        let thread = spawn(move || setter.set_result(value).is_ok());
        block_on(driven);
        assert!(waiting.result().is_ok());
        assert!(thread.join().expect("no panic"));
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn of_two_who_set_a_result_one_succeeds() {
    check("set against set", Some(4), || {
        let alive = Alive::default();
        let future = future();
        let (setter, value) = (future.clone(), alive.one());
        let thread = spawn(move || setter.set_result(value).is_ok());
        let here = future.set_result(alive.one()).is_ok();
        // Whoever looks once it is done sees the whole value.
        future.result().expect("it is done").touch();
        assert!(here != thread.join().expect("no panic"));
        drop(future);
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn a_task_that_accepts_a_request_is_cancelled_though_its_future_is_set() {
    check("cancel against set", Some(2), || {
        let alive = Alive::default();
        let future = future();
        let (setter, value) = (future.clone(), alive.one());
        let (waiting, driven) = task(consume(future.clone()));
        let driven = begun(driven);
        let setting = spawn(move || setter.set_result(value).is_ok());
        let canceller = waiting.clone();
        let cancelling = spawn(move || canceller.cancel());
        block_on(driven);
        let (set, accepted) = (setting.join(), cancelling.join());
        let (set, accepted) = (set.expect("no panic"), accepted.expect("no panic"));
        assert_eq!(accepted, waiting.cancelled());
        assert_eq!(set, !future.cancelled());
        assert_eq!(waiting.result().is_ok(), !accepted);
        drop((waiting, future));
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn two_requests_are_both_counted() {
    check("cancel against cancel", Some(1), || {
        let future = future::<Counted>();
        let (waiting, driven) = task(consume(future));
        let canceller = waiting.clone();
        let thread = spawn(move || canceller.cancel());
        let canceller = waiting.clone();
        let other = spawn(move || canceller.cancel());
        block_on(driven);
        let accepted = [thread, other].map(|thread| thread.join().expect("no panic"));
        let accepted = accepted.into_iter().filter(|accepted| *accepted).count();
        assert!(waiting.cancelled());
        assert!(accepted > 0 && waiting.cancelling() as usize >= accepted);
    });
}

#[test]
fn a_wait_that_is_woken_and_cancelled_knows_of_both() {
    check("cancel against wake", Some(2), || {
        let (waiting, driven) = task(async {
            let mut waiter = Waiter::new();
            let (mut waking, mut was_woken) = (None, false);
            let wait = poll_fn(|cx| {
                if waking.is_none() {
                    let wakeup = waiter.begin(cx);
                    waking = Some(spawn(move || wakeup.wake()));
                }
                was_woken = waiter.was_woken();
                waiter.poll(cx)
            });
            let ended = wait.await;
            let woken = waking.expect("it was polled").join().expect("no panic");
            assert!(
                woken || !was_woken && ended.is_err(),
                "nobody else wakes it"
            );
            Ok(ended?)
        });
        let canceller = waiting.clone();
        let cancelling = spawn(move || canceller.cancel());
        block_on(driven);
        let accepted = cancelling.join().expect("no panic");
        assert_eq!(accepted, waiting.cancelled());
    });
}

/// The task gives the wait up in the step after it began, as a `select` does that lost.
#[test]
fn a_wait_is_dropped_while_its_future_is_set() {
    check("drop against set", Some(4), || {
        let alive = Alive::default();
        let future = future();
        let (setter, value) = (future.clone(), alive.one());
        let (waiting, driven) = task(async move {
            let mut wait = Box::pin(consume(future));
            let mut polled = false;
            poll_fn(|cx| {
                if polled || wait.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                polled = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            drop(wait);
            Ok(())
        });
        let thread = spawn(move || setter.set_result(value).is_ok());
        block_on(driven);
        assert!(waiting.result().is_ok());
        assert!(thread.join().expect("no panic"));
        assert_eq!(alive.count(), 0);
    });
}

/// First somebody polls it who has no use for a wake, then the task itself.
#[test]
fn a_wait_is_woken_while_another_begins_to_poll_it() {
    check("set against another poll", Some(4), || {
        let future = future::<u32>();
        let setter = future.clone();
        let (waiting, driven) = task(async move {
            let mut wait = Box::pin(future);
            let mut polled = false;
            poll_fn(|cx| {
                if polled {
                    return wait.as_mut().poll(cx);
                }
                polled = true;
                cx.waker().wake_by_ref();
                wait.as_mut()
                    .poll(&mut PollContext::from_waker(Waker::noop()))
            })
            .await
        });
        let thread = spawn(move || setter.set_result(7).is_ok());
        block_on(driven);
        assert_eq!(waiting.result().ok(), Some(7));
        assert!(thread.join().expect("no panic"));
    });
}

/// The tokio task is aborted, or its runtime ends.
#[test]
fn what_polls_a_task_is_dropped_while_it_is_woken_and_cancelled() {
    check("abort against set and cancel", Some(2), || {
        let alive = Alive::default();
        let future = future();
        let (setter, value) = (future.clone(), alive.one());
        let held = alive.one();
        let (waiting, driven) = task(async move {
            consume(future).await?;
            held.touch();
            Ok(())
        });
        let setting = spawn(move || drop(setter.set_result(value)));
        let canceller = waiting.clone();
        let cancelling = spawn(move || canceller.cancel());
        let mut driven = Box::pin(driven);
        let mut context = PollContext::from_waker(Waker::noop());
        let polled = driven.as_mut().poll(&mut context);
        drop(driven);
        assert!(waiting.done());
        assert!(polled.is_ready() || waiting.cancelled());
        cancelling.join().expect("no panic");
        setting.join().expect("no panic");
        drop(waiting);
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn the_last_handle_is_dropped_on_either_thread() {
    check("drop against drop", None, || {
        let alive = Alive::default();
        let future = future();
        future.set_result(alive.one()).expect("nobody else sets it");
        let theirs = future.clone();
        let thread = spawn(move || drop(theirs));
        let theirs = future.clone();
        let other = spawn(move || theirs.result().expect("it is done").touch());
        drop(future);
        thread.join().expect("no panic");
        other.join().expect("no panic");
        assert_eq!(alive.count(), 0);
    });
}

/// The value is cloned outside of the cell's lock.
#[test]
fn two_threads_look_at_one_result() {
    check("result against result", None, || {
        let alive = Alive::default();
        let future = future();
        future.set_result(alive.one()).expect("nobody else sets it");
        let theirs = future.clone();
        let thread = spawn(move || theirs.result().expect("it is done").touch());
        future.result().expect("it is done").touch();
        thread.join().expect("no panic");
        drop(future);
        assert_eq!(alive.count(), 0);
    });
}

/// A step ends the task, and drops its future outside of the cell's lock, while another thread changes
/// flags within it.
#[test]
fn a_task_ends_while_it_is_cancelled_and_forgotten() {
    check("end against cancel", None, || {
        let alive = Alive::default();
        let held = alive.one();
        let (task, driven) = task(async move {
            held.touch();
            Ok(held)
        });
        let handle = task.handle().expect("it is a task");
        let thread = spawn(move || handle.cancel());
        block_on(driven);
        let accepted = thread.join().expect("no panic");
        assert_eq!(accepted, task.cancelled());
        drop(task);
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn a_done_callback_is_called_once() {
    check("add callback against set", None, || {
        let future = future::<u32>();
        let setter = future.clone();
        let called = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&called);
        let thread = spawn(move || setter.set_result(7).is_ok());
        future.add_done_callback(move |future| {
            assert!(future.result().is_ok());
            counted.fetch_add(1, Ordering::Relaxed);
        });
        assert!(thread.join().expect("no panic"));
        assert_eq!(called.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_done_callback_is_called_or_removed() {
    check("remove callback against set", None, || {
        let future = future::<u32>();
        let setter = future.clone();
        let called = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&called);
        let id = future.add_done_callback(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let thread = spawn(move || setter.set_result(7).is_ok());
        let removed = future.remove_done_callback(id);
        assert!(thread.join().expect("no panic"));
        assert_eq!(called.load(Ordering::Relaxed) + removed, 1);
    });
}

#[test]
fn a_child_ends_while_it_is_gathered() {
    check("set against gather", Some(3), || {
        let child = future::<u32>();
        let setter = child.clone();
        let (waiting, driven) = task(async move { Ok(gather((child,)).await?.0) });
        let thread = spawn(move || setter.set_result(7).is_ok());
        block_on(driven);
        assert_eq!(waiting.result().ok(), Some(7));
        assert!(thread.join().expect("no panic"));
    });
}

#[test]
fn two_children_of_a_gathering_end_at_once() {
    check("set against set, gathered", Some(1), || {
        let alive = Alive::default();
        let children = [future::<Counted>(), future()];
        let setters = children.clone().map(|setter| (setter, alive.one()));
        let [one, two] = children;
        let (waiting, driven) = task(async move {
            let (one, two) = gather((one, two)).await?;
            one.touch();
            two.touch();
            Ok(())
        });
        let threads =
            setters.map(|(setter, value)| spawn(move || setter.set_result(value).is_ok()));
        block_on(driven);
        assert!(waiting.result().is_ok());
        for thread in threads {
            assert!(thread.join().expect("no panic"));
        }
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn a_gathering_is_cancelled_while_a_child_ends() {
    check("cancel against set, gathered", Some(1), || {
        let alive = Alive::default();
        let child = future::<Counted>();
        let (setter, value) = (child.clone(), alive.one());
        let (waiting, driven) = task(async move {
            let (value,) = gather((child,)).await?;
            value.touch();
            Ok(())
        });
        let driven = begun(driven);
        let setting = spawn(move || setter.set_result(value).is_ok());
        let canceller = waiting.clone();
        let cancelling = spawn(move || canceller.cancel());
        block_on(driven);
        setting.join().expect("no panic");
        assert_eq!(cancelling.join().expect("no panic"), waiting.cancelled());
        drop(waiting);
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn a_shielded_task_goes_on() {
    check("cancel against set, shielded", Some(1), || {
        let alive = Alive::default();
        let inner = future();
        let (setter, value) = (inner.clone(), alive.one());
        let (waiting, driven) = task(consume(shield(inner.clone())));
        let driven = begun(driven);
        let setting = spawn(move || setter.set_result(value).is_ok());
        let canceller = waiting.clone();
        let cancelling = spawn(move || canceller.cancel());
        block_on(driven);
        assert!(
            setting.join().expect("no panic"),
            "no request comes through"
        );
        assert_eq!(cancelling.join().expect("no panic"), waiting.cancelled());
        drop((waiting, inner));
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn who_is_no_task_is_woken_once() {
    check("wake against wake, outside", None, || {
        let mut waiter = Waiter::new();
        let mut threads = None;
        let wait = poll_fn(|cx| {
            if threads.is_none() {
                let wakeup = waiter.begin(cx);
                threads = Some([wakeup.clone(), wakeup].map(|wakeup| spawn(move || wakeup.wake())));
            }
            waiter.poll(cx)
        });
        assert!(block_on(wait).is_ok());
        let woken = threads.expect("it was polled").map(|thread| thread.join());
        let woken = woken.map(|woken| woken.expect("no panic"));
        assert!(woken[0] != woken[1]);
    });
}

#[test]
fn a_task_that_is_killed_is_not_polled_again() {
    check("kill against step", Some(4), || {
        let alive = Alive::default();
        let held = alive.one();
        let (waiting, driven) = task(async move {
            std::future::pending::<()>().await;
            held.touch();
            Ok(())
        });
        let victim = waiting.clone();
        let thread = spawn(move || cell::kill(victim.typed().as_task().expect("it is one")));
        block_on(driven);
        assert!(waiting.cancelled());
        thread.join().expect("no panic");
        drop(waiting);
        assert_eq!(alive.count(), 0);
    });
}

/// One thread polls the inner task, one the outer task, one cancels the outer.
#[test]
fn a_request_reaches_the_task_that_is_awaited() {
    check("cancel along a path", Some(2), || {
        let future = future::<Counted>();
        let (inner, driven_inner) = task(consume(future));
        let awaited = inner.clone();
        let (outer, driven_outer) = task(async move { awaited.await });
        let driven_outer = begun(driven_outer);
        let thread = spawn(move || block_on(driven_inner));
        let canceller: Task<()> = outer.clone();
        let cancelling = spawn(move || canceller.cancel());
        block_on(driven_outer);
        assert!(cancelling.join().expect("no panic"));
        thread.join().expect("no panic");
        assert!(outer.cancelled());
        assert!(inner.cancelled(), "nothing else ends it");
    });
}

/// Nobody but the wrapper around something foreign can take the request.
#[test]
fn a_request_reaches_a_cancellable_future() {
    check("cancel against a step, cancellable", Some(4), || {
        let alive = Alive::default();
        let held = alive.one();
        let (waiting, driven) = task(async move {
            let foreign = async move {
                std::future::pending::<()>().await;
                held.touch();
            };
            Ok(foreign.cancellable().await?)
        });
        let canceller = waiting.clone();
        let thread = spawn(move || canceller.cancel());
        let mut polls = 0;
        let mut driven = Box::pin(driven);
        // It is polled for no reason now and then.
        block_on(poll_fn(|cx| {
            polls += 1;
            if polls == 1 {
                cx.waker().wake_by_ref();
            }
            driven.as_mut().poll(cx)
        }));
        assert!(thread.join().expect("no panic"));
        assert!(waiting.cancelled());
        assert_eq!(alive.count(), 0);
    });
}

/// The way of most tasks: one thread runs it to its end, another awaits it, by the only handle.
#[test]
fn a_value_is_taken_by_who_awaits_it() {
    check("await against end", Some(4), || {
        let alive = Alive::default();
        let held = alive.one();
        let (task, driven) = task(async move {
            held.touch();
            Ok(held)
        });
        let thread = spawn(move || block_on(driven));
        block_on(task).expect("nothing fails").touch();
        thread.join().expect("no panic");
        assert_eq!(alive.count(), 0);
    });
}

/// The same between two tasks.
#[test]
fn a_task_awaits_another_ones_value() {
    check("await against end, in a task", Some(3), || {
        let alive = Alive::default();
        let held = alive.one();
        let (inner, driven_inner) = task(async move {
            held.touch();
            Ok(held)
        });
        let (outer, driven_outer) = task(async move {
            inner.await?.touch();
            Ok(())
        });
        let thread = spawn(move || block_on(driven_inner));
        block_on(driven_outer);
        assert!(outer.result().is_ok());
        drop(outer);
        thread.join().expect("no panic");
        assert_eq!(alive.count(), 0);
    });
}

/// Something foreign has been polled with the task's own waker, before there was any other.
#[test]
fn a_task_that_was_started_eagerly_is_woken_while_its_driver_comes() {
    check("wake against the first poll", Some(4), || {
        let said = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&said);
        let waker = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&waker);
        let (waiting, driven) = task(poll_fn(move |cx| {
            if heard.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            let mut kept = kept.lock().expect("not poisoned");
            kept.get_or_insert_with(|| cx.waker().clone());
            Poll::Pending
        }));
        cell::start_eagerly(None, waiting.typed().as_task().expect("it is one"));
        let waker = waker.lock().expect("not poisoned").take();
        let thread = spawn(move || {
            // Relaxed: that the wake is seen is what orders it.
            said.store(true, Ordering::Relaxed);
            waker.expect("it was polled").wake();
        });
        block_on(driven);
        assert!(waiting.result().is_ok());
        thread.join().expect("no panic");
    });
}

#[test]
fn a_mutex_lends_its_value_to_one_at_a_time() {
    check("lock against lock", None, || {
        let alive = Alive::default();
        let value = Arc::new(crate::waiting::Mutex::new(alive.one()));
        let threads = [(); 2].map(|()| {
            let value = Arc::clone(&value);
            spawn(move || value.lock().touch())
        });
        value.lock().touch();
        for thread in threads {
            thread.join().expect("no panic");
        }
    });
}

/// What is done is done for everybody: there is more than the outcome that a task leaves behind.
#[test]
fn who_sees_that_a_task_is_done_sees_what_it_did() {
    check("done against end", None, || {
        let counted = Arc::new(Alive::default().one());
        let theirs = Arc::clone(&counted);
        let (task, driven) = task(async move {
            theirs.touch();
            Ok(theirs)
        });
        let handle = task.handle().expect("it is a task");
        let thread = spawn(move || block_on(driven));
        if handle.done() {
            counted.touch();
        }
        thread.join().expect("no panic");
        drop(task);
    });
}

#[test]
fn an_exception_that_leaves_a_runner_wakes_who_runs_it() {
    check("escape against poll", None, || {
        let workers = Arc::new(Workers::new(false, None));
        let theirs = Arc::clone(&workers);
        let thread = spawn(move || theirs.escape(RuntimeError::new("on its way").into()));
        let escaped = block_on(poll_fn(|cx| workers.poll_escape(cx)));
        assert!(escaped.is::<RuntimeError>());
        thread.join().expect("no panic");
    });
}

#[test]
fn a_job_is_awaited_while_it_ends() {
    check("job: end against await", Some(4), || {
        let alive = Alive::default();
        let held = alive.one();
        let (work, job) = Work::new(move || Ok(held));
        let (waiting, driven) = task(async move {
            job.await?.touch();
            Ok(())
        });
        let thread = spawn(move || work.run());
        block_on(driven);
        assert!(waiting.result().is_ok());
        thread.join().expect("no panic");
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn a_job_is_run_or_cancelled() {
    check("job: begin against cancel", None, || {
        let alive = Alive::default();
        let held = alive.one();
        let (work, job) = Work::new(move || {
            held.touch();
            Ok(())
        });
        let thread = spawn(move || work.run());
        let cancelled = job.cancel();
        thread.join().expect("no panic");
        assert!(job.done() && cancelled == job.cancelled());
        assert_eq!(alive.count(), 0);
    });
}
