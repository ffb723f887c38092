use asyncio_core::{Result, create_task, run, sleep};

fn main() -> Result<()> {
    run(async {
        let _beat = create_task(async {
            loop {
                sleep(1).await?;
            }
        });
        sleep(5).await
    })
}
