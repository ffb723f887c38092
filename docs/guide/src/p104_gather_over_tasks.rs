//! `gather` also takes tasks that are already on their way; they finish by delay, results keep the order.

use asyncio_compat as asyncio;

async fn climber(name: &str, pause: f64) -> asyncio::Result<String> {
    println!("{name} sets off");
    asyncio::sleep(pause).await?;
    println!("{name} is at the top");
    Ok(format!("{name}'s flag"))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let first = asyncio::create_task(climber("Wanda", 0.3));
    let second = asyncio::create_task(climber("Reinhold", 0.1));
    let (first, second) = asyncio::gather!(first, second).await?;
    println!("{first}, {second}");
    Ok(())
}
