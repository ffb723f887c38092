//! A semaphore bounds how many run together, not how many start per second; a pacer does that.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use asyncio_compat as asyncio;

use crate::yes;

/// Lets one caller through per interval.
#[derive(Clone)]
struct Pacer {
    interval: Duration,
    last: asyncio::Lock<Option<Instant>>,
}

impl Pacer {
    async fn pace(&self) -> asyncio::Result<()> {
        let mut last = self.last.guard().await?;
        if let Some(last) = *last {
            asyncio::sleep(self.interval.saturating_sub(last.elapsed())).await?;
        }
        *last = Some(Instant::now());
        Ok(())
    }
}

type Starts = Arc<Mutex<Vec<Instant>>>;

async fn call(starts: Starts) -> asyncio::Result<()> {
    starts.lock().unwrap().push(Instant::now());
    asyncio::sleep(0.005).await
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (permits, starts) = (asyncio::Semaphore::new(2), Starts::default());
    asyncio::gather_iter((0..12).map(|_| {
        let (permits, starts) = (permits.clone(), starts.clone());
        async move {
            let _permit = permits.guard().await?;
            call(starts).await
        }
    }))
    .await?;
    let starts = starts.lock().unwrap().clone();
    let quick = starts
        .iter()
        .filter(|start| **start - starts[0] < Duration::from_millis(500));
    println!(
        "semaphore of 2: calls started in the first half second: {}",
        quick.count()
    );

    let pacer = Pacer {
        interval: Duration::from_millis(100),
        last: asyncio::Lock::with_value(None),
    };
    let starts = Starts::default();
    asyncio::gather_iter((0..6).map(|_| {
        let (pacer, starts) = (pacer.clone(), starts.clone());
        async move {
            pacer.pace().await?;
            call(starts).await
        }
    }))
    .await?;
    let starts = starts.lock().unwrap().clone();
    let paced = starts
        .windows(2)
        .all(|pair| pair[1] - pair[0] >= Duration::from_millis(99));
    println!("pacer: every gap at least 0.1 s: {}", yes(paced));
    let spread = starts[5] - starts[0] >= Duration::from_millis(495);
    println!(
        "pacer: six calls took at least half a second: {}",
        yes(spread)
    );
    Ok(())
}
