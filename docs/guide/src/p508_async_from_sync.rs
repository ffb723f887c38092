//! Ordinary functions call coroutines with `asyncio::run`, each time on a fresh loop.

use std::sync::Mutex;

use asyncio_compat as asyncio;

use crate::yes;

static LOOPS: Mutex<Vec<asyncio::EventLoop>> = Mutex::new(Vec::new());

async fn translate(word: &str) -> asyncio::Result<&'static str> {
    LOOPS.lock().unwrap().push(asyncio::get_running_loop()?);
    asyncio::sleep(0.01).await?;
    match word {
        "ship" => Ok("Schiff"),
        "sail" => Ok("Segel"),
        _ => Err(asyncio::ValueError::new(word.to_owned()).into()),
    }
}

fn translate_blocking(word: &'static str) -> asyncio::Result<&'static str> {
    asyncio::run(translate(word))
}

pub(crate) fn main() -> asyncio::Result<()> {
    println!(
        "{} {}",
        translate_blocking("ship")?,
        translate_blocking("sail")?
    );
    let same = {
        let loops = LOOPS.lock().unwrap();
        loops[0] == loops[1]
    };
    println!("same loop: {}", yes(same));
    if let Err(error) = translate_blocking("anchor") {
        println!("error came through: {error}");
    }
    let closed = LOOPS
        .lock()
        .unwrap()
        .iter()
        .all(|event_loop| event_loop.is_closed());
    println!("all loops closed: {}", yes(closed));
    Ok(())
}
