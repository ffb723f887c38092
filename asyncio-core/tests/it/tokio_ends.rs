//! Tasks on tokio runtimes and what is around them: runtimes that end, awaiters that are aborted, threads
//! that only have a handle.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use asyncio_core::{
    CancelledError, InvalidStateError, Result, Task, TimeoutError, create_task, current_task,
    sleep, task_group, timeout, to_thread,
};

use crate::support::{Alive, begun, error_of, fails_with, on_many_threads, on_threads};

/// What awaits ours and is none of ours may be aborted: nothing is left at what it awaited.
#[test]
fn a_tokio_task_that_awaits_ours_is_aborted() -> Result<()> {
    on_many_threads(|| async {
        let alive = Alive::default();
        let task: Task<()> = begun(|| async { sleep(3600).await }).await?;
        for _ in 0..50 {
            let (held, awaited) = (alive.one(), task.clone());
            let foreign = tokio::spawn(async move {
                let ended = awaited.await;
                held.touch();
                ended
            });
            tokio::task::yield_now().await;
            foreign.abort();
            assert!(foreign.await.is_err_and(|error| error.is_cancelled()));
        }
        assert_eq!(alive.count(), 0);
        assert!(!task.done() && task.cancelling() == 0);
        task.cancel();
        assert!(error_of(task.await).is_cancelled());
        Ok(())
    })
}

/// Where the runtime ends before a task does, the coroutine is dropped and who awaits elsewhere hears
/// of it.
#[test]
fn the_end_of_the_runtime_ends_its_tasks() -> Result<()> {
    for threads in [2, 4] {
        let alive = Alive::default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()?;
        let kept = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&kept);
        let (first, second) = (alive.clone(), alive.clone());
        runtime.block_on(async move {
            for number in 0..100 {
                let held = first.one();
                let task: Task<()> = create_task(async move {
                    let slept = sleep(3600).await;
                    // Never: dropping is not cancelling.
                    std::mem::forget(held);
                    slept
                });
                if number % 2 == 0 {
                    theirs.lock().expect("not poisoned").push(task);
                }
            }
            let held = second.one();
            tokio::spawn(async move {
                let ended = task_group(async |group| {
                    group.create_task(async { sleep(3600).await });
                    sleep(3600).await
                })
                .await;
                held.touch();
                ended
            });
            tokio::time::sleep(Duration::from_millis(20)).await;
        });
        drop(runtime);
        assert_eq!(alive.count(), 0);
        let kept = std::mem::take(&mut *kept.lock().expect("not poisoned"));
        for task in kept {
            assert!(task.cancelled());
            assert!(error_of(::futures::executor::block_on(task)).is_cancelled());
        }
    }
    Ok(())
}

/// A destructor that starts a task while the runtime ends.
#[test]
fn a_task_that_is_started_while_the_runtime_ends_is_dropped() -> Result<()> {
    struct StartsAnother(mpsc::Sender<Task<()>>);
    impl Drop for StartsAnother {
        fn drop(&mut self) {
            let _ = self.0.send(create_task(async { sleep(3600).await }));
        }
    }
    let (sender, receiver) = mpsc::channel();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let starts = StartsAnother(sender);
        drop(create_task::<(), _>(async move {
            let _starts = starts;
            std::future::pending().await
        }));
        tokio::time::sleep(Duration::from_millis(10)).await;
    });
    drop(runtime);
    let started = receiver.recv()?;
    assert!(started.done());
    assert!(error_of(::futures::executor::block_on(started)).is_cancelled());
    Ok(())
}

#[test]
fn outside_of_a_task_everything_works_but_being_cancelled() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        assert!(current_task().is_none());
        sleep(0.001).await?;
        sleep(0).await?;
        let sum = task_group(async |group| {
            let one = group.create_task(async { Ok(1) });
            let two = group.create_task(async {
                sleep(0.001).await?;
                Ok(2)
            });
            Ok(one.await? + two.await?)
        });
        assert_eq!(sum.await?, 3);
        let late = timeout(0.005, sleep(3600)).await;
        assert!(fails_with::<TimeoutError, _>(late));
        assert!(create_task(async { Ok(1) }).await.is_ok());
        Ok(())
    })
}

/// A program that is polled by something which is neither tokio's nor ours, inside of a runtime.
#[test]
fn tasks_are_awaited_from_threads_that_only_have_the_handle() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let _inside = runtime.enter();
    let value = ::futures::executor::block_on(async {
        let task = create_task(async {
            sleep(0.002).await?;
            Ok(7)
        });
        task.await
    });
    assert_eq!(value?, 7);
    Ok(())
}

/// The result may be asked for on every thread.
#[test]
fn results_are_read_on_any_thread() -> Result<()> {
    let (task, pending) = on_threads(2, async {
        let task = create_task(async { Ok(7) });
        let pending: Task<()> = create_task(async { sleep(3600).await });
        assert!(fails_with::<InvalidStateError, _>(pending.result()));
        (&task).await?;
        Ok((task, pending))
    })?;
    assert_eq!(task.result()?, 7);
    assert!(task.exception()?.is_none());
    assert!(fails_with::<CancelledError, _>(pending.result()));
    let there = thread::spawn(move || task.result());
    assert_eq!(there.join().expect("it does not panic")?, 7);
    Ok(())
}

#[test]
fn many_threads_cancel_await_and_drop_the_same_tasks() -> Result<()> {
    let alive = Alive::default();
    let counted = alive.clone();
    on_threads(4, async move {
        for _ in 0..100 {
            let tasks: Vec<Task<()>> = (0..8)
                .map(|_| {
                    let held = counted.one();
                    create_task(async move {
                        let slept = sleep(3600).await;
                        held.touch();
                        slept
                    })
                })
                .collect();
            let barrier = Arc::new(Barrier::new(3));
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let (tasks, barrier) = (tasks.clone(), Arc::clone(&barrier));
                    tokio::task::spawn_blocking(move || {
                        barrier.wait();
                        tasks.iter().filter(|task| task.cancel()).count()
                    })
                })
                .collect();
            tokio::task::block_in_place(|| barrier.wait());
            for task in tasks {
                assert!(error_of(task.await).is_cancelled());
            }
            for other in others {
                assert!(other.await? <= 8);
            }
        }
        assert_eq!(counted.count(), 0);
        Ok(())
    })?;
    assert_eq!(alive.count(), 0);
    Ok(())
}

/// The number of requests is right whoever makes them, and taken back it is zero.
#[test]
fn requests_are_counted_and_taken_back_from_other_threads() -> Result<()> {
    on_many_threads(|| async {
        let stop = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&stop);
        let task: Task<u32> = begun(|| async move {
            while theirs.load(Ordering::SeqCst) == 0 {
                let _ = sleep(0.001).await;
            }
            Ok(current_task().expect("a task").cancelling())
        })
        .await?;
        let handle = task.handle().expect("a task");
        let requests = (0..8).map(|_| {
            let handle = handle.clone();
            to_thread(move || {
                for _ in 0..100 {
                    assert!(handle.cancel());
                }
                for _ in 0..100 {
                    handle.uncancel();
                }
                Ok(())
            })
        });
        for done in ::futures::future::join_all(requests).await {
            done?;
        }
        assert_eq!(handle.cancelling(), 0);
        stop.store(1, Ordering::SeqCst);
        assert_eq!(task.await?, 0);
        Ok(())
    })
}
