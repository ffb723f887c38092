//! Ten slow answers fetched one by one, all together, and at most five at a time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use asyncio_compat as asyncio;
use asyncio_compat::aiohttp::ClientSession;

use crate::web::{self, Ask, Reply};
use crate::yes;

const WAIT: f64 = 0.2;

async fn slow(_: Ask) -> asyncio::Result<Reply> {
    asyncio::sleep(WAIT).await?;
    Ok(web::text("ok"))
}

/// The server has a loop and a thread of its own.
fn serve(ready: mpsc::Sender<String>, stop: asyncio::Event) -> asyncio::Result<()> {
    asyncio::run(async move {
        let (server, base) = web::serve(slow).await?;
        ready.send(base)?;
        stop.wait().await?;
        server.close();
        Ok(())
    })
}

fn blocking(base: &str) -> asyncio::Result<Vec<u16>> {
    let mut statuses = Vec::new();
    for _ in 0..10 {
        let mut connection = TcpStream::connect(base.trim_start_matches("http://"))?;
        connection.write_all(b"GET /slow HTTP/1.1\r\n\r\n")?;
        let mut reply = [0; 12];
        connection.read_exact(&mut reply)?;
        statuses.push(String::from_utf8_lossy(&reply[9..]).parse()?);
    }
    Ok(statuses)
}

async fn together(base: String, most: usize) -> asyncio::Result<Vec<u16>> {
    let permits = asyncio::Semaphore::new(most);
    let session = ClientSession::new()?;
    let calls = (0..10).map(|_| {
        let request = session.get(format!("{base}/slow"));
        let permits = permits.clone();
        async move {
            let _permit = permits.guard().await?;
            Ok(request.await?.status())
        }
    });
    let statuses = asyncio::gather(calls.collect::<Vec<_>>()).await?;
    session.close();
    Ok(statuses)
}

fn report(
    title: &str,
    way: impl FnOnce() -> asyncio::Result<Vec<u16>>,
    least: u32,
    most: u32,
) -> asyncio::Result<()> {
    let began = Instant::now();
    let statuses = way()?;
    let waits = began.elapsed().as_secs_f64() / WAIT;
    println!(
        "{title}: {} answers, at least {least} waits: {}, fewer than {most}: {}",
        statuses.iter().filter(|status| **status == 200).count(),
        yes(waits > f64::from(least) - 0.1),
        yes(waits < f64::from(most))
    );
    Ok(())
}

pub(crate) fn main() -> asyncio::Result<()> {
    let (ready, base) = mpsc::channel();
    let stop = asyncio::Event::new();
    let stopped = stop.clone();
    let server = thread::spawn(move || serve(ready, stopped));
    let base = base.recv()?;
    report("one by one", || blocking(&base), 10, 25)?;
    let url = base.clone();
    report("together", || asyncio::run(together(url, 10)), 1, 6)?;
    report("five at a time", || asyncio::run(together(base, 5)), 2, 8)?;
    stop.set();
    server.join().expect("no panic")
}
