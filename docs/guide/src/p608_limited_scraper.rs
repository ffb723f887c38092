//! A scraper with a semaphore collects pages and counts honestly which of them failed.

use asyncio_compat as asyncio;
use asyncio_compat::aiohttp::ClientSession;

use crate::web::{self, Ask, Reply};

async fn article(ask: Ask) -> asyncio::Result<Reply> {
    let number: usize = ask.path.trim_start_matches("/article/").parse()?;
    Ok(match number {
        3 => web::status(404, "404: Not Found"),
        6 => None, // the connection is closed
        _ => web::text("word ".repeat(number)),
    })
}

async fn page(session: &ClientSession, url: &str, strict: bool) -> asyncio::Result<String> {
    let mut reply = session.get(url).raise_for_status(strict).await?;
    reply.text().await
}

async fn fetch(
    session: ClientSession,
    url: String,
    permits: asyncio::Semaphore,
    strict: bool,
) -> asyncio::Result<String> {
    let _permit = permits.guard().await?;
    match page(&session, &url, strict).await {
        Err(error) if !strict && !error.is_cancelled() => Ok(format!("Error: {error}")),
        other => other,
    }
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (server, base) = web::serve(article).await?;
    let mut urls: Vec<_> = (1..8).map(|n| format!("{base}/article/{n}")).collect();
    urls.push("http://127.0.0.1:1/".to_owned());
    for (name, strict) in [("lenient", false), ("strict", true)] {
        let permits = asyncio::Semaphore::new(3);
        let session = ClientSession::new()?;
        let calls = urls
            .iter()
            .map(|url| fetch(session.clone(), url.clone(), permits.clone(), strict));
        let results = asyncio::gather(calls.collect::<Vec<_>>())
            .return_exceptions()
            .await?;
        let pages: Vec<_> = results.iter().flatten().collect();
        println!(
            "{name}: {} pages, {} failures, {} words",
            pages.len(),
            results.len() - pages.len(),
            pages
                .iter()
                .map(|page| page.matches("word").count())
                .sum::<usize>()
        );
        session.close();
    }
    server.close();
    Ok(())
}
