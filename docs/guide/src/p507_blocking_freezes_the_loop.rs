//! `thread::sleep` in a coroutine stops every other task; `asyncio::sleep` and a thread do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use asyncio_compat as asyncio;

use crate::yes;

const NAP: Duration = Duration::from_millis(500);

async fn blocking_nap() -> asyncio::Result<()> {
    thread::sleep(NAP);
    Ok(())
}

async fn polite_nap() -> asyncio::Result<()> {
    asyncio::sleep(NAP).await
}

async fn threaded_nap() -> asyncio::Result<()> {
    asyncio::to_thread(|| {
        thread::sleep(NAP);
        Ok(())
    })
    .await
}

async fn heartbeat(beats: Arc<AtomicUsize>) -> asyncio::Result<()> {
    loop {
        beats.fetch_add(1, Relaxed);
        asyncio::sleep(0.05).await?;
    }
}

async fn watch(name: &str, nap: impl Future<Output = asyncio::Result<()>>) -> asyncio::Result<()> {
    let beats = Arc::new(AtomicUsize::new(0));
    let heart = asyncio::create_task(heartbeat(beats.clone()));
    asyncio::sleep(0).await?;
    let before = beats.load(Relaxed);
    nap.await?;
    let during = beats.load(Relaxed) - before;
    heart.cancel();
    println!(
        "{name}: heart went on: {}, stood still: {}",
        yes(during >= 3),
        yes(during == 0)
    );
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    watch("blocking_nap", blocking_nap()).await?;
    watch("polite_nap", polite_nap()).await?;
    watch("threaded_nap", threaded_nap()).await
}
