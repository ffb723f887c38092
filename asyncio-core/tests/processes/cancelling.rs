//! A cancelled job kills its worker, and nobody else.
#![expect(clippy::print_stdout, reason = "tests talk by their output")]

use std::thread;
use std::time::{Duration, Instant};

use asyncio_core::{
    Result, RuntimeError, TimeoutError, create_task, get_running_loop, run, sleep, timeout,
};

use crate::support::{children, is_alive, nap, pid, pool, pow, wait_until};

pub(super) fn a_cancelled_job_frees_its_worker() -> Result<()> {
    let pool = pool(1)?;
    let took = run(async move {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let theirs = pool.clone();
            let sleeper = create_task(async move { theirs.submit(nap, 60_000).await });
            sleep(0.05).await?;
            let next = pool.submit(pid, ());
            assert!(
                next.result(0.05).is_err(),
                "the sleeper has the only worker for a minute"
            );
            let begun = Instant::now();
            sleeper.cancel();
            next.await?;
            best = best.min(begun.elapsed());
            assert!(sleeper.await.is_err_and(|error| error.is_cancelled()));
        }
        let (_, left) = (pool.shutdown(true, false), children());
        assert_eq!(left, []);
        Ok(best)
    })?;
    println!("a cancelled job freed its worker, and another ran, after {took:?}");
    assert!(took < Duration::from_millis(100), "{took:?}");
    Ok(())
}

pub(super) fn a_job_cancelled_from_a_thread_frees_its_worker() -> Result<()> {
    let pool = pool(1)?;
    let job = pool.submit(nap, 60_000);
    wait_until(|| job.running());
    assert!(job.cancel() && job.cancel() && job.cancelled());
    assert!(job.result(60).is_err_and(|error| error.is_cancelled()));
    assert_eq!(pool.submit(pow, (2, 2)).result(60)?, 4);
    pool.shutdown(true, false);
    Ok(())
}

pub(super) fn a_job_that_has_not_begun_is_cancelled_without_a_kill() -> Result<()> {
    let pool = pool(1)?;
    let before = pool.submit(pid, ()).result(60)?;
    let running = pool.submit(nap, 50);
    let waiting = pool.submit(nap, 60_000);
    assert!(waiting.cancel());
    assert_eq!(running.result(60)?, before);
    assert_eq!(pool.submit(pid, ()).result(60)?, before);
    pool.shutdown(true, false);
    Ok(())
}

pub(super) fn a_time_limit_kills_the_worker() -> Result<()> {
    run(async {
        let pool = pool(1)?;
        let before = pool.submit(pid, ()).await?;
        let late = timeout(0.05, pool.submit(nap, 60_000)).await;
        assert!(late.is_err_and(|error| error.is::<TimeoutError>()));
        assert_ne!(pool.submit(pid, ()).await?, before);
        assert!(!is_alive(before));
        pool.shutdown(true, false);
        Ok(())
    })
}

/// A kill that comes late does not hit the job that the worker has next.
pub(super) fn jobs_cancelled_at_any_moment_harm_no_others() -> Result<()> {
    let pool = pool(2)?;
    for round in 0..150_u64 {
        let doomed = pool.submit(pow, (2, 3));
        let others = pool.map(pow, [(2, 4), (2, 5)]);
        thread::sleep(Duration::from_micros(round * 17 % 700));
        let cancelled = doomed.cancel();
        assert_eq!((others[0].result(60)?, others[1].result(60)?), (16, 32));
        assert_eq!(doomed.cancelled(), cancelled);
    }
    pool.shutdown(true, false);
    Ok(())
}

pub(super) fn the_future_of_a_loop() -> Result<()> {
    run(async {
        let pool = pool(1)?;
        let event_loop = get_running_loop()?;
        let future = event_loop.run_in_process(&pool, pow, (2, 10));
        assert!(!future.done());
        assert_eq!(future.await?, 1024);
        let sleeper = event_loop.run_in_process(&pool, nap, 60_000);
        sleep(0.02).await?;
        assert!(sleeper.cancel());
        assert!((&sleeper).await.is_err_and(|error| error.is_cancelled()));
        let panics = event_loop.run_in_process(&pool, |()| -> u32 { panic!("no") }, ());
        assert!(panics.await.is_err_and(|error| error.is_panic()));
        pool.shutdown(true, false);
        let refused = event_loop.run_in_process(&pool, pow, (2, 10));
        assert!(refused.done(), "as in Python it fails at once");
        assert!(refused.await.is_err_and(|error| error.is::<RuntimeError>()));
        Ok(())
    })
}
