//! Functions in threads (`asyncio.threads`).

pub use asyncio_core::to_thread;
