//! An event holds back every waiter until it is set, then lets all of them go, also later ones.

use asyncio_compat as asyncio;

use crate::yes;

async fn actor(curtain: asyncio::Event, name: &str) -> asyncio::Result<()> {
    println!("{name} waits in the wings");
    curtain.wait().await?;
    println!("{name} walks on");
    Ok(())
}

async fn stagehand(curtain: asyncio::Event) -> asyncio::Result<()> {
    asyncio::sleep(0.1).await?;
    println!("curtain up");
    curtain.set();
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let curtain = asyncio::Event::new();
    let (portia, brutus) = (
        actor(curtain.clone(), "Portia"),
        actor(curtain.clone(), "Brutus"),
    );
    asyncio::gather!(portia, brutus, stagehand(curtain.clone())).await?;
    actor(curtain.clone(), "Casca").await?;
    curtain.clear();
    println!("curtain is up: {}", yes(curtain.is_set()));
    Ok(())
}
