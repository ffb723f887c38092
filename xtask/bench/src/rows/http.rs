//! HTTP and files: ours beside reqwest itself, with none of its limits, and tokio's files.
//!
//! The server is the same for both, on a thread of its own, and does next to nothing.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use asyncio_core::{Result, create_task};
use asyncio_net::files::open_binary;
use asyncio_net::http::{AsyncClient, Limits, Timeout};
use tokio::io::AsyncReadExt;

use super::{CURRENT_THREAD, Row, row};
use crate::runtimes::{current_thread, ours};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "http_client_1",
            &[
                ("ours", |n| ours(move || requests(n, 1, 100))),
                (CURRENT_THREAD, |n| current_thread(move || raw(n, 1, 100))),
            ],
        ),
        row(
            "http_client_50",
            &[
                ("ours", |n| ours(move || requests(n, 50, 100))),
                (CURRENT_THREAD, |n| current_thread(move || raw(n, 50, 100))),
            ],
        ),
        row(
            "http_pool",
            &[
                ("ours", |n| ours(move || requests(n, 50, 10))),
                (CURRENT_THREAD, |n| current_thread(move || raw(n, 50, 10))),
            ],
        ),
        row(
            "file_read",
            &[
                ("ours", |n| ours(move || read_files(n))),
                (CURRENT_THREAD, |n| current_thread(move || tokio_files(n))),
            ],
        ),
    ]
}

/// A server that answers whatever it is asked, a thread for each connection.
fn server() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                stream.set_nodelay(true).expect("an option");
                std::thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    let mut had = 0;
                    while let Ok(read @ 1..) = stream.read(&mut buffer[had..]) {
                        had += read;
                        if !buffer[..had].ends_with(b"\r\n\r\n") {
                            continue;
                        }
                        had = 0;
                        let said = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHello, world!";
                        if stream.write_all(said).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        format!("http://{address}/")
    })
}

/// With all limits of time on.
async fn requests(count: u32, tasks: u32, most: usize) -> Result<()> {
    let client = AsyncClient::builder()
        .trust_env(false)
        .timeout(Timeout::new(30).total(60))
        .limits(
            Limits::new()
                .max_connections(most)
                .max_keepalive_connections(100),
        )
        .build()?;
    let url = server();
    let tasks: Vec<_> = (0..tasks)
        .map(|_| {
            let client = client.clone();
            create_task(async move {
                for _ in 0..count / tasks {
                    black_box(client.get(url).await?.content());
                }
                Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await?;
    }
    Ok(())
}

/// As `requests`, with tokio's semaphore where places are few.
async fn raw(count: u32, tasks: u32, most: usize) {
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(
            rustls::ClientConfig::builder_with_provider(Arc::new(
                rustls::crypto::ring::default_provider(),
            ))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth(),
        )
        .build()
        .expect("a client");
    let permits = Arc::new(tokio::sync::Semaphore::new(most));
    let scarce = most < tasks as usize;
    let url = server();
    let tasks: Vec<_> = (0..tasks)
        .map(|_| {
            let (client, permits) = (client.clone(), Arc::clone(&permits));
            tokio::spawn(async move {
                for _ in 0..count / tasks {
                    let _permit = match scarce {
                        true => Some(permits.acquire().await.expect("it is open")),
                        false => None,
                    };
                    let response = client.get(url).send().await.expect("a response");
                    black_box(response.bytes().await.expect("a body"));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
}

/// A file of 4 KiB.
fn file() -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("asyncio-bench-{}", std::process::id()));
        std::fs::write(&path, [7; 4096]).expect("a file");
        path
    })
}

async fn read_files(count: u32) -> Result<()> {
    let path = file();
    for _ in 0..count {
        let file = open_binary(path, "rb").await?;
        black_box(file.read(-1).await?);
        file.close().await?;
    }
    Ok(())
}

/// As `read_files`.
async fn tokio_files(count: u32) {
    let path = file();
    for _ in 0..count {
        let mut file = tokio::fs::File::open(path).await.expect("a file");
        let mut content = Vec::new();
        file.read_to_end(&mut content).await.expect("its content");
        black_box(content);
    }
}
