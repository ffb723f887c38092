//! Networks that cut, split, delay and swallow.

use std::time::{Duration, Instant};

use asyncio_core::{Result, timeout};
use asyncio_db::pg::{Connection, connect, create_pool};
use asyncio_db::testing::{Cut, Direction, FaultProxy};

use crate::support::{at_rest, everywhere, extent, promised, report};

/// Some of everything: what a session says from its first to its last message.
async fn session(dsn: &str) -> Result<()> {
    let limit = Duration::from_millis(300);
    let server = connect(dsn)
        .timeout(limit)
        .command_timeout(limit)
        .cancel_timeout(limit);
    let mut connection = server.await?;
    talk(&mut connection).await?;
    connection.close().await
}

async fn talk(connection: &mut Connection) -> Result<()> {
    let sum: Option<i32> = connection
        .fetchval("SELECT $1::int + $2::int", (20, 22))
        .await?;
    assert_eq!(sum, Some(42));
    let rows = connection
        .fetch("SELECT n, repeat('x', n) FROM generate_series(1, 20) n", ())
        .await?;
    for (row, n) in rows.iter().zip(1_i32..) {
        assert_eq!(row.get::<i32>(0)?, n);
        assert_eq!(row.get::<String>(1)?.len(), usize::try_from(n).unwrap_or(0));
    }
    assert_eq!(rows.len(), 20);
    assert!(connection.execute("SELECT 1 / 0", ()).await.is_err());
    let mut transaction = connection.transaction().await?;
    transaction
        .execute("CREATE TEMPORARY TABLE mine (a int)", ())
        .await?;
    transaction
        .executemany("INSERT INTO mine VALUES ($1)", (0..10).map(|n| (n,)))
        .await?;
    transaction.rollback().await
}

/// A session is cut at byte after byte, in each direction and in each way. It ends, by itself or with an
/// error, and it ends in time.
#[test]
fn a_session_that_is_cut_anywhere_ends_in_time() -> Result<()> {
    everywhere(|cluster| async move {
        let proxy = FaultProxy::to_cluster(&cluster)?;
        let dsn = proxy.dsn_of("postgres", "postgres");
        let before = proxy.counts();
        session(&dsn).await?;
        let after = proxy.counts();
        let mut cuts = 0;
        let bytes = [
            (Direction::ToServer, after.to_server - before.to_server),
            (Direction::ToClient, after.to_client - before.to_client),
        ];
        for cut in [Cut::Close, Cut::Reset, Cut::HalfClose, Cut::Silence] {
            for (direction, all) in bytes {
                assert!(all > 500, "{all} bytes");
                // Silence is waited for, so that fewer points are tried.
                let points = match cut {
                    Cut::Silence => extent(6, 100),
                    _ => extent(40, usize::MAX),
                } as u64;
                let step = (all / points).max(1);
                for at in (0..all).step_by(usize::try_from(step).unwrap_or(1)) {
                    proxy.cut_after(direction, at, cut);
                    let began = Instant::now();
                    cuts += 1;
                    let ended = timeout(60, session(&dsn)).await;
                    let took = began.elapsed();
                    assert!(
                        took < promised(Duration::from_secs(4)),
                        "{cut:?} at {at} of {direction:?}: {took:?}"
                    );
                    if let Err(error) = ended {
                        assert!(
                            !error.is_panic(),
                            "{cut:?} at {at} of {direction:?}: {error:?}"
                        );
                    }
                }
            }
        }
        proxy.heal();
        report(
            "R5",
            format!("a session cut {cuts} times, at every byte, 0 hangs"),
        );
        session(&dsn).await
    })
}

/// One byte at a time, and slowly: it is the same session.
#[test]
fn a_session_in_pieces_is_the_same() -> Result<()> {
    everywhere(|cluster| async move {
        let proxy = FaultProxy::to_cluster(&cluster)?;
        for bytes in [1, 2, 3, 5, 7, 64] {
            proxy.split(Direction::Both, bytes);
            let mut connection = connect(proxy.dsn_of("postgres", "postgres")).await?;
            talk(&mut connection).await?;
            connection.close().await?;
        }
        proxy.heal();
        proxy.latency(Direction::Both, Duration::from_millis(3));
        let mut connection = connect(proxy.dsn_of("postgres", "postgres")).await?;
        talk(&mut connection).await?;
        connection.close().await
    })
}

/// All connections of a pool are cut at once, idle or in use. Nothing hangs, and the pool goes on.
#[test]
fn a_pool_outlives_its_network() -> Result<()> {
    everywhere(|cluster| async move {
        let proxy = FaultProxy::to_cluster(&cluster)?;
        let limit = Duration::from_millis(300);
        let server = connect(proxy.dsn_of("postgres", "postgres"));
        let server = server.timeout(limit).cancel_timeout(limit);
        let pool = create_pool(server)
            .min_size(4)
            .max_size(4)
            .command_timeout(limit)
            .await?;
        for cut in [Cut::Close, Cut::Reset, Cut::HalfClose, Cut::Silence] {
            for direction in [Direction::ToClient, Direction::ToServer, Direction::Both] {
                let lent = pool.acquire().await?;
                proxy.cut(direction, cut);
                let mut lent = lent;
                let began = Instant::now();
                let ended = lent.execute("SELECT 1", ()).await;
                assert!(ended.is_err(), "{cut:?} {direction:?}");
                drop(lent);
                // The others may have to be tried before it is known that they are cut.
                let mut tries = 0;
                while pool.fetchval("SELECT 3", ()).await.ok() != Some(Some(3)) {
                    tries += 1;
                    assert!(tries <= 4, "{cut:?} {direction:?}");
                }
                let took = began.elapsed();
                assert!(
                    took < promised(Duration::from_secs(5)),
                    "{cut:?} {direction:?}: {took:?}"
                );
                at_rest(&pool).await?;
                assert!(pool.get_size() <= 4);
                // Those that heard nothing yet do not go on into the next round.
                pool.expire_connections();
            }
        }
        Ok(())
    })
}

/// The server refuses, and then no longer.
#[test]
fn a_pool_waits_for_a_server_that_refuses() -> Result<()> {
    everywhere(|cluster| async move {
        let proxy = FaultProxy::to_cluster(&cluster)?;
        let pool = create_pool(proxy.dsn_of("postgres", "postgres"))
            .min_size(0)
            .max_size(2)
            .await?;
        proxy.refuse(true);
        for _ in 0..5 {
            assert!(timeout(60, pool.acquire()).await.is_err());
        }
        assert_eq!((pool.get_size(), pool.stats().waiting()), (0, 0));
        proxy.heal();
        assert_eq!(pool.fetchval("SELECT 4", ()).await?, Some(4));
        Ok(())
    })
}
