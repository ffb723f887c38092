//! `COPY`: rows in bulk, in and out.

mod input;
mod options;
mod output;
mod places;
mod quoting;
mod records;
mod tuples;

pub use input::CopyToTable;
pub use options::{CopyColumns, CopyFormat};
pub use output::{CopyFromQuery, CopyFromTable};
pub use places::{Chunks, CopySink, CopySource, EachChunk, FileAt, chunks, each_chunk, file_at};
pub use records::CopyRecords;

pub(crate) use tuples::Tuples;

use super::connection::Connection;
use super::pool::{Pool, PooledConnection};

/// Whose connection it is on.
#[derive(Debug)]
enum On<'a> {
    Connection(&'a mut Connection),
    Pool(&'a Pool),
}

/// A connection, borrowed from whoever has one.
#[derive(Debug)]
enum Borrowed<'a> {
    Connection(&'a mut Connection),
    Lent(Box<PooledConnection>),
}

impl<'a> On<'a> {
    async fn borrow(self) -> asyncio_core::Result<Borrowed<'a>> {
        Ok(match self {
            Self::Connection(connection) => Borrowed::Connection(connection),
            Self::Pool(pool) => Borrowed::Lent(Box::new(pool.acquire().await?)),
        })
    }
}

impl Borrowed<'_> {
    fn connection(&mut self) -> &mut Connection {
        match self {
            Self::Connection(connection) => connection,
            Self::Lent(lent) => lent,
        }
    }
}
