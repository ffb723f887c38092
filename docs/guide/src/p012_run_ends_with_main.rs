//! `asyncio::run` returns when main is finished and cancels whatever else still runs.

use std::sync::Mutex;

use asyncio_compat as asyncio;

static NOTES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn note(text: String) {
    NOTES.lock().unwrap().push(text);
}

async fn sweep(street: &str, pause: f64) -> asyncio::Result<()> {
    let slept = asyncio::sleep(pause).await;
    match &slept {
        Ok(()) => note(format!("{street} swept")),
        Err(_) => note(format!("{street} left half done")),
    }
    slept
}

async fn program() -> asyncio::Result<()> {
    let first = asyncio::create_task(sweep("Elm Row", 0.02));
    asyncio::create_task(sweep("Oak Lane", 30.0));
    first.await?;
    note("main returns".to_owned());
    Ok(())
}

pub(crate) fn main() -> asyncio::Result<()> {
    asyncio::run(program())?;
    println!("{}", NOTES.lock().unwrap().join("\n"));
    Ok(())
}
