//! Certificates that are wrong, and HTTP/2.

use asyncio_core::{Result, create_task};
use asyncio_net::http::HttpErrorKind;
use asyncio_net::{TlsClient, TlsServer};

use super::server::{client, http_error, ok, serve_as};
use crate::support::{Identity, everywhere};

#[test]
fn certificates_are_looked_at() -> Result<()> {
    everywhere(|| async {
        let identity = Identity::new();
        let trusting = client().verify(identity.client()?).build()?;
        let server = serve_as(async |_| ok("private"), Some(identity.server()?)).await?;
        let port = server.server.port();
        let good = format!("https://localhost:{port}/");
        assert_eq!(trusting.get(&good).await?.text(), "private");

        // Another name than it was made for.
        let wrong_host = trusting.get(format!("https://127.0.0.1:{port}/")).await;
        // One that nobody vouches for.
        let self_signed = client().build()?.get(&good).await;
        // One whose time is over.
        let mut expired = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?;
        expired.not_after = rcgen::date_time_ymd(2001, 1, 1);
        expired.not_before = rcgen::date_time_ymd(2000, 1, 1);
        let key = rcgen::KeyPair::generate()?;
        let certificate = expired.self_signed(&key)?.pem();
        let tls = TlsServer::from_pem(&certificate, key.serialize_pem())?;
        let old = serve_as(async |_| ok("old"), Some(tls)).await?;
        let believing = TlsClient::builder().root_pem(&certificate).build()?;
        let old = format!("https://localhost:{}/", old.server.port());
        let expired = client().verify(believing).build()?.get(&old).await;
        for refused in [wrong_host, self_signed, expired] {
            let error = refused.unwrap_err();
            let found = http_error(&error);
            assert_eq!(found.kind(), HttpErrorKind::Tls, "{error:?}");
            assert!(!found.is_retry_safe() && !found.was_sent());
        }
        let careless = client().verify(false).build()?;
        assert_eq!(careless.get(&good).await?.text(), "private");
        assert_eq!(careless.get(&old).await?.text(), "old");
        Ok(())
    })
}

#[cfg(feature = "http2")]
mod http2 {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use asyncio_net::http::{AsyncClient, Limits, Timeout};
    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::body::Incoming;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::net::TcpListener;

    use super::*;
    use crate::support::until;

    #[derive(Clone, Default)]
    struct Counts {
        connections: Arc<AtomicUsize>,
        waiting: Arc<AtomicUsize>,
    }

    /// A request that the server works at, until it is dropped.
    struct Waits(Arc<AtomicUsize>);

    impl Drop for Waits {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    async fn answer(
        request: hyper::Request<Incoming>,
        counts: Counts,
    ) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
        if request.uri().path() == "/never" {
            counts.waiting.fetch_add(1, Ordering::SeqCst);
            let _waits = Waits(counts.waiting);
            std::future::pending::<()>().await;
        }
        let version = format!("{:?}", request.version());
        Ok(hyper::Response::new(Full::new(Bytes::from(version))))
    }

    /// hyper's server, over TLS where there is an identity.
    async fn start(identity: Option<&Identity>, counts: Counts) -> Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let tls = identity.map(|identity| {
            use rustls::pki_types::pem::PemObject;
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(identity.key.as_bytes());
            let mut config = rustls::ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_no_client_auth()
                .with_single_cert(vec![identity.der.clone().into()], key.expect("a key"))
                .expect("a certificate");
            config.alpn_protocols = vec![b"h2".to_vec()];
            tokio_rustls::TlsAcceptor::from(Arc::new(config))
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counts.connections.fetch_add(1, Ordering::SeqCst);
                let counts = counts.clone();
                let tls = tls.clone();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |it| answer(it, counts.clone()));
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = match tls {
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else {
                                return;
                            };
                            builder
                                .serve_connection(TokioIo::new(stream), service)
                                .await
                        }
                        None => {
                            builder
                                .serve_connection(TokioIo::new(stream), service)
                                .await
                        }
                    };
                });
            }
        });
        Ok(port)
    }

    async fn share(client: AsyncClient, url: String, counts: Counts) -> Result<()> {
        assert_eq!(client.get(&url).await?.http_version(), "HTTP/2");
        let calls: Vec<_> = (0..100)
            .map(|_| {
                let request = client.get(&url);
                create_task(async move { request.await })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await?.text(), "HTTP/2.0");
        }
        // A cancel ends one stream; its neighbours and the connection stay.
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let request = client.get(format!("{url}never"));
                create_task(async move { request.await })
            })
            .collect();
        until(|| counts.waiting.load(Ordering::SeqCst) == 20).await?;
        for call in &calls[..10] {
            call.cancel();
        }
        until(|| counts.waiting.load(Ordering::SeqCst) == 10).await?;
        assert_eq!(client.get(&url).await?.text(), "HTTP/2.0");
        assert_eq!(client.pool_stats().active, 10);
        let short = client
            .get(format!("{url}never"))
            .timeout(Timeout::new(60).read(0.05));
        let error = short.await.unwrap_err();
        assert_eq!(http_error(&error).kind(), HttpErrorKind::ReadTimeout);
        for call in calls {
            call.cancel();
            assert!(call.await.is_err_and(|error| error.is_cancelled()));
        }
        until(|| counts.waiting.load(Ordering::SeqCst) == 0).await?;
        assert_eq!(counts.connections.load(Ordering::SeqCst), 1);
        Ok(())
    }

    #[test]
    fn many_requests_share_a_connection() -> Result<()> {
        everywhere(|| async {
            let identity = Identity::new();
            let counts = Counts::default();
            let port = start(Some(&identity), counts.clone()).await?;
            let client = client()
                .http2(true)
                .verify(identity.client()?)
                .limits(Limits::new().max_connections(200))
                .timeout(Timeout::new(60))
                .build()?;
            share(client, format!("https://localhost:{port}/"), counts).await
        })
    }

    #[test]
    fn it_may_be_spoken_from_the_first_byte() -> Result<()> {
        everywhere(|| async {
            let counts = Counts::default();
            let port = start(None, counts.clone()).await?;
            let client = client()
                .http2(true)
                .http1(false)
                .timeout(Timeout::new(60))
                .build()?;
            share(client, format!("http://127.0.0.1:{port}/"), counts).await
        })
    }
}
