//! Context variables (Python's `contextvars`).

pub use asyncio_core::{Context, ContextVar, Token, copy_context};
