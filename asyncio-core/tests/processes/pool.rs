//! Calls, crashes, workers that come and go, shutdown: ports of `test_concurrent_futures`.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use asyncio_core::{
    BrokenProcess, BrokenProcessPool, Job, PanicError, ProcessPoolExecutor, Result, RuntimeError,
    TimeoutError, ValueError, gather_iter, run,
};

use crate::support::{children, die, error_of, kill, nap, pid, pool, pow, wait_until};

/// `executor.ExecutorTest.test_submit`, `test_submit_keyword`
pub(super) fn submit() -> Result<()> {
    let pool = pool(2)?;
    let job = pool.submit(pow, (2, 8));
    assert_eq!(job.result(60)?, 256);
    assert!(job.done() && !job.cancelled());
    assert_ne!(pool.submit(pid, ()).result(60)?, std::process::id());
    assert_eq!(
        pool.submit(|text: String| text.len(), "closure".into())
            .result(60)?,
        7
    );
    pool.shutdown(true, false);
    Ok(())
}

/// `executor.ExecutorTest.test_map`
pub(super) fn map() -> Result<()> {
    let pool = pool(3)?;
    let jobs = pool.map(pow, (0..10).map(|n| (n, n as u32)));
    let powers = run(async { gather_iter(jobs).await })?;
    assert_eq!(
        powers,
        (0..10).map(|n| pow((n, n as u32))).collect::<Vec<_>>()
    );
    pool.shutdown(true, false);
    Ok(())
}

/// `executor.ExecutorTest.test_map_exception`
pub(super) fn map_exception() -> Result<()> {
    let pool = pool(2)?;
    let divide = |(a, b): (i32, i32)| a.checked_div(b).ok_or_else(|| "zero".to_owned());
    let mut jobs = pool.map(divide, [(1, 2), (1, 3), (1, 0), (1, 5)]);
    let results = jobs.iter_mut().map(|job| job.result(60));
    let results = results.collect::<Result<Vec<_>>>()?;
    assert_eq!(results, [Ok(0), Ok(0), Err("zero".to_owned()), Ok(0)]);
    pool.shutdown(true, false);
    Ok(())
}

/// `executor.ExecutorTest.test_map_timeout`
pub(super) fn map_timeout() -> Result<()> {
    let pool = pool(3)?;
    let jobs = pool.map(nap, [0, 0, 60_000]);
    assert!(jobs[0].result(60).is_ok() && jobs[1].result(60).is_ok());
    let late = jobs[2].result(0.05).expect_err("it naps");
    assert!(late.is::<TimeoutError>());
    assert!(jobs[2].cancel());
    pool.shutdown(true, false);
    Ok(())
}

/// `executor.ExecutorTest.test_max_workers_negative`,
/// `test_process_pool.ProcessPoolExecutorTest.test_max_tasks_per_child`: what is refused
pub(super) fn max_workers_and_tasks_are_checked() -> Result<()> {
    let error = pool(0).expect_err("no workers");
    assert!(error.is::<ValueError>());
    assert_eq!(error.to_string(), "max_workers must be greater than 0");
    let none = ProcessPoolExecutor::builder().max_tasks_per_child(0);
    assert!(none.build().is_err_and(|error| error.is::<ValueError>()));
    let processors = thread::available_parallelism()?.get();
    assert_eq!(ProcessPoolExecutor::new()?.max_workers(), processors);
    Ok(())
}

/// `test_process_pool.ProcessPoolExecutorTest.test_traceback`,
/// `test_deadlock.ExecutorDeadlockTest.test_error_during_func_exec_on_worker`
pub(super) fn a_panic_is_the_jobs_exception() -> Result<()> {
    let pool = pool(1)?;
    let before = pool.submit(pid, ()).result(60)?;
    let error = error_of(pool.submit(|n: u32| -> u32 { panic!("{n} is odd") }, 7));
    let panic = error.downcast_ref::<PanicError>().map(PanicError::message);
    assert_eq!(panic, Some("7 is odd"));
    assert_eq!(
        pool.submit(pid, ()).result(60)?,
        before,
        "the worker lives on"
    );
    pool.shutdown(true, false);
    Ok(())
}

/// `test_process_pool.ProcessPoolExecutorTest.test_killed_child`,
/// `test_deadlock.ExecutorDeadlockTest.test_crash_during_func_exec_on_worker`: here the pool is not
/// broken by it.
pub(super) fn a_killed_worker_fails_its_job_alone() -> Result<()> {
    let pool = pool(2)?;
    let other = pool.submit(nap, 300);
    let victim = pool.submit(nap, 60_000);
    wait_until(|| victim.running() && other.running());
    // Of the two the one that still runs when the other one has told its number.
    let survivor = other.result(60)?;
    let victims: Vec<u32> = children()
        .into_iter()
        .filter_map(|(pid, _)| (pid != survivor).then_some(pid))
        .collect();
    assert_eq!(victims.len(), 1);
    kill(victims[0], "KILL");
    let error = error_of(victim);
    let broken = error.downcast_ref::<BrokenProcess>().expect("its kind");
    assert_eq!(broken.status().and_then(|status| status.signal()), Some(9));
    assert_eq!(
        error.to_string(),
        "the worker process ended before its job did: signal: 9 (SIGKILL)"
    );
    let jobs = pool.map(pow, [(2, 8); 4]);
    assert_eq!(run(async { gather_iter(jobs).await })?, [256; 4]);
    pool.shutdown(true, false);
    Ok(())
}

pub(super) fn every_tenth_worker_is_killed() -> Result<()> {
    let pool = pool(4)?;
    let mut jobs = pool.map(die, 0..200);
    let (mut values, mut broken) = (0, 0);
    for (number, job) in (0..).zip(&mut jobs) {
        match job.result(120) {
            Ok(value) => {
                assert_eq!(value, number);
                values += 1;
            }
            Err(error) => {
                assert!(error.is::<BrokenProcess>(), "{error:?}");
                assert_eq!(number % 10, 0);
                broken += 1;
            }
        }
    }
    assert_eq!((values, broken), (180, 20));
    let zombies = children().into_iter().filter(|(_, state)| *state == 'Z');
    assert_eq!(zombies.count(), 0);
    assert!(pool.workers() <= 4 && children().len() <= 4);
    pool.shutdown(true, false);
    assert_eq!(children(), [], "not even for a moment");
    Ok(())
}

/// `test_deadlock.ExecutorDeadlockTest.test_exit_during_func_exec_on_worker`
pub(super) fn a_worker_that_exits_or_aborts_is_replaced() -> Result<()> {
    let pool = pool(1)?;
    let error = error_of(pool.submit(|code: i32| -> u32 { std::process::exit(code) }, 3));
    let broken = error.downcast_ref::<BrokenProcess>().expect("its kind");
    assert_eq!(broken.status().and_then(|status| status.code()), Some(3));
    let error = error_of(pool.submit(|()| -> u32 { std::process::abort() }, ()));
    let broken = error.downcast_ref::<BrokenProcess>().expect("its kind");
    assert_eq!(broken.status().and_then(|status| status.signal()), Some(6));
    assert_eq!(pool.submit(pow, (3, 3)).result(60)?, 27);
    pool.shutdown(true, false);
    Ok(())
}

pub(super) fn an_idle_worker_that_dies_is_buried_and_replaced() -> Result<()> {
    let pool = pool(1)?;
    let first = pool.submit(pid, ()).result(60)?;
    kill(first, "KILL");
    // Without anybody asking for anything.
    wait_until(|| children().is_empty());
    assert_eq!(pool.workers(), 0);
    assert_ne!(pool.submit(pid, ()).result(60)?, first);
    pool.shutdown(true, false);
    Ok(())
}

/// `test_process_pool.ProcessPoolExecutorTest.test_saturation`
pub(super) fn saturation() -> Result<()> {
    let pool = pool(3)?;
    let mut jobs = pool.map(nap, [10; 45]);
    wait_until(|| pool.workers() == 3);
    let pids = jobs.iter_mut().map(|job| job.result(60));
    let pids = pids.collect::<Result<BTreeSet<u32>>>()?;
    assert_eq!(pids.len(), 3);
    pool.shutdown(true, false);
    Ok(())
}

/// `test_process_pool.ProcessPoolExecutorTest.test_idle_process_reuse_one`,
/// `test_idle_process_reuse_multiple`
pub(super) fn idle_workers_are_used_again() -> Result<()> {
    let pool = pool(4)?;
    for (base, expected) in [(21, 441), (6, 36), (3, 9)] {
        assert_eq!(pool.submit(pow, (base, 2)).result(60)?, expected);
        wait_until(|| pool.workers() == 1);
    }
    let two = [pool.submit(nap, 100), pool.submit(nap, 100)];
    wait_until(|| pool.workers() == 2);
    let _ = (two[0].result(60)?, two[1].result(60)?);
    assert_eq!(pool.submit(pow, (1, 2)).result(60)?, 1);
    assert_eq!(pool.workers(), 2);
    pool.shutdown(true, false);
    Ok(())
}

/// `test_process_pool.ProcessPoolExecutorTest.test_max_tasks_per_child`
pub(super) fn max_tasks_per_child() -> Result<()> {
    let builder = ProcessPoolExecutor::builder();
    let pool = builder.max_workers(1).max_tasks_per_child(3).build()?;
    let mut pids = Vec::new();
    for _ in 0..7 {
        pids.push(pool.submit(pid, ()).result(60)?);
        assert!(children().len() <= 1);
    }
    assert_eq!([pids[0]; 3], pids[..3]);
    assert_eq!([pids[3]; 3], pids[3..6]);
    assert!(pids[0] != pids[3] && pids[3] != pids[6]);
    pool.shutdown(true, false);
    Ok(())
}

/// `test_process_pool.ProcessPoolExecutorTest.test_max_tasks_early_shutdown`,
/// `executor.ExecutorTest.test_shutdown_race_issue12456`
pub(super) fn max_tasks_early_shutdown() -> Result<()> {
    let builder = ProcessPoolExecutor::builder();
    let pool = builder.max_workers(3).max_tasks_per_child(1).build()?;
    let mut jobs = pool.map(pow, (0..6).map(|n| (n, 2)));
    pool.shutdown(true, false);
    for (n, job) in (0..).zip(&mut jobs) {
        assert_eq!(job.result(60)?, pow((n, 2)));
    }
    Ok(())
}

static STATUS: AtomicUsize = AtomicUsize::new(0);

/// `test_init.InitializerMixin.test_initializer`
pub(super) fn initializer() -> Result<()> {
    let set = |status: usize| {
        STATUS.store(status, Ordering::Relaxed);
        Ok(())
    };
    let status = |()| STATUS.load(Ordering::Relaxed);
    let builder = ProcessPoolExecutor::builder().max_workers(2);
    let pool = builder.initializer(set, 7).max_tasks_per_child(1).build()?;
    let jobs = pool.map(status, [(); 5]);
    assert_eq!(run(async { gather_iter(jobs).await })?, [7; 5]);
    assert_eq!(STATUS.load(Ordering::Relaxed), 0, "not here");
    pool.shutdown(true, false);
    Ok(())
}

/// `test_init.FailingInitializerMixin.test_initializer`, `test_init.FailingInitializerResourcesTest`
pub(super) fn failing_initializer() -> Result<()> {
    let fail = |text: String| Err(ValueError::new(text).into());
    let builder = ProcessPoolExecutor::builder().max_workers(2);
    let pool = builder.initializer(fail, "no licence".to_owned()).build()?;
    for job in pool.map(pid, [(); 5]) {
        let error = error_of(job);
        assert!(error.is::<BrokenProcessPool>(), "{error:?}");
        let source = error.as_error().source().map(ToString::to_string);
        assert_eq!(source.as_deref(), Some("ValueError(\"no licence\")"));
    }
    assert!(error_of(pool.submit(pid, ())).is::<BrokenProcessPool>());
    let panics = |()| -> Result<()> { panic!("in the initializer") };
    let pool = ProcessPoolExecutor::builder()
        .initializer(panics, ())
        .build()?;
    let error = error_of(pool.submit(pid, ()));
    let source = error.as_error().source().map(ToString::to_string);
    assert_eq!(source.as_deref(), Some("task panicked: in the initializer"));
    pool.shutdown(true, false);
    Ok(())
}

pub(super) fn initializer_that_dies() -> Result<()> {
    let dies = |()| -> Result<()> { std::process::abort() };
    let pool = ProcessPoolExecutor::builder()
        .initializer(dies, ())
        .build()?;
    let error = error_of(pool.submit(pid, ()));
    assert!(error.is::<BrokenProcessPool>());
    let source = error.as_error().source();
    assert!(source.is_some_and(|source| source.is::<BrokenProcess>()));
    pool.shutdown(true, false);
    Ok(())
}

/// `test_shutdown.ExecutorShutdownTest.test_run_after_shutdown`,
/// `test_deadlock.ExecutorDeadlockTest`: a pool without jobs
pub(super) fn run_after_shutdown() -> Result<()> {
    let pool = pool(1)?;
    pool.shutdown(true, false);
    let error = error_of(pool.submit(pow, (2, 5)));
    assert!(error.is::<RuntimeError>());
    assert_eq!(
        error.to_string(),
        "cannot schedule new futures after shutdown"
    );
    pool.shutdown(true, true);
    Ok(())
}

/// `test_shutdown.ProcessPoolShutdownTest.test_processes_terminate`, `test_context_manager_shutdown`
pub(super) fn processes_terminate() -> Result<()> {
    let pool = pool(5)?;
    let mut jobs = pool.map(nap, [50; 3]);
    wait_until(|| pool.workers() == 3);
    pool.shutdown(true, false);
    assert_eq!((children(), pool.workers()), (Vec::new(), 0));
    assert!(jobs.iter_mut().all(|job| job.result(0).is_ok()));
    Ok(())
}

/// `test_shutdown.ProcessPoolShutdownTest.test_del_shutdown`
pub(super) fn dropped_pools_finish_their_jobs() -> Result<()> {
    let pool = pool(5)?;
    let mut jobs = pool.map(i32::unsigned_abs, -5..5);
    drop((pool.clone(), pool));
    let values = jobs.iter_mut().map(|job| job.result(60));
    let values = values.collect::<Result<Vec<_>>>()?;
    assert_eq!(values, [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]);
    Ok(())
}

/// `test_shutdown.ProcessPoolShutdownTest.test_shutdown_no_wait`,
/// `test_shutdown.ExecutorShutdownTest.test_hang_gh83386`, `test_hang_issue12364`
pub(super) fn shutdown_no_wait() -> Result<()> {
    let pool = pool(5)?;
    let mut jobs = pool.map(i32::unsigned_abs, -5..5);
    pool.shutdown(false, false);
    let values = jobs.iter_mut().map(|job| job.result(60));
    let values = values.collect::<Result<Vec<_>>>()?;
    assert_eq!(values, [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]);
    pool.shutdown(true, false);
    assert_eq!(children(), []);
    Ok(())
}

/// `test_shutdown.ExecutorShutdownTest.test_cancel_futures`
pub(super) fn cancel_futures() -> Result<()> {
    let pool = pool(2)?;
    let mut jobs = pool.map(nap, [100; 50]);
    wait_until(|| jobs.iter().any(Job::running));
    pool.shutdown(true, true);
    let cancelled = jobs.iter().filter(|job| job.cancelled()).count();
    assert!((46..50).contains(&cancelled), "{cancelled}");
    let mut others = jobs.iter_mut().filter(|job| !job.cancelled());
    assert!(others.all(|job| job.result(0).is_ok()));
    Ok(())
}

pub(super) fn shutdown_from_many_threads() -> Result<()> {
    let pool = pool(2)?;
    let mut jobs = pool.map(nap, [20; 6]);
    let threads = [0; 4].map(|_| {
        let pool = pool.clone();
        thread::spawn(move || pool.shutdown(true, false))
    });
    let joined = threads.into_iter().all(|thread| thread.join().is_ok());
    assert!(joined && jobs.iter_mut().all(|job| job.result(0).is_ok()));
    Ok(())
}

pub(super) fn kill_workers() -> Result<()> {
    let pool = pool(2)?;
    let jobs = pool.map(nap, [60_000; 4]);
    wait_until(|| jobs.iter().filter(|job| job.running()).count() == 2);
    let begun = Instant::now();
    pool.kill_workers();
    pool.shutdown(true, false);
    assert!(begun.elapsed() < Duration::from_secs(10));
    let (mut broken, mut cancelled) = (0, 0);
    for job in jobs {
        let error = error_of(job);
        broken += u8::from(error.is::<BrokenProcess>());
        cancelled += u8::from(error.is_cancelled());
    }
    assert_eq!((broken, cancelled), (2, 2));
    Ok(())
}
