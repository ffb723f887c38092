//! Where connections come from and go to (that part of `test_events.py`, `test_sock_lowlevel.py`).

use std::io::ErrorKind;
use std::net::SocketAddr;

use asyncio_core::{Result, RuntimeError, create_task, sleep};
use asyncio_net::{
    AsyncSocket, Protocol, Server, StreamReader, StreamWriter, Transport, add_reader, add_writer,
    create_connection, create_unix_server, open_connection, open_unix_connection, start_server,
};

use crate::support::{error_of, everywhere, kind, scaled, until};

async fn quiet(reader: StreamReader, _writer: StreamWriter) -> Result<()> {
    reader.read(-1).await?;
    Ok(())
}

async fn quiet_server() -> Result<Server> {
    start_server(quiet, "127.0.0.1", 0).await
}

/// `test_events.EventLoopTestsMixin.test_create_connection_local_addr_skip_different_family`,
/// `test_events.EventLoopTestsMixin.test_create_connection_local_addr_nomatch_family`
#[test]
fn an_address_of_choice_is_used_for_its_family_only() -> Result<()> {
    everywhere(|| async {
        let server = quiet_server().await?;
        // What "localhost" stands for beside it is left out.
        let (_, writer) = open_connection("localhost", server.port())
            .local_addr("127.0.0.1:0".parse()?)
            .await?;
        let peer = writer.get_extra_info().peername().expect("over TCP");
        assert!(peer.is_ipv4());
        let nowhere = open_connection("127.0.0.1", server.port()).local_addr("[::1]:0".parse()?);
        assert_eq!(kind(nowhere.await), ErrorKind::AddrNotAvailable);
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_create_connection_local_addr_in_use`
#[test]
fn an_address_of_choice_may_be_in_use() -> Result<()> {
    everywhere(|| async {
        let server = quiet_server().await?;
        let taken: SocketAddr = server.sockets()[0];
        let connecting = open_connection("127.0.0.1", server.port()).local_addr(taken);
        assert_eq!(kind(connecting.await), ErrorKind::AddrInUse);
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_create_server_multiple_hosts_ipv4`,
/// `test_events.EventLoopTestsMixin.test_create_server_multiple_hosts_ipv6`
#[test]
fn a_server_may_have_several_hosts() -> Result<()> {
    everywhere(|| async {
        let server = start_server(quiet, "127.0.0.1", 0)
            .host("127.0.0.2")
            .host("127.0.0.1")
            .await?;
        let hosts: Vec<String> = server
            .sockets()
            .iter()
            .map(|it| it.ip().to_string())
            .collect();
        assert_eq!(hosts, ["127.0.0.1", "127.0.0.2"], "each once");
        for address in server.sockets() {
            open_connection(address.ip().to_string(), address.port()).await?;
        }
        if std::net::TcpListener::bind("[::1]:0").is_ok() {
            let server = start_server(quiet, "::1", 0)
                .host("::1")
                .host("127.0.0.1")
                .await?;
            assert_eq!(server.sockets().len(), 2);
        }
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_create_server_sock`
#[test]
fn a_server_may_be_given_its_socket() -> Result<()> {
    everywhere(|| async {
        let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = socket.local_addr()?;
        let server = start_server(quiet, "elsewhere.invalid", 1)
            .sock(socket)
            .await?;
        assert_eq!(server.sockets(), [address]);
        open_connection("127.0.0.1", address.port()).await?;
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_create_server_reuse_port`
#[test]
fn a_port_is_shared_where_that_is_wanted() -> Result<()> {
    everywhere(|| async {
        let server = quiet_server().await?;
        let taken = start_server(quiet, "127.0.0.1", server.port())
            .reuse_port(true)
            .await;
        assert!(taken.is_err(), "the first one has not agreed");
        let first = start_server(quiet, "127.0.0.1", 0).reuse_port(true).await?;
        let second = start_server(quiet, "127.0.0.1", first.port())
            .reuse_port(true)
            .await?;
        assert_eq!(first.port(), second.port());
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_create_unix_connection`,
/// `test_events.EventLoopTestsMixin.test_create_unix_server`,
/// `test_transports.TransportTests.test_get_extra_info`: what is not known of a connection is `None`.
#[test]
fn protocols_speak_over_unix_sockets() -> Result<()> {
    struct Echo;
    impl Protocol for Echo {
        fn data_received(&mut self, transport: &Transport, data: &[u8]) {
            transport.write(data);
            transport.close();
        }
    }
    struct Client;
    impl Protocol for Client {
        fn connection_made(&mut self, transport: &Transport) {
            let info = transport.get_extra_info();
            assert!(info.peer_path().is_some());
            assert_eq!((info.peername(), info.sock_path()), (None, None));
            transport.write(b"hello");
        }
        fn data_received(&mut self, _transport: &Transport, data: &[u8]) {
            assert_eq!(data, b"hello");
        }
    }
    everywhere(|| async {
        let path = std::env::temp_dir().join(format!("asyncio-net-conn-{}", std::process::id()));
        let server = create_unix_server(|| Echo, &path).await?;
        let transport = create_connection(|| Client, open_unix_connection(&path)).await?;
        until(|| transport.is_closing()).await?;
        server.close();
        server.wait_closed().await
    })
}

/// `test_sock_lowlevel.BaseSockTestsMixin.test_sock_client_connect_racing`,
/// `test_events.EventLoopTestsMixin.test_prompt_cancellation`
#[test]
fn a_cancelled_connect_can_be_called_again() -> Result<()> {
    everywhere(|| async {
        let listener = AsyncSocket::new(std::net::TcpListener::bind("127.0.0.1:0")?)?;
        let address = listener.getsockname()?;
        for turns in 0..scaled(6) {
            let client = std::sync::Arc::new(AsyncSocket::tcp(address)?);
            let theirs = std::sync::Arc::clone(&client);
            let connecting = create_task(async move { theirs.sock_connect(address).await });
            for _ in 0..turns % 3 {
                sleep(0).await?;
            }
            connecting.cancel();
            // It was connected, or it was cancelled.
            let first = connecting.await;
            if let Err(error) = first {
                assert!(error.is_cancelled(), "{error:?}");
                let again = client.sock_connect(address).await;
                if let Err(error) = again {
                    // Connected behind its back, as Python says it too.
                    let number = error.downcast_ref::<std::io::Error>();
                    let number = number.and_then(std::io::Error::raw_os_error);
                    assert_eq!(number, Some(libc::EISCONN));
                }
            }
            let (server, _) = listener.sock_accept().await?;
            client.sock_sendall(b"connected").await?;
            assert_eq!(server.sock_recv(100).await?, b"connected");
            let reading = create_task(async move { server.sock_recv(1).await });
            sleep(0).await?;
            reading.cancel();
            assert!(reading.await.is_err_and(|error| error.is_cancelled()));
        }
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_add_fds_after_closing`,
/// `test_events.EventLoopTestsMixin.test_remove_fds_after_closing`: where no loop runs, and when one
/// has ended.
#[test]
fn without_a_loop_nothing_is_watched() -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    error_of::<RuntimeError>(add_reader(&reader, || Ok(())));
    error_of::<RuntimeError>(add_writer(&writer, || Ok(())));
    let watched = reader.try_clone()?;
    let watch = asyncio_core::run(async move { add_reader(&watched, || Ok(())) })?;
    assert!(!watch.remove());
    Ok(())
}
