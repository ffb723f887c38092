use asyncio_core::{Result, run, sleep, task_group};

fn main() -> Result<()> {
    run(async {
        task_group(async |group| {
            group.create_task(sleep(1));
        })
        .await
    })
}
