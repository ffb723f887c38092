use asyncio_core::{Result, create_task, run};

fn check(count: u32) -> std::result::Result<u32, String> {
    if count > 0 { Ok(count) } else { Err("none".to_owned()) }
}

fn main() -> Result<()> {
    run(async {
        let task = create_task(async { Ok(check(1)?) });
        task.await.map(drop)
    })
}
