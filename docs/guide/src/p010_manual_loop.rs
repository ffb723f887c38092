//! The older way: make a loop, install it, run a coroutine on it, close it.

use asyncio_compat as asyncio;

use crate::yes;

async fn ring_bell(times: u32) -> asyncio::Result<u32> {
    for number in 1..=times {
        println!("ding {number}");
        asyncio::sleep(0.01).await?;
    }
    Ok(times)
}

pub(crate) fn main() -> asyncio::Result<()> {
    let event_loop = asyncio::new_event_loop()?;
    asyncio::set_event_loop(Some(&event_loop));
    let rung = event_loop.run_until_complete(ring_bell(2))?;
    println!("rung {rung}");
    println!("running after the call: {}", yes(event_loop.is_running()));
    println!(
        "same loop again: {}",
        event_loop.run_until_complete(ring_bell(1))?
    );
    event_loop.close()?; // and so does dropping it, after an error
    asyncio::set_event_loop(None);
    println!("closed: {}", yes(event_loop.is_closed()));
    Ok(())
}
