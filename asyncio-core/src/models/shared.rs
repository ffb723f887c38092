//! Cells of no loop, which any thread may use.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as PollContext, Poll, Waker};

use super::{Alive, Counted, block_on, check, spawn, task};
use crate::cancellable::FutureExt;
use crate::cell::{self, Typed, Waiter};
use crate::exceptions::Result;
use crate::futures::Future;
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
    check("cancel against set", Some(3), || {
        let alive = Alive::default();
        let future = future();
        let (setter, value) = (future.clone(), alive.one());
        let (waiting, driven) = task(consume(future.clone()));
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
    check("cancel against cancel", Some(3), || {
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
    check("cancel against wake", Some(3), || {
        let (waiting, driven) = task(async {
            let mut waiter = Waiter::new();
            let mut waking = None;
            let wait = poll_fn(|cx| {
                if waking.is_none() {
                    let wakeup = waiter.begin(cx);
                    waking = Some(spawn(move || wakeup.wake()));
                }
                waiter.poll(cx)
            });
            let ended = wait.await;
            let woken = waking.expect("it was polled").join().expect("no panic");
            if ended.is_ok() {
                assert!(woken, "nobody else ends the wait");
            } else if waiter.was_woken() {
                assert!(woken, "nobody else woke it");
            }
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

/// The tokio task is aborted, or its runtime ends.
#[test]
fn what_polls_a_task_is_dropped_while_it_is_woken_and_cancelled() {
    check("abort against set and cancel", Some(3), || {
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
    check("set against gather", Some(4), || {
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
    check("set against set, gathered", Some(2), || {
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
    check("cancel against set, gathered", Some(2), || {
        let alive = Alive::default();
        let child = future::<Counted>();
        let (setter, value) = (child.clone(), alive.one());
        let (waiting, driven) = task(async move {
            super::note("first step");
            let (value,) = gather((child,)).await?;
            super::note("got");
            value.touch();
            Ok(())
        });
        let setting = spawn(move || {
            super::note("setting");
            let r = setter.set_result(value).is_ok();
            super::note(format!("set {r}"));
            r
        });
        let canceller = waiting.clone();
        let cancelling = spawn(move || {
            super::note("cancelling");
            let r = canceller.cancel();
            super::note(format!("cancelled {r}"));
            r
        });
        block_on(driven);
        super::note(format!("driven {waiting:?} {:?}", waiting.exception()));
        setting.join().expect("no panic");
        assert_eq!(cancelling.join().expect("no panic"), waiting.cancelled());
        drop(waiting);
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn a_shielded_task_goes_on() {
    check("cancel against set, shielded", Some(2), || {
        let alive = Alive::default();
        let inner = future();
        let (setter, value) = (inner.clone(), alive.one());
        let (waiting, driven) = task(consume(shield(inner.clone())));
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
    check("kill against set", Some(3), || {
        let alive = Alive::default();
        let future = future();
        let (setter, value) = (future.clone(), alive.one());
        let held = alive.one();
        let (waiting, driven) = task(async move {
            consume(future).await?;
            held.touch();
            Ok(())
        });
        let victim = waiting.clone();
        let killing = spawn(move || {
            if let Some(task) = victim.typed().as_task() {
                cell::kill(task);
            }
        });
        let setting = spawn(move || drop(setter.set_result(value)));
        block_on(driven);
        assert!(waiting.done());
        killing.join().expect("no panic");
        setting.join().expect("no panic");
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
        let mut driven_outer = Box::pin(driven_outer);
        let mut context = PollContext::from_waker(Waker::noop());
        assert!(driven_outer.as_mut().poll(&mut context).is_pending());
        let thread = spawn(move || {
            super::note("inner");
            block_on(driven_inner);
            super::note("inner ended")
        });
        let canceller: Task<()> = outer.clone();
        let cancelling = spawn(move || {
            super::note("cancelling");
            let r = canceller.cancel();
            super::note(format!("cancelled {r}"));
            r
        });
        super::note("outer");
        block_on(driven_outer);
        super::note("outer ended");
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
