use asyncio_core::{Result, create_task, run, sleep};

fn main() -> Result<()> {
    run(async {
        let task = create_task(async {
            let _ = sleep(1).await;
            42
        });
        task.await.map(drop)
    })
}
