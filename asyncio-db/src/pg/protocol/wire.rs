//! A session as it goes over the wire.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use asyncio_core::{Exception, Result};
use bytes::{Buf, BytesMut};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use socket2::Socket;

use super::frames::{self, Incoming, Passing};
use super::stream::Channel;
use crate::exceptions::PgError;
use crate::pg::errors;
use crate::pg::notices::{Notices, Notification};

/// A session: one stream, and what is outstanding on it.
///
/// Whoever holds it is the only one who reads and writes; it is moved from one holder to the next.
pub(crate) struct Wire {
    channel: Channel,
    inbound: BytesMut,
    outbound: BytesMut,
    /// So many times the server will yet say that it is ready.
    owed: u32,
    /// The first so many of these are answers to nobody: a reset that was sent when the session was
    /// given back. Whether all went well is told to who comes next.
    nobodys: u32,
    /// Of what is somebody's, so much is of no interest to him.
    passing: Passing,
    /// There are messages behind the last Sync.
    unsynced: bool,
    /// The last request was one of the simple protocol.
    simple: bool,
    /// What the server has said last: idle, in a transaction, in one that has failed.
    status: u8,
    /// The server waits for rows to copy.
    copying: bool,
    backend: Backend,
    parameters: HashMap<String, String>,
    notices: Arc<Notices>,
    broken: bool,
    /// What the server said before it closed the session.
    last_words: Option<Box<PgError>>,
    /// So often there was more to read at once.
    at_once: u32,
    /// What was read last filled the room: there is probably more.
    bulk: bool,
}

/// Which process serves a session, and the key that allows to interrupt it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backend {
    pub(crate) pid: i32,
    pub(crate) key: i32,
}

/// The server waits for a query, outside of any transaction.
pub(crate) const IDLE: u8 = b'I';

/// So many reads may follow each other before others have a turn. (The loop is excluded from tokio's own
/// budget.)
const AT_ONCE: u32 = 32;

/// Room for what is read: little for an answer, more where rows come in bulk.
const ROOM: usize = 1 << 13;
const BULK_ROOM: usize = 1 << 16;

impl Wire {
    pub(super) fn new(channel: Channel, notices: Arc<Notices>) -> Self {
        Self {
            channel,
            inbound: BytesMut::new(),
            outbound: BytesMut::new(),
            owed: 0,
            nobodys: 0,
            passing: Passing::Nothing,
            unsynced: false,
            simple: false,
            status: IDLE,
            copying: false,
            backend: Backend::default(),
            parameters: HashMap::new(),
            notices,
            broken: false,
            last_words: None,
            at_once: 0,
            bulk: false,
        }
    }

    pub(crate) const fn status(&self) -> u8 {
        self.status
    }

    pub(crate) const fn backend(&self) -> Backend {
        self.backend
    }

    pub(super) const fn set_backend(&mut self, backend: Backend) {
        self.backend = backend;
    }

    /// Its socket once more: see [`Channel::again`].
    pub(crate) fn socket(&self) -> io::Result<Socket> {
        self.channel.again()
    }

    /// What SCRAM can be bound to.
    pub(super) fn channel_binding(&self) -> Option<Vec<u8>> {
        self.channel.end_point()
    }

    pub(crate) const fn parameters(&self) -> &HashMap<String, String> {
        &self.parameters
    }

    /// Whether nothing is outstanding in either direction, so that anybody may use it next.
    pub(crate) fn is_clean(&self) -> bool {
        !self.broken && self.owed == self.nobodys && !self.unsynced && self.outbound.is_empty()
    }

    pub(crate) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// So many times the server will yet say that it is ready.
    pub(crate) const fn owed(&self) -> u32 {
        self.owed
    }

    /// Whether the next answer is nobody's.
    pub(crate) const fn is_unheard(&self) -> bool {
        self.nobodys > 0
    }

    /// Whether the server waits for rows to copy.
    pub(crate) const fn is_copying(&self) -> bool {
        self.copying
    }

    pub(crate) const fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    /// How much is to be written yet.
    pub(crate) fn unwritten(&self) -> usize {
        self.outbound.len()
    }

    // -- what is said ------------------------------------------------------

    /// A query in the simple protocol, or several.
    pub(crate) fn query(&mut self, text: &str) -> Result<()> {
        let written = self.outbound.len();
        if let Err(error) = frontend::query(text, &mut self.outbound) {
            return Err(self.take_back(written, error));
        }
        self.owed += 1;
        self.simple = true;
        Ok(())
    }

    /// A message of the extended protocol, by a function that appends it.
    pub(crate) fn extended<E: Into<Exception>>(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<()> {
        let written = self.outbound.len();
        if let Err(error) = write(&mut self.outbound) {
            return Err(self.take_back(written, error));
        }
        self.unsynced = true;
        self.simple = false;
        Ok(())
    }

    /// The end of a group of messages: the server says that it is ready.
    pub(crate) fn sync(&mut self) {
        frontend::sync(&mut self.outbound);
        self.unsynced = false;
        self.owed += 1;
    }

    /// The server waits for rows to copy, and there will be none: it is told so.
    pub(crate) fn refuse_copy(&mut self) {
        self.copying = false;
        // The text has no zero byte, the one thing that cannot be written.
        let _ = frontend::copy_fail("no rows are sent this way", &mut self.outbound);
        if !self.simple {
            // A Sync that comes while the server waits for rows is passed over, so there has to be
            // another; the answer is still owed for the first.
            frontend::sync(&mut self.outbound);
        }
    }

    /// Rows to copy, in messages that are whole.
    pub(crate) fn copy(&mut self, messages: &[u8]) {
        self.outbound.extend_from_slice(messages);
    }

    /// These were all rows to copy.
    pub(crate) fn end_copy(&mut self) {
        self.copying = false;
        frontend::copy_done(&mut self.outbound);
    }

    /// What cannot be written has not been begun.
    fn take_back(&mut self, written: usize, error: impl Into<Exception>) -> Exception {
        self.outbound.truncate(written);
        error.into()
    }

    /// Messages of the first part of a session, which nobody answers with "ready".
    pub(super) fn say(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> io::Result<()>,
    ) -> io::Result<()> {
        write(&mut self.outbound)
    }

    /// The server's next words are that it is ready, though nobody asked: a session begins so.
    pub(super) const fn expect_ready(&mut self) {
        self.owed += 1;
    }

    /// Has something to be heard, or room to write more.
    ///
    /// # Errors
    ///
    /// As of [`poll_incoming`](Self::poll_incoming).
    pub(crate) fn poll_incoming_or_room(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
    ) -> Poll<Result<Option<Incoming>>> {
        match self.poll_incoming(cx) {
            Poll::Ready(incoming) => Poll::Ready(incoming.map(Some)),
            Poll::Pending if self.outbound.len() <= room => Poll::Ready(Ok(None)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// So much is of no interest until the server says that it is ready.
    pub(crate) fn pass(&mut self, what: Passing) {
        self.passing = self.passing.max(what);
    }

    /// What is outstanding now is of no interest to anybody, as long as it goes well.
    pub(crate) const fn disown(&mut self) {
        self.nobodys = self.owed;
    }

    // -- what is heard -----------------------------------------------------

    /// The next message that is somebody's; what is to be written is written meanwhile.
    ///
    /// # Errors
    ///
    /// When the session has ended.
    pub(crate) fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming>> {
        loop {
            match self.take_incoming() {
                Ok(Some(incoming)) => return Poll::Ready(Ok(incoming)),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            // What cannot be written yet does not keep from reading: the server may be waiting for us
            // to read before it reads. And where it has gone, its last words are still to be read.
            let written = self.poll_write_out(cx);
            match ready!(self.poll_read_in(cx)) {
                Ok(1..) => {}
                Ok(0) => return Poll::Ready(Err(self.broke(None))),
                Err(error) => return Poll::Ready(Err(self.broke(Some(error)))),
            }
            if let Poll::Ready(Err(error)) = written
                && self.inbound.is_empty()
            {
                return Poll::Ready(Err(self.broke(Some(error))));
            }
        }
    }

    /// Writes what is to be written, as far as that is possible now.
    pub(crate) fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbound.is_empty() {
            match ready!(self.channel.poll_write(cx, &self.outbound))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.outbound.advance(written),
            }
        }
        if self.outbound.capacity() > BULK_ROOM {
            self.outbound = BytesMut::new();
        }
        self.channel.poll_flush(cx)
    }

    fn poll_read_in(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.at_once >= AT_ONCE {
            self.at_once = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let room = if self.bulk { BULK_ROOM } else { ROOM };
        if self.inbound.capacity() - self.inbound.len() < room / 2 {
            self.inbound.reserve(room);
        }
        let free = self.inbound.capacity() - self.inbound.len();
        let Poll::Ready(read) = self.channel.poll_read_buf(cx, &mut self.inbound) else {
            self.at_once = 0;
            return Poll::Pending;
        };
        self.at_once += 1;
        self.bulk = matches!(read, Ok(read) if read == free);
        Poll::Ready(read)
    }

    /// Whether the session has ended, or something was said that nobody asked for, as far as that can be
    /// told without waiting.
    pub(crate) fn is_over(&mut self) -> bool {
        loop {
            match self.take_incoming() {
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return true,
            }
            match self.channel.read_now(&mut self.inbound) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Ok(0) | Err(_) => {
                    self.broken = true;
                    return true;
                }
            }
        }
    }

    fn take_incoming(&mut self) -> Result<Option<Incoming>> {
        if self.broken {
            return Err(self.broke(None));
        }
        loop {
            let passing = if self.nobodys > 0 {
                Passing::Statements
            } else {
                self.passing
            };
            if passing != Passing::Nothing
                && let Err(error) = frames::pass(&mut self.inbound, passing)
            {
                return Err(self.broke(Some(error)));
            }
            let incoming = match frames::next(&mut self.inbound) {
                Ok(Some(incoming)) => incoming,
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.broke(Some(error))),
            };
            let message = match incoming {
                Incoming::Rows(_) | Incoming::Copied(_) if self.nobodys > 0 => continue,
                Incoming::Rows(_) | Incoming::Copied(_) => return Ok(Some(incoming)),
                Incoming::Message(message) => message,
            };
            match &message {
                Message::NoticeResponse(body) => {
                    let notice = errors::server_error(body.fields());
                    self.notices.tell(&notice);
                    continue;
                }
                Message::ParameterStatus(body) => {
                    if let (Ok(name), Ok(value)) = (body.name(), body.value()) {
                        self.parameters.insert(name.to_owned(), value.to_owned());
                    }
                    continue;
                }
                Message::NotificationResponse(body) => {
                    if let (Ok(channel), Ok(payload)) = (body.channel(), body.message()) {
                        self.notices.notify(Notification {
                            pid: body.process_id(),
                            channel: channel.to_owned(),
                            payload: payload.to_owned(),
                        });
                    }
                    continue;
                }
                Message::ReadyForQuery(body) => {
                    let Some(owed) = self.owed.checked_sub(1) else {
                        let error = frames::invalid("the server is ready, and nobody asked");
                        return Err(self.broke(Some(error)));
                    };
                    self.owed = owed;
                    self.copying = false;
                    self.status = body.status();
                    if owed == 0 {
                        self.give_back_room();
                    }
                    if self.nobodys > 0 {
                        self.nobodys -= 1;
                        continue;
                    }
                    self.passing = Passing::Nothing;
                }
                Message::ErrorResponse(body) => {
                    self.copying = false;
                    let error = errors::server_error(body.fields());
                    if error.is_fatal() || self.nobodys > 0 {
                        // What follows is the end of the stream; or nobody can say in which state the
                        // one before has left the session.
                        self.last_words = Some(Box::new(error));
                        return Err(self.broke(None));
                    }
                }
                _ if self.nobodys > 0 => continue,
                Message::CopyInResponse(_) => self.copying = true,
                _ => {}
            }
            return Ok(Some(Incoming::Message(message)));
        }
    }

    /// An idle session needs no room for rows.
    fn give_back_room(&mut self) {
        self.bulk = false;
        if self.inbound.is_empty() && self.inbound.capacity() > 2 * ROOM {
            self.inbound = BytesMut::new();
        }
    }

    /// The session is over; what to say about it.
    fn broke(&mut self, source: Option<io::Error>) -> Exception {
        self.broken = true;
        self.notices.end();
        match &self.last_words {
            Some(error) => (**error).clone().into(),
            None => errors::connection_lost(source),
        }
    }

    /// Says good-bye, if that can be done at once.
    pub(crate) fn terminate(mut self) {
        if self.broken || !self.outbound.is_empty() {
            return;
        }
        frontend::terminate(&mut self.outbound);
        let mut context = Context::from_waker(std::task::Waker::noop());
        // It is a courtesy: the server sees the end of the stream in any case.
        let _ = self.poll_write_out(&mut context);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.notices.end();
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire")
            .field("pid", &self.backend.pid)
            .field("status", &char::from(self.status))
            .field("owed", &self.owed)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}
