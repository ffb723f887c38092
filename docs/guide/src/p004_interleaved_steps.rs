//! Two tasks take turns: each runs until it gives up control, then the other continues.

use asyncio_compat as asyncio;

async fn rower(side: &str, strokes: u32) -> asyncio::Result<()> {
    for number in 1..=strokes {
        println!("{side} stroke {number}");
        asyncio::sleep(0).await?;
    }
    println!("{side} rests");
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let port = asyncio::create_task(rower("port", 3));
    let starboard = asyncio::create_task(rower("starboard", 2));
    port.await?;
    starboard.await
}
