//! `ProcessPoolExecutor` in tests of the ordinary harness, which the attribute makes its own worker.
//! What else there is to know of it is in `tests/processes`.

use std::time::Duration;

use asyncio_core::{
    ProcessPoolExecutor, Result, create_task, gather_iter, get_running_loop, sleep, timeout,
};

fn square(n: u64) -> u64 {
    n * n
}

fn nap(milliseconds: u64) -> u32 {
    std::thread::sleep(Duration::from_millis(milliseconds));
    std::process::id()
}

#[asyncio_core::test]
async fn a_test_may_have_workers() -> Result<()> {
    let pool = ProcessPoolExecutor::builder().max_workers(2).build()?;
    let squares = gather_iter(pool.map(square, 0..20)).await?;
    assert_eq!(squares, (0..20).map(square).collect::<Vec<_>>());
    assert_ne!(pool.submit(nap, 0).await?, std::process::id());
    Ok(())
}

#[asyncio_core::test(virtual_clock = true)]
async fn a_virtual_clock_waits_for_workers() -> Result<()> {
    let pool = ProcessPoolExecutor::builder().max_workers(2).build()?;
    let event_loop = get_running_loop()?;
    let hour = create_task(async { sleep(3600).await });
    let future = event_loop.run_in_process(&pool, nap, 20);
    let job = timeout(1, pool.submit(nap, 20));
    assert_ne!(job.await?, std::process::id());
    future.await?;
    assert!(!hour.done() && event_loop.time() == 0.0);
    hour.await
}

#[asyncio_core::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_on_many_threads_may_have_workers() -> Result<()> {
    let pool = ProcessPoolExecutor::builder().max_workers(2).build()?;
    let sleeper = create_task({
        let pool = pool.clone();
        async move { pool.submit(nap, 60_000).await }
    });
    let squares = gather_iter(pool.map(square, 0..5)).await?;
    assert_eq!(squares, [0, 1, 4, 9, 16]);
    sleeper.cancel();
    assert!(sleeper.await.is_err_and(|error| error.is_cancelled()));
    Ok(())
}

mod inner {
    use super::{ProcessPoolExecutor, Result, square};

    #[asyncio_core::test]
    pub(super) async fn modules_are_part_of_the_name() -> Result<()> {
        let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
        assert_eq!(pool.submit(square, 12).await?, 144);
        Ok(())
    }
}
