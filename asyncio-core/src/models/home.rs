//! Cells of a loop, which other threads reach by mail while it is open and by a lock once it is closed.

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::Poll;

use loom::sync::atomic::{AtomicBool, Ordering};

use super::{Alive, Counted, block_on, check, event_loop, run, spawn, task};
use crate::cell::{Typed, Waiter};
use crate::events::EventLoop;
use crate::exceptions::Result;
use crate::futures::Future;
use crate::loop_cell::LoopCell;

/// A future of no loop.
fn future<T: 'static>() -> Future<T> {
    Future::of(Typed::future(None))
}

/// Closes a loop, and says whether its memory is still there later.
fn close(event_loop: EventLoop) -> Weak<LoopCell> {
    event_loop
        .close()
        .expect("it is this thread's and not running");
    Arc::downgrade(&event_loop.cell)
}

async fn consume(future: Future<Counted>) -> Result<()> {
    future.await?.touch();
    Ok(())
}

#[test]
fn a_loop_that_goes_to_sleep_reads_its_mail() {
    check("mail against sleep", None, || {
        let event_loop = event_loop();
        let future = event_loop.create_future();
        let (theirs, setter) = (event_loop.clone(), future.clone());
        let thread = spawn(move || {
            let sent = theirs.call_soon_threadsafe(move || setter.set_result(7));
            sent.is_ok()
        });
        assert_eq!(run(&event_loop, future).ok(), Some(7));
        assert!(thread.join().expect("no panic"));
        let left = close(event_loop);
        assert!(left.upgrade().is_none());
    });
}

/// Two wakes, of which the second one may find the first one still unread.
#[test]
fn a_wake_from_another_thread_is_never_lost() {
    check("wake against step", None, || {
        let event_loop = event_loop();
        let woken = run(&event_loop, async {
            let said = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
            let mut thread = None;
            poll_fn(|cx| {
                if thread.is_none() {
                    let (waker, said) = (cx.waker().clone(), Arc::clone(&said));
                    thread = Some(spawn(move || {
                        for said in &*said {
                            // Relaxed: that the wake is seen is what orders it.
                            said.store(true, Ordering::Relaxed);
                            waker.wake_by_ref();
                        }
                    }));
                }
                if said.iter().all(|said| said.load(Ordering::Relaxed)) {
                    return Poll::Ready(());
                }
                Poll::Pending
            })
            .await;
            thread.expect("it was polled").join().expect("no panic");
            Ok(())
        });
        assert!(woken.is_ok());
        let left = close(event_loop);
        assert!(left.upgrade().is_none());
    });
}

#[test]
fn a_task_of_a_loop_waits_for_a_future_that_another_thread_sets() {
    check("set against await, from a loop", Some(3), || {
        let alive = Alive::default();
        let event_loop = event_loop();
        let future = future();
        let (setter, value) = (future.clone(), alive.one());
        let waiting = event_loop.create_task(consume(future));
        let canceller = waiting.clone();
        let setting = spawn(move || setter.set_result(value).is_ok());
        let cancelling = spawn(move || canceller.cancel());
        let result = run(&event_loop, waiting.clone());
        setting.join().expect("no panic");
        // A request that was accepted here may find the task done there.
        let accepted = cancelling.join().expect("no panic");
        assert!(accepted || !waiting.cancelled());
        assert_eq!(result.is_err(), waiting.cancelled());
        drop((waiting, result));
        let left = close(event_loop);
        assert!(left.upgrade().is_none());
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn the_last_handle_goes_while_the_loop_is_closed() {
    check("drop against close", Some(3), || {
        let alive = Alive::default();
        let event_loop = event_loop();
        let (value, held) = (alive.one(), alive.one());
        let finished = event_loop.create_task(async move { Ok(value) });
        assert!(run(&event_loop, async { Ok(()) }).is_ok());
        let pending = event_loop.create_task(async move {
            std::future::pending::<()>().await;
            held.touch();
            Ok(())
        });
        let handles = (finished.clone(), pending.clone());
        let thread = spawn(move || {
            let (finished, pending) = handles;
            let clone = pending.clone();
            drop(pending);
            let result = finished.result();
            drop((clone, finished));
            drop(result);
        });
        drop((finished, pending));
        let left = close(event_loop);
        thread.join().expect("no panic");
        assert_eq!(alive.count(), 0);
        assert!(left.upgrade().is_none());
    });
}

#[test]
fn the_last_handle_goes_on_either_thread_after_the_loop() {
    check("drop against drop, closed", None, || {
        let alive = Alive::default();
        let event_loop = event_loop();
        let future = event_loop.create_future();
        future.set_result(alive.one()).expect("nobody else sets it");
        let left = close(event_loop);
        let theirs = future.clone();
        let thread = spawn(move || {
            theirs.result().expect("it is done").touch();
        });
        drop(future);
        thread.join().expect("no panic");
        assert_eq!(alive.count(), 0);
        assert!(left.upgrade().is_none());
    });
}

#[test]
fn two_threads_use_a_cell_while_its_loop_is_closed() {
    check("set and cancel against close", Some(3), || {
        let alive = Alive::default();
        let event_loop = event_loop();
        let future = event_loop.create_future::<Counted>();
        let (setter, value) = (future.clone(), alive.one());
        let setting = spawn(move || setter.set_result(value).is_ok());
        let canceller = future.clone();
        let cancelling = spawn(move || canceller.cancel());
        let left = close(event_loop);
        let set = setting.join().expect("no panic");
        cancelling.join().expect("no panic");
        assert!(
            future.done(),
            "whatever came first, the request at the least"
        );
        assert_eq!(set, !future.cancelled());
        drop(future);
        assert_eq!(alive.count(), 0);
        assert!(left.upgrade().is_none());
    });
}

/// The outcome is fetched from the loop's thread, or from under the lock that is left of the loop.
#[test]
fn a_task_is_awaited_on_another_thread_while_its_loop_is_closed() {
    check("await against close", Some(3), || {
        let alive = Alive::default();
        let event_loop = event_loop();
        let value = alive.one();
        let awaited = event_loop.create_task(async move {
            value.touch();
            Ok(value)
        });
        let theirs = awaited.clone();
        let thread = spawn(move || match block_on(theirs) {
            Ok(value) => {
                value.touch();
                true
            }
            Err(error) => {
                super::note(format!("{error:?}"));
                false
            }
        });
        let result = run(&event_loop, async { Ok(()) });
        assert!(result.is_ok());
        let left = close(event_loop);
        assert!(
            thread.join().expect("no panic"),
            "the task has ended before"
        );
        drop(awaited);
        assert_eq!(alive.count(), 0);
        assert!(left.upgrade().is_none());
    });
}

#[test]
fn a_pending_task_is_awaited_on_another_thread_while_its_loop_is_closed() {
    check("await against close, unfinished", Some(3), || {
        let alive = Alive::default();
        let event_loop = event_loop();
        let held = alive.one();
        let awaited = event_loop.create_task(async move {
            std::future::pending::<()>().await;
            held.touch();
            Ok(())
        });
        let theirs = awaited.clone();
        let (waiting, driven) = task(async move { theirs.await });
        let thread = spawn(move || block_on(driven));
        assert!(run(&event_loop, async { Ok(()) }).is_ok());
        drop(awaited);
        let left = close(event_loop);
        thread.join().expect("no panic");
        assert!(waiting.cancelled());
        drop(waiting);
        assert_eq!(alive.count(), 0);
        assert!(left.upgrade().is_none());
    });
}

#[test]
fn a_wait_of_a_loop_is_woken_and_cancelled_from_other_threads() {
    check("wake against cancel, at home", Some(2), || {
        let event_loop = event_loop();
        let waiting = event_loop.create_task(async {
            let mut waiter = Waiter::new();
            let mut waking = None;
            let ended = poll_fn(|cx| {
                if waking.is_none() {
                    let wakeup = waiter.begin(cx);
                    waking = Some(spawn(move || wakeup.wake()));
                }
                waiter.poll(cx)
            })
            .await;
            waking.expect("it was polled").join().expect("no panic");
            Ok(ended?)
        });
        let canceller = waiting.clone();
        let cancelling = spawn(move || canceller.cancel());
        let result = run(&event_loop, waiting.clone());
        let accepted = cancelling.join().expect("no panic");
        assert!(accepted || result.is_ok());
        drop(waiting);
        let left = close(event_loop);
        assert!(left.upgrade().is_none());
    });
}

/// A wait that began on a loop is dropped on another thread, while it is woken on a third.
#[test]
fn a_wait_of_a_loop_is_dropped_elsewhere() {
    check("drop against wake and close", Some(2), || {
        let event_loop = event_loop();
        let begun = run(&event_loop, async {
            let mut waiter = Waiter::new();
            let wakeup = poll_fn(|cx| Poll::Ready(waiter.begin(cx))).await;
            Ok((waiter, wakeup))
        });
        let (waiter, wakeup) = begun.expect("nothing fails");
        let waking = spawn(move || wakeup.wake());
        let dropping = spawn(move || drop(waiter));
        let left = close(event_loop);
        waking.join().expect("no panic");
        dropping.join().expect("no panic");
        assert!(left.upgrade().is_none());
    });
}
