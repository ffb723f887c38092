//! Coroutines share one thread, and code between two awaits is never interleaved with another task.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use asyncio_compat as asyncio;

#[derive(Default)]
struct Museum {
    threads: Mutex<HashSet<ThreadId>>,
    inside: AtomicUsize,
    most_inside: AtomicUsize,
    visits: AtomicUsize,
}

async fn visitor(museum: Arc<Museum>) -> asyncio::Result<()> {
    for _ in 0..50 {
        let inside = museum.inside.fetch_add(1, Relaxed) + 1;
        museum.most_inside.fetch_max(inside, Relaxed);
        museum
            .threads
            .lock()
            .unwrap()
            .insert(thread::current().id());
        museum.visits.fetch_add(1, Relaxed);
        museum.inside.fetch_sub(1, Relaxed);
        asyncio::sleep(0).await?;
    }
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let museum = Arc::new(Museum::default());
    asyncio::gather_iter((0..40).map(|_| visitor(Arc::clone(&museum)))).await?;
    println!("visits {}", museum.visits.load(Relaxed));
    println!("threads used {}", museum.threads.lock().unwrap().len());
    println!(
        "most visitors inside at once {}",
        museum.most_inside.load(Relaxed)
    );
    Ok(())
}
