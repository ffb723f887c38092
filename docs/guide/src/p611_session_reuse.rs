//! One session keeps its connection for the next request; a session per request opens a new one each time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;
use asyncio_compat::aiohttp::ClientSession;

use crate::web::{self, Ask};

async fn load(session: &ClientSession, url: &str) -> asyncio::Result<String> {
    session.get(url).await?.text().await
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let counted = Arc::clone(&seen);
    let hello = move |ask: Ask| {
        counted.lock().expect("no panic").insert(ask.connection);
        async { Ok(web::text("hello")) }
    };
    let (server, url) = web::serve(hello).await?;
    for _ in 0..5 {
        let session = ClientSession::new()?;
        load(&session, &url).await?;
        session.close();
    }
    println!(
        "a session each: {} connections",
        seen.lock().expect("no panic").len()
    );

    seen.lock().expect("no panic").clear();
    let session = ClientSession::new()?;
    for _ in 0..5 {
        load(&session, &url).await?;
    }
    session.close();
    println!(
        "one session: {} connection",
        seen.lock().expect("no panic").len()
    );
    server.close();
    Ok(())
}
