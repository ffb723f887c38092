//! Streams over sockets (`test_streams.py`).

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use asyncio_core::{
    Result, RuntimeError, TimeoutError, ValueError, create_task, get_running_loop, run, sleep,
    timeout,
};
use asyncio_net::{
    ConnectError, IncompleteReadError, Server, StreamReader, StreamWriter, open_connection,
    open_unix_connection, start_server, start_unix_server,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{error_of, everywhere, kind, pattern, until};

async fn echo(reader: StreamReader, writer: StreamWriter) -> Result<()> {
    loop {
        let data = reader.read(1 << 16).await?;
        if data.is_empty() {
            return Ok(());
        }
        writer.write(&data);
        writer.drain().await?;
    }
}

async fn echo_server() -> Result<Server> {
    start_server(echo, "127.0.0.1", 0).await
}

/// A connection and its other side, which a test may do anything with.
async fn pair() -> Result<(StreamReader, StreamWriter, tokio::net::TcpStream)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let (reader, writer) = open_connection("127.0.0.1", port).await?;
    Ok((reader, writer, listener.accept().await?.0))
}

fn socket_path(name: &str) -> std::path::PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("asyncio-net-{name}-{}-{count}", std::process::id());
    std::env::temp_dir().join(name)
}

/// `test_streams.StreamTests.test_open_connection`,
/// `test_streams.StreamTests.test_start_server`
#[test]
fn a_connection_carries_bytes_both_ways() -> Result<()> {
    everywhere(|| async {
        let server = echo_server().await?;
        let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
        writer.write(b"one\n");
        assert_eq!(reader.readline().await?, b"one\n");
        writer.writelines([b"two\n".as_slice(), b"three"]);
        writer.drain().await?;
        assert_eq!(reader.readexactly(9).await?, b"two\nthree");
        writer.write_eof()?;
        assert_eq!(reader.read(-1).await?, b"");
        assert!(reader.at_eof());
        writer.close();
        writer.wait_closed().await?;
        server.close();
        server.wait_closed().await
    })
}

/// `test_streams.StreamTests.test_open_unix_connection`,
/// `test_streams.StreamTests.test_start_unix_server`
#[test]
fn a_unix_socket_carries_bytes_both_ways() -> Result<()> {
    everywhere(|| async {
        let path = socket_path("echo");
        let server = start_unix_server(echo, &path).await?;
        let (reader, writer) = open_unix_connection(&path).await?;
        writer.write(b"one\n");
        assert_eq!(reader.readline().await?, b"one\n");
        assert_eq!(writer.get_extra_info().peer_path().as_ref(), Some(&path));
        writer.close();
        writer.wait_closed().await?;
        server.close();
        server.wait_closed().await?;
        assert!(!path.exists());
        Ok(())
    })
}

#[test]
#[cfg(target_os = "linux")]
fn a_unix_socket_may_have_a_name_without_a_file() -> Result<()> {
    everywhere(|| async {
        let name = socket_path("abstract");
        let name = format!("\0{}", name.display());
        let server = start_unix_server(echo, &name).await?;
        let (reader, writer) = open_unix_connection(&name).await?;
        writer.write(b"one\n");
        assert_eq!(reader.readline().await?, b"one\n");
        server.close();
        Ok(())
    })
}

/// `test_streams.StreamTests.test_open_connection_error`,
/// `test_streams.StreamTests.test_open_unix_connection_error`
#[test]
fn an_error_of_the_socket_is_raised_by_reads_and_drains() -> Result<()> {
    everywhere(|| async {
        let (reader, writer, peer) = pair().await?;
        socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO))?;
        drop(peer);
        assert_eq!(kind(reader.read(10).await), ErrorKind::ConnectionReset);
        assert_eq!(kind(reader.readline().await), ErrorKind::ConnectionReset);
        assert_eq!(kind(writer.drain().await), ErrorKind::ConnectionReset);
        assert_eq!(kind(writer.wait_closed().await), ErrorKind::ConnectionReset);
        Ok(())
    })
}

/// `test_sock_lowlevel.BaseSockTestsMixin.test_sock_client_fail`
#[test]
fn a_port_without_a_server_refuses() -> Result<()> {
    everywhere(|| async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        drop(listener);
        let refused = open_connection("127.0.0.1", port).await;
        assert_eq!(kind(refused), ErrorKind::ConnectionRefused);
        Ok(())
    })
}

#[test]
fn without_a_loop_there_is_an_error_and_no_panic() {
    let refused = futures::executor::block_on(open_connection("127.0.0.1", 1).into_future());
    error_of::<RuntimeError>(refused);
    let refused = futures::executor::block_on(start_server(echo, "127.0.0.1", 0).into_future());
    error_of::<RuntimeError>(refused);
}

/// `test_streams.StreamTests.test_invalid_limit`
#[test]
fn a_limit_of_zero_is_an_error() -> Result<()> {
    everywhere(|| async {
        let server = echo_server().await?;
        let refused = open_connection("127.0.0.1", server.port()).limit(0).await;
        error_of::<ValueError>(refused);
        error_of::<ValueError>(start_server(echo, "127.0.0.1", 0).limit(0).await);
        Ok(())
    })
}

#[test]
fn a_connection_that_takes_too_long_is_given_up() -> Result<()> {
    everywhere(|| async {
        // A listener whose queue is full does not answer.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        let any: std::net::SocketAddr = "127.0.0.1:0".parse()?;
        socket.bind(&any.into())?;
        socket.listen(0)?;
        let address = socket.local_addr()?.as_socket().expect("an address");
        let mut waiting = Vec::new();
        for _ in 0..4 {
            let connecting = tokio::net::TcpStream::connect(address);
            let connected = tokio::time::timeout(Duration::from_millis(50), connecting).await;
            waiting.push(connected);
        }
        let connecting = open_connection("127.0.0.1", address.port());
        error_of::<TimeoutError>(connecting.timeout(Duration::from_millis(50)).await);
        Ok(())
    })
}

/// Several addresses: all errors are told, and a dead one does not stop the others.
#[test]
fn all_addresses_of_a_host_are_tried() -> Result<()> {
    everywhere(|| async {
        let found = asyncio_net::getaddrinfo("localhost", 1).await?;
        let refused = open_connection("localhost", 1)
            .await
            .expect_err("no server");
        if found.len() > 1 {
            let error = refused.downcast_ref::<ConnectError>().expect("several");
            assert_eq!(error.attempts().len(), found.len());
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        } else {
            assert!(refused.is::<std::io::Error>());
        }
        let server = echo_server().await?;
        // Where localhost is ::1 as well, nobody answers there.
        let (reader, writer) = open_connection("localhost", server.port()).await?;
        writer.write(b"x");
        assert_eq!(reader.read(1).await?, b"x");
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_create_connection_local_addr`
#[test]
fn the_connection_may_come_from_an_address_of_choice() -> Result<()> {
    everywhere(|| async {
        let server = echo_server().await?;
        let (_, writer) = open_connection("127.0.0.1", server.port())
            .local_addr("127.0.0.2:0".parse()?)
            .await?;
        let info = writer.get_extra_info();
        let name = info.sockname().expect("over TCP");
        assert_eq!(name.ip().to_string(), "127.0.0.2");
        assert_eq!(info.peername().map(|peer| peer.port()), Some(server.port()));
        Ok(())
    })
}

/// `test_streams.StreamTests.test_drain_raises`
#[test]
fn whoever_writes_to_a_peer_that_has_gone_hears_of_it() -> Result<()> {
    everywhere(|| async {
        let (_reader, writer, peer) = pair().await?;
        drop(peer);
        let mut rounds = 0;
        let error = loop {
            writer.write(&[0; 100]);
            if let Err(error) = writer.drain().await {
                break error;
            }
            sleep(0.001).await?;
            rounds += 1;
            assert!(rounds < 1000, "no error");
        };
        let kind = error.downcast_ref::<std::io::Error>().expect("I/O").kind();
        assert!(matches!(
            kind,
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
        ));
        Ok(())
    })
}

/// `test_streams.StreamTests.test_multiple_drain`
#[test]
fn all_who_drain_go_on_together() -> Result<()> {
    everywhere(|| async {
        let (_reader, writer, mut peer) = pair().await?;
        while writer.get_write_buffer_size() <= 1 << 16 {
            writer.write(&[7; 1 << 16]);
        }
        let drained = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let (writer, drained) = (writer.clone(), Arc::clone(&drained));
                create_task(async move {
                    writer.drain().await?;
                    drained.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                })
            })
            .collect();
        sleep(0.02).await?;
        assert_eq!(drained.load(Ordering::SeqCst), 0);
        let reading = create_task(async move {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).await?;
            Ok(all.len())
        });
        for task in tasks {
            task.await?;
        }
        writer.close();
        writer.wait_closed().await?;
        assert_eq!(reading.await? % (1 << 16), 0);
        Ok(())
    })
}

/// A drain that is cancelled loses nothing, and those that come after it wait as well.
#[test]
fn a_cancelled_drain_leaves_its_bytes_in_the_writer() -> Result<()> {
    everywhere(|| async {
        let (_reader, writer, mut peer) = pair().await?;
        let data = pattern(16 << 20);
        writer.write(&data);
        let drain = timeout(0.01, writer.drain()).await;
        error_of::<TimeoutError>(drain);
        let expected = data.clone();
        let reading = create_task(async move {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).await?;
            Ok(all == expected)
        });
        writer.drain().await?;
        assert!(writer.get_write_buffer_size() <= 1 << 14);
        writer.write_eof()?;
        writer.flush().await?;
        assert_eq!(writer.get_write_buffer_size(), 0);
        assert!(reading.await?);
        Ok(())
    })
}

/// `test_streams.StreamTests.test_wait_closed_on_close`,
/// `test_streams.StreamTests.test_wait_closed_on_close_with_unread_data`
#[test]
fn a_closed_stream_can_be_waited_for() -> Result<()> {
    everywhere(|| async {
        let server = echo_server().await?;
        for read in [true, false] {
            let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
            writer.write(b"some\nmore\n");
            if read {
                assert_eq!(reader.readline().await?, b"some\n");
                assert_eq!(reader.readline().await?, b"more\n");
            }
            assert!(!writer.is_closing());
            writer.close();
            assert!(writer.is_closing());
            writer.wait_closed().await?;
        }
        Ok(())
    })
}

/// `test_streams.StreamTests.test_async_writer_api`,
/// `test_streams.StreamTests.test_async_writer_api_exception_after_close`
#[test]
fn a_closed_stream_takes_nothing() -> Result<()> {
    everywhere(|| async {
        let server = echo_server().await?;
        let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
        writer.write(b"line\n");
        writer.drain().await?;
        assert_eq!(reader.readline().await?, b"line\n");
        writer.close();
        writer.write(b"into the void");
        assert_eq!(kind(writer.drain().await), ErrorKind::ConnectionReset);
        writer.wait_closed().await
    })
}

/// `test_streams.StreamTests.test_eof_feed_when_closing_writer`
#[test]
fn a_read_ends_when_the_writer_is_closed() -> Result<()> {
    everywhere(|| async {
        let server = echo_server().await?;
        let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
        let waiting = reader.clone();
        let reading = create_task(async move { waiting.read(10).await });
        sleep(0.01).await?;
        writer.close();
        writer.wait_closed().await?;
        assert_eq!(reading.await?, b"");
        assert!(reader.at_eof());
        Ok(())
    })
}

#[test]
fn what_is_kept_is_written_before_the_end() -> Result<()> {
    everywhere(|| async {
        let data = pattern(8 << 20);
        for how in 0..3 {
            let (reader, writer, mut peer) = pair().await?;
            writer.write(&data);
            assert!(
                writer.get_write_buffer_size() > 0,
                "the socket took all of it"
            );
            match how {
                0 => writer.close(),
                1 => writer.write_eof()?,
                // Dropped: what is kept is written in the background.
                _ => drop(writer),
            }
            let mut all = Vec::new();
            peer.read_to_end(&mut all).await?;
            assert!(all == data, "{} bytes", all.len());
            drop(reader);
        }
        Ok(())
    })
}

#[test]
fn an_abort_drops_what_is_kept() -> Result<()> {
    everywhere(|| async {
        let (reader, writer, mut peer) = pair().await?;
        writer.write(&vec![1; 32 << 20]);
        writer.abort();
        assert_eq!(writer.get_write_buffer_size(), 0);
        assert!(writer.is_closing());
        writer.wait_closed().await?;
        assert_eq!(reader.read(1).await?, b"");
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await?;
        assert!(all.len() < 32 << 20);
        Ok(())
    })
}

#[test]
fn one_direction_may_end_before_the_other() -> Result<()> {
    everywhere(|| async {
        let (reader, writer, mut peer) = pair().await?;
        assert!(writer.can_write_eof());
        writer.write(b"question");
        writer.write_eof()?;
        let mut question = Vec::new();
        peer.read_to_end(&mut question).await?;
        assert_eq!(question, b"question");
        peer.write_all(b"answer").await?;
        drop(peer);
        assert_eq!(reader.read(-1).await?, b"answer");
        // A mistake is told of, once.
        writer.write(b"too late");
        error_of::<RuntimeError>(writer.drain().await);
        writer.drain().await?;
        Ok(())
    })
}

/// `test_transports.TransportTests.test_flowcontrol_mixin_set_write_limits`
#[test]
fn the_water_marks_can_be_set() -> Result<()> {
    everywhere(|| async {
        let (_reader, writer, peer) = pair().await?;
        assert_eq!(writer.get_write_buffer_limits(), (1 << 14, 1 << 16));
        assert!(writer.set_write_buffer_limits(Some(10), Some(11)).is_err());
        writer.set_write_buffer_limits(None, Some(256))?;
        assert_eq!(writer.get_write_buffer_limits(), (256, 1024));
        writer.set_write_buffer_limits(Some(1024), None)?;
        assert_eq!(writer.get_write_buffer_limits(), (256, 1024));
        writer.set_write_buffer_limits(None, None)?;
        assert_eq!(writer.get_write_buffer_limits(), (1 << 14, 1 << 16));
        writer.set_write_buffer_limits(Some(0), None)?;
        writer.write(&vec![0; 16 << 20]);
        error_of::<TimeoutError>(timeout(0.01, writer.drain()).await);
        drop(peer);
        Ok(())
    })
}

/// Both directions are open while one task reads and another writes; neither waits for the other.
#[test]
fn reads_and_writes_do_not_wait_for_each_other() -> Result<()> {
    everywhere(|| async {
        let server = echo_server().await?;
        let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
        let data = Arc::new(pattern(8 << 20));
        let sent = Arc::clone(&data);
        let sending = create_task(async move {
            for piece in sent.chunks(100_000) {
                writer.write(piece);
                writer.drain().await?;
            }
            writer.write_eof()
        });
        let all = reader.read(-1).await?;
        sending.await?;
        assert!(all == *data);
        Ok(())
    })
}

/// `test_streams.StreamTests.test_readexactly_limit`, over a socket
#[test]
fn more_than_the_limit_can_be_read_at_once() -> Result<()> {
    everywhere(|| async {
        let (reader, _writer, mut peer) = pair().await?;
        let data = pattern(1 << 20);
        let sent = data.clone();
        let sending = create_task(async move { Ok(peer.write_all(&sent).await?) });
        assert!(reader.readexactly(1 << 20).await? == data);
        sending.await?;
        let end = reader.readexactly(1).await;
        let error = error_of::<IncompleteReadError>(end);
        let error = error.downcast_ref::<IncompleteReadError>();
        assert_eq!(
            error.map(IncompleteReadError::partial),
            Some(b"".as_slice())
        );
        Ok(())
    })
}

/// A cancelled read leaves its bytes in the reader.
#[test]
fn a_cancelled_read_loses_nothing() -> Result<()> {
    everywhere(|| async {
        let (reader, _writer, mut peer) = pair().await?;
        peer.write_all(b"0123").await?;
        error_of::<TimeoutError>(timeout(0.02, reader.readexactly(8)).await);
        peer.write_all(b"4567").await?;
        assert_eq!(reader.readexactly(8).await?, b"01234567");
        let task = create_task({
            let reader = reader.clone();
            async move { reader.readline().await }
        });
        sleep(0.01).await?;
        task.cancel();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        peer.write_all(b"line\n").await?;
        assert_eq!(reader.readline().await?, b"line\n");
        Ok(())
    })
}

#[test]
fn one_task_at_a_time_reads() -> Result<()> {
    everywhere(|| async {
        let (reader, _writer, mut peer) = pair().await?;
        let waiting = reader.clone();
        let first = create_task(async move { waiting.readline().await });
        sleep(0.01).await?;
        error_of::<RuntimeError>(reader.read(1).await);
        peer.write_all(b"line\n").await?;
        assert_eq!(first.await?, b"line\n");
        Ok(())
    })
}

/// Bytes that are always there do not keep others from their turn.
#[test]
fn whoever_always_has_something_to_read_gives_way() -> Result<()> {
    run(async {
        let server = start_server(
            async |_, writer| {
                loop {
                    writer.write(&[b'x'; 1 << 16]);
                    writer.drain().await?;
                    sleep(0).await?;
                }
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let (reader, _writer) = open_connection("127.0.0.1", server.port()).await?;
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        let counter = create_task(async move {
            loop {
                sleep(0).await?;
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        for _ in 0..20_000 {
            reader.read(64).await?;
        }
        assert!(turns.load(Ordering::SeqCst) > 0);
        counter.cancel();
        let result: Result<()> = counter.await;
        assert!(result.is_err());
        Ok(())
    })
}

/// By tokio's traits: what is copied by them is all there.
#[test]
fn streams_are_tokios_as_well() -> Result<()> {
    everywhere(|| async {
        let server = start_server(
            async |mut reader: StreamReader, mut writer: StreamWriter| {
                tokio::io::copy(&mut reader, &mut writer).await?;
                Ok(())
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let (mut reader, mut writer) = open_connection("127.0.0.1", server.port()).await?;
        let data = pattern(4 << 20);
        let sent = data.clone();
        let sending = create_task(async move {
            writer.write_all(&sent).await?;
            writer.shutdown().await?;
            Ok(())
        });
        let mut all = Vec::new();
        reader.read_to_end(&mut all).await?;
        sending.await?;
        assert!(all == data);
        Ok(())
    })
}

#[test]
fn whoever_reads_by_tokios_trait_is_woken_by_a_close() -> Result<()> {
    everywhere(|| async {
        let (mut reader, writer, _peer) = pair().await?;
        let reading = create_task(async move {
            let mut byte = [0];
            Ok(AsyncReadExt::read(&mut reader, &mut byte).await?)
        });
        sleep(0.01).await?;
        writer.close();
        assert_eq!(reading.await?, 0);
        Ok(())
    })
}

/// `test_streams.StreamTests.test_unhandled_exception`
#[test]
fn an_error_of_a_handler_is_reported_and_the_connection_closed() -> Result<()> {
    run(async {
        let messages = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let heard = std::rc::Rc::clone(&messages);
        get_running_loop()?.set_exception_handler(Some(Box::new(move |_, context| {
            heard.borrow_mut().push(context.message().to_owned());
        })))?;
        let server = start_server(
            async |_, writer: StreamWriter| {
                let _kept = writer;
                Err(ValueError::new("odd").into())
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let (reader, _writer) = open_connection("127.0.0.1", server.port()).await?;
        assert_eq!(reader.read(-1).await?, b"");
        until(|| !messages.borrow().is_empty()).await?;
        assert_eq!(
            *messages.borrow(),
            ["Unhandled exception in client_connected_cb"]
        );
        Ok(())
    })
}

/// `test_streams.StreamTests.test_unhandled_cancel`
#[test]
fn a_cancelled_handler_closes_its_connection_and_nobody_is_told() -> Result<()> {
    run(async {
        get_running_loop()?.set_exception_handler(Some(Box::new(|_, context| {
            panic!("{context}");
        })))?;
        let server = start_server(
            async |_, writer: StreamWriter| {
                let me = asyncio_core::current_task().expect("a handler is a task");
                me.cancel();
                let kept = writer.clone();
                writer.drain().await?;
                sleep(0).await?;
                drop(kept);
                Ok(())
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let (reader, _writer) = open_connection("127.0.0.1", server.port()).await?;
        assert_eq!(reader.read(-1).await?, b"");
        sleep(0.01).await
    })
}
