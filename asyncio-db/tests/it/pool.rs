//! Pools: who is lent what, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use asyncio_core::{Result, create_task, gather_iter, sleep, timeout};
use asyncio_db::pg::{Pool, PoolBuilder, PoolClosedError, PoolTimeoutError, Reset, create_pool};
use asyncio_db::testing::StopMode;

use crate::points::{ALL, Boxed, Ended, end_at};
use crate::support::{Numbers, Server, error_of, everywhere, scaled, until};

fn pool(server: &Server, size: usize) -> PoolBuilder {
    create_pool(server.connect()).min_size(0).max_size(size)
}

/// Waits until everything is where it belongs.
async fn at_rest(pool: &Pool) -> Result<()> {
    until(|| {
        let stats = pool.stats();
        (stats.lent(), stats.recovering(), stats.waiting()) == (0, 0, 0)
    })
    .await
}

#[test]
fn no_more_are_lent_than_there_may_be() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 3).await?;
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks = (0..30).map(|n| {
            let (pool, now, most) = (pool.clone(), Arc::clone(&now), Arc::clone(&most));
            create_task(async move {
                let mut connection = pool.acquire().await?;
                // SeqCst: a test can afford it.
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let answer: Option<i32> = connection.fetchval("SELECT $1::int", (n,)).await?;
                now.fetch_sub(1, Ordering::SeqCst);
                assert_eq!(answer, Some(n));
                Ok(())
            })
        });
        gather_iter(tasks.collect::<Vec<_>>()).await?;
        assert!(most.load(Ordering::SeqCst) <= 3);
        at_rest(&pool).await?;
        assert_eq!((pool.get_size(), pool.get_idle_size()), (3, 3));
        assert_eq!(pool.stats().acquired(), 30);
        let held = [
            pool.acquire().await?,
            pool.acquire().await?,
            pool.acquire().await?,
        ];
        assert!(timeout(0.005, pool.acquire()).await.is_err());
        drop(held);
        pool.close().await?;
        assert_eq!(pool.get_size(), 0);
        error_of::<PoolClosedError>(pool.acquire().await);
        Ok(())
    })
}

#[test]
fn as_many_are_opened_as_there_are_to_be() -> Result<()> {
    everywhere(|server| async move {
        let pool = create_pool(server.connect())
            .min_size(4)
            .max_size(6)
            .await?;
        assert_eq!((pool.get_size(), pool.get_idle_size()), (4, 4));
        assert_eq!((pool.get_min_size(), pool.get_max_size()), (4, 6));
        pool.close().await
    })
}

#[test]
fn who_waits_is_served_in_the_order_of_arrival() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 1).await?;
        let held = pool.acquire().await?;
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for n in 0..20 {
            let (own, order) = (pool.clone(), Arc::clone(&order));
            tasks.push(create_task(async move {
                let _connection = own.acquire().await?;
                order.lock().expect("nobody panics with it").push(n);
                Ok(())
            }));
            let pool = &pool;
            until(move || pool.stats().waiting() == n + 1).await?;
        }
        drop(held);
        gather_iter(tasks).await?;
        assert_eq!(
            *order.lock().expect("nobody panics with it"),
            (0..20).collect::<Vec<_>>()
        );
        Ok(())
    })
}

#[test]
fn who_waits_too_long_is_told_why() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 1)
            .min_size(1)
            .acquire_timeout(Some(Duration::from_millis(20)))
            .await?;
        let held = pool.acquire().await?;
        let error = error_of::<PoolTimeoutError>(pool.acquire().await);
        let error = error.downcast_ref::<PoolTimeoutError>().expect("it is one");
        assert_eq!((error.stats().size(), error.stats().lent()), (1, 1));
        drop(held);
        drop(pool.acquire().await?);
        Ok(())
    })
}

#[test]
fn what_was_left_in_the_middle_is_put_right_first() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 1).await?;
        for _ in 0..10 {
            let mut connection = pool.acquire().await?;
            connection.execute("BEGIN", ()).await?;
            let sleeping = connection.execute("SELECT pg_sleep(60)", ());
            assert!(timeout(0.003, sleeping).await.is_err());
            drop(connection);
            let began = Instant::now();
            let mut connection = pool.acquire().await?;
            assert!(
                began.elapsed() < Duration::from_secs(4),
                "{:?}",
                began.elapsed()
            );
            assert!(!connection.is_in_transaction());
            assert_eq!(connection.fetchval("SELECT 3", ()).await?, Some(3));
        }
        let stats = pool.stats();
        assert_eq!(
            (stats.lost(), stats.opened()),
            (0, 1),
            "it was the same all the time"
        );
        Ok(())
    })
}

#[test]
fn nothing_of_one_borrower_reaches_the_next() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 1).await?;
        let mut observer = server.connection().await?;
        let mut connection = pool.acquire().await?;
        connection
            .execute(
                "SET application_name = 'left behind'; SELECT pg_advisory_lock(77); LISTEN news",
                (),
            )
            .await?;
        connection
            .execute("DECLARE c CURSOR WITH HOLD FOR SELECT 1", ())
            .await?;
        drop(connection);
        // The lock is free at once, not only when somebody borrows the connection.
        timeout(5, async {
            observer.execute("SELECT pg_advisory_lock(77)", ()).await
        })
        .await?;
        let mut connection = pool.acquire().await?;
        let name: Option<String> = connection.fetchval("SHOW application_name", ()).await?;
        assert_eq!(name.as_deref(), Some(""));
        let query = "SELECT count(*) FROM pg_cursors WHERE name = 'c'";
        assert_eq!(connection.fetchval(query, ()).await?, Some(0_i64));
        connection
            .transaction()
            .await?
            .execute("SELECT 1", ())
            .await?;
        drop(connection);
        let mut connection = pool.acquire().await?;
        std::mem::forget(connection.transaction().await?);
        drop(connection);
        let mut connection = pool.acquire().await?;
        assert!(!connection.is_in_transaction());
        connection.transaction().await?.commit().await
    })
}

#[test]
fn a_reset_of_ones_own() -> Result<()> {
    everywhere(|server| async move {
        let pool =
            pool(&server, 1).reset(Reset::Query("SET application_name = 'reset'".to_owned()));
        let pool = pool
            .init(|connection| {
                Box::pin(async {
                    connection
                        .execute("SET statement_timeout = 12345", ())
                        .await
                        .map(drop)
                })
            })
            .setup(|connection| {
                Box::pin(async {
                    connection
                        .execute("SET lock_timeout = 54321", ())
                        .await
                        .map(drop)
                })
            })
            .await?;
        pool.fetchval::<i32>("SELECT 1", ()).await?;
        let name: Option<String> = pool.fetchval("SHOW application_name", ()).await?;
        assert_eq!(name.as_deref(), Some("reset"));
        let limit: Option<String> = pool.fetchval("SHOW statement_timeout", ()).await?;
        assert_eq!(limit.as_deref(), Some("12345ms"));
        let limit: Option<String> = pool.fetchval("SHOW lock_timeout", ()).await?;
        assert_eq!(limit.as_deref(), Some("54321ms"));
        Ok(())
    })
}

#[test]
fn connections_are_replaced() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 1).max_queries(3).await?;
        let pid = async || -> Result<i32> { Ok(pool.acquire().await?.get_server_pid()) };
        let first = pid().await?;
        assert_eq!(pid().await?, first);
        for _ in 0..3 {
            pool.fetchval::<i32>("SELECT 1", ()).await?;
        }
        let second = pid().await?;
        assert_ne!(second, first);
        pool.expire_connections();
        let third = pid().await?;
        assert_ne!(third, second);
        // One that is ended by the server is found out.
        server
            .cluster
            .query(&format!("SELECT pg_terminate_backend({third})"))?;
        // It is gone when our side has heard of it, which is a while after the server has.
        while pid().await? == third {
            sleep(0.001).await?;
        }
        Ok(())
    })
}

#[test]
fn what_is_not_used_is_closed() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 2)
            .max_inactive_connection_lifetime(Some(Duration::from_millis(30)))
            .await?;
        let both = (pool.acquire().await?, pool.acquire().await?);
        drop(both);
        assert_eq!(pool.get_size(), 2);
        until(|| pool.get_size() == 0).await?;
        pool.fetchval::<i32>("SELECT 1", ()).await?;
        Ok(())
    })
}

#[test]
fn borrowing_can_be_cancelled_at_any_point() -> Result<()> {
    everywhere(|server| async move {
        for how in ALL {
            for point in 0.. {
                let pool = pool(&server, 1).await?;
                let borrowing: Boxed<'_, ()> = Box::pin(async {
                    let mut connection = pool.acquire().await?;
                    connection.fetchval::<i32>("SELECT 1", ()).await?;
                    drop(connection);
                    pool.fetch("SELECT 1", ()).await?;
                    Ok(())
                });
                let ended = end_at(point, how, borrowing).await;
                assert_eq!(
                    pool.fetchval("SELECT 7", ()).await?,
                    Some(7),
                    "{how:?} at {point}"
                );
                at_rest(&pool).await?;
                assert_eq!(pool.stats().opened(), 1, "{how:?} at {point}");
                if matches!(ended, Ended::Whole(_)) {
                    break;
                }
            }
        }
        Ok(())
    })
}

#[test]
fn a_place_in_the_line_that_is_given_up_goes_to_the_next() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 1).await?;
        let mut numbers = Numbers::new(3);
        for _ in 0..scaled(50) {
            let held = pool.acquire().await?;
            let mut tasks = Vec::new();
            for _ in 0..6 {
                let pool = pool.clone();
                tasks.push(create_task(async move {
                    pool.fetchval::<i32>("SELECT 1", ()).await
                }));
            }
            sleep(0).await?;
            drop(held);
            for _ in 0..3 {
                let which = numbers.below(tasks.len());
                tasks[which].cancel();
                sleep(0).await?;
            }
            for task in tasks {
                match task.await {
                    Err(error) if !error.is_cancelled() => return Err(error),
                    _ => {}
                }
            }
            at_rest(&pool).await?;
            assert_eq!(pool.get_size(), 1);
        }
        Ok(())
    })
}

#[test]
fn a_storm_of_cancellations_leaves_nothing_behind() -> Result<()> {
    everywhere(|server| async move {
        let mut observer = server.connection().await?;
        observer
            .execute("DROP TABLE IF EXISTS storm; CREATE TABLE storm (a int)", ())
            .await?;
        let pool = pool(&server, 5).await?;
        let mut workers = Vec::new();
        for seed in 0..10 {
            let pool = pool.clone();
            workers.push(create_task(storm(pool, seed, scaled(40))));
        }
        let most = async {
            loop {
                assert!(pool.get_size() <= 5, "{:?}", pool.stats());
                sleep(0.001).await?;
                if workers.iter().all(asyncio_core::Task::done) {
                    return Ok(());
                }
            }
        };
        let most: Result<()> = most.await;
        most?;
        for worker in workers {
            worker.await?;
        }
        at_rest(&pool).await?;
        let stats = pool.stats();
        assert_eq!(stats.lost(), 0, "{stats:?}");
        let query = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'";
        for attempt in 0.. {
            let busy: Option<i64> = observer.fetchval(query, ()).await?;
            if busy == Some(0) {
                break;
            }
            assert!(attempt < 500, "{busy:?} sessions are busy");
            sleep(0.002).await?;
        }
        pool.close().await
    })
}

/// Operations that are cancelled at any moment, and others that must not notice.
async fn storm(pool: Pool, seed: u64, rounds: usize) -> Result<()> {
    let mut numbers = Numbers::new(seed + 1);
    for round in 0..rounds {
        let limit = f64::from(u32::try_from(numbers.below(2000)).unwrap_or(0)) / 1e6;
        let kind = numbers.below(7);
        let own = pool.clone();
        let operation = async move {
            let mut connection = own.acquire().await?;
            match kind {
                0 => drop(connection.execute("SELECT pg_sleep(60)", ()).await?),
                1 => drop(
                    connection
                        .fetch("SELECT generate_series(1, 20000)", ())
                        .await?,
                ),
                2 => {
                    let mut rows = connection
                        .stream("SELECT generate_series(1, 50000)", ())
                        .await?;
                    while rows.next().await?.is_some() {}
                }
                3 => {
                    let rows = (0..2000).map(|n| (n,));
                    connection
                        .executemany("INSERT INTO storm VALUES ($1)", rows)
                        .await?;
                }
                4 => {
                    let mut transaction = connection.transaction().await?;
                    transaction.execute("SELECT pg_sleep(0.001)", ()).await?;
                    transaction.commit().await?;
                }
                5 => {
                    let mut pipeline = connection.pipeline();
                    for n in 0..20 {
                        pipeline.fetch("SELECT $1::int", (n,));
                    }
                    pipeline.run().await?;
                }
                _ => drop(
                    connection
                        .execute("BEGIN; SELECT pg_sleep(0.001)", ())
                        .await?,
                ),
            }
            Ok(())
        };
        if numbers.below(2) == 0 {
            if let Err(error) = timeout(limit, operation).await
                && !error.is::<asyncio_core::TimeoutError>()
            {
                return Err(error);
            }
        } else {
            let task = create_task(operation);
            sleep(limit).await?;
            task.cancel();
            match task.await {
                Err(error) if !error.is_cancelled() => return Err(error),
                _ => {}
            }
        }
        let tag = format!("{seed} {round}");
        let answer: Option<String> = pool.fetchval("SELECT $1::text", (&tag,)).await?;
        assert_eq!(answer, Some(tag));
    }
    Ok(())
}

#[test]
fn a_pool_outlives_its_server() -> Result<()> {
    let Some(_) = crate::support::cluster() else {
        return Ok(());
    };
    let cluster = asyncio_db::testing::PgCluster::create()?;
    let dsn = cluster.dsn();
    asyncio_core::run(async move {
        let pool = create_pool(dsn).min_size(2).max_size(4).await?;
        for _ in 0..3 {
            let lent = pool.acquire().await?;
            assert_eq!(pool.fetchval("SELECT 1", ()).await?, Some(1));
            cluster.restart(StopMode::Immediate)?;
            drop(lent);
            // What was lent is lost, and what was idle is found out.
            for _ in 0..6 {
                assert_eq!(pool.fetchval("SELECT 1", ()).await?, Some(1));
            }
        }
        cluster.stop(StopMode::Immediate)?;
        assert!(pool.fetchval::<i32>("SELECT 1", ()).await.is_err());
        cluster.start()?;
        assert_eq!(pool.fetchval("SELECT 1", ()).await?, Some(1));
        pool.close().await
    })
}

#[test]
fn opening_and_closing_can_be_cancelled_at_any_point() -> Result<()> {
    everywhere(|server| async move {
        let mut observer = server
            .connect()
            .server_setting("application_name", "observer")
            .await?;
        let query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'of a pool'";
        for how in ALL {
            for point in 0.. {
                let connecting = server
                    .connect()
                    .server_setting("application_name", "of a pool");
                let opening: Boxed<'_, ()> = Box::pin(async {
                    let pool = create_pool(connecting).min_size(2).max_size(3).await?;
                    let lent = pool.acquire().await?;
                    let back = async {
                        sleep(0.002).await?;
                        drop(lent);
                        Ok(())
                    };
                    let (closed, back): (Result<()>, Result<()>) =
                        futures::join!(pool.close(), back);
                    closed.and(back)
                });
                let ended = end_at(point, how, opening).await;
                for attempt in 0.. {
                    let left: Option<i64> = observer.fetchval(query, ()).await?;
                    if left == Some(0) {
                        break;
                    }
                    assert!(
                        attempt < 400,
                        "{left:?} sessions are left, {how:?} at {point}"
                    );
                    sleep(0.005).await?;
                }
                if let Ended::Whole(result) = ended {
                    result?;
                    break;
                }
            }
        }
        Ok(())
    })
}
