//! A synchronous helper that needs a loop of its own can be run in another thread.

use std::sync::Mutex;

use asyncio_compat as asyncio;

use crate::yes;

static LOOPS: Mutex<Vec<asyncio::EventLoop>> = Mutex::new(Vec::new());

async fn measure(depth: u32) -> asyncio::Result<u32> {
    LOOPS.lock().unwrap().push(asyncio::get_running_loop()?);
    asyncio::sleep(0.01).await?;
    Ok(depth * 2)
}

fn synchronous_library(depth: u32) -> asyncio::Result<u32> {
    Ok(asyncio::run(measure(depth))? + 1)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let answer = asyncio::to_thread(|| synchronous_library(20)).await?;
    println!("from the thread's own loop: {answer}");
    println!("in this loop: {}", measure(20).await?);
    let loops = LOOPS.lock().unwrap();
    println!(
        "two different loops: {}",
        yes(loops[0] != loops[1] && loops[1].is_running())
    );
    Ok(())
}
