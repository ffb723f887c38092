//! What is sent, and what comes back: methods, forms, redirects, cookies, who asks, proxies.

use asyncio_core::{Result, sleep};
use asyncio_net::http::{
    Auth, Body, Cookies, HttpError, HttpErrorKind, Multipart, TransportResponse,
};
use asyncio_net::{StreamReader, StreamWriter, open_connection, start_server};

use super::server::{client, failed, http_error, ok, response, serve};
use crate::support::everywhere;

#[test]
fn methods_headers_and_parameters_arrive() -> Result<()> {
    everywhere(|| async {
        let server = serve(async |seen| ok(format!("{} {}", seen.method, seen.target))).await?;
        let client = client()
            .base_url(&server.url("/api/"))
            .header("x-one", "client")
            .header("x-two", "client")
            .params([("key", 1)])
            .build()?;
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            let answer = client.request(method, "/pot").await?;
            assert_eq!(answer.text(), format!("{method} /api/pot?key=1"));
            assert_eq!((answer.status_code(), answer.reason_phrase()), (200, "OK"));
        }
        let answer = client
            .get("list?a=b")
            .params([("q", "ä &")])
            .header("X-Two", "request")
            .headers([("x-three", "3")])
            .cookie("crumb", "7")
            .await?;
        assert_eq!(answer.text(), "GET /api/list?a=b&key=1&q=%C3%A4+%26");
        let seen = server.log.last();
        assert_eq!(seen.header("x-one"), Some("client"));
        assert_eq!(seen.header("x-two"), Some("request"));
        assert_eq!(seen.header("x-three"), Some("3"));
        assert_eq!(seen.header("cookie"), Some("crumb=7"));
        assert!(
            seen.header("user-agent")
                .is_some_and(|it| it.starts_with("asyncio-net/"))
        );
        assert!(server.log.had(1), "one connection serves them all");
        let answer = client.head("x").await?;
        assert_eq!(answer.content(), b"");
        Ok(())
    })
}

#[test]
fn bodies_of_all_kinds_arrive() -> Result<()> {
    everywhere(|| async {
        let server = serve(async |_| ok("")).await?;
        let client = client().build()?;
        let url = server.url("/");

        client.post(&url).json(&[("a", 1)]).await?;
        let seen = server.log.last();
        assert_eq!(seen.text(), r#"[["a",1]]"#);
        assert_eq!(seen.header("content-type"), Some("application/json"));

        client.post(&url).data([("a", "1 2"), ("b", "ü&")]).await?;
        let seen = server.log.last();
        assert_eq!(seen.text(), "a=1+2&b=%C3%BC%26");
        let form = Some("application/x-www-form-urlencoded");
        assert_eq!(seen.header("content-type"), form);

        let form = Multipart::new().text("title", "spring").file(
            "pic\"ture",
            "cow.png",
            b"\x89PNG".to_vec(),
        );
        client.post(&url).files(form).await?;
        let seen = server.log.last();
        let content_type = seen.header("content-type").unwrap_or_default();
        let boundary = content_type.split("boundary=").nth(1).expect("a boundary");
        let expected = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nspring\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"pic%22ture\"; filename=\"cow.png\"\r\n\
             Content-Type: image/png\r\n\r\n"
        );
        assert!(seen.text().starts_with(&expected), "{}", seen.text());

        let pieces = || futures::stream::iter(["one ", "two"].map(|it| Ok(it.as_bytes().to_vec())));
        client.post(&url).content(Body::stream(pieces())).await?;
        let seen = server.log.last();
        assert_eq!(
            (seen.text().as_str(), seen.header("content-length")),
            ("one two", None)
        );
        client
            .put(&url)
            .content(Body::sized_stream(7, pieces()))
            .await?;
        let seen = server.log.last();
        assert_eq!(
            (seen.text().as_str(), seen.header("content-length")),
            ("one two", Some("7"))
        );

        let long = vec![b'x'; 1 << 20];
        client.post(&url).content(long.clone()).await?;
        assert_eq!(server.log.last().body, long);
        Ok(())
    })
}

#[test]
fn mistakes_are_told_when_it_is_sent() -> Result<()> {
    everywhere(|| async {
        let client = client().build()?;
        let url = "http://127.0.0.1:1/";
        let local = HttpErrorKind::LocalProtocol;
        assert_eq!(failed(client.request("B AD", url).await), local);
        assert_eq!(failed(client.get(url).header("a b", "c").await), local);
        assert_eq!(failed(client.get(url).header("a", "c\n").await), local);
        assert_eq!(
            failed(client.get("/nowhere").await),
            HttpErrorKind::InvalidUrl
        );
        let unsupported = HttpErrorKind::UnsupportedProtocol;
        assert_eq!(failed(client.get("ftp://localhost/").await), unsupported);
        assert_eq!(failed(client.get("mailto:ada").await), unsupported);
        for wrong in [
            super::server::client().base_url("nowhere"),
            super::server::client().header("a b", "c"),
            super::server::client().proxy("::"),
            super::server::client().limits(asyncio_net::http::Limits::new().max_connections(0)),
        ] {
            assert!(
                wrong
                    .build()
                    .is_err_and(|error| error.is::<asyncio_core::ValueError>())
            );
        }
        client.aclose();
        assert!(client.is_closed());
        assert_eq!(failed(client.get(url).await), HttpErrorKind::Closed);
        Ok(())
    })
}

#[test]
fn errors_keep_secrets_and_tell_the_rest() -> Result<()> {
    everywhere(|| async {
        let server = serve(async |_| response("503 Service Unavailable", "", "busy")).await?;
        let url = server
            .url("/a/b?token=hush#there")
            .replace("127", "me:hush@127");
        let client = client().build()?;
        let error = client.get(&url).await?.raise_for_status().unwrap_err();
        let found = http_error(&error);
        assert_eq!(
            (found.kind(), found.status()),
            (HttpErrorKind::Status, Some(503))
        );
        assert!(found.is_retry_safe() && found.was_sent());
        assert_eq!(found.url(), server.url("/a/b?…"));
        for shown in [format!("{error}"), format!("{error:?}")] {
            assert!(!shown.contains("hush"), "{shown}");
        }
        let error = client.post(&url).await?.raise_for_status().unwrap_err();
        assert!(
            !http_error(&error).is_retry_safe(),
            "a POST may have been done"
        );

        // Nobody is there.
        let error = client
            .post("http://me:hush@127.0.0.1:1/?k=hush")
            .await
            .unwrap_err();
        let found = http_error(&error);
        assert_eq!(found.kind(), HttpErrorKind::Connect);
        assert!(found.is_retry_safe() && !found.was_sent());
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hush"), "{shown}");
        let error = client
            .get("http://no-such-host.invalid/")
            .await
            .unwrap_err();
        assert_eq!(http_error(&error).kind(), HttpErrorKind::Dns);
        Ok(())
    })
}

#[test]
fn redirects_are_followed_where_they_should_be() -> Result<()> {
    everywhere(|| async {
        let server = serve(async |seen| match seen.target.as_str() {
            "/end" => ok(format!("{} {}", seen.method, seen.text())),
            "/round" => response("302 Found", "location: /round\r\n", "round"),
            "/nowhere" => response("302 Found", "location: http://[\r\n", ""),
            "/away" => response("302 Found", "location: ftp://example.org/\r\n", ""),
            status => {
                let status = format!("{} Moved", &status[1..]);
                response(&status, "location: /end\r\n", "moved")
            }
        })
        .await?;
        let client = client().follow_redirects(true).max_redirects(3).build()?;
        for (status, method, expected) in [
            (301, "GET", "GET "),
            (301, "POST", "GET "),
            (301, "PUT", "PUT x"),
            (302, "POST", "GET "),
            (303, "PUT", "GET "),
            (307, "POST", "POST x"),
            (308, "PATCH", "PATCH x"),
        ] {
            let body = if method == "GET" { "" } else { "x" };
            let url = server.url(&format!("/{status}"));
            let answer = client.request(method, url).content(body).await?;
            assert_eq!(answer.text(), expected, "{status} {method}");
            assert_eq!(answer.url(), server.url("/end"));
            assert_eq!(answer.history().len(), 1);
            assert_eq!(answer.history()[0].status_code(), status);
            assert_eq!(answer.history()[0].text(), "moved");
        }
        assert!(server.log.had(1), "what is passed over is read");
        let fragment = client.get(server.url("/302#part")).await?;
        assert_eq!(fragment.url(), server.url("/end#part"));

        let result = client.get(server.url("/round")).await;
        assert_eq!(failed(result), HttpErrorKind::TooManyRedirects);
        let result = client.get(server.url("/nowhere")).await;
        assert_eq!(failed(result), HttpErrorKind::RemoteProtocol);
        let result = client.get(server.url("/away")).await;
        assert_eq!(failed(result), HttpErrorKind::UnsupportedProtocol);
        let stream = Body::stream(futures::stream::iter([Ok(b"x".to_vec())]));
        let result = client.post(server.url("/307")).content(stream).await;
        assert_eq!(failed(result), HttpErrorKind::StreamConsumed);

        let kept = client
            .get(server.url("/302"))
            .follow_redirects(false)
            .await?;
        assert_eq!(kept.status_code(), 302);
        assert!(kept.has_redirect_location() && kept.raise_for_status().is_err());
        Ok(())
    })
}

#[test]
fn another_host_learns_no_secrets() -> Result<()> {
    everywhere(|| async {
        let other = serve(async |_| ok("other")).await?;
        let to = other.url("/end");
        let first = serve(move |seen| {
            let to = if seen.target == "/away" {
                to.clone()
            } else {
                "/end".to_owned()
            };
            async move {
                match seen.target.as_str() {
                    "/end" => ok("first"),
                    _ => response("307 Moved", &format!("location: {to}\r\n"), ""),
                }
            }
        })
        .await?;
        let client = client().follow_redirects(true).build()?;
        for (path, server) in [("/here", &first), ("/away", &other)] {
            client
                .get(first.url(path))
                .auth(("ada", "secret"))
                .cookie("session", "secret")
                .header("x-kept", "yes")
                .await?;
            let seen = server.log.last();
            let known = path == "/here";
            assert_eq!(seen.header("authorization").is_some(), known, "{path}");
            assert_eq!(seen.header("cookie").is_some(), known, "{path}");
            assert_eq!(seen.header("x-kept"), Some("yes"));
            // A header that was set by hand is no better off.
            client
                .get(first.url(path))
                .header("authorization", "secret")
                .await?;
            let seen = server.log.last();
            assert_eq!(seen.header("authorization").is_some(), known, "{path}");
        }
        Ok(())
    })
}

#[test]
fn cookies_are_kept_and_sent_where_they_belong() -> Result<()> {
    everywhere(|| async {
        let server = serve(async |seen| match seen.target.as_str() {
            "/set" => response(
                "200 OK",
                "set-cookie: a=1; Path=/\r\nset-cookie: b=2; Path=/deep\r\nset-cookie: c=3; Max-Age=0\r\n",
                "",
            ),
            _ => ok(seen.header("cookie").unwrap_or_default()),
        })
        .await?;
        let keeping = client().build()?;
        let set = keeping.get(server.url("/set")).await?;
        assert_eq!(set.cookie("b").as_deref(), Some("2"));
        assert_eq!(keeping.get(server.url("/")).await?.text(), "a=1");
        let deep = keeping
            .get(server.url("/deep/er"))
            .cookie("x", "y")
            .await?
            .text();
        assert!(
            deep.contains("a=1") && deep.contains("b=2") && deep.ends_with("x=y"),
            "{deep}"
        );
        let jar = keeping.cookies().expect("they are kept");
        assert_eq!(jar.get("a").as_deref(), Some("1"));
        assert!(!format!("{jar:?}").contains('1'));
        jar.clear();
        assert_eq!(keeping.get(server.url("/deep")).await?.text(), "");

        let shared = Cookies::new();
        shared.set("k", "v", &server.url("/"))?;
        let sharing = client().cookie_jar(shared).build()?;
        assert_eq!(sharing.get(server.url("/")).await?.text(), "k=v");
        let forgetting = client().cookies(false).build()?;
        forgetting.get(server.url("/set")).await?;
        assert_eq!(forgetting.get(server.url("/")).await?.text(), "");
        Ok(())
    })
}

#[test]
fn who_asks_is_told() -> Result<()> {
    everywhere(|| async {
        let server = serve(async |seen| {
            let said = seen.header("authorization").unwrap_or_default().to_owned();
            if seen.target == "/digest" && !said.starts_with("Digest username=\"ada\"") {
                let challenge =
                    "www-authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n";
                return response("401 Unauthorized", challenge, "");
            }
            ok(said)
        })
        .await?;
        let client = client().auth(Auth::bearer("t0ken")).build()?;
        let url = server.url("/");
        assert_eq!(client.get(&url).await?.text(), "Bearer t0ken");
        let basic = client.get(&url).auth(("ada", "p:w")).await?;
        assert_eq!(basic.text(), "Basic YWRhOnA6dw==");
        let in_the_address = url.replace("127", "a%40b:c@127");
        let plain = super::server::client().build()?;
        let answer = plain.get(in_the_address).await?;
        assert_eq!(answer.text(), "Basic YUBiOmM=");
        assert_eq!(answer.url(), url);
        let answer = client
            .post(server.url("/digest"))
            .content("body")
            .auth(Auth::digest("ada", "pw"))
            .await?;
        assert!(answer.text().contains("uri=\"/digest\""));
        assert_eq!(server.log.last().text(), "body", "it is sent again");
        Ok(())
    })
}

/// A proxy that passes on what it is asked to; what it saw first on each connection is its answer's header.
async fn proxy() -> Result<asyncio_net::Server> {
    start_server(
        async |reader: StreamReader, writer: StreamWriter| {
            let head = reader.readuntil(b"\r\n\r\n").await?;
            let text = String::from_utf8_lossy(&head).into_owned();
            let authorized = text
                .to_lowercase()
                .contains("proxy-authorization: basic dtpw");
            if !authorized {
                writer.write(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                return writer.drain().await;
            }
            let mut words = text.split(' ');
            let (method, target) = (words.next(), words.next().unwrap_or_default());
            if method == Some("CONNECT") {
                let (host, port) = target.rsplit_once(':').unwrap_or((target, "443"));
                let (from, to) = open_connection(host, port.parse()?).await?;
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n");
                writer.drain().await?;
                let back = {
                    let writer = writer.clone();
                    asyncio_core::create_task(async move {
                        loop {
                            let data = from.read(1 << 16).await?;
                            if data.is_empty() {
                                return Ok(());
                            }
                            writer.write(&data);
                            writer.drain().await?;
                        }
                    })
                };
                loop {
                    let data = reader.read(1 << 16).await?;
                    if data.is_empty() {
                        back.cancel();
                        return Ok(());
                    }
                    to.write(&data);
                    to.drain().await?;
                }
            }
            let body = format!("by proxy: {target}");
            let said = response("200 OK", "connection: close\r\n", body);
            writer.write(&said);
            writer.drain().await
        },
        "127.0.0.1",
        0,
    )
    .await
}

#[test]
fn proxies_pass_on() -> Result<()> {
    everywhere(|| async {
        let proxy = proxy().await?;
        let identity = crate::support::Identity::new();
        let server =
            super::server::serve_as(async |_| ok("behind"), Some(identity.server()?)).await?;
        let address = format!("http://u:p@127.0.0.1:{}", proxy.port());
        let through = client()
            .proxy(&address)
            .verify(identity.client()?)
            .build()?;
        let answer = through.get("http://shop.example/x?y").await?;
        assert_eq!(answer.text(), "by proxy: http://shop.example/x?y");
        let secret = format!("https://localhost:{}/", server.server.port());
        assert_eq!(through.get(&secret).await?.text(), "behind");
        // Only for one scheme.
        let some = client()
            .proxy_for("http", &address)
            .verify(identity.client()?)
            .build()?;
        assert_eq!(
            some.get("http://a.example/").await?.text(),
            "by proxy: http://a.example/"
        );
        assert_eq!(some.get(&secret).await?.text(), "behind");

        let refused = format!("http://u:wrong@127.0.0.1:{}", proxy.port());
        let refused = client().proxy(&refused).verify(false).build()?;
        let error = refused.get(&secret).await.unwrap_err();
        assert_eq!(http_error(&error).kind(), HttpErrorKind::Proxy);
        assert!(!format!("{error:?}").contains("wrong"));
        assert_eq!(refused.get("http://a.example/").await?.status_code(), 407);
        let gone = client().proxy("http://127.0.0.1:1").build()?;
        assert_eq!(
            failed(gone.get("http://a.example/").await),
            HttpErrorKind::Proxy
        );
        Ok(())
    })
}

#[test]
fn hooks_see_what_goes_and_comes() -> Result<()> {
    everywhere(|| async {
        let server = serve(async |seen| match seen.target.as_str() {
            "/a" => response("302 Found", "location: /b\r\n", ""),
            _ => ok(seen.header("x-trace").unwrap_or_default()),
        })
        .await?;
        let statuses = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let kept = statuses.clone();
        let client = client()
            .follow_redirects(true)
            .on_request(|request| {
                assert_eq!(request.method(), "GET");
                request.headers_mut().set("x-trace", "7");
                Ok(())
            })
            .on_response(move |response| {
                kept.lock().expect("no panic").push(response.status_code());
                if response.headers().contains("x-stop") {
                    return Err(asyncio_core::RuntimeError::new("stop").into());
                }
                Ok(())
            })
            .build()?;
        assert_eq!(client.get(server.url("/a")).await?.text(), "7");
        assert_eq!(*statuses.lock().expect("no panic"), [302, 200]);
        assert_eq!(client.pool_stats().active, 0);
        Ok(())
    })
}

#[test]
fn a_function_may_answer() -> Result<()> {
    everywhere(|| async {
        let client = client()
            .follow_redirects(true)
            .transport(async |request| {
                if request.path() == "/old" {
                    return Ok(TransportResponse::new(302).header("location", "/new?x=1"));
                }
                let body: serde_json::Value = serde_json::json!({
                    "x": request.param("x"),
                    "agent": request.headers().get("user-agent").is_some(),
                });
                sleep(0).await?;
                TransportResponse::new(200).json(&body)
            })
            .build()?;
        let answer = client.get("http://example.org/old").await?;
        let body: serde_json::Value = answer.json()?;
        assert_eq!(body, serde_json::json!({"x": "1", "agent": true}));
        let wrong = answer.json::<Vec<u32>>().unwrap_err();
        assert_eq!(http_error(&wrong).kind(), HttpErrorKind::Decoding);
        assert!(HttpError::of(&asyncio_core::CancelledError::new().into()).is_none());
        Ok(())
    })
}

#[cfg(unix)]
#[test]
fn a_socket_of_unix_serves_too() -> Result<()> {
    everywhere(|| async {
        let path = std::env::temp_dir().join(format!("asyncio-http-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let server = asyncio_net::start_unix_server(
            async |reader: StreamReader, writer: StreamWriter| {
                reader.readuntil(b"\r\n\r\n").await?;
                writer.write(&ok("local"));
                writer.drain().await
            },
            &path,
        )
        .await?;
        let client = client().uds(&path).build()?;
        assert_eq!(client.get("http://anything/").await?.text(), "local");
        server.close();
        let _ = std::fs::remove_file(&path);
        Ok(())
    })
}
