//! An exception in a task nobody awaits goes to the loop's exception handler.

use std::cell::RefCell;
use std::rc::Rc;

use asyncio_compat as asyncio;

async fn burst_pipe() -> asyncio::Result<()> {
    Err(asyncio::ValueError::new("pipe burst in cellar 3").into())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let collected = Rc::clone(&reports);
    asyncio::get_running_loop()?.set_exception_handler(Some(Box::new(move |_, context| {
        collected.borrow_mut().push(context.clone());
    })))?;

    asyncio::create_task(burst_pipe());
    asyncio::sleep(0.02).await?;
    for report in reports.take() {
        println!("{}", report.message());
        if let Some(error) = report
            .exception()
            .filter(|error| error.is::<asyncio::ValueError>())
        {
            println!("ValueError: {error}");
        }
    }

    let looked_at = asyncio::create_task(burst_pipe());
    asyncio::sleep(0.02).await?;
    if let Some(error) = looked_at.exception()? {
        println!("looked at: {error}");
    }
    drop(looked_at);
    println!("reports for the second task: {}", reports.borrow().len());
    Ok(())
}
