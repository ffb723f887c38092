//! TLS beneath transports, and connections that begin to speak it (`test_ssl.py`, `test_sslproto.py`).

use std::future::IntoFuture;
use std::sync::{Arc, Mutex};

use asyncio_core::{Result, create_task, sleep};
use asyncio_net::{
    Protocol, StreamReader, StreamWriter, TlsServer, Transport, connect_accepted_socket,
    create_connection, create_server, open_connection, start_server,
};

use crate::support::{Identity, everywhere, pattern, until};

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
