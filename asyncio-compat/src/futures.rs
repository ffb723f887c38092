//! Futures (`asyncio.futures`).

pub use asyncio_core::{CallbackId, Future, wrap_future};
