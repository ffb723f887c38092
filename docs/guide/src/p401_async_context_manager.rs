//! Opening and closing may await: the resource is opened before and closed after the block.
//!
//! # Instead
//!
//! `async with` is a method that is given the block, as an async closure: what comes after the block runs
//! whether or not it failed, and may await, which `Drop` may not. The record is Python's.

use asyncio_compat as asyncio;

use crate::yes;

struct Greenhouse {
    plant: &'static str,
    open: bool,
}

impl Greenhouse {
    async fn with<T>(
        &mut self,
        block: impl AsyncFnOnce(&mut Self) -> asyncio::Result<T>,
    ) -> asyncio::Result<T> {
        asyncio::sleep(0.02).await?;
        self.open = true;
        println!("vents open");
        let outcome = block(self).await;
        asyncio::sleep(0.02).await?;
        self.open = false;
        println!("vents shut");
        outcome
    }

    async fn water(&self) -> asyncio::Result<()> {
        asyncio::sleep(0).await?;
        println!("watering the {}", self.plant);
        Ok(())
    }
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let mut house = Greenhouse {
        plant: "lemon tree",
        open: false,
    };
    house.with(async |house| house.water().await).await?;
    println!("open now: {}", yes(house.open));
    Ok(())
}
