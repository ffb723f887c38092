//! How programs begin (`asyncio.runners`).

pub use asyncio_core::{MultiThreadRunner, MultiThreadRunnerBuilder, Runner, RunnerBuilder, run};
