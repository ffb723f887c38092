//! How many, and how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use asyncio_core::{Result, Runner, TimeoutError, create_task, gather_iter, sleep, timeout};
use asyncio_net::http::{Body, HttpErrorKind, HttpPhase, Limits, Timeout, TransportResponse};
use asyncio_net::{StreamReader, StreamWriter, start_server};
use asyncio_sync::Event;

use super::server::{client, failed, http_error, ok, serve};
use crate::support::{everywhere, until};

#[test]
fn no_more_requests_are_under_way_than_allowed() -> Result<()> {
    everywhere(|| async {
        for (limits, most) in [
            (Limits::new().max_connections(3), 3),
            (Limits::new().max_connections_per_host(2), 2),
        ] {
            let server = serve(async |_| {
                let _ = sleep(0.001).await;
                ok("x")
            })
            .await?;
            let client = client().limits(limits).timeout(Timeout::new(60)).build()?;
            let url = server.url("/");
            let calls = (0..60).map(|_| {
                let request = client.get(&url);
                create_task(async move { request.await })
            });
            let calls: Vec<_> = calls.collect();
            for call in calls {
                assert_eq!(call.await?.text(), "x");
            }
            assert!(server.log.most() <= most, "{}", server.log.most());
            let stats = client.pool_stats();
            assert_eq!((stats.active, stats.waiting), (0, 0));
        }
        Ok(())
    })
}

/// An answer that nobody reads holds its place, and its drop gives it to the next.
#[test]
fn a_place_is_held_until_the_body_s_end() -> Result<()> {
    everywhere(|| async {
        let server = serve(async |_| ok("x")).await?;
        let client = client()
            .limits(Limits::new().max_connections(1))
            .timeout(Timeout::new(60))
            .build()?;
        let held = client.get(server.url("/")).stream().await?;
        let short = Timeout::new(60).pool(0.05);
        let began = Instant::now();
        let error = client
            .get(server.url("/"))
            .timeout(short)
            .await
            .unwrap_err();
        let found = http_error(&error);
        assert_eq!(
            (found.kind(), found.phase()),
            (HttpErrorKind::PoolTimeout, HttpPhase::Pool)
        );
        assert!(found.is_retry_safe() && !found.was_sent());
        assert!(began.elapsed() >= Duration::from_millis(50));
        let total = client
            .get(server.url("/"))
            .timeout(Timeout::new(60).total(0.05))
            .await;
        assert_eq!(failed(total), HttpErrorKind::TotalTimeout);
        let outer = timeout(0.05, client.get(server.url("/"))).await;
        assert!(
            outer.is_err_and(|error| error.is::<TimeoutError>()),
            "an outer limit is its own"
        );

        let next = client.get(server.url("/"));
        let next = create_task(async move { next.await });
        until(|| client.pool_stats().waiting == 1).await?;
        drop(held);
        assert_eq!(next.await?.text(), "x");
        // Who waits when it is closed, is told.
        let held = client.get(server.url("/")).stream().await?;
        let next = client.get(server.url("/"));
        let next = create_task(async move { next.await });
        until(|| client.pool_stats().waiting == 1).await?;
        client.aclose();
        assert_eq!(held.aread().await?.text(), "x", "what is under way goes on");
        assert_eq!(failed(next.await), HttpErrorKind::Closed);
        Ok(())
    })
}

/// One host holds all that it may, and answers nothing; the others do not notice.
#[test]
fn no_host_starves_another() -> Result<()> {
    everywhere(|| async {
        let released = Event::new();
        let wait = released.clone();
        let stuck = serve(move |_| {
            let wait = wait.clone();
            async move {
                let _ = wait.wait().await;
                ok("late")
            }
        })
        .await?;
        let quick = serve(async |_| ok("quick")).await?;
        let client = client()
            .limits(Limits::new().max_connections(4).max_connections_per_host(3))
            .timeout(Timeout::disabled())
            .build()?;
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let request = client.get(stuck.url("/"));
                create_task(async move { request.await })
            })
            .collect();
        until(|| stuck.log.requests().len() == 3).await?;
        for _ in 0..50 {
            assert_eq!(client.get(quick.url("/")).await?.text(), "quick");
        }
        assert_eq!(stuck.log.requests().len(), 3);
        released.set();
        for call in calls {
            assert_eq!(call.await?.text(), "late");
        }
        Ok(())
    })
}

/// Who asks first is served first.
#[test]
fn places_are_given_in_order() -> Result<()> {
    asyncio_core::run(async {
        let server = serve(async |seen| ok(seen.target)).await?;
        let client = client()
            .limits(Limits::new().max_connections(1))
            .timeout(Timeout::new(60))
            .build()?;
        let calls = (0..20).map(|number| client.get(server.url(&format!("/{number}"))));
        gather_iter(calls.map(|call| async move { call.await })).await?;
        let seen: Vec<_> = server
            .log
            .requests()
            .into_iter()
            .map(|it| it.target)
            .collect();
        let expected: Vec<_> = (0..20).map(|number| format!("/{number}")).collect();
        assert_eq!(seen, expected);
        Ok(())
    })
}

/// A server that accepts, and does no more than a path says.
async fn silent() -> Result<asyncio_net::Server> {
    start_server(
        async |reader: StreamReader, writer: StreamWriter| {
            let head = reader.readuntil(b"\r\n\r\n").await?;
            let head = String::from_utf8_lossy(&head).into_owned();
            if head.contains("/body") {
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegun");
            } else if head.contains("/drip") {
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n");
                loop {
                    writer.write(b".");
                    writer.drain().await?;
                    sleep(0.02).await?;
                }
            } else if head.contains("/swallow") {
                while !reader.read(1 << 20).await?.is_empty() {}
            }
            // Not a byte of a body is read.
            sleep(3600).await
        },
        "127.0.0.1",
        0,
    )
    .await
}

/// R14: each limit is met, not before its time, and by its own error.
#[test]
fn each_limit_is_met_in_its_phase() -> Result<()> {
    everywhere(|| async {
        use HttpErrorKind::{ConnectTimeout, ReadTimeout, TotalTimeout, WriteTimeout};
        let server = silent().await?;
        let port = server.port();
        let plain = |path: &str| format!("http://127.0.0.1:{port}{path}");
        // A handshake that nobody answers is part of connecting.
        let handshake = format!("https://127.0.0.1:{port}/");
        let long = || Body::from(vec![0; 64 << 20]);
        let least = 0.1;
        let client = client().timeout(Timeout::new(600)).build()?;
        let none = Timeout::new(600);
        for (request, kind) in [
            (
                client.get(&handshake).timeout(none.connect(least)),
                ConnectTimeout,
            ),
            (
                client.get(plain("/")).timeout(none.read(least)),
                ReadTimeout,
            ),
            (
                client.get(plain("/body")).timeout(none.read(least)),
                ReadTimeout,
            ),
            (
                client
                    .post(plain("/"))
                    .content(long())
                    .timeout(none.write(least)),
                WriteTimeout,
            ),
            (
                client.get(&handshake).timeout(none.total(least)),
                TotalTimeout,
            ),
            (
                client.get(plain("/")).timeout(none.total(least)),
                TotalTimeout,
            ),
            (
                client.get(plain("/drip")).timeout(none.total(least)),
                TotalTimeout,
            ),
            (
                client
                    .post(plain("/"))
                    .content(long())
                    .timeout(none.total(least)),
                TotalTimeout,
            ),
        ] {
            let shown = format!("{request:?} {kind:?}");
            let began = Instant::now();
            let error = request.await.unwrap_err();
            let took = began.elapsed();
            let found = http_error(&error);
            assert_eq!(found.kind(), kind, "{shown}");
            assert!(found.is_timeout() && !error.is::<TimeoutError>(), "{shown}");
            assert_eq!(
                found.was_sent(),
                !handshake.starts_with(&found.url()[..8]),
                "{shown}"
            );
            assert!(took >= Duration::from_millis(100), "{shown}: {took:?}");
            assert!(took < Duration::from_secs(30), "{shown}: {took:?}");
            assert_eq!(client.pool_stats().active, 0, "{shown}");
        }
        Ok(())
    })
}

/// What is slow to be made, to be sent or to come is not late as long as it moves.
#[test]
fn what_moves_is_not_late() -> Result<()> {
    everywhere(|| async {
        let server = serve(async |seen| ok(seen.body.len().to_string())).await?;
        let client = client().timeout(Timeout::new(0.5)).build()?;
        // Twice the limit in all, at the producer's pace; which does not count at all.
        let pieces = futures::stream::unfold(0, |count| async move {
            sleep(0.35).await.ok()?;
            (count < 3).then(|| (Ok(vec![b'x'; 10]), count + 1))
        });
        let answer = client
            .post(server.url("/"))
            .content(Body::stream(pieces))
            .await?;
        assert_eq!(answer.text(), "30");
        let slow = futures::stream::unfold(0, |count| async move {
            sleep(0.8).await.ok()?;
            (count < 1).then(|| (Ok(vec![b'x'; 10]), count + 1))
        });
        let answer = client
            .post(server.url("/"))
            .content(Body::stream(slow))
            .await?;
        assert_eq!(answer.text(), "10");

        // A server that takes a long body slowly, in longer than the limit to read.
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        let slow = start_server(
            move |reader: StreamReader, writer: StreamWriter| {
                let count = Arc::clone(&count);
                async move {
                    reader.readuntil(b"\r\n\r\n").await?;
                    let mut left = 32 << 20;
                    while left > 0 {
                        let piece = reader.read(left.min(1 << 20)).await?;
                        left -= piece.len().cast_signed();
                        count.fetch_add(piece.len(), Ordering::SeqCst);
                        sleep(0.01).await?;
                    }
                    writer.write(&ok("taken"));
                    writer.drain().await
                }
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let url = format!("http://127.0.0.1:{}/", slow.port());
        let began = Instant::now();
        let timeout = Timeout::new(60).read(20).write(20);
        let answer = client
            .post(url)
            .content(vec![0; 32 << 20])
            .timeout(timeout)
            .await?;
        assert_eq!(answer.text(), "taken");
        assert!(began.elapsed() >= Duration::from_millis(300));
        assert_eq!(taken.load(Ordering::SeqCst), 32 << 20);
        Ok(())
    })
}

/// The clock jumps, and the limits of an answer without a network with it.
#[test]
fn limits_count_by_a_virtual_clock_where_nothing_is_real() -> Result<()> {
    let runner = Runner::builder().virtual_clock(true).build()?;
    runner.run(async {
        let client = client()
            .limits(Limits::new().max_connections(1))
            .timeout(Timeout::new(100).pool(50).total(500))
            .transport(async |request| {
                sleep(if request.path() == "/slow" { 90 } else { 3600 }).await?;
                Ok(TransportResponse::new(200))
            })
            .build()?;
        let first = client.get("http://a.example/slow");
        let first = create_task(async move { first.await });
        sleep(0).await?;
        assert_eq!(
            failed(client.get("http://a.example/slow").await),
            HttpErrorKind::PoolTimeout
        );
        assert_eq!(first.await?.status_code(), 200);
        let late = client.get("http://a.example/never").await;
        assert_eq!(failed(late), HttpErrorKind::ReadTimeout);

        // And while a real network is waited for, it stands still.
        let server = serve(async |_| ok("real")).await?;
        let real = super::server::client().build()?;
        let answer = timeout(0.001, real.get(server.url("/"))).await?;
        assert_eq!(answer.text(), "real");
        Ok(())
    })
}
