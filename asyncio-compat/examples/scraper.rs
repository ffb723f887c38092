//! A scraper: it fetches pages, so many per second and at a time, tries again what failed for a reason that may
//! pass, shows how far it is, and stores what it found in SQLite.
//!
//! It brings a server along, so that it runs anywhere:
//! `cargo run -p asyncio-compat --example scraper --features http,retry`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "that is what it is for"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use asyncio_compat as asyncio;
use asyncio_compat::httpx::{AsyncClient, Limits, Timeout};
use asyncio_compat::{Queue, RateLimiter, Retry, Server, StreamReader, StreamWriter, retry};
use asyncio_db::sqlite::{self, Connection};

const PAGES: u32 = 40;

/// What is known of a page, or why it is not.
type Outcome = (u32, asyncio::Result<String>);

#[asyncio::main]
async fn main() -> asyncio::Result<()> {
    let server = shop().await?;
    let client = AsyncClient::builder()
        .base_url(&format!("http://127.0.0.1:{}/", server.port()))
        .timeout(Timeout::new(5).total(20))
        .limits(Limits::new().max_connections(8))
        .trust_env(false)
        .build()?;
    let db = sqlite::connect(":memory:").await?;
    db.execute(
        "CREATE TABLE page (number INTEGER PRIMARY KEY, title TEXT)",
        (),
    )
    .await?;

    // Who fetches waits when the one that stores cannot keep up.
    let outcomes = Queue::<Outcome>::new(16);
    let rate = RateLimiter::per_second(100)?.burst(10)?;
    asyncio::task_group(async |group| {
        for number in 1..=PAGES {
            let (client, rate, outcomes) = (client.clone(), rate.clone(), outcomes.clone());
            group.create_task(async move {
                let found = fetch(&client, &rate, number).await;
                if found.as_ref().is_err_and(asyncio::Exception::is_cancelled) {
                    return found.map(drop);
                }
                outcomes.put((number, found)).await
            });
        }
        store(&db, &outcomes).await
    })
    .await?;

    let mut counted = db.execute("SELECT count(*) FROM page", ()).await?;
    if let Some(row) = counted.fetchone().await? {
        println!("{} pages of {PAGES} are stored", row.get::<i64>(0)?);
    }
    db.close().await?;
    client.aclose();
    server.close();
    Ok(())
}

/// A page's title; what may be asked for again is, up to three times.
async fn fetch(client: &AsyncClient, rate: &RateLimiter, number: u32) -> asyncio::Result<String> {
    let policy = Retry::new().attempts(3).base(0.05).deadline(30);
    retry(policy, async |_| {
        rate.acquire().await?;
        let page = client.get(format!("page/{number}")).await?;
        Ok(page.raise_for_status()?.text())
    })
    .await
}

/// Stores what comes, and says how far it is.
async fn store(db: &Connection, outcomes: &Queue<Outcome>) -> asyncio::Result<()> {
    for done in 1..=PAGES {
        let (number, found) = outcomes.get().await?;
        match found {
            Ok(title) => {
                let insert = "INSERT INTO page (number, title) VALUES (?, ?)";
                db.execute(insert, (number, title)).await?;
            }
            Err(error) => eprintln!("\rpage {number}: {error}"),
        }
        eprint!("\r{done}/{PAGES}");
    }
    eprintln!();
    Ok(())
}

/// A server that is overworked now and then, and lacks a page.
async fn shop() -> asyncio::Result<Server> {
    let asked = Arc::new(AtomicU32::new(0));
    let handle = move |reader: StreamReader, writer: StreamWriter| {
        let asked = Arc::clone(&asked);
        async move {
            loop {
                let head = match reader.readuntil(b"\r\n\r\n").await {
                    Err(error) if error.is_cancelled() => return Err(error),
                    Err(_) => return Ok(()), // the client has gone
                    Ok(head) => head,
                };
                let head = String::from_utf8_lossy(&head).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default();
                let number = asked.fetch_add(1, Ordering::Relaxed);
                let (status, body) = match path {
                    "/page/13" => ("404 Not Found", String::new()),
                    _ if number % 9 == 4 => ("503 Service Unavailable", String::new()),
                    _ => ("200 OK", format!("the title of {path}")),
                };
                let length = body.len();
                let said = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
                writer.write(said.as_bytes());
                writer.drain().await?;
            }
        }
    };
    asyncio::start_server(handle, "127.0.0.1", 0).await
}
