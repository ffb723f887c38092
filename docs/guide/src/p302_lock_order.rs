//! A lock lets its waiters in one at a time, in the order in which they asked.

use asyncio_compat as asyncio;

/// The pages are what the lock protects, so the lock holds them.
async fn diarist(diary: asyncio::Lock<Vec<String>>, day: &str) -> asyncio::Result<()> {
    let mut pages = diary.guard().await?;
    pages.push(day.to_owned());
    asyncio::sleep(0.02).await?;
    println!("{day} written");
    pages.push(day.to_lowercase());
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let diary = asyncio::Lock::with_value(Vec::new());
    let days = ["Mon", "Tue", "Wed", "Thu"];
    asyncio::gather(days.map(|day| asyncio::create_task(diarist(diary.clone(), day)))).await?;
    println!("{}", diary.guard().await?.join(" "));
    Ok(())
}
