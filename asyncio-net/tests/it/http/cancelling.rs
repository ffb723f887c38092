//! A request that is cancelled ends on the wire too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncio_core::{CancelledError, Result, TimeoutError, create_task, sleep, timeout};
use asyncio_net::http::{Limits, Timeout};
use asyncio_net::{StreamReader, StreamWriter, start_server};
use asyncio_sync::Event;

use super::server::{Seen, client, ok, read_request, serve};
use crate::support::{everywhere, until};

/// A server that waits for the end of each connection, and counts what has begun and what has ended.
async fn waiting(begun: Event, ended: Arc<AtomicUsize>) -> Result<asyncio_net::Server> {
    start_server(
        move |reader: StreamReader, writer: StreamWriter| {
            let (begun, ended) = (begun.clone(), Arc::clone(&ended));
            async move {
                let head = reader.readuntil(b"\r\n\r\n").await?;
                if head.starts_with(b"GET /body") {
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegun");
                    writer.drain().await?;
                }
                begun.set();
                loop {
                    match reader.read(1 << 16).await {
                        Ok(data) if !data.is_empty() => {}
                        Err(error) if error.is_cancelled() => return Err(error),
                        _ => break,
                    }
                }
                ended.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        },
        "127.0.0.1",
        0,
    )
    .await
}

#[test]
fn a_cancelled_request_is_over_for_the_server_too() -> Result<()> {
    everywhere(|| async {
        let (begun, ended) = (Event::new(), Arc::new(AtomicUsize::new(0)));
        let server = waiting(begun.clone(), Arc::clone(&ended)).await?;
        let client = client()
            .limits(Limits::new().max_connections(1))
            .timeout(Timeout::disabled())
            .build()?;
        let url = |path: &str| format!("http://127.0.0.1:{}{path}", server.port());
        for (number, path) in ["/head", "/body", "/upload"].into_iter().enumerate() {
            begun.clear();
            let mut request = client.get(url(path));
            if path == "/upload" {
                request = client.post(url(path)).content(vec![0; 64 << 20]);
            }
            let task = create_task(async move {
                match request.await {
                    Err(error) if error.is_cancelled() => {
                        // It can be caught at that await, and clean-up may await.
                        sleep(0).await?;
                        Err::<(), _>(error)
                    }
                    other => panic!("{other:?}"),
                }
            });
            begun.wait().await?;
            task.cancel_with_message("enough");
            let error = task.await.unwrap_err();
            let message = error.downcast_ref::<CancelledError>();
            let message = message.and_then(CancelledError::message);
            assert_eq!(message, Some("enough"), "{path}");
            until(|| ended.load(Ordering::SeqCst) == number + 1).await?;
            assert_eq!(client.pool_stats().active, 0, "{path}");
        }
        begun.clear();
        let late = timeout(0.02, client.get(url("/head"))).await;
        assert!(late.is_err_and(|error| error.is::<TimeoutError>()));
        until(|| ended.load(Ordering::SeqCst) == 4).await?;
        // Dropped, without being cancelled.
        let response = client.get(url("/body")).stream().await?;
        drop(response);
        until(|| ended.load(Ordering::SeqCst) == 5).await?;
        assert_eq!(client.pool_stats(), Default::default());
        Ok(())
    })
}

/// A read that is cancelled has lost nothing.
#[test]
fn a_cancelled_read_goes_on() -> Result<()> {
    everywhere(|| async {
        let go = Event::new();
        let wait = go.clone();
        let server = start_server(
            move |reader: StreamReader, writer: StreamWriter| {
                let wait = wait.clone();
                async move {
                    reader.readuntil(b"\r\n\r\n").await?;
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none ");
                    writer.drain().await?;
                    wait.wait().await?;
                    writer.write(b"three");
                    writer.drain().await
                }
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let client = client().timeout(Timeout::disabled()).build()?;
        let url = format!("http://127.0.0.1:{}/", server.port());
        let mut response = client.get(url).stream().await?;
        let mut all = response.next_chunk().await?.unwrap_or_default();
        for _ in 0..3 {
            let late = timeout(0.01, response.next_chunk()).await;
            assert!(late.is_err_and(|error| error.is::<TimeoutError>()));
        }
        go.set();
        while let Some(piece) = response.next_chunk().await? {
            all.extend(piece);
        }
        assert_eq!(all, b"one three");
        Ok(())
    })
}

/// R12: a server that closes what is idle when it is used again. Of requests that change nothing no error is
/// seen, and no body comes twice.
#[test]
fn connections_that_go_when_they_are_used_do_no_harm() -> Result<()> {
    everywhere(|| async {
        let count = crate::support::scaled(200);
        let seen: Arc<std::sync::Mutex<Vec<Seen>>> = Arc::default();
        let log = Arc::clone(&seen);
        let server = start_server(
            move |reader: StreamReader, writer: StreamWriter| {
                let log = Arc::clone(&log);
                async move {
                    // One answer, which promises more; then the connection is closed.
                    let Some(request) = read_request(&reader).await? else {
                        return Ok(());
                    };
                    log.lock().expect("no panic").push(request);
                    writer.write(&ok("x"));
                    writer.drain().await
                }
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let client = client().timeout(Timeout::new(60)).build()?;
        let url = format!("http://127.0.0.1:{}/", server.port());
        let mut refused = 0;
        for number in 0..count {
            assert_eq!(client.get(&url).await?.text(), "x");
            let body = format!("unique {number}");
            match client.post(&url).content(body).await {
                Ok(answer) => assert_eq!(answer.text(), "x"),
                Err(error) => {
                    let found = super::server::http_error(&error);
                    assert!(
                        found.reused_connection() && !found.is_retry_safe(),
                        "{error:?}"
                    );
                    refused += 1;
                }
            }
        }
        let seen = seen.lock().expect("no panic").clone();
        let mut bodies: Vec<_> = seen
            .iter()
            .filter(|it| it.method == "POST")
            .map(Seen::text)
            .collect();
        let posts = bodies.len();
        assert!(posts >= count - refused);
        bodies.sort();
        bodies.dedup();
        assert_eq!(bodies.len(), posts, "a body has come twice");
        Ok(())
    })
}

/// A request that is cancelled while it waits for a place leaves the line.
#[test]
fn who_is_cancelled_in_the_line_leaves_it() -> Result<()> {
    everywhere(|| async {
        let server = serve(async |_| ok("x")).await?;
        let client = client()
            .limits(Limits::new().max_connections(1))
            .timeout(Timeout::new(60))
            .build()?;
        let held = client.get(server.url("/")).stream().await?;
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let request = client.get(server.url("/"));
                create_task(async move { request.await })
            })
            .collect();
        until(|| client.pool_stats().waiting == 10).await?;
        for task in tasks.iter().step_by(2) {
            task.cancel();
        }
        drop(held);
        for (number, task) in tasks.into_iter().enumerate() {
            let cancelled = task.await.is_err_and(|error| error.is_cancelled());
            assert_eq!(cancelled, number % 2 == 0);
        }
        assert_eq!(client.pool_stats(), Default::default());
        Ok(())
    })
}
