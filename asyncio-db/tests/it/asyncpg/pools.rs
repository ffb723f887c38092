//! asyncpg's `test_pool.py`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio_core::{Result, RuntimeError, TimeoutError, ValueError, create_task, sleep, timeout};
use asyncio_db::pg::{InterfaceError, Pool, PoolClosedError, create_pool};
use asyncio_db::{ExceptionExt as _, exc};

use crate::support::{Server, error_of, everywhere, until};

async fn pool(server: &Server, min: usize, max: usize) -> Result<Pool> {
    create_pool(server.connect())
        .min_size(min)
        .max_size(max)
        .await
}

/// `test_pool_01`, `test_pool_02`, `test_pool_05`: many workers share few connections.
#[test]
fn many_workers_share_few_connections() -> Result<()> {
    everywhere(|server| async move {
        for workers in [1, 5, 10, 20, 100] {
            let pool = pool(&server, 5, 10).await?;
            let mut tasks = Vec::new();
            for number in 0..workers {
                let pool = pool.clone();
                tasks.push(create_task(async move {
                    let mut lent = pool.acquire().await?;
                    let answer: Option<i32> = lent.fetchval("SELECT $1::int", (number,)).await?;
                    assert_eq!(answer, Some(number));
                    pool.release(lent);
                    Ok(())
                }));
            }
            for task in tasks {
                task.await?;
            }
            pool.close().await?;
        }
        Ok(())
    })
}

/// `test_pool_03`: a limit for one's wait.
#[test]
fn who_waits_for_too_long_goes() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 1, 1).await?;
        let lent = pool.acquire().await?;
        error_of::<TimeoutError>(timeout(0.05, pool.acquire()).await);
        drop(lent);
        let lent = pool.acquire().await?;
        drop(lent);
        pool.close().await
    })
}

/// `test_pool_04`, `test_pool_config_persistence`: what a borrower has set is put back.
#[test]
fn settings_are_put_back() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 1, 1).await?;
        let mut lent = pool.acquire().await?;
        let before: Option<String> = lent.fetchval("SHOW enable_seqscan", ()).await?;
        lent.execute("SET enable_seqscan = off; SELECT pg_advisory_lock(7)", ())
            .await?;
        drop(lent);
        let mut lent = pool.acquire().await?;
        assert_eq!(
            lent.fetchval::<String>("SHOW enable_seqscan", ()).await?,
            before
        );
        let locks =
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()";
        assert_eq!(lent.fetchval(locks, ()).await?, Some(0_i64));
        drop(lent);
        pool.close().await
    })
}

/// `test_pool_06`, `test_pool_07`, `test_pool_exception_in_setup_and_init`: functions for each connection.
#[test]
fn each_connection_is_made_ready() -> Result<()> {
    everywhere(|server| async move {
        let (opened, lent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (init, setup) = (Arc::clone(&opened), Arc::clone(&lent));
        // The numbers are looked at when all is over.
        let pool = create_pool(server.connect())
            .min_size(0)
            .max_size(2)
            .init(move |connection| {
                let init = Arc::clone(&init);
                Box::pin(async move {
                    init.fetch_add(1, Ordering::Relaxed);
                    connection
                        .execute("SELECT set_config('my.init', 'yes', false)", ())
                        .await?;
                    Ok(())
                })
            })
            .setup(move |connection| {
                let setup = Arc::clone(&setup);
                Box::pin(async move {
                    setup.fetch_add(1, Ordering::Relaxed);
                    connection
                        .execute("SET application_name = 'set up'", ())
                        .await?;
                    Ok(())
                })
            })
            .await?;
        for _ in 0..5 {
            let name: Option<String> = pool.fetchval("SHOW application_name", ()).await?;
            assert_eq!(name.as_deref(), Some("set up"));
        }
        let numbers = (opened.load(Ordering::Relaxed), lent.load(Ordering::Relaxed));
        assert_eq!(numbers, (1, 5));
        pool.close().await?;

        for in_init in [true, false] {
            let fails = Arc::new(AtomicUsize::new(2));
            let hook = move |_: &mut asyncio_db::pg::Connection| {
                let fails = Arc::clone(&fails);
                let left = fails.load(Ordering::Relaxed);
                fails.store(left.saturating_sub(1), Ordering::Relaxed);
                left > 0
            };
            let builder = create_pool(server.connect()).min_size(0).max_size(1);
            let failing = move |connection: &mut asyncio_db::pg::Connection| {
                if hook(connection) {
                    Err(RuntimeError::new("not ready").into())
                } else {
                    Ok(())
                }
            };
            let pool = if in_init {
                builder
                    .init(move |it| {
                        let made = failing(it);
                        Box::pin(async move { made })
                    })
                    .await?
            } else {
                builder
                    .setup(move |it| {
                        let made = failing(it);
                        Box::pin(async move { made })
                    })
                    .await?
            };
            for _ in 0..2 {
                error_of::<RuntimeError>(pool.acquire().await);
            }
            assert_eq!(pool.fetchval("SELECT 1", ()).await?, Some(1));
            pool.close().await?;
        }
        Ok(())
    })
}

/// `test_pool_08`, `test_pool_09`, `test_pool_10`, `test_pool_11`, `test_pool_12`, `test_pool_13`: of a
/// connection that has gone back nothing can be used, which the compiler sees to; a statement of one is
/// none of another.
#[test]
fn what_belongs_to_one_loan_is_of_no_use_to_another() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 2, 2).await?;
        let (mut one, mut other) = (pool.acquire().await?, pool.acquire().await?);
        let statement = one.prepare("SELECT 1").await?;
        error_of::<InterfaceError>(other.fetch(&statement, ()).await);
        drop(one);
        drop(other);
        pool.close().await
    })
}

/// `test_pool_handles_task_cancel_in_acquire_with_timeout`, `test_pool_no_acquire_deadlock`,
/// `test_pool_handles_task_cancel_in_release`, `test_pool_handles_query_cancel_in_release`.
#[test]
fn who_is_cancelled_takes_no_connection_along() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 1, 1).await?;
        for pause in [0.0, 0.002, 0.01] {
            for _ in 0..5 {
                let held = pool.acquire().await?;
                let waiting = pool.clone();
                let task = create_task(async move {
                    let mut lent = timeout(10, waiting.acquire()).await?;
                    lent.execute("SELECT pg_sleep(60)", ()).await?;
                    Ok(())
                });
                sleep(pause).await?;
                drop(held);
                sleep(pause).await?;
                task.cancel();
                assert!(task.await.is_err_and(|error| error.is_cancelled()));
            }
        }
        assert_eq!(timeout(60, pool.fetchval("SELECT 1", ())).await?, Some(1));
        pool.close().await
    })
}

/// `test_pool_release_in_xact`.
#[test]
fn what_comes_back_in_a_transaction_is_rolled_back() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 1, 1).await?;
        for begin in ["BEGIN", "BEGIN; SELECT 1; SAVEPOINT a"] {
            let mut lent = pool.acquire().await?;
            let pid = lent.get_server_pid();
            lent.execute(begin, ()).await?;
            drop(lent);
            let lent = pool.acquire().await?;
            assert!(!lent.is_in_transaction());
            assert_eq!(lent.get_server_pid(), pid);
        }
        pool.close().await
    })
}

/// `test_pool_connection_methods`, `test_pool_connection_execute_many`.
#[test]
fn a_pool_has_the_methods_of_a_connection() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 1, 3).await?;
        let mut tasks = Vec::new();
        for _ in 0..20 {
            let pool = pool.clone();
            tasks.push(create_task(async move {
                assert_eq!(pool.fetch("SELECT 1", ()).await?.len(), 1);
                assert!(pool.fetchrow("SELECT 1", ()).await?.is_some());
                assert_eq!(pool.fetchval("SELECT 1", ()).await?, Some(1));
                assert_eq!(pool.execute("SELECT 1", ()).await?, "SELECT 1");
                assert_eq!(pool.execute("SELECT 1::int = $1", (1,)).await?, "SELECT 1");
                pool.executemany("SELECT $1::int + $2::int", [(1, 2), (3, 4)])
                    .await
            }));
        }
        for task in tasks {
            task.await?;
        }
        pool.close().await
    })
}

/// `test_pool_max_inactive_time_01` to `_05`.
#[test]
fn what_is_idle_for_long_is_closed_and_what_is_used_is_not() -> Result<()> {
    everywhere(|server| async move {
        let pool = create_pool(server.connect())
            .min_size(0)
            .max_size(1)
            .max_inactive_connection_lifetime(Some(Duration::from_millis(200)))
            .await?;
        let first: Option<i32> = pool.fetchval("SELECT pg_backend_pid()", ()).await?;
        until(|| pool.get_size() == 0).await?;
        let mut lent = pool.acquire().await?;
        let second = lent.get_server_pid();
        assert_ne!(first, Some(second));
        // One that is lent stays.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(
            lent.fetchval("SELECT pg_backend_pid()", ()).await?,
            Some(second)
        );
        drop(lent);
        pool.close().await
    })
}

/// `test_pool_handles_inactive_connection_errors`, `test_pool_remote_close`.
#[test]
fn an_idle_session_that_was_ended_is_replaced() -> Result<()> {
    everywhere(|server| async move {
        let mut other = server.connection().await?;
        let pool = pool(&server, 1, 1).await?;
        for _ in 0..5 {
            let pid: Option<i32> = pool.fetchval("SELECT pg_backend_pid()", ()).await?;
            other
                .execute("SELECT pg_terminate_backend($1, 10000)", (pid,))
                .await?;
            // Until the news is there the pool may lend it, and its borrower hears of it.
            let next = loop {
                match pool.fetchval::<i32>("SELECT pg_backend_pid()", ()).await {
                    Ok(next) => break next,
                    Err(error) => assert!(!error.is_cancelled()),
                }
            };
            assert_ne!(next, pid);
        }
        pool.close().await
    })
}

/// `test_pool_size_and_capacity`.
#[test]
fn a_pool_says_how_large_it_is() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 2, 3).await?;
        assert_eq!((pool.get_min_size(), pool.get_max_size()), (2, 3));
        assert_eq!((pool.get_size(), pool.get_idle_size()), (2, 2));
        let one = pool.acquire().await?;
        assert_eq!((pool.get_size(), pool.get_idle_size()), (2, 1));
        let (two, three) = (pool.acquire().await?, pool.acquire().await?);
        assert_eq!((pool.get_size(), pool.get_idle_size()), (3, 0));
        drop((one, two, three));
        until(|| pool.get_idle_size() == 3).await?;
        pool.close().await?;
        error_of::<ValueError>(create_pool(server.connect()).min_size(3).max_size(2).await);
        error_of::<ValueError>(create_pool(server.connect()).max_size(0).await);
        Ok(())
    })
}

/// `test_pool_closing`, `test_pool_close_waits_for_release`.
#[test]
fn closing_waits_for_what_is_lent() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 1, 1).await?;
        let mut lent = pool.acquire().await?;
        let closing = pool.clone();
        let task = create_task(async move { closing.close().await });
        until(|| pool.is_closing()).await?;
        error_of::<PoolClosedError>(pool.acquire().await);
        assert_eq!(lent.fetchval("SELECT 1", ()).await?, Some(1));
        assert!(!task.done());
        drop(lent);
        task.await?;
        assert_eq!(pool.get_size(), 0);
        error_of::<PoolClosedError>(pool.fetchval::<i32>("SELECT 1", ()).await);
        Ok(())
    })
}

/// `test_pool_close_timeout`: who waits no longer ends what is lent.
#[test]
fn closing_that_takes_too_long_ends_what_is_lent() -> Result<()> {
    everywhere(|server| async move {
        let pool = pool(&server, 1, 1).await?;
        let mut lent = pool.acquire().await?;
        error_of::<TimeoutError>(timeout(0.05, pool.close()).await);
        assert!(pool.is_closing());
        assert!(lent.fetchval::<i32>("SELECT 1", ()).await.is_err());
        Ok(())
    })
}

/// `test_pool_expire_connections`, `test_pool_set_connection_args`.
#[test]
fn connections_expire_and_are_opened_otherwise() -> Result<()> {
    everywhere(|server| async move {
        let named = |name: &str| server.connect().server_setting("application_name", name);
        let pool = create_pool(named("one")).min_size(1).max_size(1).await?;
        let name = "SHOW application_name";
        assert_eq!(
            pool.fetchval::<String>(name, ()).await?.as_deref(),
            Some("one")
        );
        pool.set_connect_args(named("two"))?;
        assert_eq!(
            pool.fetchval::<String>(name, ()).await?.as_deref(),
            Some("one")
        );
        let lent = pool.acquire().await?;
        let pid = lent.get_server_pid();
        pool.expire_connections();
        drop(lent);
        assert_eq!(
            pool.fetchval::<String>(name, ()).await?.as_deref(),
            Some("two")
        );
        assert_ne!(
            pool.fetchval("SELECT pg_backend_pid()", ()).await?,
            Some(pid)
        );
        pool.close().await
    })
}

/// `test_pool_init_race`, `test_pool_init_and_use_race`, `test_pool_init_run_until_complete`,
/// `test_pool_auth`.
#[test]
fn a_pool_is_opened_before_it_is_used() -> Result<()> {
    everywhere(|server| async move {
        let opened = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for _ in 0..3 {
            let (server, opened) = (server.clone(), Arc::clone(&opened));
            tasks.push(create_task(async move {
                let pool = pool(&server, 1, 1).await?;
                let pid: Option<i32> = pool.fetchval("SELECT pg_backend_pid()", ()).await?;
                opened.lock().expect("nobody panics").extend(pid);
                pool.close().await
            }));
        }
        for task in tasks {
            task.await?;
        }
        assert_eq!(opened.lock().expect("nobody panics").len(), 3);
        let nobody = asyncio_db::pg::connect(server.cluster.dsn_of("nobody there", "postgres"));
        let refused = create_pool(nobody)
            .min_size(1)
            .await
            .expect_err("there is no such user");
        assert!(
            refused.is_pg::<exc::InvalidAuthorizationSpecificationError>(),
            "{refused:?}"
        );
        Ok(())
    })
}
