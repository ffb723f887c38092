//! `call_soon` runs in the next turn, `call_later` after a delay, `call_at` at a time of the loop's
//! clock.

use std::cell::RefCell;
use std::rc::Rc;

use asyncio_compat as asyncio;

async fn program(stay: f64, board: Rc<RefCell<Vec<&'static str>>>) -> asyncio::Result<()> {
    let event_loop = asyncio::get_running_loop()?;
    let write = |text| {
        let board = board.clone();
        move || board.borrow_mut().push(text)
    };
    event_loop.call_at(event_loop.time() + 0.9, write("call_at"))?;
    event_loop.call_later(0.2, write("call_later"))?;
    event_loop.call_soon(write("call_soon"))?;
    write("scheduled")();
    asyncio::sleep(stay).await?;
    write("main leaves")();
    Ok(())
}

pub(crate) fn main() -> asyncio::Result<()> {
    for stay in [0.5, 1.4] {
        let board = Rc::default();
        asyncio::run(program(stay, Rc::clone(&board)))?;
        println!("{}", board.borrow().join(" > "));
    }
    Ok(())
}
