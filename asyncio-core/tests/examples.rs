//! The examples do what they say.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use asyncio_core::{Result, Runner, sleep};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[expect(dead_code, reason = "its `main` is for those who run it")]
#[path = "../examples/axum_handler.rs"]
mod axum_handler;
#[expect(dead_code, reason = "as above")]
#[path = "../examples/hyper_in_run.rs"]
mod hyper_in_run;
#[expect(dead_code, reason = "as above")]
#[path = "../examples/tokio_main.rs"]
mod tokio_main;

const TOKIO_MAIN: [&str; 4] = [
    "tea: 350 cents, 12 left",
    "upload: cancelled: shutting down",
    "slow: the deadline passed",
    "refused: no coffee was ordered",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokio_main_on_a_runtime() -> Result<()> {
    assert_eq!(tokio_main::program().await?, TOKIO_MAIN);
    Ok(())
}

/// The same program with a runner's end, and on a loop.
#[test]
fn tokio_main_on_many_threads_and_on_one() -> Result<()> {
    let runner = Runner::builder().worker_threads(2).build()?;
    assert_eq!(runner.run(tokio_main::program())?, TOKIO_MAIN);
    runner.close()?;
    assert_eq!(asyncio_core::run(tokio_main::program())?, TOKIO_MAIN);
    Ok(())
}

#[test]
fn hyper_in_run() -> Result<()> {
    assert_eq!(
        hyper_in_run::program()?,
        [
            "/one: hello",
            "/two: hello",
            "/three: hello",
            "/never: the deadline passed",
            "/never: cancelled: no longer wanted",
        ]
    );
    Ok(())
}

/// The status line and the body of one answer.
async fn get(stream: &mut TcpStream, path: &str) -> Result<(String, String)> {
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default().to_owned();
    Ok((status, body.to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axum_handlers() -> Result<()> {
    let shop = Arc::new(axum_handler::Shop::default());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = axum_handler::app(Arc::clone(&shop));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let mut client = TcpStream::connect(address).await?;
    let (status, body) = get(&mut client, "/orders/tea").await?;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!(body, "tea: 350 cents, 12 left");

    let mut client = TcpStream::connect(address).await?;
    let (status, body) = get(&mut client, "/orders/gold").await?;
    assert_eq!(status, "HTTP/1.1 400 Bad Request");
    assert_eq!(body, "there is no gold");

    let mut client = TcpStream::connect(address).await?;
    let (status, body) = get(&mut client, "/slow").await?;
    assert_eq!(status, "HTTP/1.1 504 Gateway Timeout");
    assert_eq!(body, "the deadline passed");

    // A client that leaves: what was begun for it is cancelled, and cleans up.
    let mut client = TcpStream::connect(address).await?;
    let head = "GET /report HTTP/1.1\r\nhost: localhost\r\n\r\n";
    client.write_all(head.as_bytes()).await?;
    counts_to_one(&shop.begun).await?;
    assert_eq!(shop.abandoned.load(Ordering::SeqCst), 0);
    drop(client);
    counts_to_one(&shop.abandoned).await?;
    server.abort();
    Ok(())
}

async fn counts_to_one(count: &AtomicUsize) -> Result<()> {
    let begun = Instant::now();
    while count.load(Ordering::SeqCst) != 1 {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never does");
        sleep(0.001).await?;
    }
    Ok(())
}
