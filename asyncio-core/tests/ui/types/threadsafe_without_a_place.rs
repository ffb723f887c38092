use asyncio_core::{Result, Runner, run_coroutine_threadsafe, sleep};

fn main() -> Result<()> {
    let runner = Runner::new()?;
    run_coroutine_threadsafe(sleep(1), &runner).result(None)
}
