//! As a stream `as_completed` gives back the very tasks that were passed in.

use asyncio_compat as asyncio;

async fn probe(depth: u32, pause: f64) -> asyncio::Result<f64> {
    asyncio::sleep(pause).await?;
    if depth > 300 {
        return Err(asyncio::RuntimeError::new("cable too short").into());
    }
    Ok(f64::from(depth) / 10.0)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let labels = [(120, 0.3), (340, 0.1), (60, 0.2)].map(|(depth, pause)| {
        (
            asyncio::create_task(probe(depth, pause)),
            format!("probe at {depth} m"),
        )
    });
    let mut completed = asyncio::as_completed(labels.iter().map(|(task, _)| task));
    while let Some(task) = completed.next_task().await.transpose()? {
        let label = labels
            .iter()
            .find(|(given, _)| given.same_as(&task))
            .map(|(_, label)| label);
        let label = label.expect("one of those that were given");
        match task.await {
            Ok(degrees) => println!("{label} -> {degrees:.1} degrees"),
            Err(error) if error.is::<asyncio::RuntimeError>() => {
                println!("{label} -> failed, {error}")
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
