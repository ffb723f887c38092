//! What networks do.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use asyncio_core::{Result, current_task, timeout};
use asyncio_db::pg::{Connection, SslMode, connect, create_pool};
use asyncio_db::testing::{Cut, Direction, FaultProxy};

use crate::support::{Server, everywhere, until};

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

/// What begins and ends transactions takes no time, and to interrupt it would do harm: nobody asks the
/// server to. And it may have been done, though nobody has heard of it: then it is undone.
#[test]
fn what_begins_a_transaction_is_not_interrupted_and_is_ended() -> Result<()> {
    everywhere(|server| async move {
        let proxy = FaultProxy::to_cluster(server.cluster)?;
        let connecting = connect(proxy.dsn_of("postgres", "postgres")).ssl(SslMode::Disable);
        let mut connection = connecting.await?;
        let unheard = Unheard {
            proxy: &proxy,
            server: &server,
            pid: connection.get_server_pid(),
        };
        connection
            .execute("CREATE TEMPORARY TABLE begun (a int)", ())
            .await?;
        for cancelled in [true, false] {
            let before = proxy.counts().accepted;
            // A transaction that nobody knows of is over.
            let begin = async { connection.transaction().await.map(std::mem::forget) };
            unheard
                .leave(begin, "idle in transaction", cancelled)
                .await?;
            assert_eq!(connection.fetchval("SELECT 1", ()).await?, Some(1));
            assert!(!connection.is_in_transaction());
            // A savepoint that nobody knows of is gone, and the transaction that it was in goes on.
            let mut outer = connection.transaction().await?;
            let nested = async { outer.transaction().await.map(std::mem::forget) };
            unheard.leave(nested, "SAVEPOINT", cancelled).await?;
            assert!(is_outermost(&mut outer).await?);
            // So it is with one that was being undone.
            let inner = outer.transaction().await?;
            unheard
                .leave(inner.rollback(), "ROLLBACK TO", cancelled)
                .await?;
            assert!(is_outermost(&mut outer).await?);
            let inner = outer.transaction().await?;
            unheard.leave(inner.commit(), "RELEASE", cancelled).await?;
            assert!(is_outermost(&mut outer).await?);
            unheard.leave(outer.commit(), "COMMIT", cancelled).await?;
            assert_eq!(connection.fetchval("SELECT 2", ()).await?, Some(2));
            let transaction = connection.transaction().await?;
            unheard
                .leave(transaction.rollback(), "ROLLBACK", cancelled)
                .await?;
            assert_eq!(connection.fetchval("SELECT 3", ()).await?, Some(3));
            assert!(!connection.is_in_transaction());
            assert_eq!(proxy.counts().accepted, before, "somebody was interrupted");
        }
        connection.close().await
    })
}

/// Whether what is inserted now is the transaction's itself, and not that of a savepoint.
async fn is_outermost(transaction: &mut Connection) -> Result<bool> {
    transaction
        .execute("INSERT INTO begun VALUES (1)", ())
        .await?;
    let query = "SELECT bool_and(xmin::text::bigint = pg_current_xact_id()::text::bigint & 4294967295) \
                 FROM begun WHERE ctid = (SELECT max(ctid) FROM begun)";
    let whole: Option<bool> = transaction.fetchval(query, ()).await?;
    Ok(whole == Some(true))
}

/// A server whose answers are held up.
struct Unheard<'a> {
    proxy: &'a FaultProxy,
    server: &'a Server,
    pid: i32,
}

impl Unheard<'_> {
    /// Leaves an operation when the server has done what it says, and the answer has not come.
    async fn leave<T>(
        &self,
        operation: impl IntoFuture<Output = Result<T>>,
        done: &str,
        cancelled: bool,
    ) -> Result<()> {
        self.proxy.black_hole(Direction::ToClient);
        let query = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = {} AND state LIKE 'idle%' \
             AND (query LIKE '{done}%' OR state = '{done}')",
            self.pid
        );
        {
            let mut operation = pin!(operation.into_future());
            let mut is_done = pin!(until(|| {
                let rows = self.server.cluster.query(&query);
                rows.is_ok_and(|rows| rows[0][0].as_deref() == Some("1"))
            }));
            // The operation is polled until the server has done it.
            poll_fn(|cx| {
                assert!(operation.as_mut().poll(cx).is_pending(), "it was heard");
                is_done.as_mut().poll(cx)
            })
            .await?;
            if cancelled {
                let task = current_task().expect("tests run in tasks");
                task.cancel();
                let ended = poll_fn(|cx| match operation.as_mut().poll(cx) {
                    Poll::Ready(ended) => Poll::Ready(ended.map(drop)),
                    Poll::Pending => Poll::Pending,
                })
                .await;
                assert!(ended.expect_err("it was cancelled").is_cancelled());
                task.uncancel();
            }
        }
        // Long enough for a request to interrupt it to be on its way.
        asyncio_core::sleep(0.05).await?;
        self.proxy.heal();
        Ok(())
    }
}
