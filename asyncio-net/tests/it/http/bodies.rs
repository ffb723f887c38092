//! Bodies of responses: whole, in pieces, broken, too large.

use std::io::Write as _;
use std::time::Duration;

use asyncio_core::Result;
use asyncio_net::http::{HttpErrorKind, TransportResponse};
use asyncio_net::{StreamReader, StreamWriter, start_server};
use futures::StreamExt;

use super::server::{client, failed, http_error, ok, response, serve};
use crate::support::{everywhere, pattern};

fn chunked(pieces: &[&[u8]]) -> Vec<u8> {
    let mut said = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for piece in pieces {
        said.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        said.extend_from_slice(piece);
        said.extend_from_slice(b"\r\n");
    }
    said
}

#[test]
fn a_stream_comes_in_pieces_of_the_size_wanted() -> Result<()> {
    everywhere(|| async {
        let data = pattern(100_000);
        let served = data.clone();
        let server = serve(move |_| {
            let mut said = chunked(&served.chunks(7_001).collect::<Vec<_>>());
            said.extend_from_slice(b"0\r\n\r\n");
            async move { said }
        })
        .await?;
        let client = client().build()?;
        let url = server.url("/");
        let mut response = client.get(&url).stream().await?;
        assert_eq!(client.pool_stats().active, 1);
        let (mut sizes, mut all) = (Vec::new(), Vec::new());
        {
            let mut chunks = response.aiter_bytes(8192);
            while let Some(chunk) = chunks.next().await? {
                sizes.push(chunk.len());
                all.extend(chunk);
            }
            assert!(chunks.next().await?.is_none());
        }
        assert!(response.is_stream_consumed());
        assert_eq!(
            client.pool_stats().active,
            0,
            "the end gives the place back"
        );
        assert_eq!(all, data);
        assert_eq!(sizes[..12], [8192; 12]);
        assert_eq!(sizes[12..], [100_000 - 12 * 8192]);

        let mut response = client.get(&url).stream().await?;
        let mut raw = Vec::new();
        while let Some(piece) = response.next_chunk().await? {
            raw.extend(piece);
        }
        assert_eq!(raw, data);
        let mut response = client.get(&url).stream().await?;
        let pieces: Vec<_> = response.aiter_bytes(None).collect().await;
        let pieces: Result<Vec<_>> = pieces.into_iter().collect();
        assert_eq!(pieces?.concat(), data);

        // Dropped in the middle, the connection goes; read to the end, it serves again.
        let before = server.log.connections();
        let mut response = client.get(&url).stream().await?;
        response.next_chunk().await?;
        drop(response);
        assert_eq!(client.pool_stats().active, 0);
        client.get(&url).stream().await?.aread().await?;
        assert!(server.log.had(before + 1));
        client.get(&url).await?;
        assert!(server.log.had(before + 1));
        Ok(())
    })
}

#[test]
fn closing_reads_what_is_left_where_it_is_little() -> Result<()> {
    everywhere(|| async {
        let server = serve(async |seen| match seen.target.as_str() {
            "/little" => ok([b'x'; 1000]),
            _ => ok(vec![b'x'; 1 << 20]),
        })
        .await?;
        let client = client().build()?;
        for (path, connections) in [("/little", 1), ("/little", 1), ("/much", 1), ("/little", 2)] {
            client
                .get(server.url(path))
                .stream()
                .await?
                .aclose()
                .await?;
            assert!(server.log.had(connections), "{path}");
            assert_eq!(client.pool_stats().active, 0);
        }
        Ok(())
    })
}

#[test]
fn text_is_decoded_across_pieces() -> Result<()> {
    everywhere(|| async {
        let text = "eins\nzwei\r\ndrei\rvier\u{2028}fünf\r\n\nsechs €";
        let bytes = text.as_bytes();
        let server = serve(move |seen| {
            let size: usize = seen.target[1..].parse().unwrap_or(1);
            let mut said = chunked(&bytes.chunks(size).collect::<Vec<_>>());
            said.extend_from_slice(b"0\r\n\r\n");
            async move { said }
        })
        .await?;
        let client = client().build()?;
        for size in 1..6 {
            let url = server.url(&format!("/{size}"));
            let mut response = client.get(&url).stream().await?;
            let mut seen = String::new();
            let mut texts = response.aiter_text();
            while let Some(piece) = texts.next().await? {
                seen.push_str(&piece);
            }
            assert_eq!(seen, text);
            let mut response = client.get(&url).stream().await?;
            let mut lines = Vec::new();
            let mut iterator = response.aiter_lines();
            while let Some(line) = iterator.next().await? {
                lines.push(line);
            }
            assert_eq!(
                lines,
                ["eins", "zwei", "drei", "vier", "fünf", "", "sechs €"]
            );
        }
        let latin = super::server::client()
            .transport(async |_| {
                let response = TransportResponse::new(200).content(b"caf\xe9".to_vec());
                Ok(response.header("content-type", "text/plain; Charset=\"iso-8859-1\""))
            })
            .build()?;
        assert_eq!(latin.get("http://a.example/").await?.text(), "café");
        Ok(())
    })
}

#[test]
fn events_of_a_server_are_told_apart() -> Result<()> {
    everywhere(|| async {
        let stream = ": hello\nretry: 250\nid: 1\ndata: one\ndata:two\n\nevent: tick\r\ndata\r\n\r\n\
                      event: none\n\nid: 7\ndata: last\n\ndata: cut";
        let server = serve(move |_| {
            let mut said = chunked(&stream.as_bytes().chunks(5).collect::<Vec<_>>());
            said.extend_from_slice(b"0\r\n\r\n");
            async move { said }
        })
        .await?;
        let mut response = client().build()?.get(server.url("/")).stream().await?;
        let mut events = response.aiter_sse();
        let first = events.next().await?.expect("an event");
        assert_eq!(
            (first.event.as_str(), first.data.as_str()),
            ("message", "one\ntwo")
        );
        assert_eq!(
            (first.id.as_str(), first.retry),
            ("1", Some(Duration::from_millis(250)))
        );
        let second = events.next().await?.expect("an event");
        assert_eq!((second.event.as_str(), second.data.as_str()), ("tick", ""));
        let third = events.next().await?.expect("an event");
        assert_eq!((third.event.as_str(), third.id.as_str()), ("message", "7"));
        assert!(events.next().await?.is_none());
        Ok(())
    })
}

#[test]
fn broken_answers_are_told_apart() -> Result<()> {
    everywhere(|| async {
        use HttpErrorKind::{Decoding, RemoteProtocol, ServerDisconnected};
        let server = serve(async |seen| {
            let close = "connection: close\r\n";
            match seen.target.as_str() {
                "/nothing" => Vec::new(),
                "/short" => {
                    let head = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\n1234";
                    head.into()
                }
                "/cut" => {
                    let mut said = chunked(&[b"whole"]);
                    let at = said.len() - 7;
                    said.truncate(at);
                    said.splice(15..15, b"\r\nconnection: close".iter().copied());
                    said
                }
                "/unended" => {
                    let mut said = chunked(&[b"whole"]);
                    said.splice(15..15, b"\r\nconnection: close".iter().copied());
                    said
                }
                "/chunk" => {
                    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
                    format!("{head}zz\r\nxx\r\n").into()
                }
                "/noise" => b"SSH-2.0-OpenSSH_9.6\r\nconnection: close\r\n\r\n".into(),
                _ => response("200 OK", &format!("content-encoding: gzip\r\n{close}"), "no gzip"),
            }
        })
        .await?;
        let client = client().build()?;
        for (path, kind) in [
            ("/nothing", ServerDisconnected),
            ("/short", RemoteProtocol),
            ("/cut", RemoteProtocol),
            ("/unended", RemoteProtocol),
            ("/chunk", RemoteProtocol),
            ("/noise", RemoteProtocol),
            ("/gzip", Decoding),
        ] {
            let error = client.get(server.url(path)).await.unwrap_err();
            let found = http_error(&error);
            assert_eq!(found.kind(), kind, "{path}: {error:?}");
            assert!(!found.is_timeout() && found.was_sent(), "{path}");
            assert_eq!(client.pool_stats().active, 0, "{path}");
        }
        Ok(())
    })
}

#[test]
fn a_reset_in_the_middle_is_no_end() -> Result<()> {
    everywhere(|| async {
        let server = start_server(
            async |reader: StreamReader, writer: StreamWriter| {
                reader.readuntil(b"\r\n\r\n").await?;
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun");
                writer.drain().await?;
                // The client has seen it when it says so.
                let _ = reader.read(1).await;
                Ok(())
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let client = client().build()?;
        let url = format!("http://127.0.0.1:{}/", server.port());
        let mut response = client.get(&url).stream().await?;
        assert_eq!(response.next_chunk().await?.as_deref(), Some(&b"begun"[..]));
        server.abort_clients();
        let kind = failed(response.next_chunk().await);
        let broken = [HttpErrorKind::Read, HttpErrorKind::RemoteProtocol];
        assert!(broken.contains(&kind), "{kind:?}");
        let again = failed(response.next_chunk().await);
        assert_eq!(again, HttpErrorKind::StreamConsumed);
        Ok(())
    })
}

#[test]
fn a_body_is_limited_after_its_compression() -> Result<()> {
    everywhere(|| async {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&vec![b'0'; 8 << 20])?;
        let bomb = gzip.finish()?;
        assert!(bomb.len() < 10_000);
        let server = serve(move |seen| {
            let coding = seen.header("accept-encoding").unwrap_or_default();
            let said = if coding.contains("gzip") {
                response("200 OK", "content-encoding: gzip\r\n", &bomb)
            } else {
                ok("plain")
            };
            async move { said }
        })
        .await?;
        let url = server.url("/");
        let open = client().build()?;
        assert_eq!(open.get(&url).await?.content().len(), 8 << 20);
        let careful = client().max_response_size(1 << 20).build()?;
        assert_eq!(failed(careful.get(&url).await), HttpErrorKind::BodyTooLarge);
        let plain = client().decompress(false).build()?;
        assert_eq!(plain.get(&url).await?.text(), "plain");
        Ok(())
    })
}
