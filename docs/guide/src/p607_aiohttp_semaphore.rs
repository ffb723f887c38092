//! A semaphore around the requests bounds how many the server sees at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncio_compat as asyncio;
use asyncio_compat::aiohttp::ClientSession;

use crate::web::{self, Ask};

pub(crate) async fn main() -> asyncio::Result<()> {
    let (inside, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let most = Arc::clone(&peak);
    let page = move |ask: Ask| {
        let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
        async move {
            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            asyncio::sleep(0.05).await?;
            inside.fetch_sub(1, Ordering::SeqCst);
            Ok(web::text(format!("page {}", &ask.path[1..])))
        }
    };
    let (server, base) = web::serve(page).await?;
    let permits = asyncio::Semaphore::new(4);
    let session = ClientSession::new()?;
    let fetch = |number: u32| {
        let request = session.get(format!("{base}/{number}"));
        let permits = permits.clone();
        async move {
            let _permit = permits.guard().await?;
            request.await?.text().await
        }
    };
    let pages = asyncio::gather((0..16).map(fetch).collect::<Vec<_>>()).await?;
    println!(
        "pages {} first {} last {}",
        pages.len(),
        pages[0],
        pages[15]
    );
    println!("most requests at once {}", peak.load(Ordering::SeqCst));
    session.close();
    server.close();
    Ok(())
}
