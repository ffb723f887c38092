//! Lists, sets and maps are collected from a generator with the combinators of the `futures` crate.

use std::collections::BTreeSet;
use std::future::ready;

use asyncio_compat as asyncio;
use futures::{StreamExt, TryStreamExt, stream};

fn stations(line: u32) -> asyncio::AsyncGenerator<u32> {
    asyncio::async_generator(async move |mut station| {
        for number in 1..6 {
            asyncio::sleep(0.002).await?;
            station.yield_(line * 100 + number).await?;
        }
        Ok(())
    })
}

async fn passengers(station: u32) -> asyncio::Result<u32> {
    asyncio::sleep(0.002).await?;
    Ok(station % 10 * 7)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    println!("{:?}", stations(2).try_collect::<Vec<_>>().await?);
    let even = stations(2).try_filter(|station| ready(station % 2 == 0));
    println!("{:?}", even.try_collect::<Vec<_>>().await?);
    let rests: BTreeSet<_> = stations(2)
        .map_ok(|station| station % 3)
        .try_collect()
        .await?;
    println!("{:?}", Vec::from_iter(rests));
    let crowd: Vec<_> = stations(3)
        .and_then(async |station| Ok((station, passengers(station).await?)))
        .map_ok(|(station, count)| format!("{station}={count}"))
        .try_collect()
        .await?;
    println!("{}", crowd.join(", "));
    let sum = stream::iter([1, 2, 3])
        .then(passengers)
        .try_fold(0, async |sum, n| Ok(sum + n));
    println!("{}", sum.await?);
    Ok(())
}
