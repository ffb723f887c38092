//! Fill the queue, `join` until everything is processed, then stop the workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use asyncio_compat as asyncio;

type Orders = asyncio::Queue<Option<u32>>;

async fn worker(orders: Orders, served: Arc<AtomicUsize>) -> asyncio::Result<()> {
    while let Some(_order) = orders.get().await? {
        asyncio::sleep(0.01).await?;
        served.fetch_add(1, Relaxed);
        orders.task_done()?;
    }
    Ok(orders.task_done()?)
}

async fn shift(marker_from_producer: bool) -> asyncio::Result<()> {
    let (orders, served) = (Orders::new(10), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..4)
        .map(|_| asyncio::create_task(worker(orders.clone(), served.clone())))
        .collect();
    for order in 0..30 {
        orders.put(Some(order)).await?;
    }
    if marker_from_producer {
        orders.put(None).await?;
    }
    orders.join().await?;
    println!("served when join() returns: {}", served.load(Relaxed));
    for _ in &workers {
        orders.put(None).await?;
    }
    asyncio::gather(workers).await?;
    println!("markers left over: {}", orders.qsize());
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    shift(true).await?;
    shift(false).await
}
