//! Attempts that begin one after the other (`asyncio.staggered`).

pub use asyncio_core::{Race, staggered_race};
