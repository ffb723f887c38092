//! `gather` returns results in the order of its arguments, whoever finishes first.

use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;

type Finished = Arc<Mutex<Vec<&'static str>>>;

async fn survey(field: &'static str, pause: f64, finished: Finished) -> asyncio::Result<String> {
    asyncio::sleep(pause).await?;
    finished.lock().unwrap().push(field);
    Ok(format!("{field}: {} hectares", field.len()))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let finished = Finished::default();
    let (barley, rapeseed, hay) = asyncio::gather!(
        survey("barley", 0.3, finished.clone()),
        survey("rapeseed", 0.1, finished.clone()),
        survey("hay", 0.2, finished.clone()),
    )
    .await?;
    println!("finished: {}", finished.lock().unwrap().join(", "));
    println!("returned: {barley}; {rapeseed}; {hay}");

    let pauses = [0.25, 0.05, 0.15].into_iter().enumerate();
    let numbers = asyncio::gather_iter(pauses.map(async |(n, pause)| {
        asyncio::sleep(pause).await?;
        Ok(n)
    }));
    println!("{:?}", numbers.await?);
    let nothing: Vec<asyncio::Task<()>> = Vec::new();
    println!("nothing to gather: {:?}", asyncio::gather(nothing).await?);
    Ok(())
}
