//! `call_soon` keeps its order, timers go by time, and a cancelled handle does not run.

use std::cell::RefCell;
use std::rc::Rc;

use asyncio_compat as asyncio;

use crate::yes;

pub(crate) async fn main() -> asyncio::Result<()> {
    let event_loop = asyncio::get_running_loop()?;
    let rang: Rc<RefCell<Vec<&str>>> = Rc::default();
    let ring = |bell| {
        let rang = rang.clone();
        move || rang.borrow_mut().push(bell)
    };

    let over = asyncio::Future::new();
    let done = over.clone();
    event_loop.call_later(0.3, move || done.set_result("all bells done"))?;
    event_loop.call_later(0.2, ring("vespers"))?;
    event_loop.call_later(0.1, ring("noon"))?;
    let silenced = event_loop.call_later(0.15, ring("alarm"))?;
    for bell in ["matins", "lauds", "prime"] {
        event_loop.call_soon(ring(bell))?;
    }
    silenced.cancel();

    println!("{}", over.await?);
    println!("{}", rang.borrow().join(", "));
    println!("alarm cancelled: {}", yes(silenced.cancelled()));
    Ok(())
}
