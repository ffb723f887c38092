//! Reading, waiting and writing back loses updates without a lock and none with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use asyncio_compat as asyncio;

use crate::yes;

#[derive(Default)]
struct Till {
    cents: AtomicU32,
    lock: asyncio::Lock,
}

impl Till {
    async fn slow_add(self: Arc<Self>, amount: u32) -> asyncio::Result<()> {
        let seen = self.cents.load(Relaxed);
        asyncio::sleep(0.01).await?;
        self.cents.store(seen + amount, Relaxed);
        Ok(())
    }

    async fn safe_add(self: Arc<Self>, amount: u32) -> asyncio::Result<()> {
        let _guard = self.lock.guard().await?;
        Arc::clone(&self).slow_add(amount).await
    }
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (careless, careful) = (Arc::<Till>::default(), Arc::<Till>::default());
    asyncio::gather_iter((0..6).map(|_| careless.clone().slow_add(20))).await?;
    asyncio::gather_iter((0..6).map(|_| careful.clone().safe_add(20))).await?;
    println!("without a lock {}", careless.cents.load(Relaxed));
    println!("with a lock {}", careful.cents.load(Relaxed));
    println!("lock is free: {}", yes(!careful.lock.locked()));
    Ok(())
}
