//! Every operation, cancelled and dropped at every point.

use asyncio_core::Result;
use asyncio_db::pg::Connection;

use crate::points::{Boxed, everywhere_within};
use crate::support::{Server, everywhere};

/// Nothing but the connection to be looked at.
fn nothing(_: &mut Connection, _: bool) -> Boxed<'_, ()> {
    Box::pin(async { Ok(()) })
}

/// Tables of a test, under a name of its own.
async fn table(server: &Server, name: &str) -> Result<()> {
    let mut connection = server.connection().await?;
    let script = format!("DROP TABLE IF EXISTS {name}; CREATE TABLE {name} (a int, b text)");
    connection.execute(&script, ()).await?;
    connection.close().await
}

#[test]
fn a_script() -> Result<()> {
    everywhere(|server| async move {
        let points = everywhere_within(
            &server,
            |connection| {
                Box::pin(async {
                    let tag = connection.execute("SELECT 1; SELECT pg_sleep(0.01); SELECT 2", ());
                    assert_eq!(tag.await?, "SELECT 1");
                    Ok(())
                })
            },
            nothing,
        )
        .await?;
        assert!(points > 4, "{points}");
        Ok(())
    })
}

#[test]
fn a_script_that_begins_a_transaction_and_does_not_end_it() -> Result<()> {
    everywhere(|server| async move {
        table(&server, "cancelled_begin").await?;
        everywhere_within(
            &server,
            |connection| {
                Box::pin(async {
                    let script =
                        "BEGIN; INSERT INTO cancelled_begin VALUES (1); SELECT pg_sleep(0.005)";
                    connection.execute(script, ()).await?;
                    connection.execute("ROLLBACK", ()).await?;
                    Ok(())
                })
            },
            |observer, _| {
                Box::pin(async {
                    let rows = observer.fetchval("SELECT count(*) FROM cancelled_begin", ());
                    assert_eq!(rows.await?, Some(0_i64));
                    Ok(())
                })
            },
        )
        .await?;
        Ok(())
    })
}

#[test]
fn queries_that_are_prepared_first() -> Result<()> {
    everywhere(|server| async move {
        let queries = std::sync::atomic::AtomicU32::new(0);
        everywhere_within(
            &server,
            |connection| {
                // The order of these numbers is of no importance, only that each is another.
                let number = queries.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Box::pin(async move {
                    let query = format!("SELECT $1::int + {number}, pg_sleep(0.002)");
                    let sum: Option<i32> = connection.fetchval(&query, (1,)).await?;
                    assert_eq!(sum, i32::try_from(number + 1).ok());
                    let rows = connection
                        .fetch("SELECT generate_series(1, 5000)", ())
                        .await?;
                    assert_eq!(rows.len(), 5000);
                    let row = connection
                        .fetchrow("SELECT generate_series(1, 5000) AS n", ())
                        .await?;
                    assert_eq!(row.expect("there is one").get::<i32>("n")?, 1);
                    connection.execute("SELECT $1::text", ("x",)).await?;
                    Ok(())
                })
            },
            |observer, _| {
                Box::pin(async {
                    let _ = observer;
                    Ok(())
                })
            },
        )
        .await?;
        Ok(())
    })
}

#[test]
fn a_long_sleep_is_stopped_at_once() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        for _ in 0..20 {
            let began = std::time::Instant::now();
            let slept = asyncio_core::timeout(0.005, connection.execute("SELECT pg_sleep(60)", ()));
            let error = slept.await.expect_err("it takes longer");
            assert!(error.is::<asyncio_core::TimeoutError>(), "{error:?}");
            assert_eq!(connection.fetchval("SELECT 7", ()).await?, Some(7));
            assert!(began.elapsed().as_millis() < 500, "{:?}", began.elapsed());
        }
        Ok(())
    })
}
