//! One coroutine awaits another and works on what it returned.

use asyncio_compat as asyncio;

struct Slip<'a> {
    parcel: &'a str,
    grams: usize,
}

async fn weigh(parcel: &str) -> asyncio::Result<Slip<'_>> {
    println!("weighing {parcel}");
    asyncio::sleep(0.03).await?;
    Ok(Slip {
        parcel,
        grams: 40 * parcel.len(),
    })
}

async fn stamp(parcel: &str) -> asyncio::Result<u32> {
    let Slip { parcel, grams } = weigh(parcel).await?;
    let price = if grams <= 200 { 90 } else { 160 };
    println!("{parcel}: {grams} g, {price} cents");
    Ok(price)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let total = stamp("book").await? + stamp("lampshade").await?;
    println!("total {total}");
    Ok(())
}
