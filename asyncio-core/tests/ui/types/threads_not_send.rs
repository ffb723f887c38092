use asyncio_core::{Result, Runner, sleep};
use std::rc::Rc;

fn main() -> Result<()> {
    let runner = Runner::builder().worker_threads(2).build()?;
    runner.run(async {
        let shared = Rc::new(7);
        sleep(1).await?;
        assert_eq!(*shared, 7);
        Ok(())
    })
}
