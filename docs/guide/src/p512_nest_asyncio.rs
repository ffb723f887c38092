//! What a program with nested runs wants is had by awaiting.
//!
//! # Instead
//!
//! There is no `nest_asyncio`, which patches a running loop so that `run` may be called inside of it: a
//! loop that is entered twice runs other tasks in the middle of a call that looks as if it did nothing of
//! the kind. A coroutine that calls itself is boxed and awaited, and a function that cannot await goes to
//! a thread of its own (the program before this one). The record is Python's.

use asyncio_compat as asyncio;

async fn inner(level: u32) -> asyncio::Result<Vec<String>> {
    asyncio::sleep(0.01).await?;
    if level == 0 {
        return Ok(vec!["bottom".to_owned()]);
    }
    let mut levels = vec![format!("level {level}")];
    levels.extend(Box::pin(inner(level - 1)).await?);
    Ok(levels)
}

async fn program() -> asyncio::Result<&'static str> {
    println!("{}", inner(3).await?.join(" / "));
    Ok("outer loop goes on")
}

pub(crate) fn main() -> asyncio::Result<()> {
    println!("{}", asyncio::run(program())?);
    Ok(())
}
