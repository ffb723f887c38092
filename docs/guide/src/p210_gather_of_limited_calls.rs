//! Each gathered call has its own time limit, and a timeout becomes one of the results.

use asyncio_compat as asyncio;

async fn tune(string: &str, pause: f64) -> asyncio::Result<String> {
    asyncio::sleep(pause).await?;
    Ok(format!("{string} is in tune"))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let outcomes = asyncio::gather([
        asyncio::wait_for(tune("E", 0.02), 2.0),
        asyncio::wait_for(tune("A", 30.0), 0.1),
        asyncio::wait_for(tune("D", 0.05), 2.0),
    ])
    .return_exceptions()
    .await?;
    for outcome in outcomes {
        match outcome {
            Err(error) if error.is::<asyncio::TimeoutError>() => println!("gave up"),
            other => println!("{}", other?),
        }
    }
    Ok(())
}
