//! `wait` for `FIRST_EXCEPTION` stops at the first failure, and waits for all of them when none fails.

use std::io;

use asyncio_compat as asyncio;

async fn valve(name: &str, pause: f64, leaks: bool) -> asyncio::Result<&str> {
    asyncio::sleep(pause).await?;
    if leaks {
        return Err(io::Error::other(format!("{name} leaks")).into());
    }
    Ok(name)
}

async fn trial(
    title: &str,
    specs: &[(&'static str, f64, bool)],
    cancel_first: bool,
) -> asyncio::Result<()> {
    let tasks: Vec<_> = specs
        .iter()
        .map(|&(name, pause, leaks)| asyncio::create_task(valve(name, pause, leaks)))
        .collect();
    if cancel_first {
        tasks[0].cancel();
    }
    let (done, pending) = asyncio::wait(tasks)
        .return_when(asyncio::FIRST_EXCEPTION)
        .await?;
    println!("{title}: {} done, {} pending", done.len(), pending.len());
    for task in done.iter().filter(|task| !task.cancelled()) {
        if let Some(error) = task.exception()? {
            println!("  {error}");
        }
    }
    for task in &pending {
        task.cancel();
    }
    asyncio::gather(pending).return_exceptions().await?;
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    trial(
        "one leaks",
        &[("A", 0.02, false), ("B", 0.2, true), ("C", 5.0, false)],
        false,
    )
    .await?;
    trial(
        "none leaks",
        &[("A", 0.02, false), ("B", 0.1, false)],
        false,
    )
    .await?;
    trial(
        "one cancelled",
        &[("A", 5.0, false), ("B", 0.1, false), ("C", 0.15, false)],
        true,
    )
    .await
}
