use asyncio_core::{Result, run, sleep, task_group};
use std::cell::RefCell;
use std::rc::Rc;

fn main() -> Result<()> {
    run(async {
        let total = Rc::new(RefCell::new(0));
        task_group(async |group| {
            let total = Rc::clone(&total);
            group.create_task(async move {
                sleep(1).await?;
                *total.borrow_mut() += 1;
                Ok(())
            });
            Ok(())
        })
        .await
    })
}
