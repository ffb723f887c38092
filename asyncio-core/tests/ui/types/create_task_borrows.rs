use asyncio_core::{Result, create_task, run};

fn main() -> Result<()> {
    run(async {
        let name = String::from("tea");
        let task = create_task(async { Ok(name.len()) });
        task.await.map(drop)
    })
}
