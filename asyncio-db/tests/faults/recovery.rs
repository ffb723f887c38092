//! How soon a connection is of use again.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::{Duration, Instant};

use asyncio_core::{Result, create_task, sleep};
use asyncio_db::pg::{connect, create_pool};
use asyncio_db::testing::{Direction, FaultProxy};

use crate::support::{at_rest, everywhere, extent, number, promised, report, told, within};

/// A sleep of a minute is cancelled: the server's process is idle at once, and so is the connection.
#[test]
fn a_slot_is_free_at_once_after_a_cancellation() -> Result<()> {
    everywhere(|cluster| async move {
        let pool = create_pool(cluster.dsn()).min_size(1).max_size(1).await?;
        let mut times = Vec::new();
        for _ in 0..extent(100, 10_000) {
            let own = pool.clone();
            let sleeping = create_task(async move { own.execute("SELECT pg_sleep(60)", ()).await });
            sleep(0.002).await?;
            let began = Instant::now();
            sleeping.cancel();
            assert!(sleeping.await.expect_err("it was cancelled").is_cancelled());
            assert_eq!(pool.fetchval("SELECT 7", ()).await?, Some(7));
            times.push(began.elapsed());
        }
        let most = times.iter().max().copied().unwrap_or_default();
        assert!(most < promised(Duration::from_secs(2)), "{most:?}");
        let count = times.len();
        report(
            "R3",
            format!(
                "{count} sleeps cancelled; the slot was back after {}",
                told(&mut times)
            ),
        );
        assert_eq!(pool.stats().opened(), 1);
        let active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' \
                      AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        assert_eq!(number(&cluster, active)?, 0);
        Ok(())
    })
}

/// Nobody answers the request to cancel, for the network or for the server's first process: the slot is
/// free after the time that was set for it.
#[test]
fn a_slot_is_free_in_time_when_the_cancellation_is_not_heard() -> Result<()> {
    everywhere(|cluster| async move {
        let proxy = FaultProxy::to_cluster(&cluster)?;
        for by_network in [true, false] {
            let limit = Duration::from_millis(200);
            let server = connect(proxy.dsn_of("postgres", "postgres")).cancel_timeout(limit);
            let pool = create_pool(server).min_size(1).max_size(1).await?;
            let pid = cluster.server_pid()?;
            let mut sleeping = Box::pin(pool.execute("SELECT pg_sleep(60)", ()));
            let mut asleep = pin!(within(Duration::from_secs(60), "it sleeps", || {
                let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
                number(&cluster, sleeping).is_ok_and(|count| count == 1)
            }));
            // It is polled until it sleeps.
            poll_fn(|cx| {
                assert!(
                    sleeping.as_mut().poll(cx).is_pending(),
                    "it sleeps for long"
                );
                asleep.as_mut().poll(cx)
            })
            .await?;
            if by_network {
                proxy.black_hole(Direction::Both);
            } else {
                cluster.pause(pid)?;
            }
            let began = Instant::now();
            drop(sleeping);
            at_rest(&pool).await?;
            let took = began.elapsed();
            assert!(took >= limit, "{took:?}");
            assert!(
                took < promised(limit + Duration::from_millis(100)),
                "{took:?}"
            );
            report(
                "R3",
                format!(
                    "with nobody to hear of the cancellation the slot was back after {took:.1?}"
                ),
            );
            proxy.heal();
            cluster.resume(pid)?;
            assert_eq!(pool.fetchval("SELECT 8", ()).await?, Some(8));
            pool.close().await?;
            // The server stops by itself what nobody waits for, when it finds its client gone.
            cluster.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE query LIKE 'SELECT pg_sleep%' AND pid <> pg_backend_pid()",
            )?;
        }
        Ok(())
    })
}

/// A process of the server's that does not move: the time limit of a command holds, and its slot comes
/// back.
#[test]
fn a_time_limit_holds_against_a_server_that_does_not_move() -> Result<()> {
    everywhere(|cluster| async move {
        let server = connect(cluster.dsn())
            .command_timeout(Duration::from_millis(150))
            .cancel_timeout(Duration::from_millis(150));
        let pool = create_pool(server).min_size(1).max_size(1).await?;
        for _ in 0..3 {
            let connection = pool.acquire().await?;
            let pid = connection.get_server_pid();
            drop(connection);
            // The reset is over when the server is idle.
            within(Duration::from_secs(60), "idle", || {
                let idle = format!(
                    "SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND state = 'idle'"
                );
                number(&cluster, &idle).is_ok_and(|count| count == 1)
            })
            .await?;
            cluster.pause(pid)?;
            let began = Instant::now();
            let failed = pool.fetchval::<i32>("SELECT 1", ()).await;
            let took = began.elapsed();
            let failed = failed.expect_err("it does not move");
            assert!(failed.is::<asyncio_core::TimeoutError>(), "{failed:?}");
            assert!(
                took >= Duration::from_millis(150) && took < promised(Duration::from_millis(200)),
                "{took:?}"
            );
            report(
                "R5",
                format!("a limit of 150 ms held against a server that stands still: {took:.1?}"),
            );
            at_rest(&pool).await?;
            cluster.resume(pid)?;
            assert_eq!(pool.fetchval("SELECT 9", ()).await?, Some(9));
        }
        Ok(())
    })
}
