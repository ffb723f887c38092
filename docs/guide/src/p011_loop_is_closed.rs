//! A loop that `asyncio::run` has finished with accepts no further work.

use asyncio_compat as asyncio;

use crate::yes;

async fn keep_loop() -> asyncio::Result<asyncio::EventLoop> {
    let kept = asyncio::get_running_loop()?;
    println!("open inside: {}", yes(!kept.is_closed()));
    Ok(kept)
}

async fn latecomer() -> asyncio::Result<&'static str> {
    Ok("too late")
}

pub(crate) fn main() -> asyncio::Result<()> {
    let kept = asyncio::run(keep_loop())?;
    if let Err(error) = kept.call_soon(|| println!("never printed")) {
        println!("call_soon: {error}");
    }
    if let Err(error) = kept.run_until_complete(latecomer()) {
        println!("run_until_complete: {error}");
    }
    Ok(())
}
