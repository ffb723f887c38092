//! What is counted for a whole process; `ASYNCIO_NET_SCALE=100` is the full size.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use asyncio_core::{Result, all_tasks, create_task, run, sleep};
use asyncio_net::http::{HttpErrorKind, Limits, Timeout};
use asyncio_net::{StreamReader, StreamWriter, start_server};

use super::server::{client, http_error, ok, serve};
use crate::support::{Numbers, alone, note, on_tokio, resident, scaled, until};

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// R1, for the client: 100,000 requests in full that are cancelled anywhere, by 50 tasks with 10 places. No place, no
/// task and no file is left, and no limit of time was met for want of a place.
async fn storm(count: usize) -> Result<()> {
    let server = serve(async |seen| {
        let _ = sleep(0).await;
        match seen.target.as_str() {
            "/long" => ok(vec![b'x'; 100_000]),
            _ => ok(seen.body),
        }
    })
    .await?;
    let before = open_files();
    let tasks_before = all_tasks().len();
    {
        let client = client()
            .limits(
                Limits::new()
                    .max_connections(10)
                    .max_connections_per_host(8),
            )
            .timeout(Timeout::new(120).total(120))
            .build()?;
        let (cancelled, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let workers: Vec<_> = (0..50)
            .map(|seed| {
                let (client, url) = (client.clone(), server.url(""));
                let (cancelled, done) = (Arc::clone(&cancelled), Arc::clone(&done));
                create_task(async move {
                    let mut numbers = Numbers::new(seed);
                    for _ in 0..count / 50 {
                        let request = match numbers.below(3) {
                            0 => client.get(format!("{url}/long")),
                            1 => client.post(format!("{url}/echo")).content("body"),
                            _ => client
                                .post(format!("{url}/echo"))
                                .content(vec![b'y'; 100_000]),
                        };
                        let task = create_task(async move { request.await });
                        for _ in 0..numbers.below(12) {
                            sleep(0).await?;
                        }
                        if numbers.below(3) == 0 {
                            sleep(numbers.delay()).await?;
                        }
                        task.cancel();
                        match task.await {
                            Ok(answer) => {
                                assert!(answer.is_success());
                                done.fetch_add(1, Ordering::SeqCst);
                            }
                            Err(error) => {
                                assert!(error.is_cancelled(), "{error:?}");
                                cancelled.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        for worker in workers {
            worker.await?;
        }
        assert_eq!(client.pool_stats(), Default::default());
        assert_eq!(client.get(server.url("/")).await?.status_code(), 200);
        let (cancelled, done) = (
            cancelled.load(Ordering::SeqCst),
            done.load(Ordering::SeqCst),
        );
        assert_eq!(cancelled + done, count / 50 * 50);
        note(&format!("{cancelled} cancelled, {done} done"));
        client.aclose();
    }
    until(|| open_files() <= before && server.server.connections() == 0).await?;
    until(|| all_tasks().len() <= tasks_before).await
}

#[test]
fn a_storm_of_cancels_leaves_nothing_behind() -> Result<()> {
    let Some(_alone) = alone("http::soak::a_storm_of_cancels_leaves_nothing_behind")? else {
        return Ok(());
    };
    let count = scaled(1_000);
    run(storm(count))?;
    on_tokio(storm(count))
}

/// A gigabyte in full, of which no more than a little is ever in memory.
#[test]
fn a_long_download_needs_little_memory() -> Result<()> {
    let Some(_alone) = alone("http::soak::a_long_download_needs_little_memory")? else {
        return Ok(());
    };
    let size = scaled(10 << 20).min(1 << 30);
    run(async move {
        let server = start_server(
            move |reader: StreamReader, writer: StreamWriter| async move {
                reader.readuntil(b"\r\n\r\n").await?;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
                writer.write(head.as_bytes());
                let piece = vec![b'z'; 1 << 16];
                let mut left = size;
                while left > 0 {
                    let now = left.min(piece.len());
                    writer.write(&piece[..now]);
                    writer.drain().await?;
                    left -= now;
                }
                Ok(())
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let client = client().timeout(Timeout::new(60)).build()?;
        let url = format!("http://127.0.0.1:{}/", server.port());
        let mut response = client.get(url).stream().await?;
        let (mut seen, mut least, mut most) = (0, usize::MAX, 0);
        let mut chunks = response.aiter_bytes(100_000);
        let mut pieces = 0;
        while let Some(chunk) = chunks.next().await? {
            seen += chunk.len();
            pieces += 1;
            if pieces % 64 == 8 {
                least = least.min(resident());
                most = most.max(resident());
            }
        }
        assert_eq!(seen, size);
        let grown = most.saturating_sub(least);
        note(&format!("{seen} bytes, {grown} more in memory"));
        assert!(grown < 8 << 20, "{grown}");
        Ok(())
    })
}

/// R14: how late each limit is met; the figures are for a quiet machine, and told only where they are asked for.
#[test]
fn limits_are_met_to_the_millisecond() -> Result<()> {
    let rounds = scaled(3);
    run(async move {
        let server = start_server(
            async |reader: StreamReader, _writer: StreamWriter| {
                reader.readuntil(b"\r\n\r\n").await?;
                sleep(3600).await
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let client = client()
            .limits(Limits::new().max_connections(1))
            .timeout(Timeout::disabled())
            .build()?;
        let plain = format!("http://127.0.0.1:{}/", server.port());
        let secure = plain.replace("http:", "https:");
        let none = Timeout::disabled();
        for kind in [
            HttpErrorKind::ConnectTimeout,
            HttpErrorKind::ReadTimeout,
            HttpErrorKind::WriteTimeout,
            HttpErrorKind::TotalTimeout,
            HttpErrorKind::PoolTimeout,
        ] {
            let mut late = Vec::new();
            for _ in 0..rounds {
                let mut held = None;
                let request = match kind {
                    HttpErrorKind::ConnectTimeout => {
                        client.get(&secure).timeout(none.connect(0.05))
                    }
                    HttpErrorKind::ReadTimeout => client.get(&plain).timeout(none.read(0.05)),
                    HttpErrorKind::TotalTimeout => client.get(&plain).timeout(none.total(0.05)),
                    HttpErrorKind::WriteTimeout => {
                        let body = vec![0; 16 << 20];
                        client.post(&plain).content(body).timeout(none.write(0.05))
                    }
                    _ => {
                        let holding = client.get(&plain);
                        let task = create_task(async move { holding.await });
                        until(|| client.pool_stats().active == 1).await?;
                        held = Some(task);
                        client.get(&plain).timeout(none.pool(0.05))
                    }
                };
                let began = Instant::now();
                let error = request.await.unwrap_err();
                let took = began.elapsed().as_secs_f64();
                assert_eq!(http_error(&error).kind(), kind);
                assert!(took >= 0.05, "{kind:?} {took}");
                late.push((took - 0.05) * 1000.0);
                if let Some(held) = held {
                    held.cancel();
                    assert!(held.await.is_err_and(|error| error.is_cancelled()));
                }
            }
            late.sort_by(f64::total_cmp);
            let at = |part: f64| late[((late.len() - 1) as f64 * part) as usize];
            note(&format!(
                "{kind:?}: {:.2} ms late, {:.2} in 99 of 100, {:.2} at most",
                at(0.5),
                at(0.99),
                at(1.0)
            ));
        }
        Ok(())
    })
}
