//! A call without `await` creates an object that is thrown away unrun, and the compiler warns about it.
//!
//! # Instead
//!
//! What Python finds while the program runs is a warning of the compiler here, before it runs: `unused
//! implementer of Future that must be used`. Whoever drops the future on purpose, as below, says so; at
//! run time there is nothing to report, and the record has no line for a warning. (Futures of this
//! library that are dropped unawaited are named in debug mode.)

use std::sync::Mutex;

use asyncio_compat as asyncio;

static POSTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

async fn post_letter(name: &str) -> asyncio::Result<String> {
    POSTED.lock().unwrap().push(name.to_owned());
    Ok(format!("sent to {name}"))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let slip = post_letter("Ada"); // a future, no `Result`: nothing has run
    drop(slip);
    println!("letters posted: {}", POSTED.lock().unwrap().len());

    println!("{}", post_letter("Ada").await?);
    println!("letters posted: {}", POSTED.lock().unwrap().len());
    Ok(())
}
