//! Work nobody awaits: keep the tasks, and drain them before leaving.
//!
//! # Instead
//!
//! The loop keeps every task until it is done, so that dropping a handle loses nothing but the result:
//! the set of strong references, and the callback that clears it, are Python's need alone. What stays
//! is the drain at the end, for `run` cancels what is unfinished.

use std::sync::Mutex;

use asyncio_compat as asyncio;

static AUDIT: Mutex<Vec<&str>> = Mutex::new(Vec::new());

fn written() -> usize {
    AUDIT.lock().unwrap().len()
}

async fn write_audit(line: &'static str) -> asyncio::Result<()> {
    asyncio::sleep(0.05).await?;
    AUDIT.lock().unwrap().push(line);
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let mut running = Vec::new();
    for line in ["door opened", "lamp lit", "door closed"] {
        running.push(asyncio::create_task(write_audit(line)));
    }
    println!("launched {} written {}", running.len(), written());
    asyncio::gather_iter(running.drain(..)).await?;
    println!("launched {} written {}", running.len(), written());
    println!("{}", AUDIT.lock().unwrap().join("; "));
    Ok(())
}
