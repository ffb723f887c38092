//! Pools: what is not ended with in time, and the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use asyncio_core::{Result, ValueError, create_task, sleep, timeout};
use asyncio_db::pg::{PoolBuilder, PoolClosedError, PoolTimeoutError, create_pool};

use crate::support::{Server, error_of, everywhere, until};

/// A test that waits so long hangs.
const HANGS: f64 = 60.0;

fn pool(server: &Server, size: usize) -> PoolBuilder {
    create_pool(server.connect()).min_size(0).max_size(size)
}

/// How often something was called.
type Calls = Arc<AtomicUsize>;

/// The next call, counted from zero.
fn call(calls: &Calls) -> usize {
    // SeqCst: a test can afford it.
    calls.fetch_add(1, Ordering::SeqCst)
}

#[test]
fn the_functions_of_a_program_are_part_of_acquiring() -> Result<()> {
    everywhere(|server| async move {
        for of_setup in [false, true] {
            let calls = Calls::default();
            let own = Arc::clone(&calls);
            // The first call does not end.
            let slow = move |connection: &mut asyncio_db::pg::Connection| {
                let _ = connection;
                let endless = call(&own) == 0;
                async move { sleep(if endless { 3600.0 } else { 0.0 }).await }
            };
            let limit = Some(Duration::from_millis(300));
            let builder = pool(&server, 1).acquire_timeout(limit);
            let pool = if of_setup {
                builder.setup(move |connection| {
                    let slow = slow(connection);
                    Box::pin(slow)
                })
            } else {
                builder.init(move |connection| {
                    let slow = slow(connection);
                    Box::pin(slow)
                })
            };
            let pool = pool.await?;
            error_of::<PoolTimeoutError>(timeout(HANGS, pool.acquire()).await);
            until(|| pool.stats().lent() == 0).await?;
            // What was half made ready is of no use.
            assert_eq!((pool.get_size(), pool.stats().lost()), (0, 1));
            let answer = loop {
                // Connecting is a part of it, too, and may take longer on a busy machine.
                match pool.fetchval("SELECT 1", ()).await {
                    Err(error) if error.is::<PoolTimeoutError>() => {}
                    answer => break answer?,
                }
            };
            assert_eq!(answer, Some(1));
            assert!(calls.load(Ordering::SeqCst) >= 2);
            pool.close().await?;
        }
        Ok(())
    })
}

#[test]
fn who_is_cancelled_in_a_function_of_the_program_leaves_nothing() -> Result<()> {
    everywhere(|server| async move {
        let calls = Calls::default();
        let own = Arc::clone(&calls);
        let pool = pool(&server, 1).setup(move |_| {
            let endless = call(&own) == 0;
            Box::pin(async move { sleep(if endless { 3600.0 } else { 0.0 }).await })
        });
        let pool = pool.await?;
        let borrowing = {
            let pool = pool.clone();
            create_task(async move { pool.acquire().await.map(drop) })
        };
        until(|| calls.load(Ordering::SeqCst) == 1).await?;
        borrowing.cancel();
        assert!(
            borrowing
                .await
                .expect_err("it was cancelled")
                .is_cancelled()
        );
        assert_eq!(pool.fetchval("SELECT 1", ()).await?, Some(1));
        assert_eq!(pool.stats().opened(), 2);
        Ok(())
    })
}

#[test]
fn what_is_lent_ends_with_a_pool_that_is_terminated() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 3).await?;
        let mut idle = pool.acquire().await?;
        let mut busy = pool.acquire().await?;
        let pids = [idle.get_server_pid(), busy.get_server_pid()];
        let sleeping = create_task(async move {
            let slept = busy.execute("SELECT pg_sleep(3600)", ()).await;
            Ok((slept.is_err(), busy.is_closed()))
        });
        let query = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = {} AND state = 'active'",
            pids[1]
        );
        until(|| {
            let rows = server.cluster.query(&query);
            rows.is_ok_and(|rows| rows[0][0].as_deref() == Some("1"))
        })
        .await?;
        pool.terminate();
        assert_eq!(timeout(HANGS, sleeping).await?, (true, true));
        assert!(idle.execute("SELECT 1", ()).await.is_err());
        drop(idle);
        until(|| pool.get_size() == 0).await?;
        let error = error_of::<PoolClosedError>(pool.acquire().await);
        assert_eq!(error.to_string(), "pool is closed");
        // It is over, so that there is nothing to wait for.
        pool.close().await?;
        // The server does not look for its client while it sleeps.
        server
            .cluster
            .query(&format!("SELECT pg_terminate_backend({})", pids[1]))?;
        Ok(())
    })
}

#[test]
fn a_pool_says_that_it_is_closing_and_then_that_it_is_closed() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 2).await?;
        let lent = pool.acquire().await?;
        let closing: Vec<_> = (0..3)
            .map(|_| {
                let pool = pool.clone();
                create_task(async move { pool.close().await })
            })
            .collect();
        until(|| pool.is_closing()).await?;
        let error = error_of::<PoolClosedError>(pool.acquire().await);
        assert_eq!(error.to_string(), "pool is closing");
        drop(lent);
        for closed in closing {
            timeout(HANGS, closed).await?;
        }
        let error = error_of::<PoolClosedError>(pool.acquire().await);
        assert_eq!(error.to_string(), "pool is closed");
        assert!(pool.is_closing());
        Ok(())
    })
}

#[test]
fn who_waits_no_longer_for_the_end_ends_what_is_lent() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 2).await?;
        let mut lent = pool.acquire().await?;
        let closing = {
            let pool = pool.clone();
            create_task(async move { pool.close().await })
        };
        until(|| pool.is_closing()).await?;
        assert_eq!(lent.fetchval("SELECT 1", ()).await?, Some(1));
        closing.cancel();
        assert!(closing.await.expect_err("it was cancelled").is_cancelled());
        assert!(lent.execute("SELECT 1", ()).await.is_err());
        Ok(())
    })
}

#[test]
fn a_pool_that_cannot_be_is_refused() -> Result<()> {
    everywhere(|server| async move {
        for (builder, message) in [
            (
                pool(&server, 0),
                "max_size is expected to be greater than zero",
            ),
            (
                pool(&server, 2).min_size(3),
                "min_size is greater than max_size",
            ),
            (
                pool(&server, 1).max_queries(0),
                "max_queries is expected to be greater than zero",
            ),
        ] {
            let error = error_of::<ValueError>(builder.await);
            assert_eq!(error.to_string(), message);
        }
        Ok(())
    })
}

#[test]
fn as_many_stay_as_there_have_to_be() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 3)
            .min_size(2)
            .max_inactive_connection_lifetime(Some(Duration::from_millis(30)))
            .await?;
        let all = [
            pool.acquire().await?,
            pool.acquire().await?,
            pool.acquire().await?,
        ];
        assert_eq!(pool.get_size(), 3);
        drop(all);
        until(|| pool.get_size() == 2).await?;
        // Long enough for those to be closed, too, if they were.
        sleep(0.2).await?;
        assert_eq!((pool.get_size(), pool.stats().opened()), (2, 3));
        Ok(())
    })
}
