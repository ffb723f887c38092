//! Streams (`asyncio.streams`).

#[cfg(feature = "net")]
pub use asyncio_net::{StreamReader, StreamWriter, open_connection, start_server};
#[cfg(all(feature = "net", unix))]
pub use asyncio_net::{open_unix_connection, start_unix_server};
