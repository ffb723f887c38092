//! The binary form of rows that are copied.

use std::collections::VecDeque;
use std::io;

use asyncio_core::Result;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use postgres_types::{Format, IsNull, Type};

use crate::pg::args::Args;
use crate::pg::errors::InterfaceError;
use crate::pg::protocol::RowRun;
use crate::pg::statement::EncodeError;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// The signature, flags, and the length of what may be added to both some day.
const HEADER: usize = SIGNATURE.len() + 8;

/// Begins a stream of rows.
pub(super) fn put_header(out: &mut BytesMut) {
    out.extend_from_slice(SIGNATURE);
    out.put_i32(0);
    out.put_i32(0);
}

/// Ends it.
pub(super) fn put_trailer(out: &mut BytesMut) {
    out.put_i16(-1);
}

/// Adds a row.
///
/// # Errors
///
/// [`InterfaceError`] when it has more values than there are columns or fewer, or one of them can only be
/// written as text; [`EncodeError`] when one is not of its column's type. Nothing has been added then.
pub(super) fn put_row(args: &impl Args, columns: &[Type], out: &mut BytesMut) -> Result<()> {
    let before = out.len();
    let put = try_put_row(args, columns, out);
    if put.is_err() {
        out.truncate(before);
    }
    put
}

fn try_put_row(args: &impl Args, columns: &[Type], out: &mut BytesMut) -> Result<()> {
    if args.len() != columns.len() {
        let message = format!(
            "a record has {} values, and there are {} columns",
            args.len(),
            columns.len()
        );
        return Err(InterfaceError::new(message).into());
    }
    let count = i16::try_from(columns.len()).map_err(|_| too_large())?;
    out.put_i16(count);
    for (index, type_) in columns.iter().enumerate() {
        let Some(arg) = args.get(index) else {
            return Err(InterfaceError::new("a record ends before its end").into());
        };
        if matches!(arg.encode_format(type_), Format::Text) {
            let message = format!(
                "a value of the type {} has no binary form, which a record needs",
                type_.name()
            );
            return Err(InterfaceError::new(message).into());
        }
        let at = out.len();
        out.put_i32(-1);
        let encoded = arg
            .to_sql_checked(type_, out)
            .map_err(|source| EncodeError::new(index, type_, source))?;
        if matches!(encoded, IsNull::No) {
            let len = i32::try_from(out.len() - at - 4).map_err(|_| too_large())?;
            out[at..at + 4].copy_from_slice(&len.to_be_bytes());
        }
    }
    Ok(())
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a record is too large")
}

/// Takes rows out of what comes, wherever the server has cut it.
#[derive(Debug, Default)]
pub(crate) struct Tuples {
    pieces: VecDeque<RowRun>,
    /// What has come of the next row, and perhaps others behind it.
    rest: Bytes,
    begun: bool,
    ended: bool,
}

impl Tuples {
    /// What has come.
    pub(crate) fn add(&mut self, run: RowRun) {
        self.pieces.push_back(run);
    }

    /// The body of the next row: the number of its fields, then the fields, as in a row of a query.
    /// `None` while it has not come completely, and at the end.
    ///
    /// # Errors
    ///
    /// When it is not what a PostgreSQL server would send.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if !self.ended
                && let Some(row) = self.take()?
            {
                return Ok(Some(row));
            }
            let Some(run) = self.pieces.front_mut() else {
                return Ok(None);
            };
            match run.next() {
                None => drop(self.pieces.pop_front()),
                // What is behind the end is passed over.
                Some(_) if self.ended => {}
                // As a rule a message holds whole rows.
                Some(piece) if self.rest.is_empty() => self.rest = piece,
                Some(piece) => {
                    let mut both = BytesMut::with_capacity(self.rest.len() + piece.len());
                    both.extend_from_slice(&self.rest);
                    both.extend_from_slice(&piece);
                    self.rest = both.freeze();
                }
            }
        }
    }

    fn take(&mut self) -> Result<Option<Bytes>> {
        if !self.begun {
            if self.rest.len() < HEADER {
                return Ok(None);
            }
            if !self.rest.starts_with(SIGNATURE) {
                return Err(invalid("what is copied is not in the binary form").into());
            }
            let more = int(&self.rest[SIGNATURE.len() + 4..]).unwrap_or(0);
            let more = usize::try_from(more).map_err(|_| invalid("a length below zero"))?;
            if self.rest.len() - HEADER < more {
                return Ok(None);
            }
            self.rest.advance(HEADER + more);
            self.begun = true;
        }
        let Some(count) = self.rest.first_chunk() else {
            return Ok(None);
        };
        let count = i16::from_be_bytes(*count);
        if count < 0 {
            self.ended = true;
            self.rest.clear();
            return Ok(None);
        }
        let mut end = 2;
        for _ in 0..count {
            let Some(len) = self.rest.get(end..).and_then(int) else {
                return Ok(None);
            };
            end += 4;
            match usize::try_from(len) {
                Ok(len) => end += len,
                Err(_) if len == -1 => {}
                Err(_) => return Err(invalid("a length below zero").into()),
            }
        }
        Ok((end <= self.rest.len()).then(|| self.rest.split_to(end)))
    }
}

fn int(bytes: &[u8]) -> Option<i32> {
    bytes.first_chunk().map(|it| i32::from_be_bytes(*it))
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
