//! What leaves nothing behind: helpers of `contextlib` for things whose end has to be awaited.

use asyncio_core::Result;

use crate::aiter::AsyncGenerator;

/// Runs a block with a generator and closes it afterwards, however the block ends
/// (`async with contextlib.aclosing`).
///
/// ```
/// use asyncio_compat as asyncio;
///
/// # #[asyncio::main]
/// # async fn main() -> asyncio::Result<()> {
/// let litres = asyncio::async_generator(async |mut tap| {
///     for litre in 1.. {
///         tap.yield_(litre).await?;
///     }
///     Ok(())
/// });
/// let third = asyncio::aclosing(litres, async |litres| {
///     litres.anext().await?;
///     litres.anext().await?;
///     litres.anext().await
/// });
/// assert_eq!(third.await?, Some(3));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// What the generator's clean-up fails with, or else what the block fails with.
///
/// # Cancel safety
///
/// Cancelling the task ends the block's await with an error, and the generator is closed then. Dropping
/// it drops the generator unclosed.
pub async fn aclosing<T, R, F>(mut generator: AsyncGenerator<T>, block: F) -> Result<R>
where
    F: AsyncFnOnce(&mut AsyncGenerator<T>) -> Result<R>,
{
    let outcome = block(&mut generator).await;
    generator.aclose().await?;
    outcome
}
