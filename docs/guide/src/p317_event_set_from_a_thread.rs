//! Setting an event from another thread wakes the loop.
//!
//! # Instead
//!
//! In Python it does not, until something else wakes the loop; there the call has to go by
//! `call_soon_threadsafe`. Here both ways wake the waiter at once, and the record says "yes" twice.

use std::thread;
use std::time::{Duration, Instant};

use asyncio_compat as asyncio;

use crate::yes;

/// The time between the ringing in another thread and the waiter's waking up.
async fn delay_of_wake_up(
    ring: impl FnOnce(asyncio::EventLoop, asyncio::Event) -> asyncio::Result<()> + Send + 'static,
) -> asyncio::Result<Duration> {
    let (event_loop, bell) = (asyncio::get_running_loop()?, asyncio::Event::new());
    let rung = bell.clone();
    let unrelated = asyncio::create_task(asyncio::sleep(1.5));
    let ringer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        let rung_at = Instant::now();
        ring(event_loop, rung).map(|()| rung_at)
    });
    bell.wait().await?;
    let woke = Instant::now();
    unrelated.await?;
    let rung_at = ringer.join().expect("the thread does not panic")?;
    Ok(woke - rung_at)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let soon = |delay: Duration| yes(delay < Duration::from_millis(600));
    let direct = delay_of_wake_up(|_, bell| {
        bell.set();
        Ok(())
    });
    println!(
        "set() from the thread wakes within 0.6 s: {}",
        soon(direct.await?)
    );
    let handed = delay_of_wake_up(|event_loop, bell| {
        event_loop.call_soon_threadsafe(move || bell.set())?;
        Ok(())
    });
    println!(
        "set() through the loop wakes within 0.6 s: {}",
        soon(handed.await?)
    );
    Ok(())
}
