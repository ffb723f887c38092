//! Async generators: functions that yield values and await between them (PEP 525).

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use asyncio_core::Result;
use futures_core::Stream;
use futures_core::stream::FusedStream;

/// Makes a generator of a function that awaits and yields (`async def` with `yield`).
///
/// Nothing runs until the first value is asked for, and then only up to the next `yield_`. The function
/// is an async closure; what it is given is its `yield`.
///
/// ```
/// use asyncio_compat as asyncio;
///
/// fn tides(first: u32, last: u32) -> asyncio::AsyncGenerator<u32> {
///     asyncio::async_generator(async move |mut tide| {
///         for hour in (first..last).step_by(6) {
///             asyncio::sleep(0.001).await?;
///             tide.yield_(hour).await?;
///         }
///         Ok(())
///     })
/// }
///
/// #[asyncio::main]
/// async fn main() -> asyncio::Result<()> {
///     let mut hours = Vec::new();
///     let mut tides = tides(2, 20);
///     while let Some(hour) = tides.anext().await? {
///         hours.push(hour);
///     }
///     assert_eq!(hours, [2, 8, 14]);
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// An error of the function is what [`anext`](AsyncGenerator::anext) ends with, once; after it the
/// generator is at its end.
pub fn async_generator<T, F, Fut>(function: F) -> AsyncGenerator<T>
where
    F: FnOnce(Yield<T>) -> Fut,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    let shared = Arc::new(Mutex::new(State {
        yielded: None,
        closing: false,
    }));
    let body = function(Yield {
        shared: Arc::clone(&shared),
    });
    AsyncGenerator {
        body: Some(Box::pin(body)),
        started: false,
        shared,
    }
}

/// What [`async_generator`] returns: values one by one, each computed when it is asked for.
///
/// It is a [`Stream`] of results as well, for the combinators of the `futures` crate.
///
/// # asyncio
///
/// Dropping one that has not come to its end drops what its function holds; a clean-up of it that has to
/// await needs [`aclose`](Self::aclose), which [`aclosing`](crate::aclosing) calls.
#[must_use = "a generator does nothing until a value is asked for"]
pub struct AsyncGenerator<T> {
    /// `None` at the end.
    body: Option<Pin<Box<dyn Future<Output = Result<()>> + Send>>>,
    started: bool,
    shared: Arc<Mutex<State<T>>>,
}

/// The `yield` of an [`async_generator`]'s function.
pub struct Yield<T> {
    shared: Arc<Mutex<State<T>>>,
}

/// The generator was closed while its function was at a `yield_` (`GeneratorExit`).
///
/// The function passes it on with `?`, after a clean-up if it has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GeneratorExit;

impl fmt::Display for GeneratorExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the generator was closed")
    }
}

impl std::error::Error for GeneratorExit {}

impl<T> AsyncGenerator<T> {
    /// The next value; `None` at the end (`anext(generator, None)`).
    ///
    /// # Errors
    ///
    /// What the function fails with, [`CancelledError`](asyncio_core::CancelledError) included.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the function at the await where it stands; the next call goes on from there.
    pub async fn anext(&mut self) -> Result<Option<T>> {
        poll_fn(|cx| self.poll_value(cx)).await.transpose()
    }

    /// Has the function end at the `yield_` where it stands, clean-up included (`agen.aclose()`).
    ///
    /// One that has not begun never begins; at the end there is nothing to do.
    ///
    /// ```
    /// use asyncio_compat as asyncio;
    ///
    /// # #[asyncio::main]
    /// # async fn main() -> asyncio::Result<()> {
    /// let mut numbers = asyncio::async_generator(async |mut number| {
    ///     let counted = async {
    ///         for n in 1.. {
    ///             number.yield_(n).await?;
    ///         }
    ///         Ok(())
    ///     };
    ///     let ended = counted.await;
    ///     asyncio::sleep(0.001).await?; // the clean-up, which may await
    ///     ended
    /// });
    /// assert_eq!(numbers.anext().await?, Some(1));
    /// numbers.aclose().await?;
    /// assert_eq!(numbers.anext().await?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the clean-up fails with.
    ///
    /// # Cancel safety
    ///
    /// As of [`anext`](Self::anext); the generator gives no more values.
    ///
    /// # asyncio
    ///
    /// Every `yield_` after it fails with [`GeneratorExit`], so that nothing is yielded any more; there
    /// that is an error of its own.
    pub async fn aclose(&mut self) -> Result<()> {
        if !self.started {
            self.body = None;
        }
        lock(&self.shared).closing = true;
        let Some(body) = &mut self.body else {
            return Ok(());
        };
        let ended = body.await;
        self.body = None;
        match ended {
            Err(error) if !error.is::<GeneratorExit>() => Err(error),
            _ => Ok(()),
        }
    }

    fn poll_value(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        self.started = true;
        match body.as_mut().poll(cx) {
            // Either it has yielded, or it waits for something that will wake the task.
            Poll::Pending => match lock(&self.shared).yielded.take() {
                Some(value) => Poll::Ready(Some(Ok(value))),
                None => Poll::Pending,
            },
            Poll::Ready(ended) => {
                self.body = None;
                Poll::Ready(ended.err().map(Err))
            }
        }
    }
}

impl<T> Stream for AsyncGenerator<T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_value(cx)
    }
}

impl<T> FusedStream for AsyncGenerator<T> {
    fn is_terminated(&self) -> bool {
        self.body.is_none()
    }
}

impl<T> fmt::Debug for AsyncGenerator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncGenerator")
            .field("started", &self.started)
            .field("ended", &self.body.is_none())
            .finish()
    }
}

impl<T> Yield<T> {
    /// Gives a value to whoever asks the generator for one, and goes on when the next is asked for.
    ///
    /// It is to be awaited in the generator's own function, not in a task that this starts.
    ///
    /// # Errors
    ///
    /// [`GeneratorExit`] when the generator was closed meanwhile.
    pub async fn yield_(&mut self, value: T) -> Result<(), GeneratorExit> {
        {
            let mut state = lock(&self.shared);
            if state.closing {
                return Err(GeneratorExit);
            }
            state.yielded = Some(value);
        }
        poll_fn(|_| {
            let state = lock(&self.shared);
            if state.yielded.is_some() {
                // Nobody is told: it is the generator that polls, and it takes the value right after.
                Poll::Pending
            } else if state.closing {
                Poll::Ready(Err(GeneratorExit))
            } else {
                Poll::Ready(Ok(()))
            }
        })
        .await
    }
}

impl<T> fmt::Debug for Yield<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yield").finish_non_exhaustive()
    }
}

/// What a generator and its function share.
struct State<T> {
    /// The value that is on its way from the one to the other.
    yielded: Option<T>,
    closing: bool,
}

/// Nothing that may panic is done while it is held.
fn lock<T>(shared: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
