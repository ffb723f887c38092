//! A thread pool keeps computing in this process; a process pool spreads it over others.
//!
//! The counts are Python's. What they mean differs: there is no interpreter lock here, so that threads
//! compute side by side, and a process pool is for what must be killed or kept apart.

use std::{process, thread};

use asyncio_compat as asyncio;

/// The sum, the process, and whether its main thread has computed it.
type Sum = (u64, u32, bool);

fn checksum(seed: u64) -> Sum {
    let sum = (0..20_000).fold(seed, |value, _| {
        (value * 1_103_515_245 + 12_345) % 2_147_483_648
    });
    (sum, process::id(), thread::current().name() == Some("main"))
}

fn report(title: &str, results: &[Sum]) {
    let here = results.iter().filter(|(_, pid, _)| *pid == process::id());
    println!(
        "{title}: sum {}",
        results.iter().map(|(sum, _, _)| sum).sum::<u64>()
    );
    println!(
        "  jobs in this process {}, in the loop's thread {}",
        here.clone().count(),
        here.filter(|(_, _, main_thread)| *main_thread).count()
    );
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let event_loop = asyncio::get_running_loop()?;
    let pool = asyncio::ProcessPoolExecutor::builder()
        .max_workers(2)
        .build()?;
    let jobs = (0..6).map(|seed| event_loop.run_in_process(&pool, checksum, seed));
    report("processes", &asyncio::gather_iter(jobs).await?);

    let pool = asyncio::ThreadPoolExecutor::builder()
        .max_workers(2)
        .build()?;
    let jobs =
        (0..6).map(|seed| event_loop.run_in_executor(Some(&pool), move || Ok(checksum(seed))));
    report("threads", &asyncio::gather_iter(jobs).await?);
    Ok(())
}
