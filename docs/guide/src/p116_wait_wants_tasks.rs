//! `wait` refuses bare coroutines and an empty set, where `gather` takes both.
//!
//! # Instead
//!
//! A bare coroutine is refused by the compiler: `wait` takes what is `Waitable`, and only tasks, futures
//! and their handles are. The record lacks the line of that `TypeError`.

use asyncio_compat as asyncio;

async fn pebble() -> asyncio::Result<&'static str> {
    Ok("pebble")
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let nothing: [asyncio::Task<()>; 0] = [];
    match asyncio::wait(nothing).await {
        Err(error) if error.is::<asyncio::ValueError>() => println!("ValueError: {error}"),
        other => drop(other?),
    }

    let [pebble_of_gather] = asyncio::gather([pebble()]).await?;
    println!("gather takes it bare: {pebble_of_gather}");
    let (done, _) = asyncio::wait([asyncio::create_task(pebble())]).await?;
    println!("wait takes the task: {}", done[0].result()?);
    Ok(())
}
