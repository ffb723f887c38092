use asyncio_core::{Result, create_task, run};

fn main() -> Result<()> {
    run(async {
        let task = create_task(async { Ok(7) });
        task.add_done_callback(|task| task.done());
        task.await.map(drop)
    })
}
