//! Calling a coroutine function only builds an object; its body runs when something drives it.
//!
//! # Instead
//!
//! The object is a future, a plain value, and nobody can ask it how far it is. Driving it takes it away,
//! so that driving it a second time does not compile: `use of moved value: gate`. The lines about its
//! state and about the second drive are therefore not in the record.

use std::sync::Mutex;

use asyncio_compat as asyncio;

static OPENED: Mutex<Vec<u32>> = Mutex::new(Vec::new());

async fn open_gate(number: u32) -> asyncio::Result<u32> {
    OPENED.lock().unwrap().push(number);
    asyncio::sleep(0.01).await?;
    Ok(number * 10)
}

pub(crate) fn main() -> asyncio::Result<()> {
    let gate = open_gate(7);
    println!("gates opened so far: {}", OPENED.lock().unwrap().len());
    println!("driven to the end: {}", asyncio::run(gate)?);
    println!("gates opened now: {}", OPENED.lock().unwrap().len());
    Ok(())
}
