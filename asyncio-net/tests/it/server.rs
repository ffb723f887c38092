//! Servers (`test_server.py`).

use std::cell::RefCell;
use std::io::ErrorKind;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use asyncio_core::{
    Result, RuntimeError, TimeoutError, create_task, get_running_loop, run, sleep, timeout,
};
use asyncio_net::{
    Server, StreamReader, StreamWriter, open_connection, open_unix_connection, start_server,
    start_unix_server,
};
use tokio::io::AsyncReadExt;

use crate::support::{alone, error_of, everywhere, kind, until};

/// Reads until the other side ends.
async fn patient(reader: StreamReader, _writer: StreamWriter) -> Result<()> {
    reader.read(-1).await?;
    Ok(())
}

async fn patient_server() -> Result<Server> {
    start_server(patient, "127.0.0.1", 0).await
}

fn socket_path() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("asyncio-net-server-{}-{count}", std::process::id()))
}

/// `test_server.BaseStartServer.test_start_server_1`
#[test]
fn serve_forever_begins_to_serve_and_closes_when_cancelled() -> Result<()> {
    everywhere(|| async {
        let server = start_server(patient, "127.0.0.1", 0)
            .start_serving(false)
            .await?;
        assert!(!server.is_serving());
        assert_eq!(server.sockets().len(), 1);
        let port = server.port();
        assert_eq!(
            kind(open_connection("127.0.0.1", port).await),
            ErrorKind::ConnectionRefused
        );
        let theirs = server.clone();
        let forever = create_task(async move { theirs.serve_forever().await });
        until(|| server.is_serving()).await?;
        error_of::<RuntimeError>(server.serve_forever().await);
        let (_, writer) = open_connection("127.0.0.1", port).await?;
        drop(writer);
        until(|| server.connections() == 0).await?;
        forever.cancel();
        assert!(forever.await.is_err_and(|error| error.is_cancelled()));
        assert!(!server.is_serving());
        assert!(server.sockets().is_empty());
        error_of::<RuntimeError>(server.start_serving().await);
        error_of::<RuntimeError>(server.serve_forever().await);
        Ok(())
    })
}

/// `test_server.SelectorStartServerTests.test_start_unix_server_1`
#[test]
fn the_same_over_a_unix_socket() -> Result<()> {
    everywhere(|| async {
        let path = socket_path();
        let server = start_unix_server(patient, &path)
            .start_serving(false)
            .await?;
        assert_eq!(
            kind(open_unix_connection(&path).await),
            ErrorKind::ConnectionRefused
        );
        server.start_serving().await?;
        server.start_serving().await?;
        assert!(server.is_serving());
        drop(open_unix_connection(&path).await?);
        let theirs = server.clone();
        let forever = create_task(async move { theirs.serve_forever().await });
        sleep(0.01).await?;
        server.close();
        assert!(forever.await.is_err_and(|error| error.is_cancelled()));
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_server_close`
#[test]
fn a_closed_server_refuses() -> Result<()> {
    everywhere(|| async {
        let server = patient_server().await?;
        let port = server.port();
        drop(open_connection("127.0.0.1", port).await?);
        server.close();
        server.close();
        assert_eq!(
            kind(open_connection("127.0.0.1", port).await),
            ErrorKind::ConnectionRefused
        );
        Ok(())
    })
}

/// `test_server.TestServer2.test_wait_closed_basic`
#[test]
fn wait_closed_waits_for_the_close_and_for_the_connections() -> Result<()> {
    everywhere(|| async {
        let server = patient_server().await?;
        error_of::<TimeoutError>(timeout(0.01, server.wait_closed()).await);
        let (_, writer) = open_connection("127.0.0.1", server.port()).await?;
        until(|| server.connections() == 1).await?;
        server.close();
        error_of::<TimeoutError>(timeout(0.01, server.wait_closed()).await);
        writer.close();
        server.wait_closed().await?;
        server.wait_closed().await
    })
}

/// `test_server.TestServer2.test_wait_closed_race`
#[test]
fn the_last_connection_may_end_as_the_server_closes() -> Result<()> {
    everywhere(|| async {
        let server = patient_server().await?;
        let (_, writer) = open_connection("127.0.0.1", server.port()).await?;
        until(|| server.connections() == 1).await?;
        let closing = server.clone();
        let close = create_task(async move {
            closing.close();
            Ok(())
        });
        let end = create_task(async move {
            writer.close();
            Ok(())
        });
        server.wait_closed().await?;
        close.await?;
        end.await
    })
}

/// `test_server.TestServer2.test_close_clients`
#[test]
fn close_clients_closes_every_connection() -> Result<()> {
    everywhere(|| async {
        let server = start_server(
            async |reader: StreamReader, writer: StreamWriter| {
                writer.write(b"last words");
                reader.read(-1).await?;
                Ok(())
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(open_connection("127.0.0.1", server.port()).await?);
        }
        until(|| server.connections() == 3).await?;
        sleep(0.01).await?;
        server.close();
        server.close_clients();
        for (reader, _writer) in &clients {
            assert_eq!(reader.read(-1).await?, b"last words");
        }
        server.wait_closed().await
    })
}

/// `test_server.TestServer2.test_abort_clients`
#[test]
fn abort_clients_drops_what_was_not_sent() -> Result<()> {
    everywhere(|| async {
        let server = start_server(
            async |reader: StreamReader, writer: StreamWriter| {
                writer.write(&vec![0; 64 << 20]);
                assert!(writer.get_write_buffer_size() > 0);
                reader.read(-1).await?;
                Ok(())
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let mut client = tokio::net::TcpStream::connect(("127.0.0.1", server.port())).await?;
        until(|| server.connections() == 1).await?;
        sleep(0.01).await?;
        server.close();
        server.abort_clients();
        timeout(5, server.wait_closed()).await?;
        let mut all = Vec::new();
        // The end or a reset, but not all of it.
        let _ = client.read_to_end(&mut all).await;
        assert!(all.len() < 64 << 20);
        Ok(())
    })
}

/// `test_server.UnixServerCleanupTests.test_unix_server_addr_cleanup`,
/// `test_server.UnixServerCleanupTests.test_unix_server_sock_cleanup`
#[test]
fn the_file_of_a_socket_goes_with_its_server() -> Result<()> {
    everywhere(|| async {
        let path = socket_path();
        let server = start_unix_server(patient, &path).await?;
        assert!(path.exists());
        server.close();
        assert!(!path.exists());
        let server = start_unix_server(patient, "")
            .unix_sock(UnixListener::bind(&path)?)
            .await?;
        server.close();
        assert!(!path.exists());
        Ok(())
    })
}

/// `test_server.UnixServerCleanupTests.test_unix_server_cleanup_gone`,
/// `test_server.UnixServerCleanupTests.test_unix_server_cleanup_replaced`,
/// `test_server.UnixServerCleanupTests.test_unix_server_cleanup_prevented`
#[test]
fn the_file_of_another_is_left_alone() -> Result<()> {
    everywhere(|| async {
        let path = socket_path();
        let server = start_unix_server(patient, &path).await?;
        std::fs::remove_file(&path)?;
        server.close();

        let server = start_unix_server(patient, &path).await?;
        std::fs::remove_file(&path)?;
        let other = UnixListener::bind(&path)?;
        server.close();
        assert!(path.exists(), "it was another's");
        drop(other);
        std::fs::remove_file(&path)?;

        let server = start_unix_server(patient, &path)
            .cleanup_socket(false)
            .await?;
        server.close();
        assert!(path.exists());
        // What a server has left behind does not stop the next one.
        start_unix_server(patient, &path).await?.close();
        assert!(!path.exists());
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_create_server_dual_stack`
#[test]
fn an_empty_host_is_every_address() -> Result<()> {
    everywhere(|| async {
        let server = start_server(patient, "", 0).await?;
        assert!(
            server
                .sockets()
                .iter()
                .all(|address| address.ip().is_unspecified())
        );
        let sockets = server.sockets();
        let v4 = sockets
            .iter()
            .find(|address| address.is_ipv4())
            .expect("IPv4");
        drop(open_connection("127.0.0.1", v4.port()).await?);
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_create_server_addr_in_use`
#[test]
fn a_port_that_is_taken_cannot_be_bound() -> Result<()> {
    everywhere(|| async {
        let server = patient_server().await?;
        let again = start_server(patient, "127.0.0.1", server.port()).await;
        assert_eq!(kind(again), ErrorKind::AddrInUse);
        let one = start_server(patient, "127.0.0.1", 0)
            .reuse_port(true)
            .await?;
        let two = start_server(patient, "127.0.0.1", one.port())
            .reuse_port(true)
            .await?;
        assert_eq!(one.port(), two.port());
        Ok(())
    })
}

#[test]
fn no_more_connections_than_wanted() -> Result<()> {
    everywhere(|| async {
        let server = start_server(
            async |reader: StreamReader, writer: StreamWriter| {
                writer.write(b"in\n");
                reader.read(-1).await?;
                Ok(())
            },
            "127.0.0.1",
            0,
        )
        .max_connections(2)
        .await?;
        let port = server.port();
        let (one, writer) = open_connection("127.0.0.1", port).await?;
        let (two, _two) = open_connection("127.0.0.1", port).await?;
        assert_eq!(
            (one.readline().await?, two.readline().await?),
            (b"in\n".into(), b"in\n".into())
        );
        let (three, _three) = open_connection("127.0.0.1", port).await?;
        error_of::<TimeoutError>(timeout(0.02, three.readline()).await);
        assert_eq!(server.connections(), 2);
        writer.close();
        assert_eq!(three.readline().await?, b"in\n");
        Ok(())
    })
}

/// `test_streams.StreamTests.test_start_server`, `test_events.TestServer.test_get_loop`: the handler runs
/// on the server's loop.
#[test]
fn handlers_are_tasks_of_the_loop() -> Result<()> {
    run(async {
        let server = start_server(
            async |_, writer: StreamWriter| {
                get_running_loop()?;
                let me = asyncio_core::current_task().expect("a task");
                writer.write(me.get_name().as_bytes());
                Ok(())
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let (reader, _writer) = open_connection("127.0.0.1", server.port()).await?;
        assert!(reader.read(-1).await?.starts_with(b"Task-"));
        assert!(server.get_loop().is_some());
        // The server itself is none of the program's tasks.
        assert_eq!(asyncio_core::all_tasks().len(), 1);
        Ok(())
    })
}

/// What a handler uses need not be `Send` when it stays on its loop.
#[test]
fn a_local_handler_shares_what_it_uses_with_its_loop() -> Result<()> {
    run(async {
        let messages = Rc::new(RefCell::new(Vec::new()));
        let heard = Rc::clone(&messages);
        get_running_loop()?.set_exception_handler(Some(Box::new(move |_, context| {
            heard.borrow_mut().push(context.message().to_owned());
        })))?;
        let lines = Rc::new(RefCell::new(Vec::new()));
        let noting = Rc::clone(&lines);
        let handler = move |reader: StreamReader, writer: StreamWriter| {
            let lines = Rc::clone(&noting);
            async move {
                let line = reader.readline().await?;
                if line == b"fail\n" {
                    return Err(RuntimeError::new("as asked").into());
                }
                lines.borrow_mut().push(line);
                writer.write(b"noted");
                writer.drain().await
            }
        };
        let path = socket_path();
        let tcp = start_server(handler.clone(), "127.0.0.1", 0)
            .local()
            .await?;
        let unix = start_unix_server(handler, &path).local().await?;
        for over_unix in [false, true] {
            let (reader, writer) = if over_unix {
                open_unix_connection(&path).await?
            } else {
                open_connection("127.0.0.1", tcp.port()).await?
            };
            writer.write(b"line\n");
            assert_eq!(reader.read(-1).await?, b"noted");
        }
        assert_eq!(*lines.borrow(), [b"line\n", b"line\n"]);
        let (reader, writer) = open_connection("127.0.0.1", tcp.port()).await?;
        writer.write(b"fail\n");
        assert_eq!(reader.read(-1).await?, b"");
        until(|| !messages.borrow().is_empty()).await?;
        assert_eq!(
            *messages.borrow(),
            ["Unhandled exception in client_connected_cb"]
        );
        for server in [tcp, unix] {
            server.close();
            server.wait_closed().await?;
        }
        // With the servers the tasks that pass connections on are gone, and what the function held.
        until(|| asyncio_core::all_tasks().len() == 1).await?;
        until(|| Rc::strong_count(&lines) == 1).await
    })?;
    crate::support::on_tokio(async {
        let nowhere = start_server(async |_, _| Ok(()), "127.0.0.1", 0).local();
        // Its future may not leave this thread either.
        let ended = std::thread::spawn(|| futures::executor::block_on(async { nowhere.await }));
        error_of::<RuntimeError>(ended.join().expect("no panic").map(drop));
        Ok(())
    })
}

/// At the limit of open files old connections go on, others are accepted when some are free again.
/// It has a process of its own, for the limit is the process's.
#[test]
fn a_server_without_file_descriptors_waits_for_some() -> Result<()> {
    let Some(_alone) = alone("server::a_server_without_file_descriptors_waits_for_some")? else {
        return Ok(());
    };
    run(async {
        let messages = Rc::new(RefCell::new(Vec::new()));
        let heard = Rc::clone(&messages);
        get_running_loop()?.set_exception_handler(Some(Box::new(move |_, context| {
            heard.borrow_mut().push(context.message().to_owned());
        })))?;
        let echoed = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&echoed);
        let server = start_server(
            move |reader: StreamReader, writer: StreamWriter| {
                let counted = Arc::clone(&counted);
                async move {
                    while let Some(line) = reader.next_line().await? {
                        counted.fetch_add(1, Ordering::SeqCst);
                        writer.write(&line);
                    }
                    Ok(())
                }
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
        writer.write(b"one\n");
        assert_eq!(reader.readline().await?, b"one\n");
        let mut files = Vec::new();
        let client = std::net::TcpStream::connect(("127.0.0.1", server.port()));
        // All that are left are taken before the server accepts.
        while let Ok(file) = std::fs::File::open("/dev/null") {
            files.push(file);
        }
        until(|| !messages.borrow().is_empty()).await?;
        assert_eq!(
            *messages.borrow(),
            ["socket.accept() out of system resource"]
        );
        writer.write(b"two\n");
        assert_eq!(reader.readline().await?, b"two\n");
        files.clear();
        let freed = Instant::now();
        let client = tokio::net::TcpStream::from_std({
            let client = client?;
            client.set_nonblocking(true)?;
            client
        })?;
        client.writable().await?;
        client.try_write(b"three\n")?;
        until(|| echoed.load(Ordering::SeqCst) == 3).await?;
        assert!(
            freed.elapsed() < Duration::from_millis(1500),
            "{:?}",
            freed.elapsed()
        );
        Ok(())
    })
}
