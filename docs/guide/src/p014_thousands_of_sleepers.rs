//! A single thread holds ten thousand waiting coroutines at the same time.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;

use asyncio_compat as asyncio;

static WAITING: AtomicU32 = AtomicU32::new(0);
static PEAK: AtomicU32 = AtomicU32::new(0);

async fn moth(number: u32) -> asyncio::Result<(u32, thread::ThreadId)> {
    let waiting = WAITING.fetch_add(1, Relaxed) + 1;
    PEAK.fetch_max(waiting, Relaxed);
    asyncio::sleep(0.5).await?;
    WAITING.fetch_sub(1, Relaxed);
    Ok((number % 7, thread::current().id()))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (answers, mut threads): (Vec<_>, HashSet<_>) = asyncio::gather_iter((0..10_000).map(moth))
        .await?
        .into_iter()
        .unzip();
    threads.remove(&thread::current().id());
    println!("waiting together {}", PEAK.load(Relaxed));
    println!("sum of answers {}", answers.iter().sum::<u32>());
    println!("extra threads {}", threads.len());
    Ok(())
}
