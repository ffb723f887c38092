//! What networks do.

use std::time::{Duration, Instant};

use asyncio_core::{Result, timeout};
use asyncio_db::pg::{SslMode, connect, create_pool};
use asyncio_db::testing::{Cut, Direction, FaultProxy};

use crate::support::everywhere;

#[test]
fn a_connection_that_is_cut_anywhere_fails_and_does_not_hang() -> Result<()> {
    everywhere(|server| async move {
        let proxy = FaultProxy::to_cluster(server.cluster)?;
        let dsn = proxy.dsn_of("postgres", "postgres");
        for cut in [Cut::Close, Cut::Reset] {
            for bytes in (0..900).step_by(13) {
                for direction in [Direction::ToClient, Direction::ToServer] {
                    proxy.heal();
                    proxy.cut_after(direction, bytes, cut);
                    let exchange = async {
                        let mut connection = connect(&dsn).ssl(SslMode::Disable).await?;
                        connection.fetchval::<i32>("SELECT $1::int", (1,)).await?;
                        let mut transaction = connection.transaction().await?;
                        transaction.execute("SELECT 2", ()).await?;
                        transaction.commit().await?;
                        connection.close().await
                    };
                    // Whichever it is, it is over in time.
                    if let Err(error) = timeout(20, exchange).await {
                        assert!(!error.is::<asyncio_core::TimeoutError>(), "{cut:?} {bytes}");
                    }
                }
            }
        }
        Ok(())
    })
}

#[test]
fn pieces_of_one_byte_make_no_difference() -> Result<()> {
    everywhere(|server| async move {
        let proxy = FaultProxy::to_cluster(server.cluster)?;
        proxy.split(Direction::ToClient, 1);
        proxy.split(Direction::ToServer, 1);
        let dsn = proxy.dsn_of("postgres", "postgres");
        let mut connection = connect(dsn).ssl(SslMode::Disable).await?;
        let rows = connection
            .fetch("SELECT n, n::text FROM generate_series(1, 50) n", ())
            .await?;
        for (row, n) in rows.iter().zip(1..) {
            assert_eq!(
                (row.get::<i32>(0)?, row.get::<String>(1)?),
                (n, n.to_string())
            );
        }
        assert_eq!(rows.len(), 50);
        Ok(())
    })
}

#[test]
fn a_slot_comes_back_though_nothing_can_be_stopped() -> Result<()> {
    everywhere(|server| async move {
        let proxy = FaultProxy::to_cluster(server.cluster)?;
        let dsn = proxy.dsn_of("postgres", "postgres");
        let limit = Duration::from_millis(300);
        let connecting = connect(dsn).ssl(SslMode::Disable).cancel_timeout(limit);
        let pool = create_pool(connecting).min_size(1).max_size(1).await?;
        for _ in 0..3 {
            let mut connection = pool.acquire().await?;
            proxy.black_hole(Direction::ToServer);
            let sleeping = connection.execute("SELECT 1, pg_sleep(0.001)", ());
            assert!(timeout(0.01, sleeping).await.is_err());
            drop(connection);
            let began = Instant::now();
            while pool.stats().recovering() > 0 {
                asyncio_core::sleep(0.005).await?;
                assert!(
                    began.elapsed() < Duration::from_secs(5),
                    "{:?}",
                    pool.stats()
                );
            }
            assert!(began.elapsed() >= limit / 2, "{:?}", began.elapsed());
            proxy.heal();
            // With another session.
            assert_eq!(pool.fetchval("SELECT 3", ()).await?, Some(3));
        }
        assert_eq!(pool.stats().lost(), 3);
        Ok(())
    })
}

#[test]
fn a_backend_that_stands_still_holds_nobody_up() -> Result<()> {
    everywhere(|server| async move {
        let limit = Duration::from_millis(300);
        let pool = create_pool(server.connect().cancel_timeout(limit))
            .min_size(0)
            .max_size(1)
            .command_timeout(Duration::from_millis(200))
            .await?;
        let mut connection = pool.acquire().await?;
        let pid = connection.get_server_pid();
        server.cluster.pause(pid)?;
        let error = connection
            .execute("SELECT 1", ())
            .await
            .expect_err("nobody answers");
        assert!(error.is::<asyncio_core::TimeoutError>(), "{error:?}");
        drop(connection);
        let answer = pool.acquire().await?.execute("SELECT 1", ()).await;
        server.cluster.resume(pid)?;
        answer.map(drop)
    })
}
