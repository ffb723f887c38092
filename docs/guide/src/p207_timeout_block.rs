//! A `Timeout` limits a whole block; `expired` tells afterwards what happened.

use asyncio_compat as asyncio;

use crate::yes;

async fn cross(river: &str, pause: f64) -> asyncio::Result<()> {
    asyncio::sleep(pause).await?;
    println!("crossed the {river}");
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let limit = asyncio::Timeout::new(5);
    limit.run(cross("Spree", 0.02)).await?;
    println!("expired: {}", yes(limit.expired()));

    let limit = asyncio::Timeout::new(0.2);
    let journey = limit.run(async {
        cross("Elbe", 0.02).await?;
        cross("Danube", 30.0).await?;
        println!("never printed");
        Ok(())
    });
    match journey.await {
        Err(error) if error.is::<asyncio::TimeoutError>() => println!("turned back at the Danube"),
        other => other?,
    }
    println!("expired: {}", yes(limit.expired()));

    let limit = asyncio::Timeout::new(None);
    limit.run(cross("Isar", 0.02)).await?;
    println!("deadline set: {}", yes(limit.when().is_some()));
    Ok(())
}
