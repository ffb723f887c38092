//! The same client, used in a thread that blocks, and awaited.
//!
//! # Instead
//!
//! There is no second client for code that blocks: it runs a loop of its own for as long as it needs one.

use asyncio_compat as asyncio;
use asyncio_compat::httpx;

use crate::web::{self, Ask, Reply};

async fn service(ask: Ask) -> asyncio::Result<Reply> {
    Ok(web::text(format!("{} seen", ask.method)))
}

fn blocking(url: String) -> asyncio::Result<String> {
    asyncio::run(awaiting(url))
}

async fn awaiting(url: String) -> asyncio::Result<String> {
    let client = httpx::AsyncClient::builder().trust_env(false).build()?;
    let text = client.get(url).await?.text();
    client.aclose();
    Ok(text)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (server, url) = web::serve(service).await?;
    let there = url.clone();
    let text = asyncio::to_thread(move || blocking(there)).await?;
    println!("in a thread: {text}");
    println!("awaited: {}", awaiting(url).await?);
    server.close();
    Ok(())
}
