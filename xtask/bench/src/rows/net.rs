//! Workloads of the network: bytes there and back over loopback, lines in memory.
//!
//! Both sides of a connection are of the same kind and on the same thread, so that the difference
//! counts twice, and the operating system's part, which is most of it, for both.

use std::hint::black_box;
use std::io::{Read, Write};
use std::time::Duration;

use asyncio_core::{Result, create_task};
use asyncio_net::{StreamReader, StreamWriter, open_connection, start_server};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{CURRENT_THREAD, Row, bytes, row};
use crate::memory;
use crate::runtimes::{Measured, Taken, current_thread, ours};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "echo_1k",
            &[
                ("ours", |n| ours(move || echo(n, 8, 1 << 10))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || tokio_echo(n, 8, 1 << 10))
                }),
            ],
        ),
        row(
            "echo_64k",
            &[
                ("ours", |n| ours(move || echo(n, 8, 1 << 16))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || tokio_echo(n, 8, 1 << 16))
                }),
            ],
        ),
        Row {
            fixed: 4_000,
            ..bytes(
                "conn_bytes",
                &[
                    ("ours", |n| {
                        connection_bytes(n, |served| {
                            let runner = asyncio_core::Runner::new().expect("a runner");
                            let bytes = runner.run(served);
                            runner.close().expect("nothing fails");
                            bytes
                        })
                    }),
                    ("ours_on_tokio", |n| {
                        connection_bytes(n, |served| {
                            let mut builder = tokio::runtime::Builder::new_current_thread();
                            let runtime = builder.enable_all().build().expect("a runtime");
                            runtime.block_on(async { create_task(served).await })
                        })
                    }),
                ],
            )
        },
        row(
            "readline_mem",
            &[
                ("ours", |n| ours(move || read_lines(n))),
                (CURRENT_THREAD, |n| {
                    current_thread(move || tokio_read_lines(n))
                }),
            ],
        ),
    ]
}

/// The lines of a block, each of 80 bytes.
const LINES: u32 = 500;

/// Messages of this size there and back, over so many connections.
async fn echo(count: u32, connections: u32, size: usize) -> Result<()> {
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
    .await?;
    let port = server.port();
    let clients: Vec<_> = shares(count, connections)
        .map(|share| {
            create_task(async move {
                let (reader, writer) = open_connection("127.0.0.1", port).await?;
                let message = vec![1; size];
                for _ in 0..share {
                    writer.write(&message);
                    writer.drain().await?;
                    black_box(reader.readexactly(size.cast_signed()).await?);
                }
                Ok(())
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
async fn tokio_echo(count: u32, connections: u32, size: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("an option");
            tokio::spawn(async move {
                let mut buffer = vec![0; size];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    stream.write_all(&buffer[..read]).await.expect("a peer");
                }
            });
        }
    });
    let clients: Vec<_> = shares(count, connections)
        .map(|share| {
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.expect("a server");
                stream.set_nodelay(true).expect("an option");
                let (message, mut buffer) = (vec![1; size], vec![0; size]);
                for _ in 0..share {
                    stream.write_all(&message).await.expect("a peer");
                    stream.read_exact(&mut buffer).await.expect("an answer");
                    black_box(&buffer);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("no panic");
    }
    server.abort();
}

type Served = std::pin::Pin<Box<dyn Future<Output = Result<f64>> + Send>>;

/// What a connection costs that was used once and is idle: the server's side, for the clients are the
/// operating system's alone.
fn connection_bytes(count: u32, run: fn(Served) -> Result<f64>) -> Measured {
    let served = async move {
        let handler = |reader: StreamReader, writer: StreamWriter| async move {
            while let Some(line) = reader.next_line().await? {
                writer.write(&line);
                writer.drain().await?;
            }
            Ok(())
        };
        let server = start_server(handler, "127.0.0.1", 0).backlog(4096).await?;
        let mut clients = Vec::with_capacity(2 * count as usize);
        let mut before = 0;
        for round in 1..=2 {
            before = memory::live();
            for _ in 0..count {
                let mut client = std::net::TcpStream::connect(("127.0.0.1", server.port()))?;
                client.write_all(b"x\n")?;
                clients.push(client);
                if clients.len() % 500 == 0 {
                    asyncio_core::sleep(0.001).await?;
                }
            }
            while server.connections() < round * count as usize {
                asyncio_core::sleep(0.001).await?;
            }
            for client in &mut clients[(round - 1) * count as usize..] {
                let mut answer = [0; 2];
                client.set_nonblocking(true)?;
                while client.read(&mut answer).is_err() {
                    asyncio_core::sleep(0.001).await?;
                }
            }
            asyncio_core::sleep(0.01).await?;
        }
        Ok((memory::live() - before) as f64 / f64::from(count))
    };
    Measured {
        taken: Taken::All,
        time: Duration::ZERO,
        bytes: run(Box::pin(served)).ok(),
    }
}

/// Lines of 80 bytes from a reader that has them already.
async fn read_lines(count: u32) -> Result<()> {
    let block = block();
    for share in shares(count, count.div_ceil(LINES)) {
        let reader = StreamReader::new();
        reader.feed_data(&block)?;
        reader.feed_eof();
        for _ in 0..share {
            black_box(reader.readline().await?);
        }
    }
    Ok(())
}

/// As `read_lines`, each line in a vector of its own as well.
async fn tokio_read_lines(count: u32) {
    let block = block();
    for share in shares(count, count.div_ceil(LINES)) {
        let mut reader = BufReader::with_capacity(1 << 16, block.as_slice());
        for _ in 0..share {
            let mut line = Vec::new();
            reader.read_until(b'\n', &mut line).await.expect("a line");
            black_box(line);
        }
    }
}

fn block() -> Vec<u8> {
    let line = [[b'x'; 79].as_slice(), b"\n"].concat();
    line.repeat(LINES as usize)
}

/// How many of the operations each has.
fn shares(count: u32, parts: u32) -> impl Iterator<Item = u32> {
    let parts = parts.max(1);
    (0..parts).map(move |part| count / parts + u32::from(part < count % parts))
}
