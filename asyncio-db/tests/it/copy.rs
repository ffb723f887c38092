//! `COPY`, in and out (asyncpg's `test_copy.py`).

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use asyncio_core::{Result, RuntimeError, TimeoutError, create_task, sleep, timeout};
use asyncio_db::pg::{
    Connection, CopyFormat, EncodeError, InterfaceError, chunks, create_pool, each_chunk, file_at,
};
use asyncio_db::{ExceptionExt, exc};
use futures::stream;

use crate::support::{Server, error_of, everywhere};

/// A table of this connection's own.
pub(crate) async fn with_table(server: &Server, columns: &str) -> Result<Connection> {
    let mut connection = server.connection().await?;
    let script = format!("CREATE TEMP TABLE copytab ({columns})");
    connection.execute(&script, ()).await?;
    Ok(connection)
}

pub(crate) async fn is_well(connection: &mut Connection) -> Result<()> {
    assert_eq!(connection.fetchval("SELECT 1", ()).await?, Some(1));
    assert!(!connection.is_in_transaction());
    Ok(())
}

/// A path that nobody else has.
fn path() -> PathBuf {
    static LAST: AtomicU64 = AtomicU64::new(0);
    // The order of these numbers is of no importance, only that each is another.
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    let name = format!("asyncio-db-copy-{}-{number}", std::process::id());
    std::env::temp_dir().join(name)
}

/// `test_copy_from_table_basics`: plainly, and with every option there is.
#[test]
fn a_table_is_copied_out() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection
            .execute(
                "DROP TABLE IF EXISTS copy_basics;
                 CREATE TABLE copy_basics (a text, \"b~\" text, i int);
                 INSERT INTO copy_basics
                     SELECT 'a' || i, 'b' || i, i FROM generate_series(1, 5) AS i;
                 INSERT INTO copy_basics VALUES ('*', NULL, NULL)",
                (),
            )
            .await?;
        let mut out = Vec::new();
        let tag = connection.copy_from_table("copy_basics", &mut out).await?;
        assert_eq!(tag, "COPY 6");
        let text = "a1\tb1\t1\na2\tb2\t2\na3\tb3\t3\na4\tb4\t4\na5\tb5\t5\n*\t\\N\t\\N\n";
        assert_eq!(String::from_utf8_lossy(&out), text);

        connection.execute("SET search_path = none", ()).await?;
        out.clear();
        connection
            .copy_from_table("copy_basics", &mut out)
            .columns(["a", "b~"])
            .schema_name("public")
            .format(CopyFormat::Csv)
            .delimiter('|')
            .null("n-u-l-l")
            .header(true)
            .quote('*')
            .escape('!')
            .force_quote(["a"])
            .encoding("utf-8")
            .await?;
        let text = "a|b~\n*a1*|b1\n*a2*|b2\n*a3*|b3\n*a4*|b4\n*a5*|b5\n*!**|n-u-l-l\n";
        assert_eq!(String::from_utf8_lossy(&out), text);
        connection
            .execute("DROP TABLE public.copy_basics", ())
            .await?;
        Ok(())
    })
}

/// `test_copy_from_table_large_rows`.
#[test]
fn rows_that_are_large_are_copied_out() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = with_table(&server, "a text, b text").await?;
        let fill = "INSERT INTO copytab SELECT repeat('a' || i, 500000), repeat('b' || i, 500000)
                    FROM generate_series(1, 5) AS i";
        connection.execute(fill, ()).await?;
        let mut out = Vec::new();
        assert_eq!(
            connection.copy_from_table("copytab", &mut out).await?,
            "COPY 5"
        );
        assert!(out == large_rows(), "other bytes came, {}", out.len());
        Ok(())
    })
}

fn large_rows() -> Vec<u8> {
    let rows = (1..=5).map(|i| {
        let (a, b) = (format!("a{i}"), format!("b{i}"));
        format!("{}\t{}\n", a.repeat(500_000), b.repeat(500_000))
    });
    rows.collect::<String>().into_bytes()
}

/// `test_copy_from_query_basics`.
#[test]
fn a_query_is_copied_out() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let query = "SELECT repeat('a' || i, 500000), repeat('b' || i, 500000)
                     FROM generate_series(1, 5) AS i";
        let mut out = Vec::new();
        assert_eq!(
            connection.copy_from_query(query, (), &mut out).await?,
            "COPY 5"
        );
        assert!(out == large_rows(), "other bytes came, {}", out.len());
        Ok(())
    })
}

/// `test_copy_from_query_with_args`, and arguments of other types than numbers, quoted ones among them.
#[test]
fn a_query_with_arguments_is_copied_out() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let query = "SELECT i, i * 10, $2::text FROM generate_series(1, 5) AS i WHERE i = $1";
        let mut out = Vec::new();
        let tag = connection
            .copy_from_query(query, (3, None::<String>), &mut out)
            .await?;
        assert_eq!(tag, "COPY 1");
        assert_eq!(String::from_utf8_lossy(&out), "3\t30\t\\N\n");

        out.clear();
        let query = "SELECT $1::text, '$1', $2::int[], 7 - $3::int, $4::bytea -- $1";
        let args = ("it's \\ $2", vec![Some(1), None], -2, &b"\x00'"[..]);
        connection
            .copy_from_query(&format!("{query}\n"), args, &mut out)
            .format(CopyFormat::Csv)
            .await?;
        assert_eq!(
            String::from_utf8_lossy(&out),
            "it's \\ $2,$1,\"{1,NULL}\",9,\\x0027\n"
        );
        is_well(&mut connection).await
    })
}

/// `test_copy_from_query_to_path`, `test_copy_from_query_to_path_like`: all that is like a path is one.
#[test]
fn it_goes_into_a_file() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let query = "SELECT i, i * 10 FROM generate_series(1, 5) AS i WHERE i = $1";
        let path = path();
        connection
            .copy_from_query(query, (3,), file_at(&path))
            .await?;
        assert_eq!(std::fs::read(&path)?, b"3\t30\n");
        connection
            .copy_from_query(query, (77,), file_at(&path))
            .await?;
        assert_eq!(std::fs::read(&path)?, b"");
        std::fs::remove_file(&path)?;
        // Where there can be no file, nothing is left of the query.
        let nowhere = path.join("nothing");
        let copied = connection
            .copy_from_query(query, (3,), file_at(&nowhere))
            .await;
        error_of::<std::io::Error>(copied);
        is_well(&mut connection).await
    })
}

/// `test_copy_from_query_to_sink`: the server waits for a function that takes its time.
#[test]
fn it_goes_to_a_function_that_is_slow() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let all = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&all);
        let query = "SELECT repeat('a', 500) FROM generate_series(1, 5000) AS i";
        let sink = each_chunk(move |chunk| {
            let into = Arc::clone(&into);
            async move {
                sleep(0.001).await?;
                into.lock()
                    .expect("nobody panics")
                    .extend_from_slice(&chunk);
                Ok(())
            }
        });
        assert_eq!(
            connection.copy_from_query(query, (), sink).await?,
            "COPY 5000"
        );
        let line = "a".repeat(500) + "\n";
        assert!(*all.lock().expect("nobody panics") == line.repeat(5000).into_bytes());
        is_well(&mut connection).await
    })
}

/// `test_copy_from_query_cancellation_explicit`.
#[test]
fn it_is_cancelled_while_the_function_waits() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let (began, begun) = futures::channel::oneshot::channel::<()>();
        let mut began = Some(began);
        let sink = each_chunk(move |_| {
            drop(began.take());
            async { sleep(3600.0).await }
        });
        let task = create_task(async move {
            let query = "SELECT repeat('a', 500) FROM generate_series(1, 5000) AS i";
            let copied = connection.copy_from_query(query, (), sink).await;
            is_well(&mut connection).await?;
            copied
        });
        // Its end is that it is dropped.
        let _ = begun.await;
        task.cancel();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        Ok(())
    })
}

/// `test_copy_from_query_cancellation_on_sink_error`.
#[test]
fn what_the_function_goes_wrong_with_is_the_outcome() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let query = "SELECT repeat('a', 500) FROM generate_series(1, 50000) AS i";
        let sink = each_chunk(|_| async { Err(RuntimeError::new("failure").into()) });
        error_of::<RuntimeError>(connection.copy_from_query(query, (), sink).await);
        is_well(&mut connection).await
    })
}

/// `test_copy_from_query_cancellation_while_waiting_for_data`.
#[test]
fn it_is_cancelled_while_there_is_nothing() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let query = "SELECT pg_sleep(60) FROM generate_series(1, 5000) AS i";
        let copying = connection.copy_from_query(query, (), Vec::new());
        error_of::<TimeoutError>(timeout(0.2, copying).await);
        is_well(&mut connection).await
    })
}

/// `test_copy_from_query_timeout_1`, `test_copy_from_query_timeout_2`: the limit is the connection's.
#[test]
fn it_takes_no_longer_than_a_command_may() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server
            .connect()
            .command_timeout(Duration::from_millis(200))
            .await?;
        let query = "SELECT repeat('a', 500) FROM generate_series(1, 5000) AS i";
        for pause in [0.05, 10.0] {
            let sink = each_chunk(move |_| async move { sleep(pause).await });
            let copied = connection.copy_from_query(query, (), sink).await;
            error_of::<TimeoutError>(copied);
            is_well(&mut connection).await?;
        }
        Ok(())
    })
}

/// `test_copy_to_table_basics`: plainly, and with every option there is.
#[test]
fn a_table_is_copied_into() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection
            .execute(
                "DROP TABLE IF EXISTS copy_into;
                 CREATE TABLE copy_into (a text, \"b~\" text, i int)",
                (),
            )
            .await?;
        let source = "a1\tb1\t1\na2\tb2\t2\na3\tb3\t3\na4\tb4\t4\na5\tb5\t5\n*\t\\N\t\\N\n";
        let tag = connection
            .copy_to_table("copy_into", source.as_bytes())
            .await?;
        assert_eq!(tag, "COPY 6");
        let all = "SELECT string_agg(concat_ws(',', a, \"b~\", i), ' ' ORDER BY a) FROM copy_into";
        let text: Option<String> = connection.fetchval(all, ()).await?;
        assert_eq!(
            text.as_deref(),
            Some("* a1,b1,1 a2,b2,2 a3,b3,3 a4,b4,4 a5,b5,5")
        );

        connection
            .execute("TRUNCATE copy_into; SET search_path = none", ())
            .await?;
        let source =
            "a|b~\n*a1*|b1\n*a2*|b2\n*a3*|b3\n*a4*|b4\n*a5*|b5\n*!**|*n-u-l-l*\nn-u-l-l|bb";
        let tag = connection
            .copy_to_table("copy_into", source.as_bytes())
            .columns(["a", "b~"])
            .schema_name("public")
            .format(CopyFormat::Csv)
            .delimiter('|')
            .null("n-u-l-l")
            .header(true)
            .quote('*')
            .escape('!')
            .force_not_null(["a"])
            .force_null(["b~"])
            .encoding("utf-8")
            .await?;
        assert_eq!(tag, "COPY 7");
        connection.execute("SET search_path = public", ()).await?;
        let text: Option<String> = connection.fetchval(all, ()).await?;
        assert_eq!(
            text.as_deref(),
            Some("* a1,b1 a2,b2 a3,b3 a4,b4 a5,b5 n-u-l-l,bb")
        );
        let query = "SELECT count(*) FROM copy_into WHERE \"b~\" IS NULL";
        assert_eq!(connection.fetchval(query, ()).await?, Some(1_i64));
        connection.execute("DROP TABLE copy_into", ()).await?;
        Ok(())
    })
}

/// `test_copy_to_table_large_rows`: two hundred megabytes in Python, twenty here.
#[test]
fn rows_that_are_large_are_copied_in() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = with_table(&server, "a text, b text").await?;
        let row = format!("{}\t{}\n", "a1".repeat(500_000), "b1".repeat(500_000));
        let source = chunks(stream::iter((0..10).map(|_| Ok(row.as_bytes()))));
        assert_eq!(
            connection.copy_to_table("copytab", source).await?,
            "COPY 10"
        );
        let query =
            "SELECT count(*) FROM copytab WHERE length(a) = 1000000 AND length(b) = 1000000";
        assert_eq!(connection.fetchval(query, ()).await?, Some(10_i64));
        Ok(())
    })
}

/// `test_copy_to_table_from_bytes_like`.
#[test]
fn bytes_are_copied_in() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = with_table(&server, "a text, b text").await?;
        let row = format!("{}\t{}\n", "a1".repeat(500), "b1".repeat(500));
        let source = row.repeat(2);
        let tag = connection
            .copy_to_table("copytab", source.as_bytes())
            .await?;
        assert_eq!(tag, "COPY 2");
        Ok(())
    })
}

/// `test_copy_to_table_fail_in_source_1`, `test_copy_to_table_fail_in_source_2`.
#[test]
fn what_the_source_goes_wrong_with_is_the_outcome() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = with_table(&server, "a text, b text").await?;
        for before in [0, 1, 5000] {
            let fails = stream::iter([Err(RuntimeError::new("failure in source").into())]);
            let rows = stream::iter((0..before).map(|_| Ok("a\tb\n")));
            let source = chunks(futures::StreamExt::chain(rows, fails));
            let error = error_of::<RuntimeError>(connection.copy_to_table("copytab", source).await);
            assert!(error.to_string().contains("failure in source"), "{error}");
            is_well(&mut connection).await?;
            let rows = connection
                .fetchval("SELECT count(*) FROM copytab", ())
                .await?;
            assert_eq!(rows, Some(0_i64));
        }
        Ok(())
    })
}

/// `test_copy_to_table_timeout`.
#[test]
fn a_source_has_as_long_as_a_command_may_take() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = with_table(&server, "a text, b text").await?;
        let slow = Box::pin(stream::once(async {
            sleep(60.0).await?;
            Ok("a\tb\n")
        }));
        let copying = connection.copy_to_table("copytab", chunks(slow));
        error_of::<TimeoutError>(timeout(0.1, copying).await);
        is_well(&mut connection).await
    })
}

/// `test_copy_to_table_from_file_path`.
#[test]
fn a_file_is_copied_in() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = with_table(&server, "a text, \"b~\" text, i int").await?;
        let path = path();
        std::fs::write(&path, "a1\tb1\t1\na2\tb2\t2\n*\t\\N\t\\N\n")?;
        let tag = connection.copy_to_table("copytab", file_at(&path)).await?;
        assert_eq!(tag, "COPY 3");
        // An open file is as good.
        let file = tokio::fs::File::open(&path).await?;
        assert_eq!(connection.copy_to_table("copytab", file).await?, "COPY 3");
        std::fs::remove_file(&path)?;
        let rows = connection
            .fetchval("SELECT count(*) FROM copytab", ())
            .await?;
        assert_eq!(rows, Some(6_i64));
        error_of::<std::io::Error>(connection.copy_to_table("copytab", file_at(&path)).await);
        is_well(&mut connection).await
    })
}

const DATED: &str = "a text, b int, c timestamptz";

fn dated() -> impl Iterator<Item = (String, Option<i32>, Option<SystemTime>)> + Clone {
    let now = SystemTime::now();
    let all = (0..100).map(move |i| (format!("a-{i}"), Some(i), Some(now)));
    all.chain([("a-100".to_owned(), None, None)])
}

/// `test_copy_records_to_table_1`.
#[test]
fn records_are_copied_in() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = with_table(&server, DATED).await?;
        let tag = connection.copy_records_to_table("copytab", dated()).await?;
        assert_eq!(tag, "COPY 101");
        let query = "SELECT count(*) FROM copytab WHERE a = 'a-' || b AND c <= now()";
        assert_eq!(connection.fetchval(query, ()).await?, Some(100_i64));
        Ok(())
    })
}

/// `test_copy_records_to_table_where`.
#[test]
fn records_are_copied_in_where_something_is_so() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = with_table(&server, DATED).await?;
        let records = dated().chain([("b-999".to_owned(), None, None)]);
        let tag = connection
            .copy_records_to_table("copytab", records)
            .only_where("a <> 'b-999'")
            .await?;
        assert_eq!(tag, "COPY 101");
        Ok(())
    })
}

/// `test_copy_records_to_table_async`.
#[test]
fn records_that_come_in_their_own_time_are_copied_in() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = with_table(&server, DATED).await?;
        let mut count = 0;
        let records = futures::StreamExt::then(stream::iter(dated()), move |record| {
            count += 1;
            async move {
                if count % 10 == 0 {
                    sleep(0.001).await?;
                }
                Ok(record)
            }
        });
        let tag = connection.copy_stream_to_table("copytab", records).await?;
        assert_eq!(tag, "COPY 101");
        Ok(())
    })
}

/// `test_copy_records_to_table_no_binary_codec`: what can only be written as text is no record.
#[test]
fn values_without_a_binary_form_are_refused() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = with_table(&server, "a int").await?;
        let copied = connection
            .copy_records_to_table("copytab", [(AsText,)])
            .await;
        let error = error_of::<InterfaceError>(copied);
        assert!(error.to_string().contains("no binary form"), "{error}");
        is_well(&mut connection).await
    })
}

#[derive(Debug)]
struct AsText;

impl asyncio_db::pg::types::ToSql for AsText {
    fn to_sql(
        &self,
        _: &asyncio_db::pg::types::Type,
        out: &mut bytes::BytesMut,
    ) -> Result<asyncio_db::pg::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(b"1");
        Ok(asyncio_db::pg::types::IsNull::No)
    }

    fn accepts(_: &asyncio_db::pg::types::Type) -> bool {
        true
    }

    fn encode_format(&self, _: &asyncio_db::pg::types::Type) -> asyncio_db::pg::types::Format {
        asyncio_db::pg::types::Format::Text
    }

    asyncio_db::pg::types::to_sql_checked!();
}

#[test]
fn a_record_that_does_not_fit_spoils_all() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = with_table(&server, "a int NOT NULL, b text").await?;
        let records = (0..20_000).map(|n| ((n != 19_990).then_some(n), "b"));
        let copied = connection.copy_records_to_table("copytab", records).await;
        let error = copied.expect_err("one is null");
        assert!(error.is_pg::<exc::NotNullViolationError>(), "{error:?}");
        is_well(&mut connection).await?;

        let copied = connection
            .copy_records_to_table("copytab", [(1_i64, "b")])
            .await;
        error_of::<EncodeError>(copied);
        is_well(&mut connection).await?;
        let copied = connection.copy_records_to_table("copytab", [(1,)]).await;
        error_of::<InterfaceError>(copied);
        is_well(&mut connection).await?;
        let copied = connection
            .copy_records_to_table("no such table", [(1,)])
            .await;
        assert!(
            copied
                .expect_err("there is none")
                .is_pg::<exc::UndefinedTableError>()
        );
        is_well(&mut connection).await?;

        let empty = connection
            .copy_records_to_table("copytab", [(1, "b"); 0])
            .await?;
        assert_eq!(empty, "COPY 0");
        let rows = connection
            .fetchval("SELECT count(*) FROM copytab", ())
            .await?;
        assert_eq!(rows, Some(0_i64));
        Ok(())
    })
}

/// The server's word is heard while the source has none to say.
#[test]
fn an_error_of_the_server_does_not_wait_for_the_source() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = with_table(&server, "a int CHECK (a > 0)").await?;
        for _ in 0..2 {
            let records = futures::StreamExt::chain(
                stream::iter((0..30_000).map(|n| Ok((5 - n,)))),
                stream::pending(),
            );
            let copied = connection.copy_stream_to_table("copytab", records).await;
            let error = copied.expect_err("there are some below one");
            assert!(error.is_pg::<exc::CheckViolationError>(), "{error:?}");
            is_well(&mut connection).await?;
        }
        let bytes = futures::StreamExt::chain(
            stream::iter((0..9000).map(|_| Ok("0\n"))),
            stream::pending(),
        );
        let copied = connection.copy_to_table("copytab", chunks(bytes)).await;
        assert!(
            copied
                .expect_err("it is below one")
                .is_pg::<exc::CheckViolationError>()
        );
        is_well(&mut connection).await
    })
}

#[test]
fn records_are_copied_out() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = with_table(&server, "n int, word text, \"no\" int[]").await?;
        let records = (0..5000_i32).map(|n| (n, (n % 3 != 0).then(|| format!("w{n}")), vec![n; 3]));
        connection
            .copy_records_to_table("copytab", records.clone())
            .await?;
        let mut out = connection
            .copy_records_from_table("copytab", ["no", "word", "n"])
            .await?;
        let mut count = 0;
        for (n, word, array) in records {
            let record = out.next().await?.expect("there are as many");
            assert_eq!(record.get::<i32>("n")?, n);
            assert_eq!(record.get::<Option<String>>("word")?, word);
            assert_eq!(record.get::<Vec<i32>>(0)?, array);
            count += 1;
        }
        assert!(out.next().await?.is_none());
        assert_eq!(count, 5000);
        drop(out);
        // Some of them, and the server stops.
        let query = "SELECT generate_series(1, 1000000000) + $1";
        let mut out = connection.copy_records_from_query(query, (10_i32,)).await?;
        assert_eq!(out.next().await?.expect("there is one").get::<i32>(0)?, 11);
        drop(out);
        is_well(&mut connection).await
    })
}

#[test]
fn a_pool_copies() -> Result<()> {
    everywhere(|server| async move {
        let pool = create_pool(server.connect())
            .min_size(1)
            .max_size(1)
            .await?;
        pool.execute(
            "DROP TABLE IF EXISTS copy_pool; CREATE TABLE copy_pool (n int)",
            (),
        )
        .await?;
        pool.copy_records_to_table("copy_pool", (0..10).map(|n| (n,)))
            .await?;
        pool.copy_to_table("copy_pool", &b"10\n11\n"[..]).await?;
        pool.copy_stream_to_table("copy_pool", stream::iter([Ok((12,))]))
            .await?;
        let (mut table, mut query) = (Vec::new(), Vec::new());
        assert_eq!(
            pool.copy_from_table("copy_pool", &mut table).await?,
            "COPY 13"
        );
        let asked = "SELECT n FROM copy_pool WHERE n < $1 ORDER BY n";
        pool.copy_from_query(asked, (3,), &mut query).await?;
        assert_eq!(query, b"0\n1\n2\n");
        pool.execute("DROP TABLE copy_pool", ()).await?;
        pool.close().await
    })
}
