//! TLS (`test_ssl.py`, `test_sslproto.py`).

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use asyncio_core::{Result, RuntimeError, TimeoutError, ValueError, create_task, sleep, timeout};
use asyncio_net::{
    IncompleteReadError, Server, StartServer, StreamReader, StreamWriter, TlsClient, TlsError,
    TlsServer, TlsTruncated, open_connection, open_unix_connection, start_server,
    start_unix_server,
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Identity, error_of, everywhere, kind, note, pattern, scaled, until};

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

async fn tls_echo(identity: &Identity) -> Result<Server> {
    start_server(echo, "127.0.0.1", 0)
        .ssl(identity.server()?)
        .await
}

/// `test_streams.StreamTests.test_open_connection_no_loop_ssl`,
/// `test_ssl.TestSSL.test_create_connection_ssl_1`,
/// `test_ssl.TestSSL.test_create_server_ssl_1`
#[test]
fn a_connection_over_tls_carries_bytes_both_ways() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let server = tls_echo(&identity).await?;
        let (reader, writer) = open_connection("127.0.0.1", server.port())
            .ssl(identity.client()?)
            .server_hostname("localhost")
            .await?;
        let data = Arc::new(pattern(6 << 20));
        let (sent, sender) = (Arc::clone(&data), writer.clone());
        let sending = create_task(async move {
            for piece in sent.chunks(70_000) {
                sender.write(piece);
                sender.drain().await?;
            }
            Ok(())
        });
        assert!(reader.readexactly(6 << 20).await? == *data);
        sending.await?;
        let tls = writer.get_extra_info().tls().expect("over TLS");
        assert_eq!(tls.version(), "TLSv1.3");
        assert!(tls.cipher().starts_with("TLS13_"));
        assert_eq!(tls.peer_certificates().len(), 1);
        assert!(!writer.can_write_eof());
        error_of::<RuntimeError>(writer.write_eof());
        writer.close();
        writer.wait_closed().await?;
        server.close();
        server.wait_closed().await
    })
}

/// `test_streams.StreamTests.test_open_unix_connection_no_loop_ssl`
#[test]
fn a_unix_socket_speaks_tls_as_well() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let path = std::env::temp_dir().join(format!("asyncio-net-tls-{}", std::process::id()));
        let server = start_unix_server(echo, &path)
            .ssl(identity.server()?)
            .await?;
        let connecting = open_unix_connection(&path).ssl(identity.client()?);
        error_of::<ValueError>(connecting.clone().await);
        let (reader, writer) = connecting.server_hostname("localhost").await?;
        writer.write(b"line\n");
        assert_eq!(reader.readline().await?, b"line\n");
        server.close();
        Ok(())
    })
}

/// `test_streams.StreamTests.test_start_tls`, `test_sslproto` has it as `test_start_tls_client_1`
#[test]
fn a_stream_can_begin_to_speak_tls() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let tls = identity.server()?;
        let server = start_server(
            move |reader: StreamReader, writer: StreamWriter| {
                let tls = tls.clone();
                async move {
                    assert_eq!(reader.readline().await?, b"hello 1!\n");
                    writer.write(b"hello 2!\n");
                    writer.start_tls_server(&tls).await?;
                    echo(reader, writer).await
                }
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
        writer.write(b"hello 1!\n");
        assert_eq!(reader.readline().await?, b"hello 2!\n");
        writer.start_tls(&identity.client()?, "localhost").await?;
        writer.write(b"in private\n");
        assert_eq!(reader.readline().await?, b"in private\n");
        Ok(())
    })
}

/// What was sent before the handshake is taken for a part of it, never for what came through TLS.
#[test]
fn nothing_is_smuggled_in_before_tls() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let tls = identity.client()?;
        let server = create_task(async move {
            let (mut peer, _) = listener.accept().await?;
            peer.write_all(b"go ahead\nsmuggled in\n").await?;
            sleep(0.05).await
        });
        let (reader, writer) = open_connection("127.0.0.1", port).await?;
        assert_eq!(reader.readline().await?, b"go ahead\n");
        error_of::<TlsError>(writer.start_tls(&tls, "localhost").await);
        assert!(reader.readline().await.is_err());
        assert!(writer.is_closing());
        server.await
    })
}

/// `test_events.EventLoopTestsMixin.test_create_server_ssl_verify_failed`,
/// `test_events.EventLoopTestsMixin.test_create_unix_server_ssl_verify_failed`,
/// `test_events.EventLoopTestsMixin.test_create_server_ssl_match_failed`,
/// `test_ssl.TestSSL.test_create_connection_ssl_failed_certificate`,
/// `test_sslproto.BaseStartTLS.test_create_connection_ssl_failed_certificate`
#[test]
fn a_certificate_has_to_be_trusted_and_for_the_right_name() -> Result<()> {
    everywhere(|| async {
        let (identity, other) = (Identity::new(), Identity::new());
        let server = tls_echo(&identity).await?;
        let connect = |tls: TlsClient, name: &str| {
            open_connection("127.0.0.1", server.port())
                .ssl(tls)
                .server_hostname(name)
        };
        for (tls, name) in [
            (other.client()?, "localhost"),
            (TlsClient::new()?, "localhost"),
            (identity.client()?, "example.org"),
        ] {
            let error = error_of::<TlsError>(connect(tls, name).await);
            let error = error.downcast_ref::<TlsError>();
            assert!(error.is_some_and(TlsError::is_certificate), "{error:?}");
        }
        let anybody = TlsClient::builder().verify(false).build()?;
        let (reader, writer) = connect(anybody, "example.org").await?;
        writer.write(b"x");
        assert_eq!(reader.read(1).await?, b"x");
        // A server that has refused some goes on.
        drop(connect(identity.client()?, "localhost").await?);
        Ok(())
    })
}

#[test]
fn a_certificate_may_be_known_by_its_fingerprint() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let server = tls_echo(&identity).await?;
        let fingerprint: [u8; 32] = Sha256::digest(&identity.der).into();
        for (pins, trusted) in [
            (vec![fingerprint], true),
            (vec![[0; 32], fingerprint], true),
            (vec![[0; 32]], false),
        ] {
            let builder = pins
                .into_iter()
                .fold(TlsClient::builder(), |builder, pin| builder.pin_sha256(pin));
            let connected = open_connection("127.0.0.1", server.port())
                .ssl(builder.build()?)
                .await;
            assert_eq!(connected.is_ok(), trusted);
        }
        Ok(())
    })
}

#[test]
fn a_client_may_have_to_say_who_it_is() -> Result<()> {
    everywhere(|| async {
        let (identity, known) = (Identity::new(), Identity::new());
        let tls = TlsServer::with_client_auth(&identity.pem, &identity.key, &known.pem)?;
        let server = start_server(echo, "127.0.0.1", 0).ssl(tls).await?;
        let client = TlsClient::builder()
            .root_pem(&identity.pem)
            .cert_chain(&known.pem, &known.key)
            .build()?;
        let (reader, writer) = open_connection("localhost", server.port())
            .ssl(client)
            .await?;
        writer.write(b"x");
        assert_eq!(reader.read(1).await?, b"x");
        let (reader, writer) = open_connection("localhost", server.port())
            .ssl(identity.client()?)
            .await?;
        writer.write(b"x");
        assert!(reader.read(1).await.is_err(), "it said nothing");
        Ok(())
    })
}

#[test]
fn a_protocol_is_chosen() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let tls = identity.server()?.alpn_protocols(["h2", "http/1.1"]);
        let server = start_server(echo, "127.0.0.1", 0).ssl(tls).await?;
        let client = TlsClient::builder()
            .root_pem(&identity.pem)
            .alpn_protocols(["http/1.1"])
            .build()?;
        let (_, writer) = open_connection("localhost", server.port())
            .ssl(client)
            .await?;
        let tls = writer.get_extra_info().tls().expect("over TLS");
        assert_eq!(tls.alpn_protocol(), Some(b"http/1.1".as_slice()));
        Ok(())
    })
}

/// `test_ssl.TestSSL.test_create_connection_ssl_slow_handshake`,
/// `test_ssl.TestSSL.test_ssl_handshake_timeout`,
/// `test_sslproto.BaseStartTLS.test_handshake_timeout`,
/// `test_sslproto.BaseStartTLS.test_create_connection_ssl_slow_handshake`
#[test]
fn a_handshake_has_to_be_done_in_time() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let tls = TlsClient::builder()
            .handshake_timeout(Duration::from_millis(30))
            .build()?;
        let connecting = open_connection("127.0.0.1", silent.local_addr()?.port()).ssl(tls);
        assert_eq!(kind(connecting.await), ErrorKind::ConnectionAborted);
        let server = start_server(echo, "127.0.0.1", 0)
            .ssl(identity.server()?)
            .ssl_handshake_timeout(Duration::from_millis(30))
            .await?;
        let began = Instant::now();
        let mut client = tokio::net::TcpStream::connect(("127.0.0.1", server.port())).await?;
        let mut all = Vec::new();
        // The end or a reset.
        let _ = client.read_to_end(&mut all).await;
        assert!(began.elapsed() < Duration::from_secs(1));
        until(|| server.connections() == 0).await
    })
}

/// `ssl_shutdown_timeout`, which CPython has no test of.
#[test]
fn a_close_has_to_be_done_in_time() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        // It never reads what it is sent.
        let tls = identity.server()?;
        let server = start_server(
            async |reader: StreamReader, writer: StreamWriter| {
                let _kept = (reader, writer);
                sleep(3600).await
            },
            "127.0.0.1",
            0,
        )
        .ssl(tls)
        .await?;
        let tls = TlsClient::builder()
            .root_pem(&identity.pem)
            .shutdown_timeout(Duration::from_millis(50))
            .build()?;
        let (_reader, writer) = open_connection("localhost", server.port()).ssl(tls).await?;
        writer.write(&vec![0; 64 << 20]);
        writer.close();
        // The stream has the time that TLS has by default until it is told otherwise.
        assert_eq!(
            kind(timeout(40, writer.wait_closed()).await),
            ErrorKind::TimedOut
        );
        Ok(())
    })
}

/// Who forwards bytes, and cuts after so many from the server.
async fn cutter(port: u16, after: usize, reset: bool) -> Result<u16> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let here = listener.local_addr()?.port();
    create_task(async move {
        let (client, _) = listener.accept().await?;
        let server = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let up = create_task(async move {
            // It ends when the other does.
            let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
            Ok(from_client)
        });
        let mut left = after;
        let mut buffer = vec![0; 1 << 14];
        while left > 0 {
            let most = left.min(buffer.len());
            let count = from_server.read(&mut buffer[..most]).await?;
            if count == 0 {
                break;
            }
            to_client.write_all(&buffer[..count]).await?;
            left -= count;
        }
        if reset {
            let stream: &tokio::net::TcpStream = to_client.as_ref();
            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
        }
        up.cancel();
        // Either is well.
        let _ = up.await;
        Ok(())
    });
    Ok(here)
}

/// Cut at every kind of place: never the end of the stream, and never a byte that is not right
/// (R8).
#[test]
fn a_cut_is_told_from_an_end() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let data = Arc::new(pattern(3_000));
        let theirs = Arc::clone(&data);
        let server = start_server(
            move |_, writer: StreamWriter| {
                let data = Arc::clone(&theirs);
                async move {
                    for piece in data.chunks(1_000) {
                        writer.write(piece);
                        writer.flush().await?;
                    }
                    writer.close();
                    writer.wait_closed().await
                }
            },
            "127.0.0.1",
            0,
        )
        .ssl(identity.server()?)
        .await?;
        // What the handshake takes is found by cutting: until then there is no connection.
        let (mut handshakes, mut cut, mut ended) = (0, 0, 0);
        // Every place in full.
        let step = 37 / scaled(1).min(37);
        for after in (0..5_200).step_by(step) {
            let port = cutter(server.port(), after, false).await?;
            let connecting = open_connection("127.0.0.1", port)
                .ssl(identity.client()?)
                .server_hostname("localhost");
            let Ok((reader, _writer)) = connecting.await else {
                handshakes += 1;
                continue;
            };
            let mut all = Vec::new();
            let end = loop {
                match reader.read(4096).await {
                    Ok(piece) if piece.is_empty() => break Ok(()),
                    Ok(piece) => all.extend(piece),
                    Err(error) => break Err(error),
                }
            };
            assert!(data.starts_with(&all), "after {after}");
            match end {
                Ok(()) => {
                    assert_eq!(all.len(), data.len(), "after {after}");
                    ended += 1;
                }
                Err(error) => {
                    assert!(error.is::<TlsTruncated>(), "after {after}: {error:?}");
                    cut += 1;
                }
            }
        }
        assert!(
            handshakes > 5 && cut > 20 && ended > 5,
            "{handshakes} {cut} {ended}"
        );
        Ok(())
    })
}

/// A protocol that tells its own end may not care.
#[test]
fn a_cut_may_be_allowed() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let server = start_server(
            async |reader: StreamReader, writer: StreamWriter| {
                writer.write(&[7; 10_000]);
                reader.read(-1).await?;
                Ok(())
            },
            "127.0.0.1",
            0,
        )
        .ssl(identity.server()?)
        .await?;
        for allowed in [true, false] {
            let port = cutter(server.port(), 5_000, false).await?;
            let tls = TlsClient::builder()
                .root_pem(&identity.pem)
                .allow_truncation(allowed)
                .build()?;
            let connecting = open_connection("127.0.0.1", port).ssl(tls);
            let (reader, _writer) = connecting.server_hostname("localhost").await?;
            assert_eq!(reader.read(-1).await.is_ok(), allowed);
        }
        Ok(())
    })
}

/// A server that forgets to say goodbye to a stream that is dropped would look like an attacker.
#[test]
fn a_writer_that_is_dropped_ends_tls_as_it_should() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let server = start_server(
            async |_, writer: StreamWriter| {
                writer.write(b"and goodbye");
                Ok(())
            },
            "127.0.0.1",
            0,
        )
        .ssl(identity.server()?)
        .await?;
        let (reader, _writer) = open_connection("localhost", server.port())
            .ssl(identity.client()?)
            .await?;
        assert_eq!(reader.read(-1).await?, b"and goodbye");
        let early = reader.readexactly(1).await;
        error_of::<IncompleteReadError>(early);
        Ok(())
    })
}

/// A start of TLS that is cancelled ends the connection, for nobody knows what was said.
#[test]
fn a_start_of_tls_that_is_cancelled_ends_the_connection() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let tls = identity.client()?;
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let (reader, writer) = open_connection("127.0.0.1", silent.local_addr()?.port()).await?;
        error_of::<TimeoutError>(timeout(0.03, writer.start_tls(&tls, "localhost")).await);
        assert!(writer.is_closing());
        assert_eq!(kind(reader.read(1).await), ErrorKind::ConnectionAborted);
        Ok(())
    })
}

#[test]
fn bad_certificates_are_errors() {
    let identity = Identity::new();
    let other = Identity::new();
    for (chain, key) in [
        ("nothing", identity.key.as_str()),
        (identity.pem.as_str(), "nothing"),
        (identity.pem.as_str(), other.key.as_str()),
    ] {
        error_of::<ValueError>(TlsServer::from_pem(chain, key));
    }
    error_of::<ValueError>(TlsClient::builder().root_pem("nothing").build());
}

/// Many that connect and stall do not keep others out (reliability goal R3, in small).
/// R3: who begins a handshake and does not go on, by not a byte or by some, is cut in time, a thousand of
/// them in full, and others do not notice.
#[test]
fn stalled_handshakes_do_not_hold_up_others() -> Result<()> {
    const TIMEOUT: Duration = Duration::from_millis(300);
    async fn round_trips(port: u16, identity: &Identity) -> Result<Duration> {
        let connecting = open_connection("localhost", port).ssl(identity.client()?);
        let (reader, writer) = connecting.await?;
        let mut times = Vec::new();
        for _ in 0..200 {
            let began = Instant::now();
            writer.write(b"x");
            assert_eq!(reader.readexactly(1).await?, b"x");
            times.push(began.elapsed());
        }
        times.sort_unstable();
        Ok(times[times.len() * 99 / 100])
    }
    everywhere(|| async {
        let identity = Identity::new();
        let start: StartServer<_> = start_server(echo, "127.0.0.1", 0).backlog(4096);
        let server = start
            .ssl(identity.server()?)
            .ssl_handshake_timeout(TIMEOUT)
            .await?;
        let alone = round_trips(server.port(), &identity).await?;
        let mut stalled = Vec::new();
        for number in 0..scaled(10) {
            let mut client = tokio::net::TcpStream::connect(("127.0.0.1", server.port())).await?;
            // The head of a record that never comes.
            client.write_all(&[22, 3, 1, 1, 0][..number % 6]).await?;
            stalled.push(client);
        }
        let last = Instant::now();
        let among = round_trips(server.port(), &identity).await?;
        until(|| server.connections() == 0).await?;
        let cut = last.elapsed();
        for mut client in stalled {
            // The end or a reset.
            let _ = client.read(&mut [0; 100]).await;
        }
        note(&format!(
            "99 of 100 in {alone:?}, and {among:?} beside those that stall; cut after {cut:?}"
        ));
        assert!(cut < TIMEOUT + Duration::from_secs(5), "{cut:?}");
        Ok(())
    })
}
