//! One producer, one consumer, and a `None` that says there is no more.

use asyncio_compat as asyncio;

use crate::yes;

type Belt = asyncio::Queue<Option<&'static str>>;

async fn orchard(belt: Belt) -> asyncio::Result<()> {
    for apple in ["red", "green", "speckled", "yellow"] {
        belt.put(Some(apple)).await?;
        println!("picked {apple}");
        asyncio::sleep(0.05).await?;
    }
    belt.put(None).await
}

async fn press(belt: Belt) -> asyncio::Result<usize> {
    let mut litres = 0;
    while let Some(apple) = belt.get().await? {
        litres += apple.len();
        println!("pressed {apple}");
        belt.task_done()?;
    }
    belt.task_done()?;
    Ok(litres)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let belt = Belt::new(5);
    let ((), litres) = asyncio::gather!(orchard(belt.clone()), press(belt.clone())).await?;
    println!("litres {litres}");
    belt.join().await?;
    println!("belt is empty: {}", yes(belt.empty()));
    Ok(())
}
