//! The value a coroutine returns comes back through `await`, and that of the first one through
//! `asyncio::run`.

use asyncio_compat as asyncio;

async fn read_gauge(river: &str) -> asyncio::Result<String> {
    asyncio::sleep(0.02).await?;
    Ok(format!("{river} stands at 142 cm"))
}

async fn program() -> asyncio::Result<usize> {
    let reading = read_gauge("Havel").await?;
    println!("{reading}");
    Ok(reading.len())
}

pub(crate) fn main() -> asyncio::Result<()> {
    let length = asyncio::run(program())?;
    println!("main returned {length}");
    Ok(())
}
