//! The event loop as programs see it (`asyncio/events.py`).

mod event_loop;
mod handles;
mod owned;
mod settings;

pub use event_loop::{EventLoop, get_running_loop, new_event_loop};
pub use handles::{CallbackResult, ExceptionContext, Handle, TimerHandle};
pub use owned::{ClockHold, EventLoopBuilder, OwnedEventLoop};
pub use settings::ExceptionHandler;

pub(crate) use event_loop::{into_handle, unrun, with_running};
