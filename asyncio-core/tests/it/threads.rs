//! Races between the loop and other threads: many iterations of each.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use asyncio_core::{
    InvalidStateError, Result, Task, TaskHandle, create_local_task, create_task, get_running_loop,
    new_event_loop, run, sleep,
};

use crate::support::{Alive, fails_with, turns};

fn joined<T>(thread: thread::JoinHandle<T>) -> T {
    thread.join().expect("the thread does not panic")
}

/// A future that other threads wake: it counts its polls and ends when told to.
async fn woken_by(waker: Arc<Mutex<Option<Waker>>>, done: Arc<AtomicBool>) {
    std::future::poll_fn(|cx| {
        if done.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        *waker.lock().expect("not poisoned") = Some(cx.waker().clone());
        if done.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

#[test]
fn a_task_is_woken_from_another_thread_however_the_race_ends() -> Result<()> {
    run(async {
        for round in 0..500_u32 {
            let (waker, done) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
            let task = {
                let (waker, done) = (Arc::clone(&waker), Arc::clone(&done));
                create_task(async move {
                    woken_by(waker, done).await;
                    Ok(())
                })
            };
            turns(usize::from(round % 2 == 0)).await?;
            let thread = thread::spawn(move || {
                done.store(true, Ordering::SeqCst);
                let waker = waker.lock().expect("not poisoned").take();
                if let Some(waker) = waker {
                    match round % 3 {
                        0 => waker.wake(),
                        1 => waker.wake_by_ref(),
                        _ => {
                            let other = waker.clone();
                            drop(waker);
                            other.wake();
                        }
                    }
                }
            });
            task.await?;
            joined(thread);
        }
        Ok(())
    })
}

#[test]
fn a_thousand_wakes_of_a_sleeping_task_do_not_pile_up() -> Result<()> {
    run(async {
        let polls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&polls);
        let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
        let task = create_local_task(async move {
            std::future::poll_fn(|cx| {
                if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                    let _ = sender.send(cx.waker().clone());
                }
                Poll::<()>::Pending
            })
            .await;
            Ok(())
        });
        turns(1).await?;
        let waker = receiver.recv()?;
        // The loop's thread is blocked meanwhile: all of them come before it can look.
        joined(thread::spawn(move || {
            for _ in 0..1000 {
                waker.wake_by_ref();
            }
        }));
        turns(5).await?;
        assert_eq!(polls.load(Ordering::SeqCst), 2);
        task.cancel();
        Ok(())
    })
}

#[test]
fn tasks_are_cancelled_from_another_thread() -> Result<()> {
    run(async {
        for _ in 0..200 {
            let tasks: Vec<Task<()>> = (0..10)
                .map(|_| create_task(async { sleep(1000).await }))
                .collect();
            let handles: Vec<TaskHandle> = tasks.iter().filter_map(Task::handle).collect();
            let thread = thread::spawn(move || {
                handles
                    .iter()
                    .all(|handle| handle.cancel_with_message("from abroad"))
            });
            for task in tasks {
                let error = task.await.expect_err("it is cancelled");
                assert_eq!(error.to_string(), "cancelled: from abroad");
            }
            assert!(joined(thread));
        }
        Ok(())
    })
}

#[test]
fn a_cancellation_from_abroad_races_with_the_end_of_the_task() -> Result<()> {
    run(async {
        let (mut ended, mut cancelled) = (0, 0);
        for round in 0..500 {
            let task = create_task(async move {
                turns(round % 5).await?;
                Ok(())
            });
            let remote = task.clone();
            let thread = thread::spawn(move || remote.cancel());
            match task.await {
                Ok(()) => ended += 1,
                Err(error) => {
                    assert!(error.is_cancelled());
                    cancelled += 1;
                }
            }
            joined(thread);
        }
        assert_eq!(ended + cancelled, 500);
        Ok(())
    })
}

#[test]
fn futures_are_cancelled_and_watched_from_another_thread() -> Result<()> {
    run(async {
        let future = get_running_loop()?.create_future::<u8>();
        let remote = future.clone();
        let thread = thread::spawn(move || {
            let accepted = remote.cancel_with_message("abroad");
            while !remote.done() {
                thread::yield_now();
            }
            (accepted, remote.cancelled(), remote.cancel())
        });
        assert!(future.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(joined(thread), (true, true, false));
        Ok(())
    })
}

#[test]
fn handles_are_cloned_and_dropped_by_many_threads() -> Result<()> {
    run(async {
        let alive = Alive::default();
        for _ in 0..20 {
            let held = alive.one();
            let task = create_task(async move {
                sleep(0.0005).await?;
                Ok(held)
            });
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let task = task.clone();
                    thread::spawn(move || {
                        for _ in 0..200 {
                            let copies = [task.clone(), task.clone()];
                            let handle = copies[0].handle();
                            assert!(
                                handle.is_some_and(|handle| handle.get_name().starts_with("Task-"))
                            );
                            drop(copies);
                        }
                    })
                })
                .collect();
            drop(task);
            sleep(0.0005).await?;
            threads.into_iter().for_each(joined);
        }
        // What was given up elsewhere comes home with the mail, at the latest at the next turns.
        while alive.count() > 0 {
            sleep(0.001).await?;
        }
        Ok(())
    })
}

#[test]
fn half_polled_waits_are_dropped_on_another_thread() -> Result<()> {
    run(async {
        let event_loop = get_running_loop()?;
        let future = event_loop.create_future::<u8>();
        let task = create_task(async { sleep(1000).await });
        for _ in 0..100 {
            let mut nap = Box::pin(sleep(1000));
            let mut yielded = Box::pin(sleep(0));
            let mut wait = future.clone();
            let mut of_task = task.clone();
            let mut foreign = Box::pin(asyncio_core::FutureExt::cancellable(
                std::future::pending::<()>(),
            ));
            assert!(::futures::poll!(&mut nap).is_pending());
            assert!(::futures::poll!(&mut yielded).is_pending());
            assert!(::futures::poll!(&mut wait).is_pending());
            assert!(::futures::poll!(&mut of_task).is_pending());
            assert!(::futures::poll!(&mut foreign).is_pending());
            joined(thread::spawn(move || {
                drop((nap, yielded, wait, of_task, foreign))
            }));
        }
        turns(2).await?;
        future.set_result(1)?;
        assert!(!task.done());
        task.cancel();
        turns(2).await?;
        assert!(task.cancelled());
        Ok(())
    })
}

/// Calls that race with `close` are either made or refused, and their functions are always dropped.
#[test]
fn calls_from_other_threads_race_with_the_close_of_the_loop() -> Result<()> {
    for round in 0..100 {
        let event_loop = new_event_loop()?;
        let (alive, called) = (Alive::default(), Arc::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (remote, alive, called) =
                    (event_loop.clone(), alive.clone(), Arc::clone(&called));
                thread::spawn(move || {
                    let mut accepted = 0;
                    loop {
                        let (held, called) = (alive.one(), Arc::clone(&called));
                        let call = remote.call_soon_threadsafe(move || {
                            held.touch();
                            called.fetch_add(1, Ordering::SeqCst);
                        });
                        match call {
                            Ok(handle) if accepted % 7 == 0 => handle.cancel(),
                            Ok(_) => {}
                            Err(_) => return accepted,
                        }
                        accepted += 1;
                        if accepted > 100_000 {
                            return accepted;
                        }
                    }
                })
            })
            .collect();
        event_loop.run_until_complete(turns(round % 10 + 1))?;
        event_loop.close()?;
        let accepted: usize = threads.into_iter().map(joined).sum();
        assert!(called.load(Ordering::SeqCst) <= accepted);
        assert_eq!(alive.count(), 0, "nothing is kept by a closed loop");
    }
    Ok(())
}

#[test]
fn wakes_and_cancels_race_with_the_close_of_the_loop() -> Result<()> {
    for round in 0..100 {
        let event_loop = new_event_loop()?;
        event_loop.set_exception_handler(Some(Box::new(|_, _| ())))?;
        let alive = Alive::default();
        let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
        let tasks: Vec<Task<()>> = (0..8)
            .map(|_| {
                let (held, sender) = (alive.one(), sender.clone());
                event_loop.create_task(async move {
                    std::future::poll_fn(|cx| {
                        let _ = sender.send(cx.waker().clone());
                        Poll::<()>::Pending
                    })
                    .await;
                    held.touch();
                    Ok(())
                })
            })
            .collect();
        drop(sender);
        event_loop.run_until_complete(turns(2))?;
        let wakers: Vec<Waker> = receiver.try_iter().collect();
        let stop = Arc::new(AtomicBool::new(false));
        let threads = [
            {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        wakers.iter().for_each(Waker::wake_by_ref);
                        drop(wakers.clone());
                    }
                })
            },
            {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        for task in &tasks {
                            drop(task.clone());
                            if round % 2 == 0 {
                                task.cancel();
                            }
                            let _ = (task.done(), task.cancelling(), task.get_name());
                        }
                    }
                    drop(tasks);
                })
            },
        ];
        event_loop.run_until_complete(turns(5))?;
        event_loop.close()?;
        stop.store(true, Ordering::SeqCst);
        threads.into_iter().for_each(joined);
        drop(event_loop);
        assert_eq!(alive.count(), 0);
    }
    Ok(())
}

#[test]
fn two_loops_on_two_threads_talk_to_each_other() -> Result<()> {
    const ROUNDS: u32 = 500;
    let (to_main, from_other) = std::sync::mpsc::channel();
    let other = thread::spawn(move || {
        run(async move {
            let event_loop = get_running_loop()?;
            let end = event_loop.create_future::<()>();
            let setter = end.clone();
            let count = Arc::new(AtomicUsize::new(0));
            to_main.send((event_loop, Arc::clone(&count)))?;
            create_local_task(async move {
                while count.load(Ordering::SeqCst) < ROUNDS as usize {
                    sleep(0.0001).await?;
                }
                setter.set_result(())?;
                Ok(())
            })
            .await?;
            end.await
        })
    });
    let (remote, count) = from_other.recv()?;
    run(async move {
        let mine = get_running_loop()?;
        for round in 1..=ROUNDS {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let (back, count) = (mine.clone(), Arc::clone(&count));
            remote.call_soon_threadsafe(move || {
                let before = count.fetch_add(1, Ordering::SeqCst);
                back.call_soon_threadsafe(move || {
                    let _ = sender.send(before + 1);
                })
                .map(drop)
            })?;
            assert_eq!(receiver.await?, round as usize);
        }
        Ok(())
    })?;
    joined(other)
}

#[test]
fn a_loop_that_sleeps_for_long_is_woken_by_every_kind_of_message() -> Result<()> {
    run(async {
        let event_loop = get_running_loop()?;
        let task = create_task(async { sleep(1000).await });
        let remote = task.clone();
        let start = std::time::Instant::now();
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(5));
            remote.cancel()
        });
        assert!(task.await.is_err());
        assert!(joined(thread));
        assert!(start.elapsed() < Duration::from_secs(5));
        drop(event_loop);
        Ok(())
    })
}

/// A value is cloned outside of the lock under which it lies.
#[test]
fn a_result_that_is_being_cloned_is_there_for_others_too() -> Result<()> {
    /// Takes its time to be cloned, and may ask for the very result meanwhile.
    struct Slow(Arc<Mutex<Option<Task<Self>>>>);
    impl Clone for Slow {
        fn clone(&self) -> Self {
            let itself = self.0.lock().expect("not poisoned").clone();
            if let Some(itself) = itself {
                assert!(fails_with::<InvalidStateError, _>(
                    itself.result().map(|_| ())
                ));
            }
            thread::sleep(Duration::from_millis(5));
            Self(Arc::clone(&self.0))
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()?;
    runtime.block_on(async {
        let itself = Arc::default();
        let value = Slow(Arc::clone(&itself));
        let task = create_task(async move { Ok(value) });
        let others = [(); 3].map(|()| {
            let task = task.clone();
            create_task(async move { task.await.map(|_| ()) })
        });
        for other in others {
            other.await?;
        }
        *itself.lock().expect("not poisoned") = Some(task.clone());
        assert!(task.result().is_ok());
        itself.lock().expect("not poisoned").take();
        Ok(())
    })
}
