//! `await` hands control to the loop only if the awaited thing really has to wait.

use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;

async fn add(a: i32, b: i32) -> i32 {
    a + b
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let trace = Arc::new(Mutex::new(Vec::new()));
    let note = {
        let trace = Arc::clone(&trace);
        move |text: &str| trace.lock().unwrap().push(text.to_owned())
    };

    let rival = note.clone();
    let other = asyncio::create_task(async move {
        rival("rival runs");
        Ok(())
    });
    for n in [1, 2, 3] {
        note(&format!("sum {}", add(n, n).await));
    }
    note("giving up control");
    asyncio::sleep(0).await?;
    note("back in main");
    other.await?;
    println!("{}", trace.lock().unwrap().join("\n"));
    Ok(())
}
