//! Computing goes to other processes with a `ProcessPoolExecutor`, while the loop stays responsive.

use std::process;

use asyncio_compat as asyncio;

fn collatz_steps(start: u64) -> (u32, u32) {
    let (mut steps, mut n) = (0, start);
    while n != 1 {
        n = if n.is_multiple_of(2) {
            n / 2
        } else {
            3 * n + 1
        };
        steps += 1;
    }
    (steps, process::id())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let event_loop = asyncio::get_running_loop()?;
    let pool = asyncio::ProcessPoolExecutor::builder()
        .max_workers(2)
        .build()?;
    let jobs = [6, 27, 97, 871].map(|n| event_loop.run_in_process(&pool, collatz_steps, n));
    let results = asyncio::gather(jobs).await?;
    println!("steps {:?}", results.map(|(steps, _)| steps));
    let here = results
        .iter()
        .filter(|(_, pid)| *pid == process::id())
        .count();
    println!("computed in this process: {here}");
    Ok(())
}
