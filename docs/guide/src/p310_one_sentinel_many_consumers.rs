//! A single end marker stops a single consumer; with three consumers two wait for ever.

use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;

type Packed = Arc<Mutex<Vec<&'static str>>>;
type Conveyor = asyncio::Queue<Option<&'static str>>;

async fn packer(conveyor: Conveyor, packed: Packed) -> asyncio::Result<()> {
    while let Some(toy) = conveyor.get().await? {
        asyncio::sleep(0.01).await?;
        packed.lock().unwrap().push(toy);
        conveyor.task_done()?;
    }
    Ok(conveyor.task_done()?)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (conveyor, packed) = (Conveyor::new(0), Packed::default());
    let packers: Vec<_> = (0..3)
        .map(|_| asyncio::create_task(packer(conveyor.clone(), packed.clone())))
        .collect();
    for toy in ["bear", "train", "kite", "drum", "yo-yo"] {
        conveyor.put(Some(toy)).await?;
    }
    conveyor.put(None).await?;

    conveyor.join().await?;
    println!("packed: {}", packed.lock().unwrap().len());
    let (ended, stuck) = asyncio::wait(packers).timeout(0.5).await?;
    println!("packers that ended: {}", ended.len());
    println!("packers that wait for ever: {}", stuck.len());
    for task in &stuck {
        task.cancel();
    }
    asyncio::gather(stuck).return_exceptions().await?;
    Ok(())
}
