//! `asyncio/threads.py`, `concurrent/futures/thread.py`, and the executor part of
//! `asyncio/base_events.py`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use asyncio_core::{
    BrokenThreadPool, CancelledError, ContextVar, Exception, Executor, Job, Result, Runner,
    RuntimeError, ThreadPoolExecutor, TimeoutError, ValueError, Work, create_task, gather,
    gather_iter, get_running_loop, new_event_loop, run, sleep, timeout, to_thread,
};

use crate::support::{Alive, Log, Reports, begun, error_of, fails_with, run_virtual, turns};

fn here() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

/// A job that runs until it is told to stop, or its sender is gone.
fn held() -> (Sender<()>, impl FnOnce() -> Result<()> + Send + 'static) {
    let (release, released) = channel::<()>();
    (release, move || {
        // Either way it is over.
        let _ = released.recv();
        Ok(())
    })
}

/// `test_threads.ToThreadTests.test_to_thread`, `test_threads.ToThreadTests.test_to_thread_args_kwargs`
#[test]
fn the_result_of_a_function_on_another_thread_comes_back() -> Result<()> {
    let base = 40;
    let (sum, name) = run(async move { to_thread(move || Ok((base + 2, here()))).await })?;
    assert_eq!((sum, name.as_str()), (42, "asyncio_0"));
    Ok(())
}

/// `test_threads.ToThreadTests.test_to_thread_exception`
#[test]
fn what_the_function_fails_with_is_the_callers_exception() {
    let result = run(async { to_thread::<(), _>(|| Err(ValueError::new("test").into())).await });
    assert!(fails_with::<ValueError, _>(result));
}

#[test]
fn a_panic_of_the_function_is_the_callers_exception_and_the_thread_goes_on() -> Result<()> {
    run(async {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(1)
            .thread_name_prefix("one")
            .build()?;
        get_running_loop()?.set_default_executor(pool)?;
        for _ in 0..3 {
            let error = error_of(to_thread::<(), _>(|| panic!("in a job")).await);
            assert!(error.is_panic());
            assert_eq!(error.to_string(), "task panicked: in a job");
        }
        assert_eq!(to_thread(|| Ok(here())).await?, "one_0");
        Ok(())
    })
}

/// `test_threads.ToThreadTests.test_to_thread_once`
#[test]
fn the_function_is_called_once() -> Result<()> {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    run(to_thread(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }))?;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    Ok(())
}

/// `test_threads.ToThreadTests.test_to_thread_concurrent`
#[test]
fn several_functions_run_side_by_side() -> Result<()> {
    let barrier = Arc::new(std::sync::Barrier::new(3));
    run(async move {
        let meet = move || {
            let barrier = Arc::clone(&barrier);
            to_thread(move || {
                barrier.wait(); // only three at a time pass it
                Ok(())
            })
        };
        gather((meet(), meet(), meet())).await?;
        Ok(())
    })
}

static USER: ContextVar<&str> = ContextVar::with_default("user", "nobody");

/// `test_threads.ToThreadTests.test_to_thread_contextvars`
#[test]
fn the_function_sees_the_context_and_changes_only_its_copy() -> Result<()> {
    let program = || async {
        let _ = USER.set("ada")?;
        let seen = to_thread(|| {
            let seen = USER.get();
            let _ = USER.set("bob")?;
            Ok(seen)
        });
        assert_eq!(seen.await?, Some("ada"));
        assert_eq!(USER.get(), Some("ada"));
        Ok::<(), Exception>(())
    };
    run(program())?;
    on_tokio(async move { create_task(program()).await })
}

/// The context is copied when the function is handed over, not when the future is made.
#[test]
fn nothing_happens_before_the_first_await() -> Result<()> {
    run(async {
        let begun = Arc::new(AtomicBool::new(false));
        let mark = Arc::clone(&begun);
        let future = to_thread(move || {
            mark.store(true, Ordering::SeqCst);
            Ok(USER.get())
        });
        thread::sleep(Duration::from_millis(5));
        assert!(!begun.load(Ordering::SeqCst));
        let _ = USER.set("eve")?;
        assert_eq!(future.await?, Some("eve"));
        Ok(())
    })
}

/// `run_in_executor` takes no context variables along.
#[test]
fn run_in_executor_runs_outside_of_the_context() -> Result<()> {
    run(async {
        let _ = USER.set("ada")?;
        let seen = get_running_loop()?.run_in_executor(None, || Ok(USER.get()));
        assert_eq!(seen.await?, Some("nobody"));
        Ok(())
    })
}

#[test]
fn to_thread_needs_a_loop_or_a_runtime() {
    let result = futures::executor::block_on(to_thread(|| Ok(())));
    assert_eq!(error_of(result).to_string(), "no running event loop");
}

#[test]
fn a_hundred_thousand_calls_come_back_in_order_on_few_threads() -> Result<()> {
    let pool = ThreadPoolExecutor::builder().max_workers(4).build()?;
    let names: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let (theirs, seen) = (pool.clone(), Arc::clone(&names));
    run(async move {
        get_running_loop()?.set_default_executor(theirs.clone())?;
        for chunk in 0..10 {
            let calls = (0..10_000).map(|n| {
                let seen = Arc::clone(&seen);
                to_thread(move || {
                    let mut seen = seen.lock().expect("nothing panics here");
                    if !seen.contains(thread::current().name().unwrap_or_default()) {
                        seen.insert(here());
                    }
                    Ok(chunk * 10_000 + n)
                })
            });
            let results = gather_iter(calls).await?;
            assert!(
                results
                    .iter()
                    .copied()
                    .eq(chunk * 10_000..(chunk + 1) * 10_000)
            );
            assert!(theirs.threads() <= 4);
        }
        Ok(())
    })?;
    assert!(names.lock().expect("as above").len() <= 4);
    assert_eq!(pool.threads(), 0, "run has joined them");
    Ok(())
}

/// `test_base_events.BaseEventLoopTests.test_set_default_executor`; what is no thread pool is refused
/// by its type (`test_base_events.BaseEventLoopTests.test_set_default_executor_error`).
#[test]
fn the_default_executor_is_the_one_that_was_set() -> Result<()> {
    run(async {
        let event_loop = get_running_loop()?;
        let pool = ThreadPoolExecutor::builder()
            .max_workers(1)
            .thread_name_prefix("mine");
        let pool = pool.build()?;
        event_loop.set_default_executor(pool)?;
        assert_eq!(to_thread(|| Ok(here())).await?, "mine_0");
        assert_eq!(
            event_loop.run_in_executor(None, || Ok(here())).await?,
            "mine_0"
        );
        let other = ThreadPoolExecutor::builder()
            .thread_name_prefix("other")
            .build()?;
        assert_eq!(
            event_loop
                .run_in_executor(Some(&other), || Ok(here()))
                .await?,
            "other_0"
        );
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_run_in_executor`
#[test]
fn run_in_executor_runs_on_another_thread() -> Result<()> {
    let event_loop = new_event_loop()?;
    let mine = thread::current().id();
    let future = event_loop.run_in_executor(None, || Ok(("YO", thread::current().id())));
    let (text, theirs) = event_loop.run_until_complete(future)?;
    assert_eq!(text, "YO");
    assert_ne!(mine, theirs);
    event_loop.close()?;
    Ok(())
}

/// `test_events.EventLoopTestsMixin.test_run_in_executor_cancel`
#[test]
fn a_job_that_ends_after_its_loop_posts_nothing() -> Result<()> {
    let event_loop = new_event_loop()?;
    let reports = Reports::of(&event_loop)?;
    let alive = Alive::default();
    let (release, job) = held();
    let result = alive.one();
    let pool = ThreadPoolExecutor::new();
    let cancelled = event_loop.run_in_executor(Some(&pool), move || job().map(|()| result));
    let (other_release, job) = held();
    let result = alive.one();
    let left = event_loop.run_in_executor(Some(&pool), move || job().map(|()| result));
    event_loop.run_until_complete(sleep(0.005))?;
    assert!(cancelled.cancel());
    assert!(cancelled.cancelled());
    event_loop.close()?;
    drop((release, other_release));
    pool.shutdown(true, false);
    assert!(!left.done());
    drop((cancelled, left));
    assert_eq!(alive.count(), 0, "both results are dropped");
    assert!(reports.take().is_empty());
    Ok(())
}

#[test]
fn a_cancelled_task_cancels_its_job_only_before_it_begins() -> Result<()> {
    for through_future in [false, true] {
        run(async move {
            let event_loop = get_running_loop()?;
            let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
            event_loop.set_default_executor(pool)?;
            let begun = Arc::new(AtomicUsize::new(0));
            let start = |job: Box<dyn FnOnce() -> Result<()> + Send>| {
                let begun = Arc::clone(&begun);
                let event_loop = event_loop.clone();
                let function = move || {
                    begun.fetch_add(1, Ordering::SeqCst);
                    job()
                };
                create_task(async move {
                    if through_future {
                        event_loop.run_in_executor(None, function).await
                    } else {
                        to_thread(function).await
                    }
                })
            };
            let (release, job) = held();
            let running = start(Box::new(job));
            let queued = start(Box::new(|| Ok(())));
            while begun.load(Ordering::SeqCst) == 0 {
                sleep(0.0005).await?;
            }
            running.cancel();
            queued.cancel();
            assert!(error_of(running.await).is_cancelled());
            assert!(error_of(queued.await).is_cancelled());
            drop(release);
            to_thread(|| Ok(())).await?; // the thread has come past both
            assert_eq!(begun.load(Ordering::SeqCst), 1);
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_dropped_call_cancels_its_job_before_it_begins() -> Result<()> {
    run(async {
        let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
        get_running_loop()?.set_default_executor(pool)?;
        let (release, job) = held();
        let first = create_task(to_thread(job));
        turns(2).await?;
        let begun = Arc::new(AtomicBool::new(false));
        let mark = Arc::clone(&begun);
        let mut call = Box::pin(to_thread(move || {
            mark.store(true, Ordering::SeqCst);
            Ok(())
        }));
        assert!(futures::poll!(&mut call).is_pending());
        drop(call);
        drop(release);
        first.await?;
        to_thread(|| Ok(())).await?;
        assert!(!begun.load(Ordering::SeqCst));
        Ok(())
    })
}

#[test]
fn a_time_limit_around_a_thread_fires_while_it_runs() -> Result<()> {
    run(async {
        let (release, job) = held();
        let late = timeout(0.005, to_thread(job)).await;
        assert!(fails_with::<TimeoutError, _>(late));
        drop(release);
        Ok(())
    })
}

#[test]
fn a_virtual_clock_waits_for_jobs() -> Result<()> {
    run_virtual(async {
        let event_loop = get_running_loop()?;
        let slow = || {
            thread::sleep(Duration::from_millis(15));
            Ok(7)
        };
        assert_eq!(timeout(3600, to_thread(slow)).await?, 7);
        let future = event_loop.run_in_executor(None, slow);
        assert_eq!(timeout(3600, async { future.await }).await?, 7);
        let pool = ThreadPoolExecutor::new();
        assert_eq!(timeout(3600, pool.submit(slow)).await?, 7);
        assert_eq!(event_loop.time(), 0.0);
        // Nothing is held any more.
        sleep(3600).await?;
        assert_eq!(event_loop.time(), 3600.0);
        Ok(())
    })
}

/// The result is set in the turn after the thread has told of it, the task resumes in the next.
#[test]
fn a_result_takes_the_turns_that_it_takes_in_python() -> Result<()> {
    for through_future in [false, true] {
        let log = Log::default();
        let theirs = log.clone();
        run(async move {
            let event_loop = get_running_loop()?;
            let (done, is_done) = channel();
            let log = theirs.clone();
            let caller = event_loop.create_task({
                let (event_loop, log) = (event_loop.clone(), log.clone());
                async move {
                    let poster = event_loop.clone();
                    let job = move || {
                        let again = poster.clone();
                        poster.call_soon_threadsafe(move || {
                            again.call_soon_threadsafe(|| LATER.store(true, Ordering::SeqCst))?;
                            Ok::<(), RuntimeError>(())
                        })?;
                        let _ = done.send(());
                        Ok(())
                    };
                    if through_future {
                        event_loop.run_in_executor(None, job).await?;
                    } else {
                        to_thread(job).await?;
                    }
                    log.add(format!("resumed, later: {}", LATER.load(Ordering::SeqCst)));
                    Ok(())
                }
            });
            LATER.store(false, Ordering::SeqCst);
            turns(1).await?;
            // The loop is kept busy until both posts are there.
            let _ = is_done.recv();
            thread::sleep(Duration::from_millis(20));
            caller.await
        })?;
        assert_eq!(log.take(), ["resumed, later: true"]);
    }
    Ok(())
}

static LATER: AtomicBool = AtomicBool::new(false);

/// `test_base_events.BaseEventLoopTests.test_shutdown_default_executor_timeout`
#[test]
fn a_shutdown_gives_up_after_its_time() -> Result<()> {
    let (release, job) = held();
    let (done, is_done) = channel();
    let runner = Runner::new()?;
    runner.run(async move {
        let event_loop = get_running_loop()?;
        drop(event_loop.run_in_executor(None, move || {
            job()?;
            let _ = done.send(());
            Ok(())
        }));
        let begun = Instant::now();
        event_loop.shutdown_default_executor(0.01).await?;
        assert!(begun.elapsed() >= Duration::from_millis(10));
        let error = error_of(to_thread(|| Ok(())).await);
        assert!(error.is::<RuntimeError>());
        assert_eq!(error.to_string(), "Executor shutdown has been called");
        let error = error_of(event_loop.run_in_executor(None, || Ok(())).await);
        assert_eq!(error.to_string(), "Executor shutdown has been called");
        Ok(())
    })?;
    drop(release);
    runner.close()?;
    assert!(is_done.recv().is_ok(), "the thread has run to its end");
    Ok(())
}

#[test]
fn run_waits_for_jobs_that_nobody_awaits() -> Result<()> {
    let done = Arc::new(AtomicBool::new(false));
    let mark = Arc::clone(&done);
    run(async move {
        drop(get_running_loop()?.run_in_executor(None, move || {
            thread::sleep(Duration::from_millis(10));
            mark.store(true, Ordering::SeqCst);
            Ok(())
        }));
        Ok(())
    })?;
    assert!(done.load(Ordering::SeqCst));
    Ok(())
}

#[test]
fn an_executor_of_another_loop_or_a_closed_one_is_an_error() -> Result<()> {
    let event_loop = new_event_loop()?;
    let theirs = event_loop.clone();
    let error = thread::spawn(move || {
        let error = futures::executor::block_on(theirs.run_in_executor(None, || Ok(())));
        assert!(fails_with::<RuntimeError, _>(
            theirs.set_default_executor(ThreadPoolExecutor::new())
        ));
        error_of(error).to_string()
    });
    assert!(
        error
            .join()
            .expect("no panic")
            .starts_with("Non-thread-safe operation")
    );
    event_loop.close()?;
    let closed = futures::executor::block_on(event_loop.run_in_executor(None, || Ok(())));
    assert_eq!(error_of(closed).to_string(), "Event loop is closed");
    Ok(())
}

/// `test_concurrent_futures.test_thread_pool.ThreadPoolExecutorTest.test_default_workers`
#[test]
fn a_pool_has_as_many_threads_as_it_needs_and_may() -> Result<()> {
    let cpus = thread::available_parallelism()?.get();
    assert_eq!(ThreadPoolExecutor::new().max_workers(), (cpus + 4).min(32));
    assert!(fails_with::<ValueError, _>(
        ThreadPoolExecutor::builder().max_workers(0).build()
    ));
    let pool = ThreadPoolExecutor::builder().max_workers(3).build()?;
    assert_eq!(pool.threads(), 0, "threads are started as jobs come");
    let (releases, mut jobs): (Vec<_>, Vec<_>) = (0..5)
        .map(|_| {
            let (release, job) = held();
            (release, pool.submit(job))
        })
        .unzip();
    assert_eq!(pool.threads(), 3);
    drop(releases);
    jobs.iter_mut().try_for_each(|job| job.result(None))?;
    Ok(())
}

/// `test_concurrent_futures.test_thread_pool.ThreadPoolExecutorTest.test_idle_thread_reuse`
#[test]
fn an_idle_thread_is_used_again() -> Result<()> {
    let pool = ThreadPoolExecutor::new();
    for _ in 0..20 {
        pool.submit(|| Ok(())).result(None)?;
        // Time for the thread to find that there is nothing else to do.
        thread::sleep(Duration::from_millis(5));
    }
    assert!(
        pool.threads() < 5,
        "{} threads for one job at a time",
        pool.threads()
    );
    Ok(())
}

#[test]
fn jobs_begin_in_the_order_in_which_they_were_given() -> Result<()> {
    let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
    let order: Arc<Mutex<Vec<u32>>> = Arc::default();
    let log = Arc::clone(&order);
    let jobs = pool.map(
        move |n| {
            log.lock().expect("nothing panics here").push(n);
            Ok(n)
        },
        0..100,
    );
    let results: Vec<u32> = jobs
        .into_iter()
        .map(|job| job.result(None))
        .collect::<Result<_>>()?;
    assert!(results.iter().copied().eq(0..100));
    assert_eq!(*order.lock().expect("as above"), results);
    Ok(())
}

/// `test_concurrent_futures.test_shutdown.ThreadPoolShutdownTest.test_cancel_futures`,
/// `test_hang_global_shutdown_lock`, `ExecutorShutdownTest.test_run_after_shutdown`
#[test]
fn a_shutdown_runs_or_cancels_what_waits() -> Result<()> {
    for cancel_futures in [false, true] {
        let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
        let (release, job) = held();
        let first = pool.submit(job);
        while !first.running() {
            thread::yield_now();
        }
        let mut rest = pool.map(Ok, 0..10);
        pool.shutdown(false, cancel_futures);
        let error = error_of(pool.submit(|| Ok(())).result(None));
        assert_eq!(
            error.to_string(),
            "cannot schedule new futures after shutdown"
        );
        drop(release);
        pool.shutdown(true, false);
        assert_eq!(pool.threads(), 0);
        first.result(None)?;
        for (n, job) in rest.iter_mut().enumerate() {
            assert!(job.done());
            assert_eq!(job.cancelled(), cancel_futures);
            match job.result(None) {
                Ok(value) => assert_eq!(value, n),
                Err(error) => assert!(cancel_futures && error.is::<CancelledError>()),
            }
        }
    }
    Ok(())
}

#[test]
fn a_pool_that_nobody_holds_ends_after_its_jobs() -> Result<()> {
    let (done, is_done) = channel();
    let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
    let (release, job) = held();
    drop(pool.submit(job));
    drop(pool.submit(move || {
        let _ = done.send(());
        Ok(())
    }));
    drop(pool);
    drop(release);
    assert!(is_done.recv_timeout(Duration::from_secs(20)).is_ok());
    Ok(())
}

/// `test_concurrent_futures.test_init.ThreadPoolInitializerTest.test_initializer`
#[test]
fn each_thread_is_initialised_once() -> Result<()> {
    thread_local!(static READY: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
    let pool = ThreadPoolExecutor::builder()
        .max_workers(2)
        .initializer(|| {
            READY.set(READY.get() + 1);
            Ok(())
        })
        .build()?;
    let jobs = pool.map(|_| Ok(READY.get()), 0..20);
    for job in jobs {
        assert_eq!(job.result(None)?, 1);
    }
    Ok(())
}

/// `test_concurrent_futures.test_init.ThreadPoolFailingInitializerTest.test_initializer`
#[test]
fn a_pool_whose_initialiser_fails_is_broken() -> Result<()> {
    for panics in [false, true] {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(1)
            .initializer(move || {
                assert!(!panics, "in an initialiser");
                Err(ValueError::new("in an initialiser").into())
            })
            .build()?;
        let error = error_of(run(pool.submit(|| Ok(()))));
        assert!(error.is::<BrokenThreadPool>());
        assert!(fails_with::<BrokenThreadPool, _>(
            pool.submit(|| Ok(())).result(None)
        ));
        pool.shutdown(true, false);
        assert_eq!(pool.threads(), 0);
    }
    Ok(())
}

#[test]
fn a_job_shows_what_it_is_doing() -> Result<()> {
    let (work, job) = Work::new(|| Ok(7));
    assert_eq!(format!("{job:?}"), "<Job pending>");
    assert!(!job.done() && !job.running() && !job.cancelled());
    assert!(fails_with::<TimeoutError, _>(job.result(0)));
    assert!(fails_with::<ValueError, _>(job.result(f64::NAN)));
    work.run();
    assert!(job.done() && !job.cancel());
    assert_eq!(job.result(None)?, 7);
    assert_eq!(
        error_of(job.result(None)).to_string(),
        "the result was already taken"
    );
    let (work, job) = Work::new(|| Ok(()));
    drop(work);
    assert!(job.cancelled());
    assert_eq!(format!("{job:?}"), "<Job cancelled>");
    Ok(())
}

/// An executor that refuses, and one that drops what it takes.
#[test]
fn an_executor_may_refuse_and_may_drop() -> Result<()> {
    struct Refuses;
    impl Executor for Refuses {
        fn execute(&self, _: Work) -> Result<()> {
            Err(RuntimeError::new("full").into())
        }
        fn shutdown(&self, _: bool, _: bool) {}
    }
    struct Drops;
    impl Executor for Drops {
        fn execute(&self, _: Work) -> Result<()> {
            Ok(())
        }
        fn shutdown(&self, _: bool, _: bool) {}
    }
    struct Inline;
    impl Executor for Inline {
        fn execute(&self, work: Work) -> Result<()> {
            work.run();
            Ok(())
        }
        fn shutdown(&self, _: bool, _: bool) {}
    }
    run(async {
        let event_loop = get_running_loop()?;
        let refused = event_loop.run_in_executor(Some(&Refuses), || Ok(())).await;
        assert_eq!(error_of(refused).to_string(), "full");
        let dropped = event_loop.run_in_executor(Some(&Drops), || Ok(())).await;
        assert!(error_of(dropped).is_cancelled());
        assert_eq!(
            event_loop.run_in_executor(Some(&Inline), || Ok(7)).await?,
            7
        );
        Ok(())
    })
}

fn on_tokio<T: Send + 'static>(
    main: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .enable_all()
        .build()?;
    runtime.block_on(async { tokio::spawn(main).await? })
}

#[test]
fn threads_and_pools_work_on_a_tokio_runtime() -> Result<()> {
    let pool = ThreadPoolExecutor::builder()
        .thread_name_prefix("ours")
        .build()?;
    on_tokio(async move {
        assert_eq!(to_thread(|| Ok(7)).await?, 7);
        let error = error_of(to_thread::<(), _>(|| panic!("in a job")).await);
        assert!(error.is_panic());
        let calls = (0..1000).map(|n| to_thread(move || Ok(n)));
        assert!(gather_iter(calls).await?.into_iter().eq(0..1000));
        assert_eq!(pool.submit(|| Ok(here())).await?, "ours_0");
        let jobs: Vec<Job<u32>> = pool.map(Ok, 0..1000);
        assert!(gather_iter(jobs).await?.into_iter().eq(0..1000));
        let (release, job) = held();
        let task = begun(|| async move {
            let result = to_thread(job).await;
            assert!(
                result.is_err_and(|error| error.is_cancelled()),
                "it can be caught"
            );
            Ok("caught")
        })
        .await?;
        task.cancel();
        assert_eq!(task.await?, "caught");
        drop(release);
        Ok(())
    })
}
