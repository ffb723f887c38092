//! Async generators and `aclosing`, as `test_asyncgen.py` and `test_contextlib_async.py` have them.

use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;
use asyncio_compat::{AsyncGenerator, GeneratorExit, Result, RuntimeError, async_generator};
use futures::TryStreamExt;

type Log = Arc<Mutex<Vec<&'static str>>>;

/// Counts without end; says when it begins, and cleans up with an await.
fn counter(log: &Log) -> AsyncGenerator<u32> {
    let log = Arc::clone(log);
    async_generator(async move |mut number| {
        note(&log, "begins");
        let counted: Result<()> = async {
            for n in 1.. {
                asyncio::sleep(0).await?;
                number.yield_(n).await?;
            }
            Ok(())
        }
        .await;
        let told = match &counted {
            Err(error) if error.is::<GeneratorExit>() => "closed",
            Err(error) if error.is_cancelled() => "cancelled",
            _ => "ended otherwise",
        };
        note(&log, told);
        asyncio::sleep(0.001).await?;
        note(&log, "cleaned up");
        counted
    })
}

fn note(log: &Log, text: &'static str) {
    log.lock().unwrap().push(text);
}

fn noted(log: &Log) -> Vec<&'static str> {
    log.lock().unwrap().clone()
}

/// `AsyncGenTest.test_async_gen_iteration_01`: values come one by one, in their order, and then the end,
/// again and again.
#[asyncio::test(virtual_clock = true)]
async fn values_come_one_by_one() -> Result<()> {
    let mut generator = async_generator(async |mut number| {
        asyncio::sleep(10).await?;
        number.yield_(123).await?;
        asyncio::sleep(10).await?;
        number.yield_(456).await?;
        Ok(())
    });
    assert_eq!(generator.anext().await?, Some(123));
    assert_eq!(generator.anext().await?, Some(456));
    assert_eq!(generator.anext().await?, None);
    assert_eq!(generator.anext().await?, None);
    Ok(())
}

/// `AsyncGenTest.test_async_gen_exception_03`: what the body fails with is raised once.
#[asyncio::test]
async fn an_error_of_the_body_is_raised_once() -> Result<()> {
    let mut generator = async_generator(async |mut number| {
        number.yield_(1).await?;
        Err(RuntimeError::new("no more").into())
    });
    assert_eq!(generator.anext().await?, Some(1));
    let error = generator.anext().await.expect_err("the body failed");
    assert_eq!(error.to_string(), "no more");
    assert_eq!(generator.anext().await?, None);
    generator.aclose().await
}

/// `AsyncGenAsyncioTest.test_async_gen_asyncio_aclose_05`: closing ends the body at its `yield`, and waits
/// for the clean-up.
#[asyncio::test(virtual_clock = true)]
async fn closing_waits_for_the_clean_up() -> Result<()> {
    let log = Log::default();
    let mut numbers = counter(&log);
    assert_eq!(numbers.anext().await?, Some(1));
    numbers.aclose().await?;
    assert_eq!(noted(&log), ["begins", "closed", "cleaned up"]);
    assert_eq!(numbers.anext().await?, None);
    numbers.aclose().await
}

/// `AsyncGenAsyncioTest.test_async_gen_aclose_after_exhaustion` and its neighbours: what has not begun
/// never begins.
#[asyncio::test]
async fn closing_before_the_first_value_runs_nothing() -> Result<()> {
    let log = Log::default();
    let mut numbers = counter(&log);
    numbers.aclose().await?;
    assert_eq!(numbers.anext().await?, None);
    assert!(noted(&log).is_empty());
    Ok(())
}

/// An error of the clean-up is what closing ends with, as in
/// `AsyncGenAsyncioTest.test_async_gen_asyncio_aclose_03`.
#[asyncio::test]
async fn an_error_of_the_clean_up_is_raised_by_closing() -> Result<()> {
    let mut generator = async_generator(async |mut number| {
        let gone = number.yield_(1).await;
        assert_eq!(gone, Err(GeneratorExit::default()));
        Err(RuntimeError::new("the clean-up failed").into())
    });
    generator.anext().await?;
    let error = generator.aclose().await.expect_err("it failed");
    assert_eq!(error.to_string(), "the clean-up failed");
    Ok(())
}

/// A body that yields on after it was closed is told so each time, and comes to its end.
#[asyncio::test]
async fn nothing_is_yielded_after_closing() -> Result<()> {
    let mut generator = async_generator(async |mut number| {
        for n in 0..5 {
            // Ignored on purpose.
            let _ = number.yield_(n).await;
        }
        Ok(())
    });
    assert_eq!(generator.anext().await?, Some(0));
    generator.aclose().await?;
    assert_eq!(generator.anext().await?, None);
    Ok(())
}

/// A cancelled task ends the await at which the body stands, and the body may clean up.
#[asyncio::test(virtual_clock = true)]
async fn cancelling_reaches_the_body() -> Result<()> {
    let log = Log::default();
    let told = Arc::clone(&log);
    let task = asyncio::create_task(async move {
        let mut endless: AsyncGenerator<u32> = async_generator(async move |_| {
            let slept = asyncio::sleep(3600).await;
            note(&told, "interrupted");
            asyncio::sleep(1).await?;
            note(&told, "cleaned up");
            slept
        });
        endless.anext().await
    });
    asyncio::sleep(1).await?;
    task.cancel();
    assert!(task.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(noted(&log), ["interrupted", "cleaned up"]);
    Ok(())
}

/// An `anext` that is dropped while it waits loses nothing: the next one goes on.
#[asyncio::test(virtual_clock = true)]
async fn a_dropped_anext_loses_nothing() -> Result<()> {
    let mut slow = async_generator(async |mut number| {
        asyncio::sleep(10).await?;
        number.yield_(1).await?;
        Ok(())
    });
    {
        let mut waiting = Box::pin(slow.anext());
        assert!(futures::poll!(waiting.as_mut()).is_pending());
    }
    assert_eq!(slow.anext().await?, Some(1));
    Ok(())
}

/// `AclosingTestCase.test_aclosing_bpo41229`: leaving the block closes the generator, also after an error.
#[asyncio::test(virtual_clock = true)]
async fn aclosing_closes_however_the_block_ends() -> Result<()> {
    let log = Log::default();
    let second = asyncio::aclosing(counter(&log), async |numbers| {
        numbers.anext().await?;
        numbers.anext().await
    });
    assert_eq!(second.await?, Some(2));
    assert_eq!(noted(&log), ["begins", "closed", "cleaned up"]);

    let log = Log::default();
    let failed: Result<()> = asyncio::aclosing(counter(&log), async |numbers| {
        numbers.anext().await?;
        Err(RuntimeError::new("enough").into())
    })
    .await;
    assert_eq!(failed.expect_err("the block failed").to_string(), "enough");
    assert_eq!(noted(&log), ["begins", "closed", "cleaned up"]);
    Ok(())
}

/// A generator is a stream for the combinators of other libraries, on many threads as well.
#[asyncio::test(worker_threads = 2)]
async fn a_generator_is_a_stream() -> Result<()> {
    let numbers = async_generator(async |mut number| {
        for n in 0..6 {
            asyncio::sleep(0).await?;
            number.yield_(n).await?;
        }
        Ok(())
    });
    let even = numbers.try_filter(|n| std::future::ready(n % 2 == 0));
    assert_eq!(even.try_collect::<Vec<u32>>().await?, [0, 2, 4]);
    Ok(())
}
