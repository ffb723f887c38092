use asyncio_core::{Result, create_task, run, sleep};

fn main() -> Result<()> {
    run(async {
        let task = create_task(async {
            sleep(1).await?;
        });
        task.await
    })
}
