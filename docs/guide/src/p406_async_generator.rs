//! An `async_generator` produces values lazily, awaiting between them.

use asyncio_compat as asyncio;

fn tides(first: u32, last: u32) -> asyncio::AsyncGenerator<u32> {
    asyncio::async_generator(async move |mut tide| {
        for hour in (first..last).step_by(6) {
            asyncio::sleep(0.01).await?;
            println!("gauge read");
            tide.yield_(hour).await?;
        }
        Ok(())
    })
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let mut today = tides(2, 20);
    while let Some(hour) = today.anext().await? {
        println!("high water at {hour}");
    }

    let mut source = tides(0, 100);
    let (first, second) = (source.anext().await?, source.anext().await?);
    println!(
        "by hand {} {}",
        first.unwrap_or_default(),
        second.unwrap_or_default()
    );
    source.aclose().await?;
    match source.anext().await? {
        Some(hour) => println!("after aclose: {hour}"),
        None => println!("after aclose: exhausted"),
    }
    Ok(())
}
