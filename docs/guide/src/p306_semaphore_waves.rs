//! Ten jobs of equal length and three permits proceed in waves of three, first come first served.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use asyncio_compat as asyncio;

use crate::yes;

const PAUSE: f64 = 0.2;

type Waves = Arc<Mutex<BTreeMap<u32, Vec<String>>>>;

async fn wash(
    permits: asyncio::Semaphore,
    car: String,
    began: Instant,
    waves: Waves,
) -> asyncio::Result<String> {
    let _permit = permits.guard().await?;
    let wave = (began.elapsed().as_secs_f64() / PAUSE).round() as u32;
    waves
        .lock()
        .unwrap()
        .entry(wave)
        .or_default()
        .push(car.clone());
    asyncio::sleep(PAUSE).await?;
    Ok(car)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let permits = asyncio::Semaphore::new(3);
    let (waves, began) = (Waves::default(), Instant::now());
    let cars: Vec<_> = (0..10).map(|n| format!("car{n}")).collect();
    let jobs = cars
        .iter()
        .map(|car| wash(permits.clone(), car.clone(), began, waves.clone()));
    let washed = asyncio::gather_iter(jobs).await?;
    for (number, wave) in waves.lock().unwrap().values().enumerate() {
        println!("wave {number}: {}", wave.join(", "));
    }
    println!("washed {} in order: {}", washed.len(), yes(washed == cars));
    Ok(())
}
