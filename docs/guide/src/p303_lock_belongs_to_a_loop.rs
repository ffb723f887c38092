//! A lock made at module level works, and goes on working in a second run.
//!
//! # Instead
//!
//! Python binds a lock to the first loop in which somebody had to wait for it, and a second run with
//! contention fails. Locks, events, semaphores and queues are bound to no loop here: the record says that
//! both get in twice.

use std::sync::LazyLock;

use asyncio_compat as asyncio;

static SHARED: LazyLock<asyncio::Lock> = LazyLock::new(asyncio::Lock::new);

async fn enter(name: &str) -> asyncio::Result<String> {
    let _guard = SHARED.guard().await?;
    asyncio::sleep(0.01).await?;
    Ok(format!("{name} was in"))
}

async fn crowd() -> asyncio::Result<()> {
    for outcome in asyncio::gather(["first", "second"].map(enter))
        .return_exceptions()
        .await?
    {
        match outcome {
            Ok(text) => println!("{text}"),
            Err(error) => println!("error: {error}"),
        }
    }
    Ok(())
}

pub(crate) fn main() -> asyncio::Result<()> {
    println!("run one");
    asyncio::run(crowd())?;
    println!("run two");
    asyncio::run(crowd())
}
