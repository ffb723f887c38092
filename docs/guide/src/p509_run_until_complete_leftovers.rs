//! `run_until_complete` leaves other tasks behind; a `Runner` tidies up.

use std::sync::Mutex;

use asyncio_compat as asyncio;

use crate::yes;

static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

async fn lantern(name: &str) -> asyncio::Result<()> {
    let slept = asyncio::sleep(30).await;
    LOG.lock().unwrap().push(format!("{name} put out"));
    slept
}

async fn evening(name: &'static str) -> asyncio::Result<asyncio::Task<()>> {
    let task = asyncio::create_task(lantern(name));
    asyncio::sleep(0.02).await?;
    Ok(task)
}

pub(crate) fn main() -> asyncio::Result<()> {
    let event_loop = asyncio::new_event_loop()?;
    let left = event_loop.run_until_complete(evening("porch"))?;
    let entries = LOG.lock().unwrap().len();
    println!("left pending: {} log entries: {entries}", yes(!left.done()));
    left.cancel();
    event_loop.run_until_complete(async { asyncio::wait([left]).await.map(drop) })?;
    event_loop.close()?;

    let runner = asyncio::Runner::new()?;
    let left = runner.run(evening("gate"))?;
    println!("left pending: {}", yes(!left.done()));
    runner.close()?; // dropped unclosed, it would drop what is left instead of cancelling it
    println!(
        "after the runner: {}",
        if left.cancelled() {
            "cancelled"
        } else {
            "pending"
        }
    );
    println!("{}", LOG.lock().unwrap().join("; "));
    Ok(())
}
