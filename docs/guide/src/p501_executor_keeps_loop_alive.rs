//! A blocking function in a thread leaves the loop free to run other tasks meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use asyncio_compat as asyncio;

use crate::yes;

fn slow_archive(year: u32) -> asyncio::Result<String> {
    thread::sleep(Duration::from_millis(500));
    Ok(format!("records of {year}"))
}

async fn ticker(ticks: Arc<AtomicUsize>) -> asyncio::Result<()> {
    loop {
        ticks.fetch_add(1, Relaxed);
        asyncio::sleep(0.05).await?;
    }
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let event_loop = asyncio::get_running_loop()?;
    let ticks = Arc::new(AtomicUsize::new(0));
    let clock = asyncio::create_task(ticker(ticks.clone()));

    println!(
        "{}",
        event_loop
            .run_in_executor(None, || slow_archive(1887))
            .await?
    );
    println!("clock went on meanwhile: {}", yes(ticks.load(Relaxed) >= 3));
    clock.cancel();

    let pool = asyncio::ThreadPoolExecutor::builder();
    let pool = pool.max_workers(2).thread_name_prefix("archive").build()?;
    let jobs = [1901, 1902]
        .map(|year| event_loop.run_in_executor(Some(&pool), move || slow_archive(year)));
    println!("{}", asyncio::gather(jobs).await?.join("; "));
    Ok(())
}
