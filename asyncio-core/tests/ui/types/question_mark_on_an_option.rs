use asyncio_core::{Result, create_task, run};

fn main() -> Result<()> {
    run(async {
        let task = create_task(async {
            let first = [1, 2, 3].first()?;
            Ok(*first)
        });
        task.await.map(drop)
    })
}
