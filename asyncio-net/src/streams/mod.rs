//! `asyncio/streams.py`.

mod adapters;
mod buffer;
mod ends;
mod open;
mod outgoing;
mod reader;
mod serve;
mod source;
mod writer;

pub use adapters::Lines;
#[cfg(feature = "tls")]
pub(crate) use ends::SHUTDOWN_TIMEOUT;
pub(crate) use ends::{ReadEnd, WriteEnd};
#[cfg(unix)]
pub use open::open_unix_connection;
pub use open::{OpenConnection, open_connection};
pub(crate) use outgoing::{Outgoing, connect, runtime};
pub(crate) use reader::DEFAULT_LIMIT;
pub use reader::StreamReader;
#[cfg(unix)]
pub use serve::start_unix_server;
pub use serve::{StartLocalServer, StartServer, start_server};
pub(crate) use source::Source;
pub use writer::StreamWriter;
