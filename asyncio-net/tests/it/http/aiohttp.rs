//! The client under aiohttp's names.

use asyncio_core::{Result, create_task};
use asyncio_net::aiohttp::{ClientSession, ClientTimeout, TCPConnector};
use asyncio_net::http::HttpErrorKind;

use super::server::{failed, ok, response, serve};
use crate::support::everywhere;

#[test]
fn a_session_has_aiohttp_s_habits() -> Result<()> {
    everywhere(|| async {
        let server = serve(async |seen| match seen.target.as_str() {
            "/moved" => response("302 Found", "location: /json\r\n", ""),
            "/json" => ok(r#"{"a": [1, 2]}"#),
            "/lines" => ok("one\ntwo\n"),
            "/echo" => ok(seen.body),
            _ => response("404 Not Found", "", "none"),
        })
        .await?;
        let session = ClientSession::builder()
            .base_url(&server.url("/"))
            .connector(
                TCPConnector::new()
                    .limit(2)
                    .limit_per_host(1)
                    .ttl_dns_cache(60),
            )
            .timeout(ClientTimeout::new().total(60).connect(0.05))
            .build()?;
        let mut reply = session.get("/moved").await?;
        assert_eq!(
            (reply.status(), reply.reason(), reply.history().len()),
            (200, "OK", 1)
        );
        // It holds its connection until it is read.
        assert_eq!(
            failed(session.get("/json").await),
            HttpErrorKind::PoolTimeout
        );
        let body: serde_json::Value = reply.json().await?;
        assert_eq!(body["a"][1], 2);
        assert_eq!(reply.text().await?, r#"{"a": [1, 2]}"#, "it is kept");
        assert!(reply.iter_chunked(4).is_none());
        let mut reply = session.post("/echo").json(&[1]).await?;
        assert_eq!(reply.read().await?, b"[1]");

        let mut lines = session.get("/lines").await?;
        let mut iterator = lines.iter_lines().expect("it is not read yet");
        assert_eq!(iterator.next().await?.as_deref(), Some("one"));
        assert_eq!(iterator.next().await?.as_deref(), Some("two"));
        assert_eq!(iterator.next().await?, None);
        drop(lines);

        let missing = session.get("/none").await?;
        assert!(!missing.ok());
        assert_eq!(failed(missing.raise_for_status()), HttpErrorKind::Status);
        missing.release().await?;
        let strict = session.get("/none").raise_for_status(true).await;
        assert_eq!(failed(strict), HttpErrorKind::Status);
        assert_eq!(session.head("/moved").await?.status(), 302);
        session.close();
        assert!(session.closed());
        Ok(())
    })
}

#[test]
fn a_cancelled_body_is_gone() -> Result<()> {
    everywhere(|| async {
        let server =
            serve(async |_| b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx".to_vec()).await?;
        let session = ClientSession::new()?;
        let reply = session.get(server.url("/")).await?;
        let begun = asyncio_sync::Event::new();
        let told = begun.clone();
        let reading = create_task(async move {
            let mut reply = reply;
            told.set();
            let first = reply.text().await;
            assert!(first.is_err_and(|error| error.is_cancelled()));
            assert!(reply.text().await.is_err());
            Ok(())
        });
        begun.wait().await?;
        reading.cancel();
        reading.await?;
        assert_eq!(session.get_ref().pool_stats().active, 0);
        Ok(())
    })
}
