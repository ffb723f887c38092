//! The race is decided: the losers are cancelled and awaited, so that their clean-up is over.

use std::sync::Mutex;

use asyncio_compat as asyncio;

static CLEANED: Mutex<Vec<String>> = Mutex::new(Vec::new());

async fn mirror(name: String, pause: f64) -> asyncio::Result<String> {
    if let Err(error) = asyncio::sleep(pause).await {
        asyncio::sleep(0.02).await?;
        CLEANED.lock().unwrap().push(name);
        return Err(error);
    }
    Ok(name)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let tasks = [(1, 30.0), (2, 0.05), (3, 40.0)]
        .map(|(n, pause)| asyncio::create_task(mirror(format!("mirror-{n}"), pause)));
    let (done, pending) = asyncio::wait(tasks)
        .return_when(asyncio::FIRST_COMPLETED)
        .await?;
    for winner in done {
        println!("winner: {}", winner.result()?);
    }
    for task in &pending {
        task.cancel();
    }
    println!(
        "cleaned right after cancel(): {}",
        CLEANED.lock().unwrap().len()
    );
    asyncio::gather(pending).return_exceptions().await?;
    let mut cleaned = CLEANED.lock().unwrap().clone();
    cleaned.sort();
    println!("cleaned after waiting: {}", cleaned.join(", "));
    Ok(())
}
