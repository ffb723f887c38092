//! Workers take addresses from a queue, put newly found ones back, and stop when join() returns.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;
use asyncio_compat::aiohttp::ClientSession;
use asyncio_compat::httpx::HttpError;

use crate::web::{self, Ask, Reply};

const LINKS: [(&str, &str); 6] = [
    ("home", "tea coffee"),
    ("tea", "green black home"),
    ("coffee", "beans ghost"),
    ("green", ""),
    ("black", "tea"),
    ("beans", "home"),
];

async fn page(ask: Ask) -> asyncio::Result<Reply> {
    let Some((_, links)) = LINKS.iter().find(|(name, _)| *name == &ask.path[1..]) else {
        return Ok(web::status(404, "404: Not Found"));
    };
    asyncio::sleep(0.01).await?;
    Ok(web::text(*links))
}

#[derive(Default)]
struct Crawl {
    found: Mutex<BTreeSet<String>>,
    failed: Mutex<Vec<String>>,
}

async fn links(session: &ClientSession, url: String) -> asyncio::Result<String> {
    session.get(url).raise_for_status(true).await?.text().await
}

async fn worker(
    session: ClientSession,
    base: String,
    todo: asyncio::Queue<String>,
    crawl: Arc<Crawl>,
) -> asyncio::Result<()> {
    loop {
        let name = todo.get().await?;
        let page = links(&session, format!("{base}/{name}")).await;
        let status = page
            .as_ref()
            .err()
            .and_then(|error| HttpError::of(error)?.status());
        let outcome = match (page, status) {
            (Ok(text), _) => {
                for link in text.split_whitespace().map(str::to_owned) {
                    if crawl.found.lock().expect("no panic").insert(link.clone()) {
                        todo.put_nowait(link)?;
                    }
                }
                Ok(())
            }
            (Err(_), Some(status)) => {
                let mut failed = crawl.failed.lock().expect("no panic");
                failed.push(format!("{name} {status}"));
                Ok(())
            }
            (Err(error), None) => Err(error),
        };
        todo.task_done()?;
        outcome?;
    }
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (server, base) = web::serve(page).await?;
    let todo = asyncio::Queue::new(0);
    let crawl = Arc::new(Crawl::default());
    crawl
        .found
        .lock()
        .expect("no panic")
        .insert("home".to_owned());
    todo.put_nowait("home".to_owned())?;
    let session = ClientSession::new()?;
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let work = worker(
                session.clone(),
                base.clone(),
                todo.clone(),
                Arc::clone(&crawl),
            );
            asyncio::create_task(work)
        })
        .collect();
    todo.join().await?;
    for task in &workers {
        task.cancel();
    }
    asyncio::gather(workers).return_exceptions().await?;
    session.close();
    server.close();
    let found: Vec<_> = crawl
        .found
        .lock()
        .expect("no panic")
        .iter()
        .cloned()
        .collect();
    println!("found: {}", found.join(", "));
    println!(
        "failed: {}",
        crawl.failed.lock().expect("no panic").join(", ")
    );
    Ok(())
}
