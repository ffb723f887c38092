//! What leaves nothing behind: helpers of `contextlib` for things whose end has to be awaited.

use std::fmt;
use std::pin::Pin;

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

/// Runs a block with a stack of clean-ups, and these afterwards, the last one first, however the block
/// ends (`async with contextlib.AsyncExitStack`).
///
/// ```
/// use asyncio_compat as asyncio;
///
/// # #[asyncio::main]
/// # async fn main() -> asyncio::Result<()> {
/// let queue = asyncio::Queue::new(0);
/// let (first, second) = (queue.clone(), queue.clone());
/// asyncio::async_exit_stack(async |stack| {
///     stack.push_async_callback(move || async move { first.put("opened first").await });
///     stack.push_async_callback(move || async move { second.put("opened last").await });
///     Ok(())
/// })
/// .await?;
/// assert_eq!(queue.get().await?, "opened last");
/// assert_eq!(queue.get().await?, "opened first");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// What the last clean-up that failed has failed with, or else what the block fails with. One that fails
/// keeps no other from running.
///
/// # Cancel safety
///
/// Cancelling the task ends the block's await with an error, and the clean-ups run then. Dropping it
/// drops them unrun.
pub async fn async_exit_stack<R, F>(block: F) -> Result<R>
where
    F: AsyncFnOnce(&mut AsyncExitStack) -> Result<R>,
{
    let mut stack = AsyncExitStack::new();
    let outcome = block(&mut stack).await;
    stack.aclose().await?;
    outcome
}

/// Clean-ups that are to run at the end, the last one first (`contextlib.AsyncExitStack`).
///
/// [`async_exit_stack`] runs them whatever happens; by itself a stack is for what is opened in one place
/// and closed in another.
///
/// # asyncio
///
/// There is no `enter_async_context`: what is opened is a value, and its end is pushed.
#[derive(Default)]
#[must_use = "the clean-ups run when the stack is closed, not when it is dropped"]
pub struct AsyncExitStack {
    callbacks: Vec<CleanUp>,
}

type CleanUp = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send>;

impl AsyncExitStack {
    /// A stack without clean-ups.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a clean-up, which may await (`AsyncExitStack.push_async_callback`).
    pub fn push_async_callback<F, Fut>(&mut self, function: F)
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.callbacks.push(Box::new(|| Box::pin(function())));
    }

    /// Adds a clean-up that has nothing to await (`ExitStack.callback`).
    pub fn callback(&mut self, function: impl FnOnce() -> Result<()> + Send + 'static) {
        self.push_async_callback(|| async { function() });
    }

    /// Moves the clean-ups to a stack of their own, which outlives the block
    /// (`AsyncExitStack.pop_all`).
    ///
    /// ```
    /// use asyncio_compat as asyncio;
    ///
    /// # #[asyncio::main]
    /// # async fn main() -> asyncio::Result<()> {
    /// // Should the second one fail to open, the first is closed; else the caller gets both ends.
    /// let mut opened = asyncio::async_exit_stack(async |stack| {
    ///     stack.callback(|| Ok(()));
    ///     stack.callback(|| Ok(()));
    ///     Ok(stack.pop_all())
    /// })
    /// .await?;
    /// opened.aclose().await
    /// # }
    /// ```
    pub fn pop_all(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Runs the clean-ups, the last one first (`AsyncExitStack.aclose`).
    ///
    /// # Errors
    ///
    /// What the last one that failed has failed with; all of them run.
    ///
    /// # Cancel safety
    ///
    /// Cancelling the task is for the clean-up that runs; the others run after it. Dropping it leaves them
    /// on the stack, but for the one that was running.
    pub async fn aclose(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        while let Some(callback) = self.callbacks.pop() {
            if let Err(error) = callback().await {
                outcome = Err(error);
            }
        }
        outcome
    }
}

impl fmt::Debug for AsyncExitStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncExitStack")
            .field("callbacks", &self.callbacks.len())
            .finish()
    }
}
