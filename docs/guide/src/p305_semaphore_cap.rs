//! However many coroutines want in, a semaphore lets only so many inside together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use asyncio_compat as asyncio;

struct Pool {
    lanes: asyncio::Semaphore,
    inside: AtomicUsize,
    peak: AtomicUsize,
}

async fn swim(pool: Arc<Pool>, swimmer: u32) -> asyncio::Result<u32> {
    let _lane = pool.lanes.guard().await?;
    let inside = pool.inside.fetch_add(1, Relaxed) + 1;
    pool.peak.fetch_max(inside, Relaxed);
    asyncio::sleep(0.01).await?;
    pool.inside.fetch_sub(1, Relaxed);
    Ok(swimmer * swimmer)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let pool = Arc::new(Pool {
        lanes: asyncio::Semaphore::new(4),
        inside: AtomicUsize::new(0),
        peak: AtomicUsize::new(0),
    });
    let squares = asyncio::gather_iter((0..20).map(|n| swim(pool.clone(), n))).await?;
    println!(
        "swimmers {} sum {}",
        squares.len(),
        squares.iter().sum::<u32>()
    );
    println!("most in the water {}", pool.peak.load(Relaxed));

    let tasks = asyncio::task_group(async |group| {
        Ok([0, 1, 2].map(|n| group.create_task(swim(pool.clone(), n))))
    })
    .await?;
    println!("{:?}", asyncio::gather(tasks).await?);
    Ok(())
}
