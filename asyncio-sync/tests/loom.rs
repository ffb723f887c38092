//! Models of the wait-list, for loom to run in every order: `cargo xtask test loom`.
//!
//! Tasks on a tokio runtime wait for the real primitives; the threads of the models poll them as
//! tokio's workers do. Each model says what it would catch; that was seen, by breaking the code in that
//! way.
#![cfg(asyncio_loom)]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use asyncio_core::Result;
use asyncio_core::models::{Alive, Counted, begun, block_on, check, event_loop, run, spawn, task};
use asyncio_sync::{Barrier, Condition, Event, Lock, Queue, Semaphore};

/// Holds a permit for a moment, with something that one at a time may use; the models hold it too, until
/// their threads have ended, for loom knows nothing of what the counts of an `Arc` order.
async fn pass(semaphore: Semaphore, counted: Arc<Counted>) -> Result<()> {
    let _permit = semaphore.guard().await?;
    counted.touch();
    Ok(())
}

/// A semaphore with one permit, which is taken.
fn taken() -> Semaphore {
    let semaphore = Semaphore::new(1);
    let (taker, driven) = task({
        let semaphore = semaphore.clone();
        async move { Ok(semaphore.acquire().await?) }
    });
    block_on(driven);
    assert!(taker.result().is_ok());
    semaphore
}

#[track_caller]
fn is_free(semaphore: &Semaphore) {
    assert_eq!(format!("{semaphore:?}"), "<Semaphore [unlocked, value:1]>");
}

#[test]
fn a_permit_goes_from_one_task_to_the_next() {
    check("semaphore: release against acquire", Some(3), || {
        let semaphore = Semaphore::new(1);
        let counted = Arc::new(Alive::default().one());
        let [one, two] = [(); 2].map(|()| task(pass(semaphore.clone(), Arc::clone(&counted))));
        let thread = spawn(move || block_on(one.1));
        block_on(two.1);
        thread.join().expect("no panic");
        assert!(one.0.result().is_ok() && two.0.result().is_ok());
        is_free(&semaphore);
    });
}

#[test]
fn a_permit_is_not_lost_with_a_wait_that_is_cancelled() {
    check("semaphore: release against cancel", Some(2), || {
        let semaphore = taken();
        let counted = Arc::new(Alive::default().one());
        let [one, two] = [(); 2].map(|()| {
            let (task, driven) = task(pass(semaphore.clone(), Arc::clone(&counted)));
            (task, begun(driven))
        });
        let canceller = one.0.clone();
        let driving = spawn(move || block_on(one.1));
        let cancelling = spawn(move || canceller.cancel());
        semaphore.release();
        block_on(two.1);
        driving.join().expect("no panic");
        assert_eq!(cancelling.join().expect("no panic"), one.0.cancelled());
        assert!(two.0.result().is_ok(), "the permit came here in the end");
        is_free(&semaphore);
    });
}

/// The tokio task is aborted, or its runtime ends.
#[test]
fn a_permit_is_not_lost_with_a_wait_that_is_dropped() {
    check("semaphore: release against drop", Some(3), || {
        let semaphore = taken();
        let counted = Arc::new(Alive::default().one());
        let [one, two] = [(); 2].map(|()| {
            let (task, driven) = task(pass(semaphore.clone(), Arc::clone(&counted)));
            (task, begun(driven))
        });
        let dropping = spawn(move || drop(one.1));
        semaphore.release();
        block_on(two.1);
        dropping.join().expect("no panic");
        assert!(two.0.result().is_ok(), "the permit came here in the end");
        is_free(&semaphore);
    });
}

#[test]
fn a_lock_is_held_by_one_at_a_time() {
    check("lock: release against acquire", Some(3), || {
        let lock = Lock::with_value(Alive::default().one());
        let [one, two] = [(); 2].map(|()| {
            let lock = lock.clone();
            task(async move {
                lock.guard().await?.touch();
                Ok(())
            })
        });
        let thread = spawn(move || block_on(one.1));
        block_on(two.1);
        thread.join().expect("no panic");
        assert!(one.0.result().is_ok() && two.0.result().is_ok());
        assert!(!lock.locked());
    });
}

#[test]
fn an_item_is_taken_or_left_where_it_is() {
    check("queue: put against cancel", Some(2), || {
        let (queue, got) = (Queue::new(0), Arc::new(AtomicUsize::new(0)));
        let (getter, counted) = (queue.clone(), Arc::clone(&got));
        // Counted here: the value of a task that is cancelled in its very last stretch is lost.
        let (getting, driven) = task(async move {
            let item: usize = getter.get().await?;
            counted.fetch_add(item, Ordering::Relaxed);
            Ok(())
        });
        let driven = begun(driven);
        let canceller = getting.clone();
        let driving = spawn(move || block_on(driven));
        let cancelling = spawn(move || canceller.cancel());
        queue.put_nowait(1).expect("there is room");
        driving.join().expect("no panic");
        assert_eq!(cancelling.join().expect("no panic"), getting.cancelled());
        assert_eq!(queue.qsize() + got.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_full_queue_takes_each_item_once() {
    check("queue: put against get", Some(3), || {
        let alive = Alive::default();
        let queue = Queue::new(1);
        let values = [alive.one(), alive.one()];
        let (putter, getter) = (queue.clone(), queue.clone());
        let putting = task(async move {
            for value in values {
                putter.put(value).await?;
            }
            Ok(())
        });
        let getting = task(async move {
            for _ in 0..2 {
                getter.get().await?.touch();
            }
            Ok(())
        });
        let thread = spawn(move || block_on(putting.1));
        block_on(getting.1);
        thread.join().expect("no panic");
        assert!(putting.0.result().is_ok() && getting.0.result().is_ok());
        assert!(queue.empty());
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn who_waits_for_an_event_is_woken_when_it_is_set() {
    check("event: set against wait", Some(4), || {
        let event = Event::new();
        let counted = Arc::new(Alive::default().one());
        let (waiter, told) = (event.clone(), Arc::clone(&counted));
        let (waiting, driven) = task(async move {
            waiter.wait().await?;
            told.touch();
            Ok(())
        });
        let thread = spawn(move || block_on(driven));
        counted.touch();
        event.set();
        thread.join().expect("no panic");
        assert!(waiting.result().is_ok());
    });
}

#[test]
fn a_notification_is_not_lost_with_a_wait_that_is_dropped() {
    check("condition: notify against drop", Some(3), || {
        let condition = Condition::new();
        let [one, two] = [(); 2].map(|()| {
            let condition = condition.clone();
            let (task, driven) = task(async move {
                let _guard = condition.guard().await?;
                condition.wait().await
            });
            (task, begun(driven))
        });
        let dropping = spawn(move || drop(one.1));
        let notifier = condition.clone();
        let (notifying, driven) = task(async move {
            let _guard = notifier.guard().await?;
            Ok(notifier.notify(1)?)
        });
        block_on(driven);
        assert!(notifying.result().is_ok());
        block_on(two.1);
        assert!(
            two.0.result().is_ok(),
            "the notification came here in the end"
        );
        dropping.join().expect("no panic");
    });
}

#[test]
fn two_pass_a_barrier_together() {
    check("barrier: wait against wait", Some(3), || {
        let barrier = Barrier::new(2).expect("more than none");
        let arrived = Arc::new(AtomicUsize::new(0));
        let [one, two] = [(); 2].map(|()| {
            let (barrier, arrived) = (barrier.clone(), Arc::clone(&arrived));
            task(async move {
                arrived.fetch_add(1, Ordering::Relaxed);
                let place = barrier.wait().await?;
                assert_eq!(arrived.load(Ordering::Relaxed), 2);
                Ok(place)
            })
        });
        let thread = spawn(move || block_on(one.1));
        block_on(two.1);
        thread.join().expect("no panic");
        let places = [one.0, two.0].map(|task| task.result().expect("nobody breaks it"));
        assert_eq!(places[0] + places[1], 1, "one is the first, one the last");
    });
}

/// One waits on a loop, the other on a tokio runtime.
#[test]
fn a_permit_goes_from_a_runtime_to_a_loop_and_back() {
    check("semaphore: a loop against a task", Some(2), || {
        let semaphore = Semaphore::new(1);
        let counted = Arc::new(Alive::default().one());
        let (passing, driven) = task(pass(semaphore.clone(), Arc::clone(&counted)));
        let thread = spawn(move || block_on(driven));
        let event_loop = event_loop();
        let passed = run(&event_loop, pass(semaphore.clone(), Arc::clone(&counted)));
        event_loop.close().expect("it is this thread's");
        thread.join().expect("no panic");
        assert!(passing.result().is_ok() && passed.is_ok());
        is_free(&semaphore);
    });
}

/// Who waits is no task of ours.
#[test]
fn a_permit_goes_to_what_is_no_task() {
    check("semaphore: release against acquire, outside", None, || {
        let semaphore = taken();
        let theirs = semaphore.clone();
        let thread = spawn(move || block_on(theirs.acquire()).is_ok());
        semaphore.release();
        assert!(thread.join().expect("no panic"));
    });
}

/// It began on a loop, and goes on as a task of a tokio runtime.
#[test]
fn a_permit_is_not_lost_with_a_wait_that_moves() {
    check(
        "semaphore: release against a wait that moves",
        Some(2),
        || {
            let semaphore = taken();
            let counted = Arc::new(Alive::default().one());
            let wait: Pin<Box<dyn Future<Output = Result<()>> + Send>> =
                Box::pin(pass(semaphore.clone(), Arc::clone(&counted)));
            let event_loop = event_loop();
            let begun = run(&event_loop, async move {
                let mut wait = wait;
                let pending = poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx).is_pending()));
                assert!(pending.await, "it is taken");
                Ok(wait)
            });
            let (passing, driven) = task(begun.expect("nothing fails"));
            let thread = spawn(move || block_on(driven));
            semaphore.release();
            thread.join().expect("no panic");
            event_loop.close().expect("it is this thread's");
            assert!(passing.result().is_ok());
            is_free(&semaphore);
        },
    );
}

/// The first of two who wait is dropped, while the lock is released.
#[test]
fn a_lock_is_not_lost_with_a_wait_that_is_dropped() {
    check("lock: release against drop", Some(3), || {
        let lock = Lock::new();
        let (taker, driven) = task({
            let lock = lock.clone();
            async move { Ok(lock.acquire().await?) }
        });
        block_on(driven);
        assert!(taker.result().is_ok());
        let [one, two] = [(); 2].map(|()| {
            let lock = lock.clone();
            let (task, driven) = task(async move { Ok(lock.acquire().await?) });
            (task, begun(driven))
        });
        let dropping = spawn(move || drop(one.1));
        lock.release().expect("it is held");
        block_on(two.1);
        dropping.join().expect("no panic");
        assert!(two.0.result().is_ok(), "it came here in the end");
    });
}

#[test]
fn an_item_is_not_lost_with_a_wait_that_is_dropped() {
    check("queue: put against drop", Some(3), || {
        let queue = Queue::new(0);
        let [one, two] = [(); 2].map(|()| {
            let queue = queue.clone();
            let (task, driven) = task(async move { queue.get().await });
            (task, begun(driven))
        });
        let dropping = spawn(move || drop(one.1));
        queue.put_nowait(1).expect("there is room");
        block_on(two.1);
        dropping.join().expect("no panic");
        assert_eq!(two.0.result().ok(), Some(1), "it came here in the end");
    });
}

#[test]
fn room_is_not_lost_with_a_wait_that_is_dropped() {
    check("queue: get against drop", Some(3), || {
        let queue = Queue::new(1);
        queue.put_nowait(0).expect("there is room");
        let [one, two] = [1, 2].map(|item| {
            let queue = queue.clone();
            let (task, driven) = task(async move { queue.put(item).await });
            (task, begun(driven))
        });
        let dropping = spawn(move || drop(one.1));
        assert_eq!(queue.get_nowait().ok(), Some(0));
        block_on(two.1);
        dropping.join().expect("no panic");
        assert!(two.0.result().is_ok(), "it came here in the end");
        assert_eq!(queue.get_nowait().ok(), Some(2));
    });
}

/// Who is cancelled after it was notified holds the lock again, and notifies the next.
#[test]
fn a_notification_is_not_lost_with_a_wait_that_is_cancelled() {
    check("condition: notify against cancel", Some(1), || {
        let (condition, used) = (Condition::new(), Arc::new(AtomicUsize::new(0)));
        let [one, two] = [(); 2].map(|()| {
            let (condition, used) = (condition.clone(), Arc::clone(&used));
            let (task, driven) = task(async move {
                let _guard = condition.guard().await?;
                condition.wait().await?;
                // Counted here: a task may be cancelled after that, in its very last stretch.
                used.fetch_add(1, Ordering::Relaxed);
                Ok(())
            });
            (task, begun(driven))
        });
        let canceller = one.0.clone();
        let driving = spawn(move || block_on(one.1));
        let cancelling = spawn(move || canceller.cancel());
        let notifier = condition.clone();
        let (notifying, driven) = task(async move {
            let _guard = notifier.guard().await?;
            Ok(notifier.notify(1)?)
        });
        block_on(driven);
        assert!(notifying.result().is_ok());
        driving.join().expect("no panic");
        let accepted = cancelling.join().expect("no panic");
        assert_eq!(accepted, one.0.cancelled());
        if used.load(Ordering::Relaxed) == 0 {
            block_on(two.1);
            assert!(two.0.result().is_ok(), "it came here in the end");
        }
    });
}
