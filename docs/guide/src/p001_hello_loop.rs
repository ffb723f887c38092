//! A coroutine pauses in the middle and `asyncio::run` drives it to its end.

use asyncio_compat as asyncio;

async fn lighthouse() -> asyncio::Result<()> {
    println!("lamp on");
    asyncio::sleep(0.05).await?;
    println!("lamp off");
    Ok(())
}

pub(crate) fn main() -> asyncio::Result<()> {
    asyncio::run(lighthouse())
}
