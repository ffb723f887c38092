//! How soon a connection is of use again.

use std::time::{Duration, Instant};

use asyncio_core::{Result, create_task, sleep, timeout};
use asyncio_db::pg::{connect, create_pool};
use asyncio_db::testing::{Direction, FaultProxy};

use crate::support::{at_rest, everywhere, number, scaled, within};

/// A sleep of a minute is cancelled: the server's process is idle at once, and so is the connection.
#[test]
fn a_slot_is_free_at_once_after_a_cancellation() -> Result<()> {
    everywhere(|cluster| async move {
        let pool = create_pool(cluster.dsn()).min_size(1).max_size(1).await?;
        let mut times = Vec::new();
        for _ in 0..scaled(100) {
            let own = pool.clone();
            let sleeping = create_task(async move { own.execute("SELECT pg_sleep(60)", ()).await });
            sleep(0.002).await?;
            let began = Instant::now();
            sleeping.cancel();
            assert!(sleeping.await.expect_err("it was cancelled").is_cancelled());
            assert_eq!(pool.fetchval("SELECT 7", ()).await?, Some(7));
            times.push(began.elapsed());
        }
        times.sort();
        // A machine that is busy with other things delays some of them, and not all.
        let usual = times[times.len() / 2];
        assert!(usual < Duration::from_millis(40), "{usual:?} of {times:?}");
        let most = times[times.len() - 1];
        assert!(most < Duration::from_secs(2), "{most:?} of {times:?}");
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
            let server = connect(proxy.dsn_of("postgres", "postgres"))
                .cancel_timeout(Duration::from_millis(200));
            let pool = create_pool(server).min_size(1).max_size(1).await?;
            let pid = cluster.server_pid()?;
            let sleeping = timeout(0.02, pool.execute("SELECT pg_sleep(60)", ()));
            let (mut sleeping, began) = (Box::pin(sleeping), Instant::now());
            // Begins it, so that the fault comes while it runs.
            assert!(timeout(0.01, &mut sleeping).await.is_err());
            drop(sleeping);
            let faulty = began.elapsed();
            if by_network {
                proxy.black_hole(Direction::Both);
            } else {
                cluster.pause(pid)?;
            }
            assert!(faulty < Duration::from_millis(200));
            at_rest(&pool).await?;
            let took = began.elapsed();
            assert!(took < Duration::from_millis(900), "{took:?}");
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
            within(Duration::from_secs(5), "idle", || {
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
                took >= Duration::from_millis(150) && took < Duration::from_millis(500),
                "{took:?}"
            );
            at_rest(&pool).await?;
            cluster.resume(pid)?;
            assert_eq!(pool.fetchval("SELECT 9", ()).await?, Some(9));
        }
        Ok(())
    })
}
