//! Inside a timeout the expiry is a `CancelledError`; `TimeoutError` exists only outside of it.

use asyncio_compat as asyncio;

async fn dig() -> asyncio::Result<()> {
    let dug = asyncio::timeout(0.1, async {
        let slept = asyncio::sleep(30).await;
        match &slept {
            Err(error) if error.is_cancelled() => {
                println!("inner handler: CancelledError, spade cleaned");
            }
            Err(error) if error.is::<asyncio::TimeoutError>() => {
                println!("inner handler: TimeoutError");
            }
            _ => {}
        }
        slept
    })
    .await;
    if dug
        .as_ref()
        .is_err_and(|error| error.is::<asyncio::TimeoutError>())
    {
        println!("outer handler: TimeoutError");
    }
    let requests = asyncio::current_task().map_or(0, |task| task.cancelling());
    println!("task still to be cancelled: {requests}");
    dug
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let task = asyncio::create_task(dig());
    asyncio::wait([&task]).await?;
    if task
        .exception()?
        .is_some_and(|error| error.is::<asyncio::TimeoutError>())
    {
        println!("task ended with TimeoutError");
    }
    Ok(())
}
