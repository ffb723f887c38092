//! A function that is given the block opens a pool and closes it afterwards, also after an error.
//!
//! # Instead
//!
//! The record differs by a word of the last line, in which the pool speaks.

use asyncio_compat as asyncio;
use asyncio_db::{ExceptionExt, exc, pg};

/// `async with Ledger() as pool`
async fn ledger<T>(block: impl AsyncFnOnce(&pg::Pool) -> asyncio::Result<T>) -> asyncio::Result<T> {
    let pool = pg::create_pool(crate::dsn())
        .min_size(1)
        .max_size(2)
        .await?;
    println!("pool open");
    let outcome = block(&pool).await;
    pool.close().await?;
    match outcome.as_ref().err().and_then(|error| error.pg_error()) {
        None => println!("pool closed"),
        Some(error) => println!("pool closed after {}", error.class_name()),
    }
    outcome
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let closed = ledger(async |pool| {
        let mut conn = pool.acquire().await?;
        let rows = conn
            .fetch(
                "SELECT n, n * n AS square FROM generate_series(2, 4) AS n",
                (),
            )
            .await?;
        let squares = rows
            .iter()
            .map(|row| {
                Ok(format!(
                    "{}²={}",
                    row.get::<i32>("n")?,
                    row.get::<i32>("square")?
                ))
            })
            .collect::<asyncio::Result<Vec<_>>>()?;
        println!("{}", squares.join(", "));
        Ok(pool.clone())
    })
    .await?;

    let divided = ledger(async |pool| pool.fetchval::<i32>("SELECT 1 / 0", ()).await);
    match divided.await {
        Err(error) if error.is_pg::<exc::DivisionByZeroError>() => println!("error: {error}"),
        other => drop(other?),
    }
    match closed.fetchval::<i32>("SELECT 1", ()).await {
        Err(error) if error.is::<pg::PoolClosedError>() => println!("error: {error}"),
        other => drop(other?),
    }
    Ok(())
}
