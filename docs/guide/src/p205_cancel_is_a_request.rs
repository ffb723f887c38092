//! `cancel` only asks; the task ends later, after a clean-up that may itself await.

use std::sync::Mutex;

use asyncio_compat as asyncio;

use crate::yes;

static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn log(text: impl Into<String>) {
    LOG.lock().unwrap().push(text.into());
}

async fn drawbridge() -> asyncio::Result<()> {
    let slept = asyncio::sleep(30).await;
    if slept.is_err() {
        log("bell rings");
        asyncio::sleep(0.05).await?;
        log("bridge is down");
    }
    slept
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let task = asyncio::create_task(drawbridge());
    asyncio::sleep(0.02).await?;
    task.cancel_with_message("storm");
    log(format!("asked, done: {}", yes(task.done())));
    asyncio::sleep(0).await?;
    log(format!("one turn later, done: {}", yes(task.done())));
    if let Err(error) = task.await {
        let cancelled = error.downcast_ref::<asyncio::CancelledError>();
        let reason = cancelled
            .and_then(|error| error.message())
            .unwrap_or("no reason");
        log(format!("over: {reason}"));
    }
    println!("{}", LOG.lock().unwrap().join("\n"));
    Ok(())
}
