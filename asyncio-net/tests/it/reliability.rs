//! What must hold under rude peers and random cancels. Seeds are fixed; `ASYNCIO_NET_SCALE` multiplies
//! how much is done.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use asyncio_core::{Result, TimeoutError, create_task, run, sleep, timeout};
use asyncio_net::{
    IncompleteReadError, StreamReader, StreamWriter, connect_read_pipe, connect_write_pipe,
    open_connection, open_unix_connection, start_server, start_unix_server,
};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use crate::support::{Numbers, error_of, everywhere, kind, pattern, scaled, until};

/// A connection with small buffers in the kernel, so that writes stop soon.
async fn narrow_pair() -> Result<((StreamReader, StreamWriter), (StreamReader, StreamWriter))> {
    let connections = asyncio_sync::Queue::new(0);
    let accepted = connections.clone();
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    listener.set_recv_buffer_size(4096)?;
    listener.set_send_buffer_size(4096)?;
    let any: std::net::SocketAddr = "127.0.0.1:0".parse()?;
    listener.bind(&any.into())?;
    let server = start_server(
        move |reader, writer| {
            let accepted = accepted.clone();
            async move {
                accepted.put_nowait((reader, writer))?;
                Ok(())
            }
        },
        "",
        0,
    )
    .sock(listener.into())
    .await?;
    let port = server.port();
    let client = open_connection("127.0.0.1", port).await?;
    let theirs = connections.get().await?;
    server.close();
    Ok((client, theirs))
}

/// R7: drains and reads that are cancelled at random lose nothing.
#[test]
fn random_cancels_change_no_byte() -> Result<()> {
    everywhere(|| async {
        let total = scaled(1 << 20);
        let ((_keep_reader, writer), (reader, _keep_writer)) = narrow_pair().await?;
        let data = pattern(total);
        let expected = Sha256::digest(&data);
        let cancelled = Arc::new(AtomicUsize::new(0));
        let heard = Arc::clone(&cancelled);
        let sending = create_task(async move {
            let mut numbers = Numbers::new(7);
            let mut left = data.as_slice();
            while !left.is_empty() {
                // Now and then nothing is sent until a read was given up: however fast the machine is,
                // some are.
                if numbers.below(16) == 0 {
                    let before = heard.load(Ordering::Relaxed);
                    until(|| heard.load(Ordering::Relaxed) > before).await?;
                }
                let count = (1 + numbers.below(20_000)).min(left.len());
                writer.write(&left[..count]);
                left = &left[count..];
                while timeout(numbers.delay(), writer.drain()).await.is_err() {}
            }
            writer.close();
            writer.wait_closed().await
        });
        let (mut hash, mut left) = (Sha256::new(), total);
        let mut numbers = Numbers::new(11);
        while left > 0 {
            let count = (1 + numbers.below(20_000)).min(left);
            let read = reader.readexactly(count.cast_signed());
            match timeout(numbers.delay(), read).await {
                Ok(piece) => {
                    hash.update(&piece);
                    left -= count;
                }
                Err(error) => {
                    assert!(error.is::<TimeoutError>(), "{error:?}");
                    cancelled.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        sending.await?;
        assert_eq!(reader.read(1).await?, b"");
        assert_eq!(hash.finalize(), expected);
        assert!(cancelled.load(Ordering::Relaxed) > 0, "none was cancelled");
        Ok(())
    })
}

/// R4: peers that never read cost what the high-water mark allows; a cancelled drain frees the task.
#[test]
fn peers_that_never_read_cost_no_more_than_agreed() -> Result<()> {
    everywhere(|| async {
        let mut kept = Vec::new();
        let mut tasks = Vec::new();
        for _ in 0..scaled(20) {
            let (client, (_, writer)) = narrow_pair().await?;
            kept.push((client, writer.clone()));
            tasks.push(create_task(async move {
                loop {
                    writer.write(&[0; 1 << 14]);
                    writer.drain().await?;
                }
            }));
        }
        // Until the operating system takes no more: it may for a while, as its own buffers grow.
        let sizes = || -> Vec<usize> {
            let sizes = kept
                .iter()
                .map(|(_, writer)| writer.get_write_buffer_size());
            sizes.collect()
        };
        let mut before = sizes();
        loop {
            sleep(0.1).await?;
            let now = sizes();
            assert!(
                now.iter().all(|size| *size <= (1 << 16) + (1 << 14)),
                "{now:?}"
            );
            if now == before && now.iter().all(|size| *size > 1 << 14) {
                break;
            }
            before = now;
        }
        for task in tasks {
            task.cancel();
            let ended: Result<()> = task.await;
            assert!(ended.is_err_and(|error| error.is_cancelled()));
        }
        Ok(())
    })
}

/// R11: look-ups that are stuck in all threads stop no connection that needs none, and limits are kept.
#[test]
fn stuck_look_ups_hold_up_nobody_else() -> Result<()> {
    run(async {
        let server = start_server(async |_, _| Ok(()), "127.0.0.1", 0).await?;
        let hold = Arc::new(std::sync::RwLock::new(()));
        let held = hold.write();
        let stuck: Vec<_> = (0..512)
            .map(|_| {
                let hold = Arc::clone(&hold);
                create_task(asyncio_core::to_thread(move || -> Result<()> {
                    drop(hold.read());
                    Ok(())
                }))
            })
            .collect();
        sleep(0.01).await?;
        let began = Instant::now();
        let connecting = open_connection("localhost", server.port());
        let limit = Duration::from_millis(50);
        error_of::<TimeoutError>(connecting.timeout(limit).await);
        let took = began.elapsed();
        assert!(took >= limit && took < limit * 40, "{took:?}");
        let (reader, _writer) = open_connection("127.0.0.1", server.port()).await?;
        assert_eq!(reader.read(1).await?, b"");
        drop(held);
        for task in stuck {
            task.await?;
        }
        open_connection("localhost", server.port()).await?;
        Ok(())
    })
}

/// R5: each direction ends by itself, over everything that has two.
#[test]
fn every_byte_arrives_before_a_half_close() -> Result<()> {
    async fn answer(reader: StreamReader, writer: StreamWriter) -> Result<()> {
        let all = reader.read(-1).await?;
        writer.write(&Sha256::digest(&all));
        writer.write(&all);
        writer.write_eof()?;
        writer.flush().await
    }
    everywhere(|| async {
        let path = std::env::temp_dir().join(format!("asyncio-net-half-{}", std::process::id()));
        let tcp = start_server(answer, "127.0.0.1", 0).await?;
        let unix = start_unix_server(answer, &path).await?;
        for round in 0..scaled(10) {
            let data = pattern(round % 40 * 5_003);
            let (reader, writer) = if round % 2 == 0 {
                open_connection("127.0.0.1", tcp.port()).await?
            } else {
                open_unix_connection(&path).await?
            };
            writer.write(&data);
            writer.write_eof()?;
            assert_eq!(
                reader.readexactly(32).await?,
                Sha256::digest(&data).to_vec()
            );
            assert!(reader.read(-1).await? == data);
            let (theirs, ours) = std::io::pipe()?;
            let (reader, writer) = (connect_read_pipe(theirs)?, connect_write_pipe(ours)?);
            writer.write(&data);
            writer.write_eof()?;
            assert!(reader.read(-1).await? == data);
        }
        unix.close();
        Ok(())
    })
}

/// R6: a reset at any place is a reset, or an end with the exact beginning; never a short success.
#[test]
fn a_reset_is_never_taken_for_the_end() -> Result<()> {
    everywhere(|| async {
        let data = Arc::new(pattern(4096));
        let mut numbers = Numbers::new(5);
        let mut resets = 0;
        for round in 0..scaled(200) {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let port = listener.local_addr()?.port();
            // Every place is one of these in full: the numbers have no divisor in common.
            let after = round * 1021 % 4097;
            let theirs = Arc::clone(&data);
            let wait = numbers.below(3);
            let peer = create_task(async move {
                let (mut peer, _) = listener.accept().await?;
                peer.write_all(&theirs[..after]).await?;
                if wait > 0 {
                    sleep(wait as f64 * 1e-4).await?;
                }
                socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO))?;
                Ok(())
            });
            let (reader, _writer) = match open_connection("127.0.0.1", port).await {
                Ok(streams) => streams,
                // It came before the connection was seen to be made.
                Err(error) => {
                    assert_eq!(kind(Err::<(), _>(error)), ErrorKind::ConnectionReset);
                    resets += 1;
                    continue;
                }
            };
            let mut read = Vec::new();
            let error = loop {
                match reader
                    .readexactly(1 + numbers.below(512).cast_signed())
                    .await
                {
                    Ok(piece) => read.extend(piece),
                    Err(error) => break error,
                }
            };
            assert!(data.starts_with(&read), "after {after}");
            if let Some(incomplete) = error.downcast_ref::<IncompleteReadError>() {
                panic!("an end after {after}: {incomplete:?}");
            }
            assert_eq!(kind(Err::<(), _>(error)), ErrorKind::ConnectionReset);
            resets += 1;
            peer.await?;
        }
        assert_eq!(resets, scaled(200));
        Ok(())
    })
}

/// Whoever answers without having read all that was sent is heard: closing a socket with something unread
/// in it would be a reset. Python's streams have read it ahead.
#[test]
fn an_answer_arrives_though_not_all_was_read() -> Result<()> {
    everywhere(|| async {
        for how in 0..3 {
            let unread = asyncio_sync::Event::new();
            let sent = unread.clone();
            let server = start_server(
                move |reader: StreamReader, writer: StreamWriter| {
                    let sent = sent.clone();
                    async move {
                        assert_eq!(reader.readexactly(5).await?, b"begin");
                        sent.wait().await?;
                        writer.write(&[b'x'; 1000]);
                        match how {
                            0 => writer.close(),
                            1 => drop(reader),
                            _ => drop(writer),
                        }
                        Ok(())
                    }
                },
                "127.0.0.1",
                0,
            )
            .await?;
            let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
            writer.write(b"begin");
            sleep(0.01).await?;
            writer.write(&[0; 100_000]);
            writer.flush().await?;
            sleep(0.01).await?;
            unread.set();
            assert_eq!(reader.read(-1).await?, [b'x'; 1000]);
            assert!(reader.exception().is_none());
        }
        Ok(())
    })
}

/// R6 for a megabyte, at random places: what comes is its beginning, and then a reset.
#[test]
fn a_reset_leaves_the_beginning_of_much() -> Result<()> {
    everywhere(|| async {
        let data = Arc::new(pattern(1 << 20));
        let mut numbers = Numbers::new(6);
        for _ in 0..scaled(10) {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let port = listener.local_addr()?.port();
            let (theirs, after) = (Arc::clone(&data), numbers.below(data.len()));
            let peer = create_task(async move {
                let (mut peer, _) = listener.accept().await?;
                peer.write_all(&theirs[..after]).await?;
                socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO))?;
                Ok(())
            });
            let (reader, _writer) = match open_connection("127.0.0.1", port).await {
                Ok(streams) => streams,
                // It came before the connection was seen to be made.
                Err(error) => {
                    assert_eq!(kind(Err::<(), _>(error)), ErrorKind::ConnectionReset);
                    continue;
                }
            };
            let mut read = Vec::new();
            let error = loop {
                let most = 1 + numbers.below(100_000).cast_signed();
                match reader.read(most).await {
                    Ok(piece) => {
                        assert!(!piece.is_empty(), "an end after {after}");
                        read.extend(piece);
                    }
                    Err(error) => break error,
                }
            };
            assert!(data.starts_with(&read) && read.len() <= after);
            assert_eq!(kind(Err::<(), _>(error)), ErrorKind::ConnectionReset);
            peer.await?;
        }
        Ok(())
    })
}

/// A task that is cancelled at any moment leaves a connection that works, or none.
#[test]
fn a_connection_survives_the_tasks_that_used_it() -> Result<()> {
    everywhere(|| async {
        let server = start_server(
            async |reader: StreamReader, writer: StreamWriter| {
                while let Some(line) = reader.next_line().await? {
                    writer.write(&line);
                    writer.drain().await?;
                }
                Ok(())
            },
            "127.0.0.1",
            0,
        )
        .await?;
        let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
        let mut numbers = Numbers::new(3);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let rounds = scaled(100);
        for sent in 0..rounds {
            writer.write(format!("{sent}\n").as_bytes());
            let (reader, heard) = (reader.clone(), Arc::clone(&heard));
            let most = numbers.delay();
            let task = create_task(async move {
                let line = timeout(most, reader.readline()).await?;
                // Here, for a task that is cancelled in its very last stretch loses its result.
                heard.lock().expect("nobody panics").push(line);
                Ok(())
            });
            if numbers.below(3) == 0 {
                sleep(0).await?;
                task.cancel();
            }
            // It was cancelled, or took too long, or has a line.
            let _ = task.await;
        }
        let mut heard = std::mem::take(&mut *heard.lock().expect("nobody panics"));
        while heard.len() < rounds {
            heard.push(reader.readline().await?);
        }
        let expected = (0..rounds).map(|number| format!("{number}\n").into_bytes());
        assert!(heard.into_iter().eq(expected));
        Ok(())
    })
}
