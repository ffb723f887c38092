//! `as_completed` gives the results in the order of arrival.

use asyncio_compat as asyncio;

const DISTANCES: [(&str, f64); 4] = [("Kiel", 0.5), ("Bonn", 0.1), ("Graz", 0.35), ("Bern", 0.2)];

async fn pigeon((town, pause): (&str, f64)) -> asyncio::Result<String> {
    asyncio::sleep(pause).await?;
    Ok(format!("letter from {town}"))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let flights = DISTANCES.map(pigeon);
    for (place, arrival) in (1..).zip(asyncio::as_completed(flights)) {
        println!("{place} {}", arrival.await?);
    }
    Ok(())
}
