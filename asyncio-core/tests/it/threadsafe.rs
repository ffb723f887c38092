//! `run_coroutine_threadsafe`, and the job that it returns.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use asyncio_core::{
    CancelledError, ContextVar, Delay, EventLoop, InvalidStateError, Job, MultiThreadRunner,
    Result, Runner, RunsThreadsafe, RuntimeError, TimeoutError, ValueError, all_tasks, create_task,
    current_task, get_running_loop, new_event_loop, run, run_coroutine_threadsafe, sleep, timeout,
    to_thread, wrap_future,
};

use crate::support::{Alive, Reports, error_of, fails_with, on_threads, run_virtual, turns};

async fn add(a: u32, b: u32) -> Result<u32> {
    sleep(0.01).await?;
    Ok(a + b)
}

/// What a thread of the loop's pool makes of it, blocking for the result.
async fn in_a_thread<T: Send + 'static>(
    submit: impl FnOnce(&EventLoop) -> Job<T> + Send + 'static,
    timeout: Option<f64>,
) -> Result<T> {
    let event_loop = get_running_loop()?;
    to_thread(move || {
        let job = submit(&event_loop);
        let result = job.result(timeout.map(Delay::from));
        assert!(job.done() || job.cancel());
        result
    })
    .await
}

/// `test_tasks.RunCoroutineThreadsafeTests.test_run_coroutine_threadsafe`
#[test]
fn a_coroutine_is_submitted_from_a_thread() -> Result<()> {
    let sum = run(in_a_thread(
        |event_loop| run_coroutine_threadsafe(add(1, 2), event_loop),
        None,
    ))?;
    assert_eq!(sum, 3);
    Ok(())
}

/// `test_tasks.RunCoroutineThreadsafeTests.test_run_coroutine_threadsafe_with_exception`
#[test]
fn its_exception_is_raised_in_the_thread() {
    let fails = async {
        sleep(0.01).await?;
        Err::<u32, _>(RuntimeError::new("Fail!").into())
    };
    let result = run(in_a_thread(
        |event_loop| run_coroutine_threadsafe(fails, event_loop),
        None,
    ));
    assert_eq!(error_of(result).to_string(), "Fail!");
}

/// `test_tasks.RunCoroutineThreadsafeTests.test_run_coroutine_threadsafe_with_timeout`
#[test]
fn a_thread_that_waits_no_longer_cancels_the_task() -> Result<()> {
    run(async {
        let result = in_a_thread(
            |event_loop| run_coroutine_threadsafe(async { sleep(3600).await }, event_loop),
            Some(0.0),
        );
        assert!(fails_with::<TimeoutError, _>(result.await));
        turns(3).await?;
        assert_eq!(all_tasks().len(), 1, "it has been cancelled");
        Ok(())
    })
}

/// `test_tasks.RunCoroutineThreadsafeTests.test_run_coroutine_threadsafe_task_cancelled`
#[test]
fn a_task_that_is_cancelled_cancels_the_job() -> Result<()> {
    run(async {
        let cancels_itself = async {
            sleep(0.01).await?;
            current_task().expect("it is a task").cancel();
            sleep(0).await
        };
        let result = in_a_thread(
            |event_loop| run_coroutine_threadsafe(cancels_itself, event_loop),
            None,
        );
        assert!(fails_with::<CancelledError, _>(result.await));
        Ok(())
    })
}

/// `test_tasks.RunCoroutineThreadsafeTests.test_run_coroutine_threadsafe_task_factory_exception`
#[test]
fn a_task_factory_that_fails_is_told_to_both_sides() -> Result<()> {
    run(async {
        let event_loop = get_running_loop()?;
        let reports = Reports::of_running()?;
        let theirs = event_loop.clone();
        let job = tokio::task::spawn_blocking(move || {
            run_coroutine_threadsafe(add(1, 2), &theirs).result(5)
        });
        event_loop.set_task_factory(Some(Box::new(|_| panic!("no tasks today"))))?;
        let error = error_of(job.await?);
        event_loop.set_task_factory(None)?;
        assert!(error.is_panic() && error.to_string().contains("no tasks today"));
        let lines = reports.take_lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("Exception in callback"), "{lines:?}");
        Ok(())
    })
}

/// A loop on a thread of its own, a runner with many threads, and a runtime that is not ours.
fn everywhere(program: impl Fn(&(dyn RunsThreadsafe + Sync)) -> Result<()>) -> Result<()> {
    let (sender, receiver) = mpsc::channel();
    let there = thread::spawn(move || {
        let event_loop = new_event_loop()?;
        let _ = sender.send(EventLoop::clone(&event_loop));
        event_loop.run_forever()
    });
    let event_loop = receiver.recv()?;
    program(&event_loop)?;
    event_loop.stop();
    there.join().expect("it does not panic")?;
    for threads in [2, 4] {
        let runner = Runner::builder().worker_threads(threads).build()?;
        program(&runner.handle()?)?;
        runner.close()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()?;
        program(runtime.handle())?;
    }
    Ok(())
}

#[test]
fn results_and_errors_come_from_everywhere() -> Result<()> {
    everywhere(|place| {
        assert_eq!(run_coroutine_threadsafe(add(1, 2), place).result(30)?, 3);
        let fails = async { Err::<(), _>(ValueError::new("odd").into()) };
        let failed = run_coroutine_threadsafe(fails, place).result(30);
        assert!(fails_with::<ValueError, _>(failed));
        let panics = run_coroutine_threadsafe::<(), _, _>(async { panic!("there") }, place);
        assert!(error_of(panics.result(30)).is_panic());
        let jobs: Vec<Job<u32>> = (0..50)
            .map(|number| run_coroutine_threadsafe(add(number, 1), place))
            .collect();
        for (number, job) in (0..).zip(jobs) {
            assert_eq!(job.result(30)?, number + 1);
        }
        Ok(())
    })
}

/// Cancelling the job asks the task to end, with all that this means.
#[test]
fn cancelling_the_job_cancels_the_task_which_cleans_up() -> Result<()> {
    everywhere(|place| {
        let (alive, (sender, receiver)) = (Alive::default(), mpsc::channel());
        let (held, begun) = (alive.one(), sender.clone());
        let job = run_coroutine_threadsafe(
            async move {
                let _ = begun.send("begun");
                let slept = sleep(3600).await;
                sleep(0.001).await?;
                held.touch();
                let _ = sender.send("cleaned up");
                slept
            },
            place,
        );
        assert_eq!(receiver.recv()?, "begun");
        assert!(!job.done() && !job.running());
        assert!(
            job.cancel() && job.cancel(),
            "it is cancelled, and stays so"
        );
        assert!(job.cancelled() && job.done());
        assert!(fails_with::<CancelledError, _>(job.result(None)));
        assert_eq!(
            receiver.recv_timeout(Duration::from_secs(30))?,
            "cleaned up"
        );
        while alive.count() > 0 {
            thread::yield_now();
        }
        Ok(())
    })
}

#[test]
fn a_job_that_is_cancelled_before_its_coroutine_begins_keeps_it_from_that() -> Result<()> {
    let event_loop = new_event_loop()?;
    let alive = Alive::default();
    let held = alive.one();
    let job = run_coroutine_threadsafe(
        async move {
            held.touch();
            panic!("never begins")
        },
        &*event_loop,
    );
    let _: &Job<()> = &job;
    assert!(job.cancel());
    assert_eq!(alive.count(), 1, "the loop has not run yet");
    event_loop.run_until_complete(turns(4))?;
    assert_eq!(alive.count(), 0);
    assert!(fails_with::<CancelledError, _>(job.result(None)));
    event_loop.close().map_err(Into::into)
}

#[test]
fn the_result_is_had_once() -> Result<()> {
    everywhere(|place| {
        let job = run_coroutine_threadsafe(add(1, 2), place);
        assert_eq!(job.result(30)?, 3);
        assert!(!job.cancel(), "it is done");
        assert!(fails_with::<InvalidStateError, _>(job.result(30)));
        Ok(())
    })
}

#[test]
fn several_threads_may_wait_and_one_has_the_result() -> Result<()> {
    everywhere(|place| {
        let job = run_coroutine_threadsafe(add(1, 2), place);
        let taken = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| match job.result(30) {
                    Ok(sum) => drop(taken.fetch_add(sum as usize, Ordering::SeqCst)),
                    Err(error) => assert!(error.is::<InvalidStateError>(), "{error:?}"),
                });
            }
        });
        assert_eq!(taken.load(Ordering::SeqCst), 3);
        Ok(())
    })
}

#[test]
fn done_callbacks_are_called_once_each_whenever_they_are_added() -> Result<()> {
    everywhere(|place| {
        let (sender, receiver) = mpsc::channel();
        let job = run_coroutine_threadsafe(add(1, 2), place);
        for number in 0..3 {
            let sender = sender.clone();
            job.add_done_callback(move |job| {
                let _ = sender.send((number, job.done()));
            });
        }
        // A panic in one of them is nobody else's concern.
        job.add_done_callback(|job| assert!(!job.done(), "in a callback"));
        let last = sender.clone();
        job.add_done_callback(move |job| {
            let _ = last.send((3, job.done()));
        });
        let called: Vec<_> = receiver.iter().take(4).collect();
        assert_eq!(called, [(0, true), (1, true), (2, true), (3, true)]);
        job.add_done_callback(move |job| {
            let _ = sender.send((4, job.result(0).is_ok()));
        });
        assert_eq!(receiver.try_recv()?, (4, true), "at once");
        Ok(())
    })
}

static USER: ContextVar<&str> = ContextVar::new("user");

#[test]
fn the_coroutine_runs_in_a_copy_of_the_callers_context() -> Result<()> {
    everywhere(|place| {
        let context = asyncio_core::Context::new();
        let job = context.run(|| {
            USER.set("ada").map(drop)?;
            let seen = async { Ok(USER.get()) };
            Ok::<_, RuntimeError>(run_coroutine_threadsafe(seen, place))
        });
        assert_eq!(job??.result(30)?, Some("ada"));
        Ok(())
    })
}

/// As `wrap_future` does it in CPython: cancelling who awaits cancels the task there.
#[test]
fn a_job_is_awaited_on_another_loop_and_cancelled_with_its_awaiter() -> Result<()> {
    everywhere(|place| {
        for on_a_loop in [true, false] {
            let job = run_coroutine_threadsafe(add(1, 2), place);
            let sum = if on_a_loop {
                run(job)?
            } else {
                on_threads(2, job)?
            };
            assert_eq!(sum, 3);
            let (sender, receiver) = mpsc::channel();
            let endless = async move {
                let slept = sleep(3600).await;
                let _ = sender.send(slept.is_err());
                slept
            };
            let job = run_coroutine_threadsafe(endless, place);
            let program = async move {
                let late = timeout(0.02, job).await;
                assert!(fails_with::<TimeoutError, _>(late));
                Ok(())
            };
            if on_a_loop {
                run(program)?;
            } else {
                on_threads(2, program)?;
            }
            assert!(receiver.recv_timeout(Duration::from_secs(30))?);
        }
        Ok(())
    })
}

/// `test_futures.BaseFutureTests.test_wrap_future`, `test_wrap_future_cancel`,
/// `test_wrap_future_cancel2`
#[test]
fn a_job_is_wrapped() -> Result<()> {
    everywhere(|place| {
        let good = run_coroutine_threadsafe(add(1, 2), place);
        let (sender, receiver) = mpsc::channel();
        let endless = async move {
            let slept = sleep(3600).await;
            let _ = sender.send(slept.is_err());
            slept
        };
        let endless = run_coroutine_threadsafe(endless, place);
        run(async move {
            let wrapped = wrap_future(good);
            assert_eq!((&wrapped).await?, 3);
            assert!(!wrapped.cancel());
            let wrapped = wrap_future(endless);
            sleep(0.01).await?;
            assert!(wrapped.cancel());
            assert!(error_of(wrapped.await).is_cancelled());
            Ok(())
        })?;
        assert!(receiver.recv_timeout(Duration::from_secs(30))?);
        Ok(())
    })
}

#[test]
fn a_place_that_is_closed_or_closes_is_waited_for_by_nobody() -> Result<()> {
    let closed = |job: Job<u32>| {
        assert!(job.done());
        assert!(fails_with::<RuntimeError, _>(job.result(None)));
    };
    // Before the loop ran it at all, and while it was running.
    for runs in [false, true] {
        let event_loop = new_event_loop()?;
        event_loop.set_exception_handler(Some(Box::new(|_, _| ())))?;
        let alive = Alive::default();
        let held = alive.one();
        let job = run_coroutine_threadsafe(
            async move {
                let slept = sleep(3600).await;
                held.touch();
                slept
            },
            &*event_loop,
        );
        if runs {
            event_loop.run_until_complete(turns(4))?;
        }
        event_loop.close()?;
        assert!(job.cancelled());
        assert!(fails_with::<CancelledError, _>(job.result(None)));
        assert_eq!(alive.count(), 0);
        closed(run_coroutine_threadsafe(add(1, 2), &*event_loop));
    }
    let runner: MultiThreadRunner = Runner::builder().worker_threads(2).build()?;
    let job = run_coroutine_threadsafe(async { sleep(3600).await }, &runner);
    let handle = runner.handle()?;
    runner.close()?;
    assert!(fails_with::<CancelledError, _>(job.result(30)));
    closed(run_coroutine_threadsafe(add(1, 2), &runner));
    // Of tokio's own handle nobody can tell beforehand.
    let late = run_coroutine_threadsafe(add(1, 2), &handle);
    assert!(fails_with::<CancelledError, _>(late.result(30)));
    let runtime = tokio::runtime::Runtime::new()?;
    let job = run_coroutine_threadsafe(async { sleep(3600).await }, runtime.handle());
    runtime.shutdown_background();
    assert!(fails_with::<CancelledError, _>(job.result(30)));
    Ok(())
}

/// On a runner the task is among its tasks, on a loop among the loop's.
#[test]
fn the_task_belongs_to_the_place() -> Result<()> {
    let runner = Runner::builder().worker_threads(2).build()?;
    let count = async { Ok(all_tasks().len()) };
    assert_eq!(run_coroutine_threadsafe(count, &runner).result(30)?, 1);
    runner.close()?;
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let count = async { Ok((all_tasks().len(), get_running_loop()?)) };
        let job = run_coroutine_threadsafe(count, &event_loop);
        assert_eq!(job.await?, (2, event_loop));
        Ok(())
    })
}

/// From the loop's own thread it is awaited; the turns are those of CPython.
#[test]
fn on_its_own_loop_it_takes_the_turns_that_it_takes_in_cpython() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let begun = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&begun);
        let job = run_coroutine_threadsafe(
            async move {
                theirs.fetch_add(1, Ordering::SeqCst);
                sleep(0).await
            },
            &event_loop,
        );
        // call_soon_threadsafe; the task's first step; its second; its callback.
        let mut seen = Vec::new();
        for _ in 0..4 {
            sleep(0).await?;
            seen.push((begun.load(Ordering::SeqCst), job.done()));
        }
        assert_eq!(seen, [(0, false), (1, false), (1, false), (1, true)]);
        // Cancelled here, the task hears of it a turn later.
        let task = create_task(async { sleep(3600).await });
        let awaited = task.clone();
        let job = run_coroutine_threadsafe(awaited, &event_loop);
        turns(3).await?;
        job.cancel();
        let mut seen = Vec::new();
        for _ in 0..3 {
            sleep(0).await?;
            seen.push(task.done());
        }
        assert_eq!(seen, [false, true, true]);
        Ok(())
    })
}
