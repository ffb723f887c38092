//! A task cancelled before its first step never runs at all, so no clean-up inside it runs either.

use std::sync::Mutex;

use asyncio_compat as asyncio;

static TRACE: Mutex<Vec<&str>> = Mutex::new(Vec::new());

fn note(text: &'static str) {
    TRACE.lock().unwrap().push(text);
}

async fn kiln() -> asyncio::Result<()> {
    note("fire lit");
    let slept = asyncio::sleep(30).await;
    note("fire out");
    slept
}

async fn stop(task: asyncio::Task<()>) {
    task.cancel();
    if task.await.is_err_and(|error| error.is_cancelled()) {
        note("cancelled");
    }
}

pub(crate) async fn main() -> asyncio::Result<()> {
    stop(asyncio::create_task(kiln())).await;
    println!("at once: {}", TRACE.lock().unwrap().join(", "));

    TRACE.lock().unwrap().clear();
    let task = asyncio::create_task(kiln());
    asyncio::sleep(0).await?;
    stop(task).await;
    println!("after one turn: {}", TRACE.lock().unwrap().join(", "));
    Ok(())
}
