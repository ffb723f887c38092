//! Awaiting and cancelling what another thread's loop, or a tokio runtime, runs.

use std::future::Future as _;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use asyncio_core::{
    CancelledError, EventLoop, Exception, Future, Result, RuntimeError, Task, TaskGroupCancelled,
    TimeoutError, ValueError, as_completed, create_local_task, create_task, current_task, gather,
    get_running_loop, new_event_loop, run, shield, sleep, task_group, timeout, wait, wait_for,
};

use crate::support::{Alive, Counted, cancel_message, error_of, fails_with, on_threads, turns};

fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("the thread does not panic")
}

/// A loop that runs on a thread of its own until it is told to stop.
struct Elsewhere {
    event_loop: EventLoop,
    thread: JoinHandle<Result<()>>,
}

impl Elsewhere {
    fn start() -> Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || {
            let event_loop = new_event_loop()?;
            event_loop.set_exception_handler(Some(Box::new(|_, _| ())))?;
            let _ = sender.send(EventLoop::clone(&event_loop));
            event_loop.run_forever()?;
            event_loop.close().map_err(Into::into)
        });
        Ok(Self {
            event_loop: receiver.recv()?,
            thread,
        })
    }

    /// What a function makes there.
    fn make<T: Send + 'static>(&self, make: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (sender, receiver) = mpsc::channel();
        self.event_loop.call_soon_threadsafe(move || {
            let _ = sender.send(make());
        })?;
        Ok(receiver.recv()?)
    }

    fn stop(self) -> Result<()> {
        self.event_loop.stop();
        joined(self.thread)
    }
}

/// Cleans up for a while when it is cancelled, and passes the error on.
async fn cleans_up(held: Counted) -> Result<&'static str> {
    let cancelled = sleep(3600).await;
    sleep(0.001).await?;
    held.touch();
    cancelled.map(|()| "never")
}

#[test]
fn a_task_of_a_loop_is_awaited_on_a_runtime() -> Result<()> {
    let other = Elsewhere::start()?;
    for threads in [2, 4] {
        let good: Task<u32> = other.make(|| {
            create_task(async {
                sleep(0.001).await?;
                Ok(7)
            })
        })?;
        let bad: Task<()> =
            other.make(|| create_task(async { Err(ValueError::new("odd").into()) }))?;
        let panicking: Task<()> = other.make(|| create_task(async { panic!("there") }))?;
        let copy = good.clone();
        on_threads(threads, async move {
            let (first, second) = (create_task(good), create_task(copy));
            assert_eq!((first.await?, second.await?), (7, 7));
            assert!(fails_with::<ValueError, _>(bad.await));
            assert!(error_of(panicking.await).to_string().contains("there"));
            Ok(())
        })?;
    }
    other.stop()
}

#[test]
fn a_task_of_a_runtime_is_awaited_on_a_loop() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let inside = runtime.enter();
    let good = create_task(async {
        sleep(0.001).await?;
        Ok(7)
    });
    let bad: Task<()> = create_task(async { Err(ValueError::new("odd").into()) });
    drop(inside);
    let copy = good.clone();
    run(async move {
        let (first, second) = (create_task(good), create_task(copy));
        assert_eq!((first.await?, second.await?), (7, 7));
        assert!(fails_with::<ValueError, _>(bad.await));
        Ok(())
    })
}

#[test]
fn a_task_of_one_runtime_is_awaited_and_cancelled_on_another() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let inside = runtime.enter();
    let good = create_task(async {
        sleep(0.001).await?;
        Ok(7)
    });
    let endless: Task<()> = create_task(async { sleep(3600).await });
    drop(inside);
    let watched = endless.clone();
    on_threads(2, async move {
        assert_eq!(good.await?, 7);
        let waits = create_task(endless);
        sleep(0.005).await?;
        assert!(waits.cancel());
        assert!(error_of(waits.await).is_cancelled());
        assert!(watched.cancelled(), "it was asked to end, and has");
        Ok(())
    })
}

/// Cancelling who waits: the await ends at once, and the request goes on to the other loop.
#[test]
fn who_awaits_another_loops_task_is_cancelled_at_once_and_so_is_the_task() -> Result<()> {
    let other = Elsewhere::start()?;
    let alive = Alive::default();
    for on_a_loop in [true, false] {
        let held = alive.one();
        let task: Task<&str> = other.make(|| create_task(cleans_up(held)))?;
        let watched = task.clone();
        let program = async move {
            let waits = create_task(task);
            sleep(0.005).await?;
            assert!(waits.cancel_with_message("enough"));
            let error = error_of(waits.await);
            assert_eq!(cancel_message(&error).as_deref(), Some("enough"));
            Ok(())
        };
        if on_a_loop {
            run(program)?;
        } else {
            on_threads(2, program)?;
        }
        let end = run(async { watched.await });
        assert!(error_of(end).is_cancelled(), "it has cleaned up and ended");
    }
    assert_eq!(alive.count(), 0);
    other.stop()
}

/// Who awaits is on a loop, and what is awaited on a runtime: both are reached by the request itself.
#[test]
fn a_request_passes_from_a_loop_to_a_task_of_a_runtime() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let alive = Alive::default();
    let inside = runtime.enter();
    let task = create_task(cleans_up(alive.one()));
    drop(inside);
    let watched = task.clone();
    run(async move {
        let waits = create_task(task);
        sleep(0.005).await?;
        waits.cancel_with_message("enough");
        let error = error_of(waits.await);
        assert_eq!(cancel_message(&error).as_deref(), Some("enough"));
        assert!(watched.cancelled(), "its clean-up was waited for");
        Ok(())
    })?;
    assert_eq!(alive.count(), 0);
    Ok(())
}

/// A loop that nobody runs does not answer, and a time limit does not wait until it does.
#[test]
fn a_time_limit_holds_for_a_task_of_a_loop_that_stands_still() -> Result<()> {
    let event_loop = new_event_loop()?;
    event_loop.set_exception_handler(Some(Box::new(|_, _| ())))?;
    let task: Task<()> = event_loop.create_task(async { sleep(3600).await });
    let future: Future<()> = event_loop.create_future();
    let (first, second, third) = (task.clone(), task.clone(), future.clone());
    let there = thread::spawn(move || {
        on_threads(2, async move {
            assert!(fails_with::<TimeoutError, _>(timeout(0.01, first).await));
            assert!(fails_with::<TimeoutError, _>(wait_for(second, 0.01).await));
            assert!(fails_with::<TimeoutError, _>(timeout(0.01, third).await));
            Ok(())
        })
    });
    joined(there)?;
    // Once it runs it finds the requests.
    event_loop.run_until_complete(turns(3))?;
    assert!(task.cancelled() && future.cancelled());
    event_loop.close().map_err(Into::into)
}

/// The request and the end of what is awaited cross on their way.
#[test]
fn a_request_that_crosses_the_result_is_not_lost() -> Result<()> {
    let other = Elsewhere::start()?;
    for on_a_loop in [true, false] {
        let theirs = other.event_loop.clone();
        let future: Future<u8> = other.make(move || theirs.create_future())?;
        let (awaited, setter) = (future.clone(), future);
        let event_loop = other.event_loop.clone();
        let program = async move {
            let waits: Task<u8> = create_task(async move {
                let value = awaited.await?;
                sleep(3600).await?;
                Ok(value)
            });
            sleep(0.005).await?;
            // The other loop is kept busy until the request is in its mail, and sets the future first.
            let (sent, is_sent) = mpsc::channel::<()>();
            let (busy, is_busy) = mpsc::channel();
            event_loop.call_soon_threadsafe(move || {
                let _ = busy.send(());
                let _ = is_sent.recv();
                setter.set_result(7)
            })?;
            is_busy.recv()?;
            assert!(waits.cancel());
            drop(sent);
            assert!(fails_with::<CancelledError, _>(waits.await));
            Ok(())
        };
        if on_a_loop {
            run(program)?;
        } else {
            on_threads(2, program)?;
        }
    }
    other.stop()
}

/// Who gives a wait up leaves nothing behind at what he waited for, on whichever thread it lives.
#[test]
fn waits_for_another_loops_future_that_come_and_go_leave_nothing_there() -> Result<()> {
    let other = Elsewhere::start()?;
    let theirs = other.event_loop.clone();
    let future: Future<()> = other.make(move || theirs.create_future())?;
    let alive = Alive::default();
    let held: Vec<Counted> = (0..100).map(|_| alive.one()).collect();
    let never = future.clone();
    on_threads(2, async move {
        for held in held {
            let never = never.clone();
            // Its value lives as long as the task's memory.
            let task: Task<Counted> = create_task(async move {
                let mut never = Box::pin(never);
                assert!(::futures::poll!(&mut never).is_pending());
                drop(never);
                Ok(held)
            });
            wait([&task]).await?;
        }
        Ok(())
    })?;
    // What was asked of the other loop is done when it has come to what is asked now.
    other.make(|| ())?;
    assert_eq!(alive.count(), 0);
    assert!(!future.done());
    other.stop()
}

/// A wait that reaches a loop while it is being closed.
#[test]
fn who_comes_while_a_loop_is_being_closed_hears_of_the_end() -> Result<()> {
    struct Knock(mpsc::Sender<()>, mpsc::Receiver<()>);
    impl Drop for Knock {
        fn drop(&mut self) {
            // The loop is past reading its mail by now.
            let _ = self.0.send(());
            let _ = self.1.recv_timeout(Duration::from_secs(5));
        }
    }
    let (knocks, knocked) = mpsc::channel();
    let (has_come, comes) = mpsc::channel();
    let event_loop = new_event_loop()?;
    let knock = Knock(knocks, comes);
    let task: Task<()> = event_loop.create_task(async { sleep(3600).await });
    event_loop.set_exception_handler(Some(Box::new(move |_, _| {
        let _ = &knock;
    })))?;
    let awaited = task.clone();
    let there = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            knocked.recv()?;
            let mut awaited = Box::pin(awaited);
            // Polled again only when it is woken, or too late.
            let waits = std::future::poll_fn(|cx| {
                let polled = awaited.as_mut().poll(cx);
                let _ = has_come.send(());
                polled
            });
            tokio::time::timeout(Duration::from_secs(10), waits).await?
        })
    });
    let closed = Instant::now();
    event_loop.close()?;
    let ended = joined(there);
    assert!(fails_with::<CancelledError, _>(ended));
    assert!(closed.elapsed() < Duration::from_secs(5), "it was woken");
    drop(task);
    Ok(())
}

#[test]
fn combinators_take_tasks_of_other_loops_or_say_why_not() -> Result<()> {
    let other = Elsewhere::start()?;
    let theirs: Task<u8> = other.make(|| {
        create_task(async {
            sleep(0.002).await?;
            Ok(7)
        })
    })?;
    let program = |theirs: Task<u8>| async move {
        let shielded = shield(theirs.clone()).await?;
        assert_eq!(shielded, 7);
        let (done, pending) = wait([theirs.clone()]).await?;
        assert_eq!((done.len(), pending.len()), (1, 0));
        assert_eq!(wait_for(theirs.clone(), 5).await?, 7);
        for next in as_completed([theirs.clone()]) {
            assert_eq!(next.await?, 7);
        }
        let mine = create_task(async { Ok(1) });
        // As in CPython a gather is of one loop.
        assert!(fails_with::<ValueError, _>(
            gather((mine.clone(), theirs)).await
        ));
        mine.await
    };
    assert_eq!(run(program(theirs.clone()))?, 1);
    assert_eq!(on_threads(2, program(theirs))?, 1);
    other.stop()
}

/// A group's own task is on a runtime and has tasks on a loop of another thread: the group waits for
/// all of them.
#[test]
fn a_group_has_tasks_on_several_loops_and_runtimes() -> Result<()> {
    let other = Elsewhere::start()?;
    for fails in [false, true] {
        let there = other.event_loop.clone();
        let program = async move {
            let ended = task_group(async |group| {
                let theirs = group.clone();
                there.call_soon_threadsafe(move || {
                    theirs.create_task(async move {
                        sleep(0.002).await?;
                        if fails {
                            return Err(ValueError::new("there").into());
                        }
                        Ok(())
                    });
                })?;
                group.create_task(async move { sleep(if fails { 3600.0 } else { 0.004 }).await });
                sleep(0.001).await
            })
            .await;
            assert_eq!(current_task().map(|me| me.cancelling()), Some(0));
            match ended {
                Ok(()) => assert!(!fails),
                Err(error) => {
                    let group = error.as_group().expect("a group");
                    assert!(fails && group.exceptions().len() == 1, "{error:?}");
                }
            }
            sleep(0).await
        };
        on_threads(2, program)?;
    }
    other.stop()
}

/// A group of a loop is that loop's: on another thread it starts nothing, says so, and can be cancelled.
#[test]
fn a_group_of_a_loop_starts_no_tasks_on_another_thread() -> Result<()> {
    let other = Elsewhere::start()?;
    let there = other.event_loop.clone();
    run(async move {
        let (send, receive) = tokio::sync::oneshot::channel();
        let ended = task_group(async |group| {
            let theirs = group.clone();
            there.call_soon_threadsafe(move || {
                let refused = theirs.try_create_task(async { Ok(()) }).is_err();
                let shown = format!("{theirs:?}");
                theirs.cancel();
                drop(send.send((refused, shown)));
            })?;
            sleep(3600).await
        })
        .await;
        assert!(ended.is_err_and(|error| error.is::<TaskGroupCancelled>()));
        let (refused, shown) = receive.await.map_err(Exception::new)?;
        assert!(refused);
        assert_eq!(shown, "<TaskGroup elsewhere>");
        assert_eq!(current_task().map(|me| me.cancelling()), Some(0));
        Ok(())
    })?;
    other.stop()
}

/// Everything that may outlive its runtime.
#[test]
fn tasks_outlive_their_runtime() -> Result<()> {
    let alive = Alive::default();
    for background in [true, false] {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let inside = runtime.enter();
        let (first, second, third) = (alive.one(), alive.one(), alive.one());
        let finished: Task<Counted> = create_task(async move { Ok(first) });
        let (send, receive) = mpsc::channel();
        let pending: Task<Counted> = create_task(async move {
            let mut sent = false;
            std::future::poll_fn(|cx| {
                if !std::mem::replace(&mut sent, true) {
                    let _ = send.send(cx.waker().clone());
                }
                std::task::Poll::<()>::Pending
            })
            .await;
            Ok(second)
        });
        let waits = {
            let awaited = pending.clone();
            create_task(async move {
                third.touch();
                awaited.await
            })
        };
        let waker = receive.recv()?;
        while !finished.done() {
            thread::yield_now();
        }
        drop(inside);
        if background {
            runtime.shutdown_background();
        } else {
            drop(runtime);
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while !(pending.done() && waits.done()) {
            assert!(Instant::now() < deadline, "the runtime drops its tasks");
            thread::yield_now();
        }
        waker.wake_by_ref();
        assert!(!pending.cancel() && pending.cancelled());
        let handle = pending.handle().expect("a task");
        assert_eq!((handle.cancelling(), handle.uncancel()), (0, 0));
        assert!(handle.exception().is_err_and(|error| error.is_cancelled()));
        // On a loop, on another thread, and nowhere.
        assert!(error_of(run(async move { waits.await })).is_cancelled());
        let there = thread::spawn(move || finished.result().map(drop));
        joined(there)?;
        assert!(error_of(::futures::executor::block_on(pending)).is_cancelled());
        waker.wake();
        drop(handle);
    }
    assert_eq!(alive.count(), 0);
    Ok(())
}

/// A loop, its tasks, and a runtime that awaits them go in any order.
#[test]
fn loops_and_runtimes_that_await_each_other_go_in_any_order() -> Result<()> {
    for loop_first in [true, false] {
        let event_loop = new_event_loop()?;
        event_loop.set_exception_handler(Some(Box::new(|_, _| ())))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let on_loop: Task<()> = event_loop.create_task(async { sleep(3600).await });
        let inside = runtime.enter();
        let awaited = on_loop.clone();
        let on_runtime: Task<()> = create_task(awaited);
        drop(inside);
        let awaited = on_runtime.clone();
        let back: Task<()> = event_loop.create_task(awaited);
        event_loop.run_until_complete(sleep(0.01))?;
        if loop_first {
            event_loop.close()?;
            let ended = runtime.block_on(async {
                tokio::time::timeout(Duration::from_secs(10), on_runtime.clone()).await
            });
            assert!(error_of(ended?).is_cancelled());
            drop(runtime);
        } else {
            drop(runtime);
            let ended = event_loop.run_until_complete(async move { timeout(10, back).await });
            assert!(error_of(ended).is_cancelled());
            event_loop.close()?;
        }
        assert!(on_runtime.cancelled());
        drop((on_loop, on_runtime));
    }
    Ok(())
}

/// `call_soon_threadsafe` and a callback of a task, from tasks on a runtime.
#[test]
fn tasks_of_a_runtime_call_back_into_a_loop() -> Result<()> {
    run(async {
        let event_loop = get_running_loop()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let future: Future<u8> = event_loop.create_future();
        let setter = future.clone();
        let here = thread::current().id();
        let inside = runtime.enter();
        // Not on this loop: its own thread is the one that calls.
        let started = tokio::spawn(async move {
            create_task(async move {
                event_loop.call_soon_threadsafe(move || {
                    assert_eq!(thread::current().id(), here);
                    setter.set_result(7)
                })?;
                Ok(())
            })
            .await
        });
        drop(inside);
        started.await??;
        assert_eq!(future.await?, 7);
        runtime.shutdown_background();
        Ok(())
    })
}

/// A done callback may be added from any thread, and runs where the task lives.
#[test]
fn done_callbacks_are_added_from_other_threads() -> Result<()> {
    let other = Elsewhere::start()?;
    let (sender, receiver) = mpsc::channel();
    let there = other.make(|| thread::current().id())?;
    let task: Task<u8> = other.make(|| {
        create_task(async {
            sleep(0.01).await?;
            Ok(7)
        })
    })?;
    let first = sender.clone();
    task.add_done_callback(move |task| {
        let _ = first.send((thread::current().id(), task.result().ok()));
    });
    assert_eq!(receiver.recv()?, (there, Some(7)));
    let second = sender.clone();
    task.add_done_callback(move |task| {
        let _ = second.send((thread::current().id(), task.result().ok()));
    });
    assert_eq!(
        receiver.recv()?,
        (there, Some(7)),
        "of one that is done, too"
    );
    other.stop()?;
    // Elsewhere its result can be had now that the loop is closed, and not before.
    assert_eq!(task.result()?, 7);
    Ok(())
}

/// The result of a task that belongs to another thread's running loop.
#[test]
fn results_are_asked_for_where_they_belong() -> Result<()> {
    let other = Elsewhere::start()?;
    let task: Task<u8> = other.make(|| create_task(async { Ok(7) }))?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !task.done() {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
    assert!(fails_with::<RuntimeError, _>(task.result()));
    assert!(fails_with::<RuntimeError, _>(task.exception()));
    assert_eq!(run(async move { task.await })?, 7);
    other.stop()
}

/// Two loops whose tasks await each other in a circle: cancelling any of them ends all.
#[test]
fn a_circle_through_two_threads_is_cancelled() -> Result<()> {
    let other = Elsewhere::start()?;
    let (give, take) = tokio::sync::oneshot::channel::<Task<()>>();
    let there: Task<()> = other.make(|| {
        create_task(async move {
            let next = take.await?;
            next.await
        })
    })?;
    let watched = there.clone();
    on_threads(2, async move {
        let here = create_task(async move { there.await });
        let _ = give.send(here.clone());
        sleep(0.01).await?;
        here.cancel();
        assert!(error_of(here.await).is_cancelled());
        assert!(error_of(watched.await).is_cancelled());
        Ok(())
    })?;
    other.stop()
}

/// Waits for the other thread's task while requests come from a third.
#[test]
fn requests_race_with_results_between_threads() -> Result<()> {
    let other = Elsewhere::start()?;
    let event_loop = other.event_loop.clone();
    on_threads(4, async move {
        for round in 0..2_000_u32 {
            let (send, receive) = tokio::sync::oneshot::channel();
            event_loop.call_soon_threadsafe(move || {
                let task: Task<u32> = create_local_task(async move {
                    for _ in 0..round % 4 {
                        sleep(0).await?;
                    }
                    Ok(round)
                });
                let _ = send.send(task);
            })?;
            let theirs = receive.await?;
            let waits: Task<u32> = create_task(async move {
                let value = theirs.await?;
                sleep(3600).await?;
                Ok(value)
            });
            if round % 2 == 0 {
                sleep(0).await?;
            }
            assert!(waits.cancel());
            let ended = waits.await;
            assert!(
                matches!(&ended, Err(error) if error.is_cancelled()),
                "{ended:?}"
            );
        }
        Ok::<(), Exception>(())
    })?;
    other.stop()
}
