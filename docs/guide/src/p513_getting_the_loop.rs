//! `get_running_loop` works in coroutines only; `get_event_loop` there gives the same loop, elsewhere
//! none.
//!
//! # Instead
//!
//! The errors are the same but for one word: the first thread of a Rust program is called `main`, not
//! `MainThread`, and the record says so.

use asyncio_compat as asyncio;

use crate::yes;

fn plain_helper() -> asyncio::Result<asyncio::EventLoop> {
    Ok(asyncio::get_running_loop()?)
}

async fn program() -> asyncio::Result<()> {
    let running = asyncio::get_running_loop()?;
    println!("same loop: {}", yes(asyncio::get_event_loop()? == running));
    let seen = if plain_helper()? == running {
        "same"
    } else {
        "other"
    };
    println!("seen from a plain function: {seen}");
    let future = asyncio::get_event_loop()?.create_future();
    let told = future.clone();
    running.call_soon(move || told.set_result("the loop made a future"))?;
    println!("{}", future.await?);
    Ok(())
}

pub(crate) fn main() -> asyncio::Result<()> {
    asyncio::run(program())?;
    if let Err(error) = asyncio::get_running_loop() {
        println!("get_running_loop: {error}");
    }
    if let Err(error) = asyncio::get_event_loop() {
        println!("get_event_loop: {error}");
    }
    Ok(())
}
