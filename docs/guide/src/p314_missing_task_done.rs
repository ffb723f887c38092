//! `join` waits for one `task_done` per item, the end marker included.

use asyncio_compat as asyncio;

type Chute = asyncio::Queue<Option<u32>>;

async fn sorter(chute: &Chute, mark_sentinel: bool) -> asyncio::Result<()> {
    while let Some(_coin) = chute.get().await? {
        chute.task_done()?;
    }
    if mark_sentinel {
        chute.task_done()?;
    }
    Ok(())
}

async fn trial(mark_sentinel: bool) -> asyncio::Result<Chute> {
    let chute = Chute::new(0);
    for coin in [Some(5), Some(10), Some(5), None] {
        chute.put_nowait(coin)?;
    }
    sorter(&chute, mark_sentinel).await?;
    match asyncio::timeout(0.2, async { Ok(chute.join().await?) }).await {
        Err(error) if error.is::<asyncio::TimeoutError>() => println!("join() hangs"),
        other => {
            other?;
            println!("join() returned");
        }
    }
    Ok(chute)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    trial(false).await?;
    let chute = trial(true).await?;
    if let Err(error) = chute.task_done() {
        println!("ValueError: {error}"); // its type says that it is one
    }
    Ok(())
}
