//! Listeners of all kinds (asyncpg's `test_listeners.py` and `test_logging.py`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio_core::{Result, TimeoutError, create_task, sleep, timeout};
use asyncio_db::pg::{Connection, ListenerEvent, Notification, create_pool};
use asyncio_db::testing::FaultProxy;
use asyncio_db::{ExceptionExt as _, exc};
use asyncio_sync::Queue;

use crate::support::{everywhere, until};

type Heard = Arc<Queue<Notification>>;

fn queue() -> (Heard, impl Fn(&Notification) + Send + Sync + 'static) {
    let queue = Arc::new(Queue::new(100));
    let into = Arc::clone(&queue);
    (queue, move |heard: &Notification| {
        let _ = into.put_nowait(heard.clone());
    })
}

async fn is(heard: &Heard, pid: i32, channel: &str, payload: &str) -> Result<()> {
    let heard = timeout(30, heard.get()).await?;
    assert_eq!(
        (heard.pid, &*heard.channel, &*heard.payload),
        (pid, channel, payload)
    );
    Ok(())
}

/// `test_listen_01`: several listen to one channel, and each is removed.
#[test]
fn functions_hear_what_is_said_on_a_channel() -> Result<()> {
    everywhere(|server| async move {
        let pool = create_pool(server.connect())
            .min_size(1)
            .max_size(1)
            .await?;
        let mut connection = pool.acquire().await?;
        let pid = connection.get_server_pid();
        let ((q1, listener1), (q2, listener2)) = (queue(), queue());
        let first = connection.add_listener("test", listener1).await?;
        let second = connection.add_listener("test", listener2).await?;
        connection.execute("NOTIFY test, 'aaaa'", ()).await?;
        is(&q1, pid, "test", "aaaa").await?;
        is(&q2, pid, "test", "aaaa").await?;

        assert!(connection.remove_listener("test", second).await?);
        assert!(!connection.remove_listener("test", second).await?);
        connection.execute("NOTIFY test, 'aaaa'", ()).await?;
        is(&q1, pid, "test", "aaaa").await?;
        assert!(q2.empty());

        connection.reset().await?;
        assert!(!connection.remove_listener("test", first).await?);
        connection.execute("NOTIFY test, 'aaaa'", ()).await?;
        connection.execute("SELECT 1", ()).await?;
        assert!(q1.empty() && q2.empty());
        drop(connection);
        pool.close().await
    })
}

/// `test_listen_02`: what another session says is heard while nothing is asked.
#[test]
fn what_others_say_is_heard_at_once() -> Result<()> {
    everywhere(|server| async move {
        let (mut one, mut other) = (server.connection().await?, server.connection().await?);
        let (heard, listener) = queue();
        let id = one.add_listener("ipc", listener).await?;
        for number in 0..20 {
            let said = format!("hello {number}");
            other
                .execute("SELECT pg_notify('ipc', $1)", (&said,))
                .await?;
            is(&heard, other.get_server_pid(), "ipc", &said).await?;
            if number % 3 == 0 {
                // It can be used as ever meanwhile.
                assert_eq!(
                    one.fetchval("SELECT $1::int", (number,)).await?,
                    Some(number)
                );
            }
        }
        // In a transaction it is heard when that ends.
        let transaction = one.transaction().await?;
        other.execute("NOTIFY ipc, 'later'", ()).await?;
        assert!(heard.empty());
        drop(transaction);
        is(&heard, other.get_server_pid(), "ipc", "later").await?;
        // And while something that was cancelled is put right.
        let slow = timeout(0.01, one.execute("SELECT pg_sleep(60)", ())).await;
        assert!(slow.is_err_and(|error| error.is::<TimeoutError>()));
        other.execute("NOTIFY ipc, 'still'", ()).await?;
        is(&heard, other.get_server_pid(), "ipc", "still").await?;
        one.remove_listener("ipc", id).await?;
        one.close().await
    })
}

/// `test_listen_notletters`.
#[test]
fn a_channel_may_have_any_name() -> Result<()> {
    everywhere(|server| async move {
        let (mut one, mut other) = (server.connection().await?, server.connection().await?);
        let (heard, listener) = queue();
        let id = one.add_listener("12+\"34", listener).await?;
        other.execute("NOTIFY \"12+\"\"34\", 'hello'", ()).await?;
        is(&heard, other.get_server_pid(), "12+\"34", "hello").await?;
        one.remove_listener("12+\"34", id).await?;
        other.execute("NOTIFY \"12+\"\"34\", 'hello'", ()).await?;
        one.execute("SELECT 1", ()).await?;
        assert!(heard.empty());
        Ok(())
    })
}

/// `test_dangling_listener_warns`, `test_dangling_log_listener_warns`: who borrows it next is not bothered.
#[test]
fn listeners_do_not_outlive_the_loan() -> Result<()> {
    everywhere(|server| async move {
        let pool = create_pool(server.connect())
            .min_size(1)
            .max_size(1)
            .await?;
        let (heard, listener) = queue();
        let logged = Arc::new(Mutex::new(0));
        let count = Arc::clone(&logged);
        let mut lent = pool.acquire().await?;
        let pid = lent.get_server_pid();
        lent.add_listener("ipc", listener).await?;
        lent.add_log_listener(move |_| *count.lock().expect("nobody panics") += 1);
        drop(lent);
        let mut lent = pool.acquire().await?;
        assert_eq!(lent.get_server_pid(), pid);
        lent.execute("NOTIFY ipc; DO $$ BEGIN RAISE WARNING 'x'; END $$", ())
            .await?;
        let channels = "SELECT count(*) FROM pg_listening_channels()";
        assert_eq!(lent.fetchval(channels, ()).await?, Some(0_i64));
        assert!(heard.empty());
        assert_eq!(*logged.lock().expect("nobody panics"), 0);
        drop(lent);
        pool.close().await
    })
}

/// What is said by RAISE, and as what.
type Said = Arc<Mutex<Vec<(String, String, String)>>>;

fn log(connection: &mut Connection) -> (Said, asyncio_db::pg::ListenerId) {
    let said = Said::default();
    let into = Arc::clone(&said);
    let id = connection.add_log_listener(move |notice| {
        let severity = notice.severity().unwrap_or_default().to_owned();
        let told = (
            severity,
            notice.sqlstate().to_owned(),
            notice.message().to_owned(),
        );
        into.lock().expect("nobody panics").push(told);
    });
    (said, id)
}

async fn raise(connection: &mut Connection, level: &str) -> Result<()> {
    let text = format!("DO $$ BEGIN RAISE {level}; END; $$ LANGUAGE plpgsql");
    connection.execute(&text, ()).await?;
    Ok(())
}

/// `test_log_listener_01`.
#[test]
fn notices_and_warnings_are_told() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server
            .connect()
            .server_setting("client_min_messages", "notice")
            .await?;
        let (said, id) = log(&mut connection);
        raise(&mut connection, "NOTICE 'catch me!'").await?;
        raise(&mut connection, "WARNING 'catch me!'").await?;
        let told = std::mem::take(&mut *said.lock().expect("nobody panics"));
        let told: Vec<(&str, &str, &str)> =
            told.iter().map(|(a, b, c)| (&**a, &**b, &**c)).collect();
        let expected = [
            ("NOTICE", "00000", "catch me!"),
            ("WARNING", "01000", "catch me!"),
        ];
        assert_eq!(told, expected);

        assert!(connection.remove_log_listener(id));
        raise(&mut connection, "NOTICE 'catch me!'").await?;
        assert!(said.lock().expect("nobody panics").is_empty());

        let (said, _) = log(&mut connection);
        raise(&mut connection, "NOTICE 'catch me!'").await?;
        assert_eq!(said.lock().expect("nobody panics").len(), 1);
        connection.reset().await?;
        raise(&mut connection, "WARNING 'catch me!'").await?;
        assert_eq!(said.lock().expect("nobody panics").len(), 1);
        Ok(())
    })
}

/// `test_log_listener_02`: each while its query runs.
#[test]
fn notices_are_told_with_their_query() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server
            .connect()
            .server_setting("client_min_messages", "notice")
            .await?;
        let function = "CREATE FUNCTION pg_temp.noticed(i int) RETURNS int LANGUAGE plpgsql AS $$
            BEGIN RAISE NOTICE '1_%', i; RAISE NOTICE '2_%', i; RETURN i; END $$";
        connection.execute(function, ()).await?;
        let (said, id) = log(&mut connection);
        for number in 0..10 {
            connection
                .execute("SELECT pg_temp.noticed($1)", (number,))
                .await?;
            let told = std::mem::take(&mut *said.lock().expect("nobody panics"));
            let told: Vec<&str> = told.iter().map(|(.., text)| &**text).collect();
            assert_eq!(told, [format!("1_{number}"), format!("2_{number}")]);
        }
        connection.remove_log_listener(id);
        Ok(())
    })
}

/// `test_log_listener_03`.
#[test]
fn a_warning_has_the_class_of_its_code() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let classes = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&classes);
        connection.add_log_listener(move |notice| {
            let class = (
                notice.is::<exc::StringDataRightTruncation>(),
                notice.sqlstate().to_owned(),
            );
            into.lock().expect("nobody panics").push(class);
        });
        raise(
            &mut connection,
            "WARNING 'catch me!' USING ERRCODE = '99999'",
        )
        .await?;
        raise(
            &mut connection,
            "WARNING 'catch me!' USING ERRCODE = '01004'",
        )
        .await?;
        let told = std::mem::take(&mut *classes.lock().expect("nobody panics"));
        assert_eq!(
            told,
            [(false, "99999".to_owned()), (true, "01004".to_owned())]
        );

        let raised = raise(&mut connection, "'catch me!' USING ERRCODE = '22018'").await;
        let error = raised.expect_err("it is an exception");
        assert!(
            error.is_pg::<exc::InvalidCharacterValueForCastError>(),
            "{error:?}"
        );
        assert!(classes.lock().expect("nobody panics").is_empty());
        Ok(())
    })
}

fn ended(connection: &mut Connection) -> Arc<Mutex<u32>> {
    let ended = Arc::new(Mutex::new(0));
    let into = Arc::clone(&ended);
    connection.add_termination_listener(move || *into.lock().expect("nobody panics") += 1);
    ended
}

/// `test_connection_termination_callback_called_on_remote`: also while nothing is asked.
#[test]
fn the_end_of_a_session_is_told_when_the_server_goes() -> Result<()> {
    everywhere(|server| async move {
        let proxy = FaultProxy::to_cluster(server.cluster)?;
        let mut connection = asyncio_db::pg::connect(proxy.dsn_of("postgres", "postgres")).await?;
        let told = ended(&mut connection);
        let never = Arc::new(Mutex::new(0));
        let into = Arc::clone(&never);
        let id = connection.add_termination_listener(move || *into.lock().expect("no") += 1);
        assert!(connection.remove_termination_listener(id));
        assert_eq!(connection.fetchval("SELECT 1", ()).await?, Some(1));
        assert_eq!(*told.lock().expect("nobody panics"), 0);
        drop(proxy);
        until(|| *told.lock().expect("nobody panics") == 1).await?;
        assert!(connection.fetchval::<i32>("SELECT 1", ()).await.is_err());
        assert!(connection.is_closed());
        drop(connection);
        assert_eq!(*told.lock().expect("nobody panics"), 1);
        assert_eq!(*never.lock().expect("nobody panics"), 0);
        Ok(())
    })
}

/// `test_connection_termination_callback_called_on_local`.
#[test]
fn the_end_of_a_session_is_told_when_it_is_closed() -> Result<()> {
    everywhere(|server| async move {
        for close in [true, false] {
            let mut connection = server.connection().await?;
            let told = ended(&mut connection);
            if close {
                connection.close().await?;
            } else {
                connection.terminate();
            }
            until(|| *told.lock().expect("nobody panics") == 1).await?;
        }
        Ok(())
    })
}

/// `test_logging_context`, `test_error_handling` and `test_multiple_loggers` of asyncpg's query loggers.
#[test]
fn queries_are_told_of() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let told = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&told);
        let mut logged = connection.query_logger(move |query| {
            let mut told = into.lock().expect("nobody panics");
            told.push((
                query.query.to_owned(),
                query.args.join(","),
                query.exception.is_some(),
            ));
        });
        let second = Arc::new(Mutex::new(0));
        let into = Arc::clone(&second);
        let id = logged.add_query_logger(move |_| *into.lock().expect("nobody panics") += 1);
        logged.fetchval::<i32>("SELECT $1::int", (1,)).await?;
        logged.execute("SELECT 2", ()).await?;
        assert!(logged.fetch("SELECT nothing", ()).await.is_err());
        logged.executemany("SELECT $1::int", [(1,), (2,)]).await?;
        drop(logged);
        assert!(connection.remove_query_logger(id));
        connection.execute("SELECT 3", ()).await?;
        let told = std::mem::take(&mut *told.lock().expect("nobody panics"));
        let expected = [
            ("SELECT $1::int", "1", false),
            ("SELECT 2", "", false),
            ("SELECT nothing", "", true),
            ("SELECT $1::int", "", false),
        ];
        let told: Vec<(&str, &str, bool)> = told.iter().map(|(a, b, c)| (&**a, &**b, *c)).collect();
        assert_eq!(told, expected);
        assert_eq!(*second.lock().expect("nobody panics"), 4);
        Ok(())
    })
}

/// What is asked for is not lost when it is not waited for.
#[test]
fn a_listener_hears_all_and_may_be_left() -> Result<()> {
    everywhere(|server| async move {
        let pool = create_pool(server.connect())
            .min_size(1)
            .max_size(2)
            .await?;
        let mut listener = pool.listen(["one", "two"]).await?;
        listener.add_channel("three").await?;
        for channel in ["one", "two", "three", "four"] {
            pool.execute("SELECT pg_notify($1, $1)", (channel,)).await?;
        }
        for channel in ["one", "two", "three"] {
            let heard = listener
                .next()
                .await?
                .notification()
                .expect("nothing has gone");
            assert_eq!((&*heard.channel, &*heard.payload), (channel, channel));
        }
        for number in 0..50 {
            let waited = timeout(0.0005 * f64::from(number % 3), listener.next()).await;
            assert!(waited.is_err_and(|error| error.is::<TimeoutError>()));
            let said = number.to_string();
            let saying = pool.clone();
            let say = create_task(async move {
                saying
                    .execute("SELECT pg_notify('two', $1)", (number.to_string(),))
                    .await?;
                Ok(())
            });
            let heard = timeout(30, listener.next()).await?.notification();
            assert_eq!(heard.expect("nothing has gone").payload, said);
            say.await?;
        }
        assert!(pool.get_size() <= 2);
        listener.close().await?;
        pool.close().await
    })
}

/// A session that is ended by somebody is begun again, and that is said.
#[test]
fn a_listener_begins_anew_and_says_so() -> Result<()> {
    everywhere(|server| async move {
        let mut other = server.connection().await?;
        let mut listener = server.connect().listen(["news"]).await?;
        for round in 0..5 {
            let pid = listener.get_server_pid().expect("it has a session");
            other.execute("NOTIFY news, 'before'", ()).await?;
            other
                .execute("SELECT pg_terminate_backend($1, 10000)", (pid,))
                .await?;
            other.execute("NOTIFY news, 'lost'", ()).await?;
            // What has been said before may have come.
            loop {
                let event = timeout(30, listener.next()).await?;
                if event == ListenerEvent::Reconnected {
                    break;
                }
                let heard = event.notification().expect("there are no others");
                assert_eq!(heard.payload, "before", "in round {round}");
            }
            other.execute("NOTIFY news, 'after'", ()).await?;
            let heard = timeout(30, listener.next()).await?.notification();
            assert_eq!(heard.expect("it was said").payload, "after");
        }
        listener.close().await
    })
}

/// A server that has gone without a word is asked, and then another session is begun.
#[test]
fn a_listener_asks_a_server_that_is_silent() -> Result<()> {
    everywhere(|server| async move {
        let proxy = FaultProxy::to_cluster(server.cluster)?;
        let dsn = proxy.dsn_of("postgres", "postgres");
        let mut listener = asyncio_db::pg::connect(dsn).listen(["silent"]).await?;
        listener.set_probe_interval(Duration::from_millis(200))?;
        let waited = timeout(1, listener.next()).await;
        assert!(
            waited.is_err_and(|error| error.is::<TimeoutError>()),
            "it is there"
        );
        proxy.black_hole(asyncio_db::testing::Direction::ToClient);
        let task = create_task(async move {
            let event = listener.next().await?;
            Ok((listener, event))
        });
        sleep(0.5).await?;
        proxy.heal();
        let (listener, event) = timeout(60, task).await?;
        assert_eq!(event, ListenerEvent::Reconnected);
        listener.close().await
    })
}
