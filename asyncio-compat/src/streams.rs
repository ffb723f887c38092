//! Streams (`asyncio.streams`).

pub use asyncio_net::{StreamReader, StreamWriter, open_connection, start_server};
#[cfg(unix)]
pub use asyncio_net::{open_unix_connection, start_unix_server};
