//! Where a reader's bytes come from.

use std::cell::Cell;
use std::sync::Weak;
use std::task::{Context, Poll, ready};

use asyncio_core::Exception;

use super::buffer::Buffer;
use super::ends::ReadEnd;
use super::outgoing::Outgoing;

/// An end to read from, and the side that writes, which is told when the connection is lost.
pub(crate) struct Source {
    pub(crate) end: ReadEnd,
    pub(crate) outgoing: Weak<Outgoing>,
}

/// What reading once has brought.
pub(super) enum Filled {
    More,
    End,
    Failed(Exception),
}

/// A source that has failed. To be told when nothing is locked.
#[must_use]
pub(super) struct Ended {
    exception: Exception,
    source: Source,
}

/// So much is read at once at the most.
const PIECE: usize = 1 << 16;

thread_local! {
    /// What is read into, so that whoever waits needs no memory for what may come.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Source {
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, buffer: &mut Buffer) -> Poll<Filled> {
        let mut scratch = SCRATCH.take();
        scratch.reserve_exact(PIECE);
        let read = self.end.poll_read_buf(cx, &mut scratch);
        if let Poll::Ready(Ok(1..)) = read {
            scratch = buffer.receive(scratch);
        }
        SCRATCH.set(scratch);
        Poll::Ready(match ready!(read) {
            Ok(0) => Filled::End,
            Ok(_) => Filled::More,
            Err(error) => Filled::Failed(crate::exceptions::io_exception(error)),
        })
    }

    pub(super) const fn ended(self, exception: Exception) -> Ended {
        Ended {
            exception,
            source: self,
        }
    }
}

impl Ended {
    /// Tells the side that writes; what it has ended with.
    pub(super) fn tell(self) -> Exception {
        if let Some(outgoing) = self.source.outgoing.upgrade() {
            outgoing.lose(Some(self.exception.clone()));
        }
        self.exception
    }
}
