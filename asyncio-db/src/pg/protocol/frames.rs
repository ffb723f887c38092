//! What has come from the server, cut into messages. No I/O happens here.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::message::backend::Message;

/// One message, or a run of rows, or of what is copied out.
pub(crate) enum Incoming {
    Rows(RowRun),
    Copied(RowRun),
    Message(Message),
}

/// Rows, or pieces of a COPY, that came one after the other, as they came: no memory is asked for per row.
#[derive(Debug)]
pub(crate) struct RowRun {
    bytes: Bytes,
}

/// No message may be longer. The server's own limit for what it sends is 1 GiB.
const LONGEST: usize = 1 << 30;

/// The tag and the length of a message.
const HEAD: usize = 5;

const DATA_ROW: u8 = b'D';
const COPY_DATA: u8 = b'd';

/// Takes the next message out, or all rows that have come completely and follow each other.
///
/// `None` while it has not come completely.
///
/// # Errors
///
/// When it is not what a PostgreSQL server would say.
pub(crate) fn next(inbound: &mut BytesMut) -> io::Result<Option<Incoming>> {
    let Some(first) = frame_len(inbound)? else {
        return Ok(None);
    };
    if first == HEAD
        && let Some(message) = bare(inbound[0])
    {
        inbound.advance(HEAD);
        return Ok(Some(Incoming::Message(message)));
    }
    let tag = inbound[0];
    if !matches!(tag, DATA_ROW | COPY_DATA) {
        return Ok(Message::parse(inbound)?.map(Incoming::Message));
    }
    let mut end = first;
    while inbound.get(end) == Some(&tag) {
        match frame_len(&inbound[end..])? {
            Some(len) => end += len,
            None => break,
        }
    }
    let run = RowRun {
        bytes: inbound.split_to(end).freeze(),
    };
    Ok(Some(if tag == DATA_ROW {
        Incoming::Rows(run)
    } else {
        Incoming::Copied(run)
    }))
}

/// A message that is its tag and nothing else. A statement has several of them, and to cut one out costs
/// more than all that is done with it.
const fn bare(tag: u8) -> Option<Message> {
    match tag {
        b'1' => Some(Message::ParseComplete),
        b'2' => Some(Message::BindComplete),
        b'3' => Some(Message::CloseComplete),
        b'I' => Some(Message::EmptyQueryResponse),
        b'n' => Some(Message::NoData),
        b's' => Some(Message::PortalSuspended),
        _ => None,
    }
}

/// What is passed over before anybody looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Passing {
    Nothing,
    /// Messages that only say that something went well.
    Assent,
    /// All that says nothing of the session, only of a statement.
    Statements,
}

/// Passes over what is of no interest.
///
/// # Errors
///
/// As of [`next`].
pub(crate) fn pass(inbound: &mut BytesMut, what: Passing) -> io::Result<()> {
    let mut end = 0;
    while let Some(&tag) = inbound.get(end) {
        match (what, tag) {
            (Passing::Assent | Passing::Statements, b'1' | b'2' | b'3' | b'n')
            | (Passing::Statements, b'C' | b'D' | b'I' | b's' | b'T') => {}
            _ => break,
        }
        match frame_len(&inbound[end..])? {
            Some(len) => end += len,
            None => break,
        }
    }
    inbound.advance(end);
    Ok(())
}

/// How long the first message is, its head included, where all of it is there.
fn frame_len(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(head) = bytes.first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    // Looked at before any memory is asked for, so that no server can ask for more than it sends.
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if !(4..=LONGEST).contains(&len) {
        return Err(invalid("a message of an impossible length"));
    }
    Ok((bytes.len() > len).then_some(len + 1))
}

impl RowRun {
    /// How many rows are left.
    pub(crate) fn rows(&self) -> usize {
        let (mut rows, mut at) = (0, 0);
        while let Some(Ok(Some(len))) = self.bytes.get(at..).map(frame_len) {
            at += len;
            rows += 1;
        }
        rows
    }
}

impl Iterator for RowRun {
    /// The body of a message: of a row's, the number of fields, then the fields.
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let len = frame_len(&self.bytes).ok()??;
        let mut row = self.bytes.split_to(len);
        row.advance(HEAD);
        Some(row)
    }
}

pub(super) fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Vec<u8> {
        let mut bytes = Vec::new();
        for (tag, body) in [
            (b'1', &b""[..]),
            (b'2', b""),
            (b'D', b"\0\x01\0\0\0\x01a"),
            (b'D', b"\0\x01\xff\xff\xff\xff"),
            (b'd', b"one"),
            (b'd', b"two"),
            (b'C', b"SELECT 2\0"),
            (b'Z', b"I"),
            (b'D', b"\0\0"),
        ] {
            bytes.push(tag);
            bytes.extend_from_slice(&u32::try_from(body.len() + 4).unwrap_or(0).to_be_bytes());
            bytes.extend_from_slice(body);
        }
        bytes
    }

    /// What a stream says, told so that rows in runs of any length are told alike.
    fn told(inbound: &mut BytesMut, lines: &mut Vec<String>) -> io::Result<()> {
        while let Some(incoming) = next(inbound)? {
            match incoming {
                Incoming::Rows(run) => lines.extend(run.map(|row| format!("row {row:?}"))),
                Incoming::Copied(run) => lines.extend(run.map(|it| format!("copied {it:?}"))),
                Incoming::Message(Message::CommandComplete(body)) => {
                    lines.push(body.tag()?.to_owned());
                }
                Incoming::Message(Message::ReadyForQuery(body)) => {
                    lines.push(format!("ready {}", body.status()));
                }
                Incoming::Message(_) => lines.push("other".to_owned()),
            }
        }
        Ok(())
    }

    #[test]
    fn a_stream_says_the_same_wherever_it_is_split() -> io::Result<()> {
        let bytes = session();
        let mut whole = Vec::new();
        told(&mut BytesMut::from(&bytes[..]), &mut whole)?;
        assert_eq!(whole.len(), 9, "{whole:?}");
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut inbound = BytesMut::new();
                let mut lines = Vec::new();
                for piece in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                    inbound.extend_from_slice(piece);
                    told(&mut inbound, &mut lines)?;
                }
                assert_eq!(lines, whole, "split at {first} and {second}");
            }
        }
        Ok(())
    }

    #[test]
    fn an_impossible_length_asks_for_no_memory() {
        for len in [0_u32, 3, u32::MAX, 1 << 31] {
            let mut inbound = BytesMut::with_capacity(8);
            inbound.extend_from_slice(b"D");
            inbound.extend_from_slice(&len.to_be_bytes());
            assert!(next(&mut inbound).is_err(), "{len}");
            assert!(inbound.capacity() < 64);
        }
        // A long one is waited for, and memory is there for what has come only.
        let mut inbound = BytesMut::from(&b"d\x20\0\0\0"[..]);
        assert!(matches!(next(&mut inbound), Ok(None)));
        assert!(inbound.capacity() < 64);
    }
}
