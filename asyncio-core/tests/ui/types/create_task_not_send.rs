use asyncio_core::{Result, create_task, run, sleep};
use std::rc::Rc;

fn main() -> Result<()> {
    run(async {
        let shared = Rc::new(7);
        create_task(async move {
            sleep(1).await?;
            Ok(*shared)
        })
        .await
        .map(drop)
    })
}
