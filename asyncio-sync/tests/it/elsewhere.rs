//! The same primitives between loops, on tokio's runtimes, and where there is no runtime at all.

use std::pin::pin;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use asyncio_core::{Result, Runner, create_local_task, create_task, run, sleep};
use asyncio_sync::{Event, Lock, Queue, Semaphore};
use futures::executor::block_on;
use futures::future::{join, poll_fn};

use crate::support::{Log, is_cancelled, poll_once, run_virtual, turns};

#[test]
fn a_queue_connects_two_loops_on_two_threads() -> Result<()> {
    let (there, back) = (Queue::new(2), Queue::new(2));
    let (theirs, answers) = (there.clone(), back.clone());
    let other = thread::spawn(move || {
        run(async move {
            for _ in 0..1000 {
                answers.put(theirs.get().await? + 1).await?;
            }
            Ok(())
        })
    });
    run(async move {
        for item in 0..1000 {
            there.put(item).await?;
            let answer: i32 = back.get().await?;
            assert_eq!(answer, item + 1);
        }
        Ok(())
    })?;
    other.join().expect("it does not panic")
}

/// A wait whose loop is another thread's cannot be seen to be cancelled; nothing is lost all the same.
#[test]
fn a_permit_for_a_cancelled_wait_of_another_loop_is_passed_on() -> Result<()> {
    let semaphore = Semaphore::new(0);
    let (theirs, (waits, waiting)) = (semaphore.clone(), channel());
    let (go, gone) = channel::<()>();
    let other = thread::spawn(move || {
        run(async move {
            let inner = theirs.clone();
            let task = create_task(async move { Ok(inner.acquire().await?) });
            turns(1).await?;
            task.cancel();
            // The loop stands still here, with the wait cancelled and its task not stepped yet.
            let _ = waits.send(());
            let _ = gone.recv();
            assert!(is_cancelled(task.await));
            theirs.acquire().await?;
            Ok(())
        })
    });
    waiting.recv().expect("the other thread waits");
    semaphore.release();
    drop(go);
    other.join().expect("it does not panic")?;
    assert_eq!(format!("{semaphore:?}"), "<Semaphore [locked]>");
    Ok(())
}

#[test]
fn a_wait_that_moves_to_another_thread_keeps_its_place() -> Result<()> {
    let (event, lock) = (Event::new(), Lock::new());
    run(async move {
        lock.acquire().await?;
        let (theirs, told) = (lock.clone(), event.clone());
        let mut first = Box::pin(async move { theirs.acquire().await });
        let mut waiting = Box::pin(async move { told.wait().await });
        poll_fn(|cx| {
            assert!(first.as_mut().poll(cx).is_pending());
            assert!(waiting.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        let mut second = pin!(lock.acquire());
        assert!(poll_once(second.as_mut()).is_pending());
        let other = thread::spawn(move || block_on(join(first, waiting)));
        // However far the other thread is: what was set in between is not missed.
        event.set();
        event.clear();
        lock.release()?;
        let (locked, set) = other.join().expect("it does not panic");
        locked?;
        set?;
        assert!(poll_once(second.as_mut()).is_pending());
        lock.release()?;
        assert!(poll_once(second.as_mut()).is_ready());
        Ok(())
    })
}

#[test]
fn nothing_but_an_executor_is_needed() {
    let (queue, lock) = (Queue::new(1), Lock::with_value(0));
    let feeder = async {
        for item in 0..10 {
            *lock.guard().await? += item;
            queue.put(item).await?;
        }
        Ok(())
    };
    let eater = async {
        let mut sum = 0;
        for _ in 0..10 {
            sum += queue.get().await?;
        }
        Ok(sum)
    };
    let results: (Result<()>, Result<i32>) = block_on(join(feeder, eater));
    assert!(results.0.is_ok());
    assert_eq!(results.1.ok(), Some(45));
    assert_eq!(lock.into_inner(), Some(45));
}

#[test]
fn a_wait_inside_a_join_is_cancelled_with_its_task() -> Result<()> {
    run_virtual(async {
        let (lock, event, log) = (Lock::new(), Event::new(), Log::default());
        lock.acquire().await?;
        let (theirs, never, told) = (lock.clone(), event.clone(), log.clone());
        let task = create_local_task(async move {
            let (locked, set) = join(theirs.acquire(), never.wait()).await;
            told.add((is_cancelled(locked), is_cancelled(set)));
            Ok(())
        });
        turns(1).await?;
        task.cancel();
        task.await?;
        assert_eq!(log.all(), [(true, true)]);
        assert_eq!(
            format!("{lock:?} {event:?}"),
            "<Lock [locked]> <Event [unset]>"
        );
        Ok(())
    })
}

#[test]
fn a_loop_that_is_closed_gives_back_what_its_tasks_were_given() -> Result<()> {
    let semaphore = Semaphore::new(0);
    let theirs = semaphore.clone();
    let runner = Runner::new()?;
    runner.run(async move {
        create_task(async move {
            theirs.acquire().await?;
            sleep(0).await
        });
        turns(1).await
    })?;
    semaphore.release();
    runner.close()?;
    assert_eq!(format!("{semaphore:?}"), "<Semaphore [unlocked, value:1]>");
    Ok(())
}

/// A wait begins in a task that gives it away and is cancelled then, so that who wakes passes it by; after
/// that it goes on, on another thread, where it has to come to its own.
fn has_moved(
    wait: impl Future<Output = Result<()>> + Send + 'static,
    serve: impl FnOnce() -> Result<()> + 'static,
) -> Result<()> {
    run(async move {
        let wait = Box::pin(wait);
        let (sender, receiver) = channel();
        let began = create_local_task(async move {
            let mut wait = wait;
            assert!(poll_once(wait.as_mut()).is_pending());
            let _ = sender.send(wait);
            sleep(3600).await
        });
        turns(1).await?;
        let wait = receiver.recv()?;
        began.cancel();
        serve()?;
        let (done, ended) = channel();
        let _moved = thread::spawn(move || done.send(block_on(wait)));
        ended.recv_timeout(Duration::from_secs(10))??;
        assert!(is_cancelled(began.await));
        Ok(())
    })
}

#[test]
fn a_wait_that_has_moved_is_not_passed_by() -> Result<()> {
    let semaphore = Semaphore::new(0);
    let theirs = semaphore.clone();
    has_moved(async move { Ok(theirs.acquire().await?) }, move || {
        semaphore.release();
        Ok(())
    })?;
    let lock = Lock::new();
    block_on(lock.acquire())?;
    let theirs = lock.clone();
    has_moved(async move { Ok(theirs.acquire().await?) }, move || {
        Ok(lock.release()?)
    })?;
    let queue = Queue::new(1);
    let theirs = queue.clone();
    let putter = queue.clone();
    has_moved(async move { theirs.get().await }, move || {
        putter.put_nowait(())
    })?;
    queue.put_nowait(())?;
    let theirs = queue.clone();
    has_moved(async move { theirs.put(()).await }, move || {
        queue.get_nowait()
    })?;
    let event = Event::new();
    let theirs = event.clone();
    has_moved(async move { Ok(theirs.wait().await?) }, move || {
        event.set();
        Ok(())
    })
}
