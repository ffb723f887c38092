//! Tasks awaited one after the other still overlap; the whole costs as much as the longest.

use std::time::Instant;

use asyncio_compat as asyncio;

use crate::yes;

async fn paint(wall: &str, pause: f64) -> asyncio::Result<String> {
    asyncio::sleep(pause).await?;
    println!("{wall} dry");
    Ok(wall.to_uppercase())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let began = Instant::now();
    let north = asyncio::create_task(paint("north", 0.2));
    let east = asyncio::create_task(paint("east", 0.4));
    let west = asyncio::create_task(paint("west", 0.3));
    let (north, east, west) = (north.await?, east.await?, west.await?);
    println!("{north} {east} {west}");
    let spent = began.elapsed().as_secs_f64();
    println!(
        "as long as the longest: {}",
        yes((0.39..0.8).contains(&spent))
    );
    Ok(())
}
