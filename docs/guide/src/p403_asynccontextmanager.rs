//! A function that is given the block is a context manager: set-up before, tear-down after it.

use asyncio_compat as asyncio;

struct Fire {
    sparks: u32,
}

async fn campfire<T>(
    wood: &str,
    block: impl AsyncFnOnce(&mut Fire) -> asyncio::Result<T>,
) -> asyncio::Result<T> {
    asyncio::sleep(0.01).await?;
    println!("lit with {wood}");
    let outcome = block(&mut Fire { sparks: 0 }).await;
    asyncio::sleep(0.01).await?;
    println!("put out");
    outcome
}

pub(crate) async fn main() -> asyncio::Result<()> {
    campfire("birch", async |fire| {
        fire.sparks += 3;
        println!("sparks {}", fire.sparks);
        Ok(())
    })
    .await?;
    let failed: asyncio::Result<()> = campfire("wet pine", async |_| {
        Err(asyncio::RuntimeError::new("only smoke").into())
    })
    .await;
    match failed {
        Err(error) if error.is::<asyncio::RuntimeError>() => println!("failed: {error}"),
        other => other?,
    }
    Ok(())
}
