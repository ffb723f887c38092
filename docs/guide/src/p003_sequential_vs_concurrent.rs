//! Three awaits in a row cost the sum of the pauses, three gathered coroutines only the longest pause.

use std::time::Instant;

use asyncio_compat as asyncio;

use crate::yes;

const PAUSE: f64 = 0.2;

async fn brew(cup: &str) -> asyncio::Result<String> {
    println!("{cup}: kettle on");
    asyncio::sleep(PAUSE).await?;
    println!("{cup}: poured");
    Ok(format!("{cup} served"))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let began = Instant::now();
    let mut one_by_one = Vec::new();
    for cup in ["mint", "oolong", "sencha"] {
        one_by_one.push(brew(cup).await?);
    }
    let spent = began.elapsed().as_secs_f64();
    println!("{}", one_by_one.join(", "));
    println!(
        "one by one took at least three pauses: {}",
        yes(spent >= 2.9 * PAUSE)
    );

    let began = Instant::now();
    let together = asyncio::gather(["mint", "oolong", "sencha"].map(brew)).await?;
    let spent = began.elapsed().as_secs_f64();
    println!("{}", together.join(", "));
    println!(
        "together took less than two pauses: {}",
        yes(spent < 2.0 * PAUSE)
    );
    Ok(())
}
