//! TLS beneath transports, and connections that begin to speak it (`test_ssl.py`, `test_sslproto.py`).

use std::future::IntoFuture;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio_core::{Exception, Result, ValueError, create_task, sleep};
use asyncio_net::{
    Protocol, StreamReader, StreamWriter, TlsClient, TlsError, TlsServer, Transport,
    connect_accepted_socket, create_connection, create_server, create_unix_server, open_connection,
    open_unix_connection, start_server,
};
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Identity, error_of, everywhere, kind, pattern, until};

/// What came, over a connection that begins to speak TLS at its first line.
struct Upgrading {
    said: Arc<Mutex<Vec<u8>>>,
}

impl Protocol for Upgrading {
    fn data_received(&mut self, _transport: &Transport, data: &[u8]) {
        let mut said = self.said.lock().expect("nobody panics");
        said.extend_from_slice(data);
    }
}

/// `test_ssl.TestSSL.test_start_tls_client_reg_proto_1`,
/// `test_ssl.TestSSL.test_start_tls_client_buf_proto_1`,
/// `test_sslproto.BaseStartTLS.test_start_tls_client_reg_proto_1`,
/// `test_sslproto.BaseStartTLS.test_start_tls_client_buf_proto_1`
#[test]
fn a_transport_can_begin_to_speak_tls() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let tls = identity.server()?;
        let server = start_server(
            move |reader: StreamReader, writer: StreamWriter| {
                let tls = tls.clone();
                async move {
                    assert_eq!(reader.readexactly(5).await?, b"start");
                    writer.write(b"go");
                    writer.start_tls_server(&tls).await?;
                    assert_eq!(reader.readexactly(6).await?, b"secret");
                    writer.write(&vec![b'x'; 1 << 20]);
                    writer.close();
                    writer.wait_closed().await
                }
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let said = Arc::default();
        let protocol = Upgrading {
            said: Arc::clone(&said),
        };
        let length = || said.lock().expect("nobody panics").len();
        let to = open_connection("127.0.0.1", server.port());
        let transport = create_connection(|| protocol, to).await?;
        transport.write(b"start");
        until(|| length() == 2).await?;
        transport
            .start_tls(&identity.client()?, "localhost")
            .await?;
        assert!(transport.is_reading());
        assert!(transport.get_extra_info().tls().is_some());
        let socket = transport.get_extra_info().socket().expect("the one below");
        assert!(socket.getpeername()?.is_some());
        transport.write(b"secret");
        until(|| length() == 2 + (1 << 20)).await?;
        until(|| transport.is_closing()).await?;
        server.close();
        server.wait_closed().await
    })
}

/// `test_ssl.TestSSL.test_start_tls_server_1`, `test_sslproto.BaseStartTLS.test_start_tls_server_1`:
/// the server's side has the protocol.
#[test]
fn a_transport_can_begin_to_speak_tls_as_the_server() -> Result<()> {
    struct Server(TlsServer);
    impl Protocol for Server {
        fn connection_made(&mut self, transport: &Transport) {
            let (transport, tls) = (transport.clone(), self.0.clone());
            // The beginning of TLS is not for this protocol.
            transport.pause_reading();
            drop(create_task(async move {
                transport.start_tls_server(&tls).await?;
                transport.resume_reading();
                transport.write(b"hello");
                Ok(())
            }));
        }
        fn data_received(&mut self, transport: &Transport, data: &[u8]) {
            transport.write(data);
        }
    }
    everywhere(|| async {
        let identity = Identity::new();
        let tls = identity.server()?;
        let server = create_server(move || Server(tls.clone()), "127.0.0.1", 0);
        let server = server.await?;
        let (reader, writer) = open_connection("localhost", server.port())
            .ssl(identity.client()?)
            .await?;
        assert_eq!(reader.readexactly(5).await?, b"hello");
        let data = pattern(1 << 20);
        writer.write(&data);
        assert!(reader.readexactly(1 << 20).await? == data);
        Ok(())
    })
}

/// `test_ssl.TestSSL.test_create_server_ssl_over_ssl`
#[test]
fn tls_may_be_spoken_within_tls() -> Result<()> {
    everywhere(|| async {
        let (outer, inner) = (Identity::new(), Identity::new());
        let tls = inner.server()?;
        let server = start_server(
            move |reader: StreamReader, writer: StreamWriter| {
                let tls = tls.clone();
                async move {
                    writer.start_tls_server(&tls).await?;
                    let data = reader.readexactly(1 << 20).await?;
                    writer.write(&data);
                    writer.close();
                    writer.wait_closed().await
                }
            },
            "127.0.0.1",
            0,
        )
        .ssl(outer.server()?)
        .await?;
        let (reader, writer) = open_connection("localhost", server.port())
            .ssl(outer.client()?)
            .await?;
        writer.start_tls(&inner.client()?, "localhost").await?;
        let data = pattern(1 << 20);
        writer.write(&data);
        assert!(reader.read(-1).await? == data);
        writer.close();
        writer.wait_closed().await
    })
}

/// `test_ssl.TestSSL.test_ssl_connect_accepted_socket`,
/// `test_ssl.TestSSL.test_connect_accepted_socket`,
/// `test_events.EventLoopTestsMixin.test_ssl_connect_accepted_socket`
#[test]
fn a_connection_that_was_accepted_elsewhere_may_speak_tls() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let to = open_connection("localhost", listener.local_addr()?.port());
        let connecting = create_task(to.ssl(identity.client()?).into_future());
        let said = Arc::default();
        let protocol = Upgrading {
            said: Arc::clone(&said),
        };
        listener.set_nonblocking(true)?;
        let accepted = loop {
            match listener.accept() {
                Ok((socket, _)) => break socket,
                Err(_) => sleep(0.001).await?,
            }
        };
        let transport = connect_accepted_socket(|| protocol, accepted)
            .ssl(identity.server()?)
            .await?;
        let (reader, writer) = connecting.await?;
        writer.write(b"hello");
        until(|| said.lock().expect("nobody panics").len() == 5).await?;
        transport.write(b"back");
        transport.close();
        assert_eq!(reader.read(-1).await?, b"back");
        Ok(())
    })
}

/// Echoes, and closes when it has said this much.
struct Echo(usize);

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) {
        transport.write(data);
        self.0 -= data.len();
        if self.0 == 0 {
            transport.close();
        }
    }
}

/// `test_events.EventLoopTestsMixin.test_create_ssl_connection`,
/// `test_events.EventLoopTestsMixin.test_create_ssl_unix_connection`,
/// `test_events.EventLoopTestsMixin.test_create_server_ssl`,
/// `test_events.EventLoopTestsMixin.test_create_unix_server_ssl`,
/// `test_events.EventLoopTestsMixin.test_create_server_ssl_verified`,
/// `test_events.EventLoopTestsMixin.test_create_unix_server_ssl_verified`,
/// `test_ssl.TestSSL.test_create_server_ssl_1`, `test_ssl.TestSSL.test_create_connection_ssl_1`,
/// `test_sslproto.SslProtoHandshakeTests.test_get_extra_info_on_closed_connection`,
/// `test_sslproto.SslProtoHandshakeTests.test_write_after_closing`
#[test]
fn protocols_speak_over_tls() -> Result<()> {
    const SIZE: usize = 1 << 20;
    everywhere(|| async {
        let identity = Identity::new();
        let path = std::env::temp_dir().join(format!("asyncio-net-tlsp-{}", std::process::id()));
        let tcp = create_server(|| Echo(SIZE), "127.0.0.1", 0)
            .ssl(identity.server()?)
            .await?;
        let unix = create_unix_server(|| Echo(SIZE), &path)
            .ssl(identity.server()?)
            .await?;
        let data = pattern(SIZE);
        let mut transports = Vec::new();
        for number in 0..10 {
            let said = Arc::default();
            let protocol = Upgrading {
                said: Arc::clone(&said),
            };
            let to = if number % 2 == 0 {
                open_connection("localhost", tcp.port())
            } else {
                open_unix_connection(&path).server_hostname("localhost")
            };
            let transport = create_connection(|| protocol, to.ssl(identity.client()?)).await?;
            let tls = transport.get_extra_info().tls().expect("over TLS");
            assert_eq!(tls.peer_certificates(), std::slice::from_ref(&identity.der));
            transport.write(&data);
            transports.push((transport, said));
        }
        for (transport, said) in transports {
            until(|| transport.is_closing()).await?;
            assert!(*said.lock().expect("nobody panics") == data);
            until(|| transport.get_extra_info().tls().is_none()).await?;
            assert!(transport.get_extra_info().socket().is_none());
            transport.write(b"ignored");
            assert_eq!(transport.get_write_buffer_size(), 0);
        }
        for server in [tcp, unix] {
            server.close();
            server.wait_closed().await?;
        }
        Ok(())
    })
}

/// `test_ssl.TestSSL.test_ssl_handshake_connection_lost`,
/// `test_sslproto.SslProtoHandshakeTests.test_eof_received_waiter`,
/// `test_sslproto.SslProtoHandshakeTests.test_connection_lost`
#[test]
fn a_peer_that_goes_during_the_handshake_is_an_error() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        for reset in [false, true] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let to = open_connection("localhost", listener.local_addr()?.port());
            let connecting = create_task(to.ssl(identity.client()?).into_future());
            let (mut peer, _) = listener.accept().await?;
            assert!(peer.read(&mut [0; 100]).await? > 0, "the beginning of TLS");
            if reset {
                socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO))?;
            }
            drop(peer);
            let error = error_of::<TlsError>(connecting.await.map(drop));
            let kind = error.downcast_ref::<TlsError>().map(TlsError::kind);
            // Not all that it had sent was read, which may make a reset of an end.
            let expected = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
            assert!(
                kind.is_some_and(|kind| expected.contains(&kind)),
                "{kind:?}"
            );
        }
        Ok(())
    })
}

/// `test_sslproto.SslProtoHandshakeTests.test_close_during_handshake`,
/// `test_ssl.TestSSL.test_start_tls_slow_client_cancel`,
/// `test_sslproto.BaseStartTLS.test_start_tls_slow_client_cancel`
#[test]
fn a_handshake_that_is_cancelled_closes_the_connection() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        for start in [false, true] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let to = open_connection("localhost", listener.local_addr()?.port());
            let tls = identity.client()?;
            let connecting = create_task(async move {
                if start {
                    let (_reader, writer) = to.await?;
                    writer.start_tls(&tls, "localhost").await
                } else {
                    to.ssl(tls).await.map(drop)
                }
            });
            let (mut peer, _) = listener.accept().await?;
            assert!(
                peer.read(&mut [0; 1 << 12]).await? > 0,
                "the beginning of TLS"
            );
            connecting.cancel();
            assert!(connecting.await.is_err_and(|error| error.is_cancelled()));
            assert_eq!(peer.read(&mut [0; 1]).await?, 0);
        }
        Ok(())
    })
}

/// `test_ssl.TestSSL.test_start_tls_client_corrupted_ssl`,
/// `test_sslproto.BaseStartTLS.test_start_tls_client_corrupted_ssl`
#[test]
fn a_record_that_was_changed_on_the_way_is_an_error() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let server = start_server(
            async |reader: StreamReader, writer: StreamWriter| {
                writer.write(b"A");
                assert_eq!(reader.readexactly(1).await?, b"B");
                writer.write(&[b'C'; 100]);
                reader.read(-1).await?;
                Ok(())
            },
            "127.0.0.1",
            0,
        )
        .ssl(identity.server()?)
        .await?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let here = listener.local_addr()?.port();
        let (ready, theirs) = (Arc::new(AtomicBool::new(false)), server.port());
        let spoil = Arc::clone(&ready);
        create_task(async move {
            let (client, _) = listener.accept().await?;
            let server = tokio::net::TcpStream::connect(("127.0.0.1", theirs)).await?;
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            create_task(async move {
                tokio::io::copy(&mut from_client, &mut to_server).await?;
                Ok(())
            });
            let mut buffer = vec![0; 1 << 16];
            loop {
                let count = from_server.read(&mut buffer).await?;
                if spoil.load(Ordering::Relaxed) && count > 20 {
                    buffer[20] ^= 1;
                }
                to_client.write_all(&buffer[..count]).await?;
            }
            #[expect(unreachable_code, reason = "for the type")]
            Ok(())
        });
        let (reader, writer) = open_connection("127.0.0.1", here)
            .ssl(identity.client()?)
            .server_hostname("localhost")
            .await?;
        assert_eq!(reader.readexactly(1).await?, b"A");
        ready.store(true, Ordering::Relaxed);
        writer.write(b"B");
        assert_eq!(kind(reader.read(100).await), ErrorKind::InvalidData);
        assert_eq!(kind(writer.drain().await), ErrorKind::InvalidData);
        Ok(())
    })
}

/// A server by tokio's TLS, without anything of ours.
async fn raw_server(
    identity: &Identity,
) -> Result<(tokio::net::TcpListener, tokio_rustls::TlsAcceptor)> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![identity.der.clone().into()];
    let key = rustls_pki_types::PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    Ok((listener, Arc::new(config).into()))
}

/// `test_ssl.TestSSL.test_shutdown_cleanly`, `test_ssl.TestSSL.test_flush_before_shutdown`: all that was
/// written comes before the end of TLS, and that is said.
#[test]
fn all_is_written_before_the_end_of_tls() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let (listener, acceptor) = raw_server(&identity).await?;
        let to = open_connection("localhost", listener.local_addr()?.port());
        let connecting = create_task(to.ssl(identity.client()?).into_future());
        let mut peer = acceptor.accept(listener.accept().await?.0).await?;
        let (_reader, writer) = connecting.await?;
        let data = pattern(8 << 20);
        writer.write(&data);
        assert!(writer.get_write_buffer_size() > 0);
        writer.close();
        let mut all = Vec::new();
        // An end without the end of TLS would be an error.
        peer.read_to_end(&mut all).await?;
        assert!(all == data);
        writer.wait_closed().await
    })
}

/// `test_ssl.TestSSL.test_remote_shutdown_receives_trailing_data`: whoever says that it writes no more
/// still hears what was written to it; and so where its end is taken for one without having been said.
#[test]
fn the_end_of_one_direction_of_tls_drops_nothing_of_the_other() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        for said in [true, false] {
            let (listener, acceptor) = raw_server(&identity).await?;
            let tls = TlsClient::builder()
                .root_pem(&identity.pem)
                .allow_truncation(true)
                .build()?;
            let to = open_connection("localhost", listener.local_addr()?.port());
            let connecting = create_task(to.ssl(tls).into_future());
            let mut peer = acceptor.accept(listener.accept().await?.0).await?;
            let (reader, writer) = connecting.await?;
            let data = pattern(8 << 20);
            writer.write(&data);
            assert!(writer.get_write_buffer_size() > 0);
            if said {
                peer.shutdown().await?;
            } else {
                peer.get_mut().0.shutdown().await?;
            }
            assert_eq!(reader.read(-1).await?, b"");
            let mut all = vec![0; data.len()];
            peer.read_exact(&mut all).await?;
            assert!(all == data);
            writer.close();
            writer.wait_closed().await?;
        }
        Ok(())
    })
}

/// `test_ssl.TestSSL.test_shutdown_timeout_handler_not_set`: what came while reading was paused is given
/// to the protocol before the end.
#[test]
fn what_came_while_reading_was_paused_comes_before_the_end() -> Result<()> {
    struct Pausing(Arc<Mutex<Vec<String>>>);
    impl Protocol for Pausing {
        fn data_received(&mut self, transport: &Transport, data: &[u8]) {
            let said = String::from_utf8_lossy(data).into_owned();
            if said == "hello" {
                transport.write(b"world");
                transport.pause_reading();
            }
            self.0.lock().expect("nobody panics").push(said);
        }
        fn connection_lost(&mut self, exception: Option<Exception>) {
            let said = format!("lost {}", exception.is_none());
            self.0.lock().expect("nobody panics").push(said);
        }
    }
    everywhere(|| async {
        let identity = Identity::new();
        let (listener, acceptor) = raw_server(&identity).await?;
        let log = Arc::default();
        let protocol = Pausing(Arc::clone(&log));
        let to = open_connection("localhost", listener.local_addr()?.port());
        let to = to.ssl(identity.client()?);
        let connecting = create_task(create_connection(|| protocol, to));
        let mut peer = acceptor.accept(listener.accept().await?.0).await?;
        let transport = connecting.await?;
        peer.write_all(b"hello").await?;
        let mut world = [0; 5];
        peer.read_exact(&mut world).await?;
        peer.write_all(b"extra bytes").await?;
        peer.shutdown().await?;
        sleep(0.02).await?;
        let all = || log.lock().expect("nobody panics").clone();
        assert_eq!(all(), ["hello"]);
        transport.resume_reading();
        until(|| all().len() == 3).await?;
        assert_eq!(all(), ["hello", "extra bytes", "lost true"]);
        assert_eq!(peer.read(&mut world).await?, 0);
        Ok(())
    })
}

/// `test_sslproto.SslProtoHandshakeTests.test_handshake_timeout_zero`,
/// `test_sslproto.SslProtoHandshakeTests.test_handshake_timeout_negative`: there is no negative one.
#[test]
fn a_timeout_of_tls_is_more_than_nothing() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let nothing = TlsClient::builder().handshake_timeout(Duration::ZERO);
        error_of::<ValueError>(nothing.build());
        let nothing = TlsClient::builder().shutdown_timeout(Duration::ZERO);
        error_of::<ValueError>(nothing.build());
        let server = start_server(async |_, _| Ok(()), "127.0.0.1", 0)
            .ssl(identity.server()?)
            .ssl_handshake_timeout(Duration::ZERO);
        error_of::<ValueError>(server.await);
        Ok(())
    })
}
