//! A small wrapper lets a task group collect failures as values, like `gather` with
//! `return_exceptions`.

use asyncio_compat as asyncio;

async fn ripen(cheese: &str, pause: f64) -> asyncio::Result<String> {
    asyncio::sleep(pause).await?;
    if cheese == "brie" {
        return Err(asyncio::RuntimeError::new("brie ran away").into());
    }
    Ok(format!("{cheese} is ripe"))
}

/// What `except Exception` catches, which is anything but a cancellation.
async fn outcome<T>(
    coroutine: impl Future<Output = asyncio::Result<T>>,
) -> asyncio::Result<Result<T, asyncio::Exception>> {
    match coroutine.await {
        Err(error) if error.is_cancelled() => Err(error),
        outcome => Ok(outcome),
    }
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let tasks = asyncio::task_group(async |group| {
        Ok([("gouda", 0.1), ("brie", 0.02), ("feta", 0.05)]
            .map(|(cheese, pause)| group.create_task(outcome(ripen(cheese, pause)))))
    })
    .await?;
    for task in tasks {
        match task.result()? {
            Ok(text) => println!("good: {text}"),
            Err(error) => println!("bad: {error}"),
        }
    }
    Ok(())
}
