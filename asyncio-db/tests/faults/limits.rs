//! Servers that let nobody in, and time limits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use asyncio_core::{Result, TimeoutError, create_task, gather_iter, sleep, timeout};
use asyncio_db::pg::{PoolTimeoutError, connect, create_pool};
use asyncio_db::testing::{Direction, FaultProxy, PgCluster};
use asyncio_db::{ExceptionExt as _, exc};

use crate::support::{at_rest, everywhere, promised};

/// More connections are asked for than the server has. Who gets none is told so, and nothing is lost.
#[test]
fn a_server_that_is_full_says_so() -> Result<()> {
    everywhere(|_| async {
        let cluster = PgCluster::builder()
            .setting("max_connections", "6")
            .setting("superuser_reserved_connections", "1")
            .setting("max_wal_senders", "0")
            .create()?;
        cluster.query("CREATE ROLE plain LOGIN")?;
        let pool = create_pool(cluster.dsn_of("plain", "postgres"));
        let pool = pool.min_size(0).max_size(9).await?;
        let tasks = (0..9).map(|_| {
            let pool = pool.clone();
            create_task(async move { pool.execute("SELECT pg_sleep(0.05)", ()).await })
        });
        let ended = gather_iter(tasks.collect::<Vec<_>>())
            .return_exceptions()
            .await?;
        let failed: Vec<_> = ended
            .iter()
            .filter_map(|ended| ended.as_ref().err())
            .collect();
        assert!(
            !failed.is_empty() && failed.len() < 9,
            "{} of 9",
            failed.len()
        );
        for error in failed {
            assert!(error.is_pg::<exc::TooManyConnectionsError>(), "{error:?}");
            assert!(error.is_retryable());
        }
        at_rest(&pool).await?;
        assert_eq!(pool.fetchval("SELECT 1", ()).await?, Some(1));
        Ok(())
    })
}

/// The server's first process does not move, so that nobody comes in: the time limits hold, of connecting
/// and of acquiring, and who was cancelled leaves nothing behind.
#[test]
fn nobody_waits_for_a_server_that_does_not_move() -> Result<()> {
    everywhere(|cluster| async move {
        let pid = cluster.server_pid()?;
        let short = Duration::from_millis(100);
        let patient = create_pool(cluster.tcp_dsn_of("postgres", "postgres"));
        let patient = patient
            .min_size(0)
            .max_size(2)
            .acquire_timeout(Some(short))
            .await?;
        let server = connect(cluster.dsn()).timeout(short);
        let quick = create_pool(server).min_size(0).max_size(2).await?;
        cluster.pause(pid)?;
        let began = Instant::now();
        let failed = patient.acquire().await.expect_err("nobody comes in");
        assert!(failed.is::<PoolTimeoutError>(), "{failed:?}");
        let failed = quick.acquire().await.expect_err("nobody comes in");
        assert!(failed.is::<TimeoutError>(), "{failed:?}");
        let failed = connect(cluster.dsn())
            .timeout(short)
            .await
            .expect_err("nobody comes in");
        assert!(failed.is::<TimeoutError>(), "{failed:?}");
        let own = patient.clone();
        let task = create_task(async move { own.acquire().await.map(drop) });
        sleep(0.02).await?;
        task.cancel();
        assert!(task.await.expect_err("it was cancelled").is_cancelled());
        assert!(
            began.elapsed() < promised(Duration::from_secs(2)),
            "{:?}",
            began.elapsed()
        );
        cluster.resume(pid)?;
        for pool in [&patient, &quick] {
            // What was begun for those who went away is there for others, and no more than may be.
            let answer = timeout(60, async {
                loop {
                    if let Ok(answer) = pool.fetchval("SELECT 2", ()).await {
                        return Ok(answer);
                    }
                    sleep(0.005).await?;
                }
            });
            assert_eq!(answer.await?, Some(2));
            at_rest(pool).await?;
            assert!(pool.get_size() <= 2, "{:?}", pool.stats());
        }
        Ok(())
    })
}

/// A wait for a place and a wait for the connection are one wait, with one time limit.
#[test]
fn the_time_limit_of_acquiring_is_one() -> Result<()> {
    everywhere(|cluster| async move {
        let pid = cluster.server_pid()?;
        let limit = Duration::from_millis(600);
        let pool = create_pool(cluster.dsn()).min_size(1).max_size(1);
        let pool = pool.acquire_timeout(Some(limit)).await?;
        let mut held = pool.acquire().await?;
        let waiting = {
            let pool = pool.clone();
            create_task(async move {
                let began = Instant::now();
                let failed = pool.acquire().await.map(drop);
                Ok((began.elapsed(), failed))
            })
        };
        sleep(0.45).await?;
        // It comes back broken, so that another one has to be opened, which does not come about.
        let own = held.get_server_pid();
        cluster.query(&format!("SELECT pg_terminate_backend({own})"))?;
        assert!(held.execute("SELECT 1", ()).await.is_err());
        cluster.pause(pid)?;
        drop(held);
        let (took, failed) = waiting.await?;
        cluster.resume(pid)?;
        assert!(
            failed
                .expect_err("nobody comes in")
                .is::<PoolTimeoutError>()
        );
        let most = promised(limit + Duration::from_millis(250));
        assert!(took < most, "{took:?}");
        Ok(())
    })
}

/// Rows that stop coming in the middle of a stream: whoever reads them puts a limit to it, and the
/// connection is of use again.
#[test]
fn a_stream_that_stops_can_be_given_up() -> Result<()> {
    everywhere(|cluster| async move {
        let proxy = Arc::new(FaultProxy::to_cluster(&cluster)?);
        let limit = Duration::from_millis(200);
        let server = connect(proxy.dsn_of("postgres", "postgres")).cancel_timeout(limit);
        let pool = create_pool(server).min_size(1).max_size(1).await?;
        let mut connection = pool.acquire().await?;
        let mut rows = connection
            .stream(
                "SELECT repeat('x', 1000) FROM generate_series(1, 100000)",
                (),
            )
            .await?;
        for _ in 0..10 {
            assert!(rows.next().await?.is_some());
        }
        proxy.black_hole(Direction::ToClient);
        let began = Instant::now();
        let ended = timeout(0.3, async {
            while rows.next().await?.is_some() {}
            Ok(())
        })
        .await;
        assert!(ended.expect_err("no more comes").is::<TimeoutError>());
        drop(rows);
        drop(connection);
        at_rest(&pool).await?;
        assert!(
            began.elapsed() < promised(Duration::from_secs(2)),
            "{:?}",
            began.elapsed()
        );
        proxy.heal();
        assert_eq!(pool.fetchval("SELECT 3", ()).await?, Some(3));
        Ok(())
    })
}
