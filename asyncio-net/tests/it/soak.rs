//! What is counted for a whole process: connections by the thousand, cancels by the hundred thousand, a
//! network that breaks everything. Each has a process of its own. `ASYNCIO_NET_SCALE=100` is their full
//! size.

use std::io::ErrorKind;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use asyncio_core::{Result, all_tasks, create_task, gather_iter, run, sleep};
use asyncio_net::{Server, StreamReader, StreamWriter, open_connection, start_server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Numbers, alone, note, pattern, resident, scaled, until};

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// A peer that has gone is no error here.
async fn echo(reader: StreamReader, writer: StreamWriter) -> Result<()> {
    loop {
        match reader.read(1 << 16).await {
            Ok(data) if data.is_empty() => return Ok(()),
            Ok(data) => writer.write(&data),
            Err(error) if error.is_cancelled() => return Err(error),
            Err(_) => return Ok(()),
        }
        match writer.drain().await {
            Err(error) if error.is_cancelled() => return Err(error),
            Err(_) => return Ok(()),
            Ok(()) => {}
        }
    }
}

async fn echo_server() -> Result<Server> {
    start_server(echo, "127.0.0.1", 0).backlog(4096).await
}

/// R2: 10,000 connections in full, all open at once, and all of them answer. The clients are this process
/// once more, for each side needs as many files.
#[test]
fn ten_thousand_connections_are_open_at_once() -> Result<()> {
    const PORT: &str = "ASYNCIO_NET_TEST_PORT";
    let Some(_alone) = alone("soak::ten_thousand_connections_are_open_at_once")? else {
        return Ok(());
    };
    let count = scaled(100);
    if let Ok(port) = std::env::var(PORT) {
        let port: u16 = port.parse()?;
        return run(async move {
            let mut clients = Vec::new();
            for _ in 0..count {
                clients.push(open_connection("127.0.0.1", port).await?);
            }
            for (number, (reader, writer)) in clients.iter().enumerate() {
                writer.write(&(number as u64).to_le_bytes());
                assert_eq!(reader.readexactly(8).await?, (number as u64).to_le_bytes());
            }
            // They stay open until all of them have been seen.
            let said =
                asyncio_core::to_thread(|| Ok(std::io::stdin().read_line(&mut String::new())?));
            assert_eq!(said.await?, 0);
            drop(clients);
            Ok(())
        });
    }
    run(async move {
        let server = echo_server().await?;
        let before = open_files();
        let began = Instant::now();
        let process = asyncio_net::create_subprocess_exec(std::env::current_exe()?)
            .args(["--exact", "soak::ten_thousand_connections_are_open_at_once"])
            .args(["--nocapture"])
            .env(PORT, server.port().to_string())
            .stdin(asyncio_net::subprocess::PIPE)
            .stdout(asyncio_net::subprocess::DEVNULL)
            .await?;
        until(|| server.connections() == count || process.returncode().is_some()).await?;
        let accepted = began.elapsed();
        process.stdin().expect("it is a pipe").close();
        process.wait().await?;
        assert_eq!(process.returncode(), Some(0));
        until(|| server.connections() == 0).await?;
        until(|| open_files() <= before).await?;
        note(&format!("{count} connections accepted after {accepted:?}"));
        Ok(())
    })
}

/// R1, for streams: a million reads in full that are cancelled or dropped at any place, by 50 tasks on 10
/// connections. No byte is lost or doubled, no task and no file is left.
#[test]
fn cancels_leave_nothing_behind() -> Result<()> {
    let Some(_alone) = alone("soak::cancels_leave_nothing_behind")? else {
        return Ok(());
    };
    run(async {
        let before = open_files();
        let cancelled = Arc::new(AtomicUsize::new(0));
        let most = scaled(10_000);
        {
            let connections = asyncio_sync::Queue::new(0);
            let accepted = connections.clone();
            let server = start_server(
                move |reader, writer| {
                    let accepted = accepted.clone();
                    async move {
                        accepted.put_nowait((reader, writer))?;
                        Ok(())
                    }
                },
                "127.0.0.1",
                0,
            )
            .await?;
            let mut tasks = Vec::new();
            for seed in 0..10 {
                let ours = open_connection("127.0.0.1", server.port()).await?;
                let theirs = connections.get().await?;
                tasks.push(cancel_reads(
                    seed,
                    ours,
                    theirs,
                    Arc::clone(&cancelled),
                    most / 10,
                ));
            }
            gather_iter(tasks).await?;
            server.close();
            server.wait_closed().await?;
        }
        until(|| all_tasks().len() == 1).await?;
        // What is closed is let go of by tokio when it has its turn.
        until(|| open_files() <= before).await?;
        let count = cancelled.load(Ordering::Relaxed);
        assert!(count >= most, "{count}");
        note(&format!("{count} cancels"));
        Ok(())
    })
}

type Streams = (StreamReader, StreamWriter);

async fn cancel_reads(
    seed: u64,
    (reader, writer): Streams,
    (_their_reader, peer): Streams,
    cancelled: Arc<AtomicUsize>,
    most: usize,
) -> Result<()> {
    let mut numbers = Numbers::new(seed + 100);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (mut sent, mut count) = (Vec::new(), 0);
    while count < most {
        if numbers.below(4) == 0 {
            let piece: Vec<u8> = (0..1 + numbers.below(30))
                .map(|_| numbers.next() as u8)
                .collect();
            peer.write(&piece);
            sent.extend(piece);
        }
        let wanted = 1 + numbers.below(20).cast_signed();
        if numbers.below(2) == 0 {
            // Dropped between two polls.
            let mut reading = pin!(reader.readexactly(wanted));
            for _ in 0..=numbers.below(2) {
                if let std::task::Poll::Ready(piece) = futures::poll!(reading.as_mut()) {
                    seen.lock().expect("nobody panics").extend(piece?);
                    count -= 1;
                    break;
                }
            }
            count += 1;
        } else {
            // Five at a time, of which one at the most reads.
            let tasks: Vec<_> = (0..5)
                .map(|_| {
                    let (reader, seen) = (reader.clone(), Arc::clone(&seen));
                    create_task(async move {
                        let piece = reader.read(wanted).await?;
                        seen.lock().expect("nobody panics").extend(piece);
                        Ok(())
                    })
                })
                .collect();
            for _ in 0..numbers.below(3) {
                sleep(0).await?;
            }
            for task in tasks {
                task.cancel();
                match task.await {
                    Err(error) if error.is_cancelled() => count += 1,
                    // Another one reads, or it was done.
                    _ => {}
                }
            }
        }
    }
    cancelled.fetch_add(count, Ordering::Relaxed);
    peer.close();
    let rest = reader.read(-1).await?;
    seen.lock().expect("nobody panics").extend(rest);
    assert!(*seen.lock().expect("nobody panics") == sent);
    writer.close();
    writer.wait_closed().await
}

/// Forwards what passes in its own way: in pieces, late, cut, reset.
async fn breaking_proxy(port: u16) -> Result<u16> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let here = listener.local_addr()?.port();
    create_task(async move {
        let mut numbers = Numbers::new(99);
        loop {
            let (client, _) = listener.accept().await?;
            let Ok(server) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else {
                continue;
            };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            // Most come through.
            let fate = match numbers.below(4) {
                0 => Fate::Cut(numbers.below(40_000)),
                1 => Fate::Reset(numbers.below(40_000)),
                _ => Fate::Whole,
            };
            let seed = numbers.next();
            drop(create_task(async move {
                let up = create_task(forward(from_client, to_server, Fate::Whole, seed));
                forward(from_server, to_client, fate, seed ^ 1).await?;
                // Both directions end together, as a cable does.
                if !matches!(fate, Fate::Whole) {
                    up.cancel();
                }
                let _ = up.await;
                Ok(())
            }));
        }
        #[expect(unreachable_code, reason = "for the type")]
        Ok(())
    });
    Ok(here)
}

#[derive(Clone, Copy)]
enum Fate {
    Whole,
    Cut(usize),
    Reset(usize),
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    fate: Fate,
    seed: u64,
) -> Result<()> {
    let mut numbers = Numbers::new(seed);
    let mut left = match fate {
        Fate::Whole => usize::MAX,
        Fate::Cut(after) | Fate::Reset(after) => after,
    };
    let mut buffer = vec![0; 8_000];
    while left > 0 {
        let most = (1 + numbers.below(buffer.len())).min(left);
        let Ok(count @ 1..) = from.read(&mut buffer[..most]).await else {
            break;
        };
        if numbers.below(8) == 0 {
            sleep(numbers.delay()).await?;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
        left -= count;
    }
    if matches!(fate, Fate::Reset(_)) {
        let stream: &tokio::net::TcpStream = to.as_ref();
        socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}

/// R15: for a second, and for 100 in full, clients come by a proxy that cuts and resets a half of them.
/// Then as many files are open as before, and hardly more memory is used.
#[test]
fn a_soak_in_a_bad_network_leaves_nothing_behind() -> Result<()> {
    const SIZE: usize = 60_000;
    let Some(_alone) = alone("soak::a_soak_in_a_bad_network_leaves_nothing_behind")? else {
        return Ok(());
    };
    async fn client(port: u16, seed: u64, until: Instant) -> Result<[usize; 2]> {
        let mut numbers = Numbers::new(seed);
        let data = pattern(SIZE);
        let mut counts = [0; 2];
        while Instant::now() < until {
            let connecting = open_connection("127.0.0.1", port);
            let Ok((reader, writer)) = connecting.await else {
                counts[1] += 1;
                continue;
            };
            writer.write(&data);
            let mut seen = Vec::new();
            let end = loop {
                match reader.read(1 + numbers.below(20_000).cast_signed()).await {
                    Ok(piece) if piece.is_empty() => break None,
                    Ok(piece) => seen.extend(piece),
                    Err(error) => break Some(error),
                }
                if seen.len() == SIZE {
                    break None;
                }
            };
            assert!(data.starts_with(&seen));
            if let Some(error) = end {
                let kind = error
                    .downcast_ref::<std::io::Error>()
                    .map(std::io::Error::kind);
                assert!(
                    matches!(
                        kind,
                        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
                    ),
                    "{error:?}"
                );
            }
            counts[usize::from(seen.len() < SIZE)] += 1;
            if numbers.below(2) == 0 {
                writer.close();
                // It is closed however it was lost.
                let _ = writer.wait_closed().await;
            }
        }
        Ok(counts)
    }
    run(async {
        let mut files = 0;
        let mut memory = 0;
        let mut all = [0; 2];
        // The first round is to have everything there that stays.
        for (round, time) in [
            Duration::from_secs(1),
            Duration::from_secs(1) * u32::try_from(scaled(1))?,
        ]
        .into_iter()
        .enumerate()
        {
            let server = echo_server().await?;
            let port = breaking_proxy(server.port()).await?;
            let until_then = Instant::now() + time;
            let clients = (0..20).map(|seed| client(port, seed, until_then));
            for counts in gather_iter(clients).await? {
                all[0] += counts[0];
                all[1] += counts[1];
            }
            server.close();
            server.abort_clients();
            server.wait_closed().await?;
            for task in all_tasks() {
                if Some(&task) != asyncio_core::current_task().as_ref() {
                    task.cancel();
                }
            }
            until(|| all_tasks().len() == 1).await?;
            sleep(0.05).await?;
            if round == 0 {
                (files, memory) = (open_files(), resident());
            }
        }
        until(|| open_files() <= files).await?;
        let grown = resident().saturating_sub(memory);
        assert!(all[0] > 10 && all[1] > 10, "{all:?}");
        assert!(grown < 1 << 20, "{grown} bytes more");
        note(&format!(
            "{} whole, {} broken, {grown} bytes more",
            all[0], all[1]
        ));
        Ok(())
    })
}
