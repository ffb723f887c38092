//! COPY that is cancelled, at every point and at any row.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use asyncio_core::{Result, TimeoutError, create_task, timeout};
use asyncio_db::pg::{Connection, chunks};
use asyncio_db::{ExceptionExt, exc};
use futures::{Stream, stream};

use crate::copy::{is_well, with_table};
use crate::points::{Boxed, everywhere_within};
use crate::support::{Numbers, error_of, everywhere, scaled, until};

/// What is copied within a transaction goes with it.
#[test]
fn a_transaction_is_of_no_use_after_a_copy_that_was_cancelled() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = with_table(&server, "n int").await?;
        let mut transaction = connection.transaction().await?;
        let copying = transaction.copy_stream_to_table(
            "copytab",
            futures::StreamExt::chain(stream::iter([Ok((1,))]), stream::pending()),
        );
        error_of::<TimeoutError>(timeout(0.05, copying).await);
        let after = transaction.execute("SELECT 1", ()).await;
        let error = after.expect_err("it has failed");
        assert!(
            error.is_pg::<exc::InFailedSQLTransactionError>(),
            "{error:?}"
        );
        transaction.rollback().await?;
        is_well(&mut connection).await
    })
}

async fn counted(observer: &mut Connection, table: &str, whole: bool, added: i64) -> Result<()> {
    let query = format!("WITH gone AS (DELETE FROM {table} RETURNING 1) SELECT count(*) FROM gone");
    let rows: Option<i64> = observer.fetchval(&query, ()).await?;
    // One that is cancelled after its last word may have been heard.
    let right = rows == Some(added) || (!whole && rows == Some(0));
    assert!(right, "there are {rows:?}");
    Ok(())
}

#[test]
fn copying_in_ends_at_every_point() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let script = "DROP TABLE IF EXISTS copy_points; CREATE TABLE copy_points (a int, b text)";
        connection.execute(script, ()).await?;
        fn check(observer: &mut Connection, whole: bool) -> Boxed<'_, ()> {
            Box::pin(counted(observer, "copy_points", whole, 3000))
        }
        let points = everywhere_within(
            &server,
            |connection| {
                Box::pin(async move {
                    let records = (0..3000).map(|n| (n, "x".repeat(100)));
                    connection
                        .copy_records_to_table("copy_points", records)
                        .await?;
                    Ok(())
                })
            },
            check,
        )
        .await?;
        assert!(points > 8, "{points}");
        everywhere_within(
            &server,
            |connection| {
                Box::pin(async move {
                    let lines = (0..30).map(|n| Ok(format!("{n}\tx\n").repeat(100)));
                    let source = chunks(Turns(lines, false));
                    connection.copy_to_table("copy_points", source).await?;
                    Ok(())
                })
            },
            check,
        )
        .await?;
        Ok(())
    })
}

/// Says each time first that there is nothing yet.
struct Turns<I>(I, bool);

impl<I: Iterator + Unpin> Stream for Turns<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<I::Item>> {
        self.1 = !self.1;
        if self.1 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.0.next())
    }
}

#[test]
fn copying_out_ends_at_every_point() -> Result<()> {
    everywhere(|server| async move {
        everywhere_within(
            &server,
            |connection| {
                Box::pin(async move {
                    let query = "SELECT repeat('x', 100) FROM generate_series(1, $1::int)";
                    let mut out = Vec::new();
                    connection.copy_from_query(query, (3000,), &mut out).await?;
                    assert_eq!(out.len(), 303_000);
                    let mut records = connection.copy_records_from_query(query, (2000,)).await?;
                    let mut count = 0;
                    while records.next().await?.is_some() {
                        count += 1;
                    }
                    assert_eq!(count, 2000);
                    Ok(())
                })
            },
            |_, _| Box::pin(async { Ok(()) }),
        )
        .await?;
        Ok(())
    })
}

/// Cancelled at a random row, again and again: no row is left of it, and the session is the same.
///
/// With `ASYNCIO_DB_SCALE=20` it is what the project promises: a million rows, two hundred times.
#[test]
fn a_copy_that_is_cancelled_at_a_random_row_leaves_nothing() -> Result<()> {
    everywhere(|server| async move {
        let rows = scaled(50_000);
        let mut connection = server.connection().await?;
        let pid = connection.get_server_pid();
        let script = "DROP TABLE IF EXISTS copy_random;
                      CREATE UNLOGGED TABLE copy_random (a int, b text);
                      INSERT INTO copy_random VALUES (-1, 'before')";
        connection.execute(script, ()).await?;
        let mut numbers = Numbers::new(rows as u64);
        for round in 0..scaled(10) {
            let last = numbers.below(rows);
            let reached = Arc::new(AtomicU64::new(0));
            let seen = Arc::clone(&reached);
            let task = create_task(async move {
                let records = (0..rows).map(|n| {
                    // Only looked at: what is copied is told by the server.
                    seen.store(n as u64, Ordering::Relaxed);
                    let n = i32::try_from(n).unwrap_or(i32::MAX);
                    Ok((n, "a row of some length"))
                });
                // It waits where it is to be cancelled.
                let records = futures::StreamExt::chain(
                    stream::iter(records.take(last + 1)),
                    stream::pending(),
                );
                let copied = connection
                    .copy_stream_to_table("copy_random", records)
                    .await;
                let error = copied.expect_err("it is cancelled");
                assert!(error.is_cancelled(), "{error:?}");
                Ok(connection)
            });
            until(|| reached.load(Ordering::Relaxed) == last as u64).await?;
            task.cancel();
            connection = task.await?;
            // The request has been answered; it counts no more.
            assert_eq!(connection.get_server_pid(), pid);
            let rows = connection
                .fetchrow("SELECT count(*), max(a) FROM copy_random", ())
                .await?;
            let row = rows.expect("there is one");
            assert_eq!(
                (row.get::<i64>(0)?, row.get::<i32>(1)?),
                (1, -1),
                "in round {round}"
            );
        }
        connection.execute("DROP TABLE copy_random", ()).await?;
        Ok(())
    })
}
