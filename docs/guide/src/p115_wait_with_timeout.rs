//! `wait` with a timeout raises nothing and cancels nothing; it reports what is done and what is not.

use asyncio_compat as asyncio;

async fn courier(town: &str, pause: f64) -> asyncio::Result<&str> {
    asyncio::sleep(pause).await?;
    Ok(town)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let tasks = [("Ulm", 0.05), ("Trier", 0.1), ("Jena", 30.0)]
        .map(|(town, pause)| asyncio::create_task(courier(town, pause)));
    let (done, pending) = asyncio::wait(&tasks).timeout(0.6).await?;
    let mut arrived = done
        .iter()
        .map(|task| task.result())
        .collect::<asyncio::Result<Vec<_>>>()?;
    arrived.sort_unstable();
    let cancelled = || pending.iter().filter(|task| task.cancelled()).count();
    println!("arrived: {}", arrived.join(", "));
    println!(
        "pending: {} cancelled by wait: {}",
        pending.len(),
        cancelled()
    );

    for task in &pending {
        task.cancel();
    }
    println!(
        "right after cancel(), done: {}",
        pending.iter().filter(|task| task.done()).count()
    );
    asyncio::wait(&pending).await?;
    println!("after waiting, cancelled: {}", cancelled());
    Ok(())
}
