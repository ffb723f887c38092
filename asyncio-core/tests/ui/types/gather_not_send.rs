use asyncio_core::{Result, gather, run, sleep};
use std::rc::Rc;

async fn hold(shared: Rc<u32>) -> Result<u32> {
    sleep(1).await?;
    Ok(*shared)
}

fn main() -> Result<()> {
    run(async {
        let shared = Rc::new(7);
        gather((hold(Rc::clone(&shared)), hold(shared))).await.map(drop)
    })
}
