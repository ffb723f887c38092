//! Loops and their handles (`asyncio.events`).

use std::cell::RefCell;
use std::thread;

pub use asyncio_core::{
    EventLoop, EventLoopBuilder, ExceptionContext, ExceptionHandler, Handle, OwnedEventLoop,
    RuntimeError, TimerHandle, get_running_loop, new_event_loop,
};

/// The loop that runs, or else the one that was set for this thread (`asyncio.get_event_loop`).
///
/// ```
/// use asyncio_compat as asyncio;
///
/// # fn main() -> asyncio::Result<()> {
/// let event_loop = asyncio::new_event_loop()?;
/// asyncio::set_event_loop(Some(&event_loop));
/// assert!(!asyncio::get_event_loop()?.is_running());
/// event_loop.run_until_complete(async {
///     assert!(asyncio::get_event_loop()?.is_running());
///     Ok(())
/// })?;
/// asyncio::set_event_loop(None);
/// assert!(asyncio::get_event_loop().is_err());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`RuntimeError`] when no loop runs and none was set.
///
/// # asyncio
///
/// As in 3.14: it makes no loop.
pub fn get_event_loop() -> Result<EventLoop, RuntimeError> {
    get_running_loop().or_else(|_| {
        SET.with_borrow(Clone::clone).ok_or_else(|| {
            let this = thread::current();
            let name = this.name().unwrap_or("<unnamed>");
            RuntimeError::new(format!(
                "There is no current event loop in thread '{name}'."
            ))
        })
    })
}

/// Sets what [`get_event_loop`] returns in this thread while no loop runs there
/// (`asyncio.set_event_loop`).
///
/// The loop itself stays with whoever made it: what is kept here is a handle.
///
/// # asyncio
///
/// `run` neither sets nor unsets it.
pub fn set_event_loop(event_loop: Option<&EventLoop>) {
    let old = SET.replace(event_loop.cloned());
    // Outside of the cell's borrow, for what a value does when it ends is not ours to know.
    drop(old);
}

thread_local! {
    static SET: RefCell<Option<EventLoop>> = const { RefCell::new(None) };
}
