//! Putting into a queue from another thread wakes the reader.
//!
//! # Instead
//!
//! In Python an asyncio queue belongs to the loop's thread; from another one the reader never wakes, and
//! debug mode raises. Here queues, locks and events may be used on any thread, so that both ways below
//! end the same, and the record says so.

use asyncio_compat as asyncio;

async fn let_a_thread_put(
    letters: asyncio::Queue<&'static str>,
    by_loop: bool,
) -> asyncio::Result<()> {
    let event_loop = asyncio::get_running_loop()?;
    let put = asyncio::to_thread(move || {
        if by_loop {
            event_loop.call_soon_threadsafe(move || letters.put_nowait("a letter"))?;
        } else {
            letters.put_nowait("a letter")?;
        }
        Ok("accepted")
    });
    println!("{}", put.await?);
    Ok(())
}

async fn trial(by_loop: bool) -> asyncio::Result<()> {
    let letters = asyncio::Queue::new(0);
    let inbox = letters.clone();
    let reader = asyncio::create_task(async move { inbox.get().await });
    asyncio::sleep(0).await?;
    let_a_thread_put(letters, by_loop).await?;
    println!("reader has {}", asyncio::wait_for(reader, 5).await?);
    Ok(())
}

pub(crate) fn main() -> asyncio::Result<()> {
    for by_loop in [false, true] {
        asyncio::Runner::builder()
            .debug(true)
            .build()?
            .run(trial(by_loop))?;
    }
    Ok(())
}
