//! The end of a block learns of an error or a cancellation in it and may swallow it.

use std::fmt;

use asyncio_compat as asyncio;

use crate::yes;

#[derive(Debug)]
struct KeyError(&'static str);

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for KeyError {}

/// `async with Vault(forgiving) as treasure`
async fn vault(
    forgiving: bool,
    block: impl AsyncFnOnce(&str) -> asyncio::Result<()>,
) -> asyncio::Result<()> {
    let outcome = block("gold").await;
    asyncio::sleep(0.01).await?;
    let after = match &outcome {
        Ok(()) => "a clean visit",
        Err(error) if error.is::<KeyError>() => "KeyError",
        Err(error) if error.is_cancelled() => "CancelledError",
        Err(_) => "another error",
    };
    println!("locked after {after}");
    match outcome {
        Err(error) if forgiving && error.is::<KeyError>() => Ok(()),
        outcome => outcome,
    }
}

async fn visit(forgiving: bool, error: Option<KeyError>) -> asyncio::Result<()> {
    let visited = vault(forgiving, async |treasure| {
        if let Some(error) = error {
            return Err(error.into());
        }
        println!("saw the {treasure}");
        Ok(())
    });
    match visited.await {
        Ok(()) => println!("visit over"),
        Err(error) if error.is::<KeyError>() => println!("alarm: {error}"),
        Err(error) => return Err(error),
    }
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    visit(false, None).await?;
    visit(false, Some(KeyError("wrong key"))).await?;
    visit(true, Some(KeyError("wrong key"))).await?;

    let task = asyncio::create_task(vault(true, async |_| asyncio::sleep(30).await));
    asyncio::sleep(0.02).await?;
    task.cancel();
    asyncio::wait([&task]).await?;
    println!("cancelled: {}", yes(task.cancelled()));
    Ok(())
}
