//! `create_task` only schedules; the body begins when the creating coroutine next gives up control.

use asyncio_compat as asyncio;

async fn runner(name: &str) -> asyncio::Result<()> {
    println!("{name} leaves the blocks");
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let tasks = ["Ines", "Olu"].map(|name| asyncio::create_task(runner(name)));
    let finished = || tasks.iter().filter(|task| task.done()).count();
    println!("both tasks created");
    println!("finished: {}", finished());
    asyncio::sleep(0).await?;
    println!("after one turn of the loop, finished: {}", finished());
    Ok(())
}
