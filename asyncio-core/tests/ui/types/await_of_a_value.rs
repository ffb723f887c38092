use asyncio_core::{Result, create_task, run};

fn answer() -> Result<u32> {
    Ok(42)
}

fn main() -> Result<()> {
    run(async {
        let task = create_task(async { answer().await });
        task.await.map(drop)
    })
}
