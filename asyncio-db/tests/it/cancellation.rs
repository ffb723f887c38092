//! Every operation, cancelled and dropped at every point.

use asyncio_core::Result;
use asyncio_db::pg::Connection;

use crate::points::{ALL, Boxed, Ended, end_at, everywhere_within};
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
            let slept = asyncio_core::timeout(0.005, connection.execute("SELECT pg_sleep(60)", ()));
            let error = slept.await.expect_err("it takes longer");
            assert!(error.is::<asyncio_core::TimeoutError>(), "{error:?}");
            // Had the server not stopped, the session would have been given up.
            assert_eq!(connection.fetchval("SELECT 7", ()).await?, Some(7));
        }
        Ok(())
    })
}

/// The number of rows in a table.
fn count<'a>(connection: &'a mut Connection, table: &str) -> Boxed<'a, i64> {
    let query = format!("SELECT count(*) FROM {table}");
    Box::pin(async move {
        let count: Option<i64> = connection.fetchval(&query, ()).await?;
        Ok(count.unwrap_or(-1))
    })
}

#[test]
fn a_transaction_is_undone_or_committed() -> Result<()> {
    everywhere(|server| async move {
        table(&server, "cancelled_transaction").await?;
        let points = everywhere_within(
            &server,
            |connection| {
                Box::pin(async {
                    let mut outer = connection.transaction().await?;
                    outer
                        .execute("INSERT INTO cancelled_transaction VALUES (1)", ())
                        .await?;
                    let mut inner = outer.transaction().await?;
                    inner
                        .execute("INSERT INTO cancelled_transaction VALUES ($1)", (2,))
                        .await?;
                    inner.execute("SELECT pg_sleep(0.003)", ()).await?;
                    inner.commit().await?;
                    let mut inner = outer.transaction().await?;
                    inner
                        .execute("INSERT INTO cancelled_transaction VALUES (3)", ())
                        .await?;
                    inner.rollback().await?;
                    outer.commit().await
                })
            },
            |observer, whole| {
                Box::pin(async move {
                    // What was told to commit may have been, though nobody heard of it.
                    let rows = count(observer, "cancelled_transaction").await?;
                    assert!(rows == 2 || rows == 0 && !whole, "{rows} rows");
                    observer
                        .execute("TRUNCATE cancelled_transaction", ())
                        .await?;
                    Ok(())
                })
            },
        )
        .await?;
        assert!(points > 8, "{points}");
        Ok(())
    })
}

#[test]
fn a_transaction_in_a_function() -> Result<()> {
    everywhere(|server| async move {
        table(&server, "cancelled_function").await?;
        everywhere_within(
            &server,
            |connection| {
                Box::pin(async {
                    connection
                        .transaction()
                        .run(async |outer| {
                            outer
                                .execute("INSERT INTO cancelled_function VALUES (1)", ())
                                .await?;
                            let refused = outer
                                .transaction()
                                .run(async |inner| {
                                    inner
                                        .execute("INSERT INTO cancelled_function VALUES (2)", ())
                                        .await?;
                                    inner.execute("SELECT 1/0", ()).await
                                })
                                .await;
                            match refused {
                                Err(error) if error.is_cancelled() => Err(error),
                                Err(_) => Ok(()),
                                Ok(_) => panic!("one cannot divide by zero"),
                            }
                        })
                        .await
                })
            },
            |observer, whole| {
                Box::pin(async move {
                    let rows = count(observer, "cancelled_function").await?;
                    assert!(rows == 1 || rows == 0 && !whole, "{rows} rows");
                    observer.execute("TRUNCATE cancelled_function", ()).await?;
                    Ok(())
                })
            },
        )
        .await?;
        Ok(())
    })
}

#[test]
fn a_savepoint_that_is_cancelled_leaves_the_transaction_fit() -> Result<()> {
    everywhere(|server| async move {
        table(&server, "cancelled_savepoint").await?;
        let mut connection = server.connection().await?;
        for how in ALL {
            for point in 0..4 {
                let mut outer = connection.transaction().await?;
                outer
                    .execute("INSERT INTO cancelled_savepoint VALUES (1)", ())
                    .await?;
                let nested: Boxed<'_, ()> = Box::pin(async {
                    let inner = outer.transaction().await?;
                    drop(inner);
                    Ok(())
                });
                let _ = end_at(point, how, nested).await;
                assert_eq!(
                    outer.fetchval("SELECT 4", ()).await?,
                    Some(4),
                    "{how:?} at {point}"
                );
                outer.commit().await?;
            }
        }
        let rows = count(&mut connection, "cancelled_savepoint").await?;
        assert_eq!(rows, 16);
        Ok(())
    })
}

#[test]
fn many_at_once_are_all_or_none() -> Result<()> {
    everywhere(|server| async move {
        table(&server, "cancelled_many").await?;
        let long = "x".repeat(2000);
        let long = &*Box::leak(long.into_boxed_str());
        let points = everywhere_within(
            &server,
            |connection| {
                Box::pin(async move {
                    let rows = (0..500).map(|n| (n, long));
                    let query = "INSERT INTO cancelled_many VALUES ($1, $2)";
                    connection.executemany(query, rows).await?;
                    let query = "INSERT INTO cancelled_many VALUES ($1, '') RETURNING a";
                    let rows = connection.fetchmany(query, (0..500).map(|n| (n,))).await?;
                    assert_eq!(rows.len(), 500);
                    assert_eq!(rows[77].get::<i32>(0)?, 77);
                    Ok(())
                })
            },
            |observer, whole| {
                Box::pin(async move {
                    let rows = count(observer, "cancelled_many").await?;
                    let allowed: &[i64] = if whole { &[1000] } else { &[0, 500, 1000] };
                    assert!(allowed.contains(&rows), "{rows} rows");
                    observer.execute("TRUNCATE cancelled_many", ()).await?;
                    Ok(())
                })
            },
        )
        .await?;
        assert!(points > 8, "{points}");
        Ok(())
    })
}

#[test]
fn many_at_once_in_a_transaction_cannot_be_committed_in_part() -> Result<()> {
    everywhere(|server| async move {
        table(&server, "cancelled_part").await?;
        let mut connection = server.connection().await?;
        let mut observer = server.connection().await?;
        let long = "x".repeat(5000);
        for how in ALL {
            for point in 0.. {
                let mut transaction = connection.transaction().await?;
                let many: Boxed<'_, ()> = Box::pin(async {
                    let rows = (0..300).map(|n| (n, long.as_str()));
                    let query = "INSERT INTO cancelled_part VALUES ($1, $2)";
                    transaction.executemany(query, rows).await
                });
                let ended = end_at(point, how, many).await;
                // Whoever goes on regardless has all of it or nothing.
                let committed = transaction.commit().await;
                let rows = count(&mut observer, "cancelled_part").await?;
                let whole = matches!(ended, Ended::Whole(_));
                assert!(
                    rows == 300 || rows == 0 && !whole,
                    "{rows} rows, {committed:?}, {how:?} at {point}"
                );
                observer.execute("TRUNCATE cancelled_part", ()).await?;
                if whole {
                    break;
                }
            }
        }
        Ok(())
    })
}

#[test]
fn a_stream_of_rows() -> Result<()> {
    everywhere(|server| async move {
        let points = everywhere_within(
            &server,
            |connection| {
                Box::pin(async {
                    let query = "SELECT n, repeat('x', 500) FROM generate_series(1, $1::int) n";
                    let mut rows = connection.stream(query, (2000,)).await?;
                    let mut seen = 0;
                    while let Some(row) = rows.next().await? {
                        seen += 1;
                        assert_eq!(row.get::<i32>(0)?, seen);
                    }
                    assert_eq!(seen, 2000);
                    Ok(())
                })
            },
            nothing,
        )
        .await?;
        assert!(points > 8, "{points}");
        Ok(())
    })
}

#[test]
fn a_stream_that_nobody_reads_to_its_end() -> Result<()> {
    everywhere(|server| async move {
        everywhere_within(
            &server,
            |connection| {
                Box::pin(async {
                    let query = "SELECT generate_series(1, 1000000000)";
                    let mut rows = connection.stream(query, ()).await?;
                    for _ in 0..10 {
                        assert!(rows.next().await?.is_some());
                    }
                    Ok(())
                })
            },
            nothing,
        )
        .await?;
        Ok(())
    })
}

#[test]
fn a_pipeline_is_all_or_nothing() -> Result<()> {
    everywhere(|server| async move {
        table(&server, "cancelled_pipeline").await?;
        everywhere_within(
            &server,
            |connection| {
                Box::pin(async {
                    let mut pipeline = connection.pipeline();
                    let insert =
                        pipeline.execute("INSERT INTO cancelled_pipeline VALUES ($1)", (1,));
                    pipeline.fetch("SELECT pg_sleep(0.002)", ());
                    let sum = pipeline.fetch("SELECT $1::int + $2::int", (3, 4));
                    pipeline.execute("INSERT INTO cancelled_pipeline VALUES ($1)", (2,));
                    let mut results = pipeline.run().await?;
                    assert_eq!(results.tag(insert).map(|tag| tag.rows()), Some(Some(1)));
                    assert_eq!(results.take(sum)?[0].get::<i32>(0)?, 7);
                    Ok(())
                })
            },
            |observer, whole| {
                Box::pin(async move {
                    let rows = count(observer, "cancelled_pipeline").await?;
                    assert!(rows == 2 || rows == 0 && !whole, "{rows} rows");
                    observer.execute("TRUNCATE cancelled_pipeline", ()).await?;
                    Ok(())
                })
            },
        )
        .await?;
        Ok(())
    })
}

#[test]
fn prepared_statements_are_not_left_behind() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connect().statement_cache_size(1).await?;
        for how in ALL {
            for point in 0..4 {
                let preparing: Boxed<'_, ()> = Box::pin(async {
                    let statement = connection.prepare("SELECT $1::int8 AS n").await?;
                    assert_eq!(statement.get_parameters()[0].name(), "int8");
                    assert_eq!(statement.get_attributes()[0].name(), "n");
                    let n: Option<i64> = connection.fetchval(&statement, (9_i64,)).await?;
                    assert_eq!(n, Some(9));
                    Ok(())
                });
                let _ = end_at(point, how, preparing).await;
                let query =
                    "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%AS n'";
                let left: Option<i64> = connection.fetchval(query, ()).await?;
                assert_eq!(left, Some(0), "{how:?} at {point}");
            }
        }
        Ok(())
    })
}

#[test]
fn a_cursor() -> Result<()> {
    everywhere(|server| async move {
        everywhere_within(
            &server,
            |connection| {
                Box::pin(async {
                    let mut transaction = connection.transaction().await?;
                    let query = "SELECT n FROM generate_series(1, $1::int) n";
                    let mut cursor = transaction.cursor(query, (100,)).prefetch(7).await?;
                    for n in 1..=20 {
                        let row = cursor.next().await?.expect("there are more");
                        assert_eq!(row.get::<i32>(0)?, n);
                    }
                    assert_eq!(cursor.forward(30).await?, 30);
                    assert_eq!(cursor.connection().fetchval("SELECT 3", ()).await?, Some(3));
                    assert_eq!(cursor.fetch(40).await?[0].get::<i32>(0)?, 51);
                    let row = cursor.fetchrow().await?.expect("there are more");
                    assert_eq!(row.get::<i32>(0)?, 91);
                    assert_eq!(cursor.fetch(40).await?.len(), 9);
                    assert!(cursor.next().await?.is_none());
                    drop(cursor);
                    transaction.commit().await
                })
            },
            nothing,
        )
        .await?;
        Ok(())
    })
}

#[test]
fn a_reset() -> Result<()> {
    everywhere(|server| async move {
        let points = everywhere_within(
            &server,
            |connection| {
                Box::pin(async {
                    let left =
                        "BEGIN; SELECT pg_advisory_lock(4711); SET application_name = 'left'";
                    connection.execute(left, ()).await?;
                    connection.reset().await?;
                    assert!(!connection.is_in_transaction());
                    let name: Option<String> =
                        connection.fetchval("SHOW application_name", ()).await?;
                    assert_eq!(name.as_deref(), Some(""));
                    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
                    assert_eq!(connection.fetchval(locks, ()).await?, Some(0_i64));
                    Ok(())
                })
            },
            nothing,
        )
        .await?;
        assert!(points > 8, "{points}");
        Ok(())
    })
}

#[test]
fn connecting() -> Result<()> {
    everywhere(|server| async move {
        let mut observer = server
            .connect()
            .server_setting("application_name", "observer")
            .await?;
        let query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'being opened'";
        for how in ALL {
            for point in 0.. {
                let connecting = server
                    .connect()
                    .server_setting("application_name", "being opened");
                let opening: Boxed<'_, ()> = Box::pin(async {
                    let mut connection = connecting.await?;
                    assert_eq!(connection.fetchval("SELECT 1", ()).await?, Some(1));
                    connection.close().await
                });
                let ended = end_at(point, how, opening).await;
                if let Ended::Whole(result) = ended {
                    result?;
                    break;
                }
                for attempt in 0.. {
                    let left: Option<i64> = observer.fetchval(query, ()).await?;
                    if left == Some(0) {
                        break;
                    }
                    assert!(
                        attempt < 200,
                        "{left:?} sessions are left, {how:?} at {point}"
                    );
                    asyncio_core::sleep(0.005).await?;
                }
            }
        }
        Ok(())
    })
}
