//! Cancelling the gather itself, unlike an error in one child, does cancel all its children.

use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;

use crate::yes;

type Log = Arc<Mutex<Vec<String>>>;

async fn patrol(gate: &str, log: Log) -> asyncio::Result<()> {
    let slept = asyncio::sleep(30).await;
    if slept.is_err() {
        log.lock().unwrap().push(format!("{gate} called off"));
    }
    slept
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let log = Log::default();
    let watch = asyncio::gather!(
        patrol("north gate", log.clone()),
        patrol("south gate", log.clone())
    );
    asyncio::sleep(0.02).await?;
    println!("cancel accepted: {}", yes(watch.cancel()));
    if watch.await.is_err_and(|error| error.is_cancelled()) {
        log.lock().unwrap().push("watch ended".to_owned());
    }
    println!("{}", log.lock().unwrap().join("\n"));
    Ok(())
}
