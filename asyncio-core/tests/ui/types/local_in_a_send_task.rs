use asyncio_core::{Result, create_local_task, create_task, run};
use std::rc::Rc;

fn main() -> Result<()> {
    run(async {
        let task = create_task(async {
            let shared = Rc::new(7);
            let theirs = Rc::clone(&shared);
            create_local_task(async move { Ok(*theirs) }).await?;
            Ok(*shared)
        });
        task.await.map(drop)
    })
}
