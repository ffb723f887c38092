//! TLS: bytes there and back over loopback, ours beside tokio-rustls, with the same rustls below.

use std::hint::black_box;
use std::sync::{Arc, OnceLock};

use asyncio_core::{Result, create_task};
use asyncio_net::{
    StreamReader, StreamWriter, TlsClient, TlsServer, open_connection, start_server,
};
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{CURRENT_THREAD, Row, row};
use crate::runtimes::{current_thread, ours};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "tls_echo_1k",
            &[
                ("ours", |n| ours(move || echo(n, 1 << 10))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || tokio_echo(n, 1 << 10))
                }),
            ],
        ),
        row(
            "tls_echo_64k",
            &[
                ("ours", |n| ours(move || echo(n, 1 << 16))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || tokio_echo(n, 1 << 16))
                }),
            ],
        ),
    ]
}

/// So many connections share the messages.
const CONNECTIONS: u32 = 8;

/// A certificate for "localhost" and its key, made once.
struct Identity {
    pem: String,
    key: String,
    der: Vec<u8>,
}

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let made = made.expect("a certificate can be made");
        Identity {
            pem: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            der: made.cert.der().to_vec(),
        }
    })
}

async fn echo(count: u32, size: usize) -> Result<()> {
    let identity = identity();
    let server = start_server(
        move |reader: StreamReader, writer: StreamWriter| async move {
            loop {
                let data = reader.read(size.cast_signed()).await?;
                if data.is_empty() {
                    return Ok(());
                }
                writer.write(&data);
                writer.drain().await?;
            }
        },
        "127.0.0.1",
        0,
    )
    .ssl(TlsServer::from_pem(&identity.pem, &identity.key)?)
    .await?;
    let port = server.port();
    let tls = TlsClient::builder().root_pem(&identity.pem).build()?;
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let connecting = open_connection("127.0.0.1", port).ssl(tls.clone());
            create_task(async move {
                let (reader, writer) = connecting.server_hostname("localhost").await?;
                let message = vec![1; size];
                for _ in 0..count / CONNECTIONS {
                    writer.write(&message);
                    writer.drain().await?;
                    black_box(reader.readexactly(size.cast_signed()).await?);
                }
                writer.close();
                writer.wait_closed().await
            })
        })
        .collect();
    for client in clients {
        client.await?;
    }
    server.close();
    server.wait_closed().await
}

/// As `echo`.
async fn tokio_echo(count: u32, size: usize) {
    let identity = identity();
    let provider = Arc::new(default_provider());
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![identity.der.clone().into()], key)
        .expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut roots = RootCertStore::empty();
    roots.add(identity.der.clone().into()).expect("a root");
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("an option");
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await.expect("a handshake");
                let mut buffer = vec![0; size];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    stream.write_all(&buffer[..read]).await.expect("a peer");
                    stream.flush().await.expect("a peer");
                }
            });
        }
    });
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let connector = connector.clone();
            tokio::spawn(async move {
                let stream = TcpStream::connect(address).await.expect("a server");
                stream.set_nodelay(true).expect("an option");
                let name = ServerName::try_from("localhost").expect("a name");
                let stream = connector.connect(name, stream).await;
                let mut stream = stream.expect("a handshake");
                let (message, mut buffer) = (vec![1; size], vec![0; size]);
                for _ in 0..count / CONNECTIONS {
                    stream.write_all(&message).await.expect("a peer");
                    stream.flush().await.expect("a peer");
                    stream.read_exact(&mut buffer).await.expect("an answer");
                    black_box(&buffer);
                }
                stream.shutdown().await.expect("a peer");
            })
        })
        .collect();
    for client in clients {
        client.await.expect("no panic");
    }
    server.abort();
}
