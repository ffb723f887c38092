//! What comes after the block releases a resource whether the coroutine ends, fails or is cancelled.

use asyncio_compat as asyncio;

async fn borrow(book: &str, end: &str) -> asyncio::Result<&'static str> {
    println!("{book}: lent out");
    let outcome = async {
        if end == "fails" {
            return Err(asyncio::ValueError::new("coffee on page 12").into());
        }
        if end == "is cancelled" {
            asyncio::sleep(30).await?;
        }
        Ok("read")
    }
    .await;
    println!("{book}: back on the shelf"); // a guard's `Drop`, where nothing is to be awaited
    outcome
}

pub(crate) async fn main() -> asyncio::Result<()> {
    for (book, end) in [
        ("atlas", "returns"),
        ("novel", "fails"),
        ("primer", "is cancelled"),
    ] {
        let task = asyncio::create_task(borrow(book, end));
        asyncio::sleep(0.02).await?;
        task.cancel();
        match task.await {
            Ok(done) => println!("{book}: {done}"),
            Err(error) if error.is_cancelled() => println!("{book}: cancelled"),
            Err(error) if error.is::<asyncio::ValueError>() => println!("{book}: {error}"),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
