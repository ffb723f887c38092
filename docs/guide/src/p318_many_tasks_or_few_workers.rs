//! A semaphore caps what runs, but all tasks exist at once; a few workers on an iterator keep tasks few.

use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;

#[derive(Default)]
struct Gauge {
    inside: usize,
    peak: usize,
    tasks: usize,
}

type Shared = Arc<Mutex<Gauge>>;

async fn stamp(number: u32, gauge: &Shared) -> asyncio::Result<u32> {
    {
        let mut gauge = gauge.lock().unwrap();
        gauge.inside += 1;
        gauge.peak = gauge.peak.max(gauge.inside);
        gauge.tasks = gauge.tasks.max(asyncio::all_tasks().len() - 1);
    }
    asyncio::sleep(0.002).await?;
    gauge.lock().unwrap().inside -= 1;
    Ok(number)
}

async fn with_semaphore(count: u32, gauge: &Shared) -> asyncio::Result<u32> {
    let permits = asyncio::Semaphore::new(5);
    let limited = (0..count).map(|number| {
        let (permits, gauge) = (permits.clone(), gauge.clone());
        async move {
            let _permit = permits.guard().await?;
            stamp(number, &gauge).await
        }
    });
    Ok(asyncio::gather_iter(limited).await?.iter().sum())
}

async fn with_workers(count: u32, gauge: &Shared) -> asyncio::Result<u32> {
    let numbers = Arc::new(Mutex::new(0..count));
    let workers = (0..5).map(|_| {
        let (numbers, gauge) = (numbers.clone(), gauge.clone());
        let next = move || numbers.lock().unwrap().next();
        async move {
            let mut sum = 0;
            while let Some(number) = next() {
                sum += stamp(number, &gauge).await?;
            }
            Ok(sum)
        }
    });
    Ok(asyncio::gather_iter(workers).await?.iter().sum())
}

fn report(way: &str, total: u32, gauge: &Shared) {
    let gauge = gauge.lock().unwrap();
    println!(
        "{way}: total {total}, together {}, tasks {}",
        gauge.peak, gauge.tasks
    );
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let gauge = Shared::default();
    report("with_semaphore", with_semaphore(300, &gauge).await?, &gauge);
    let gauge = Shared::default();
    report("with_workers", with_workers(300, &gauge).await?, &gauge);
    Ok(())
}
