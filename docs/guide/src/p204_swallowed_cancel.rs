//! A coroutine that catches `CancelledError` and does not pass it on is not cancelled; it finishes
//! normally.

use asyncio_compat as asyncio;

use crate::yes;

async fn stubborn() -> asyncio::Result<&'static str> {
    if asyncio::sleep(30)
        .await
        .is_err_and(|error| error.is_cancelled())
    {
        println!("ignoring the request");
    }
    asyncio::sleep(0.02).await?;
    Ok("finished anyway")
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let task = asyncio::create_task(stubborn());
    asyncio::sleep(0.02).await?;
    task.cancel_with_message("closing time");
    println!("await gives: {}", (&task).await?);
    println!("cancelled: {}", yes(task.cancelled()));
    println!("requests counted: {}", task.cancelling());
    Ok(())
}
