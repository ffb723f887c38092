//! Time limits (`asyncio.timeouts`).

pub use asyncio_core::{Timeout, TimeoutScope, timeout, timeout_at};
