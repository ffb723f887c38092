//! `asyncio/streams.py`.

mod buffer;
mod reader;

pub use reader::StreamReader;
