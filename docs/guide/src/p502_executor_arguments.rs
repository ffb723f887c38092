//! What runs elsewhere is a closure, which brings along whatever its call needs.
//!
//! # Instead
//!
//! `run_in_executor` takes no arguments at all, neither by place nor by name, so that nothing has to be
//! bound with `functools.partial` and there is no `TypeError`; the record lacks that line.

use asyncio_compat as asyncio;

#[derive(Clone, Copy, PartialEq)]
enum Rounding {
    Up,
    Down,
}

fn price(net: u32, rate: u32, rounding: Rounding) -> asyncio::Result<u32> {
    let gross = net * (100 + rate);
    let up = rounding == Rounding::Up && !gross.is_multiple_of(100);
    Ok(gross / 100 + u32::from(up))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let event_loop = asyncio::get_running_loop()?;
    let up = event_loop.run_in_executor(None, || price(333, 19, Rounding::Up));
    println!("positional {}", up.await?);
    let down = event_loop.run_in_executor(None, || price(333, 19, Rounding::Down));
    println!("partial {}", down.await?);
    println!(
        "to_thread {}",
        asyncio::to_thread(|| price(333, 19, Rounding::Down)).await?
    );
    Ok(())
}
