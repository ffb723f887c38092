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
    /// Until it has ended.
    end: Option<ReadEnd>,
    outgoing: Weak<Outgoing>,
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
    pub(crate) const fn new(end: ReadEnd, outgoing: Weak<Outgoing>) -> Self {
        Self {
            end: Some(end),
            outgoing,
        }
    }

    /// Takes the end out, to put another in its place.
    #[cfg(feature = "tls")]
    pub(crate) const fn take_end(&mut self) -> Option<ReadEnd> {
        self.end.take()
    }

    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, buffer: &mut Buffer) -> Poll<Filled> {
        let Some(end) = &mut self.end else {
            return Poll::Ready(Filled::End);
        };
        let mut scratch = SCRATCH.take();
        scratch.reserve_exact(PIECE);
        let read = end.poll_read_buf(cx, &mut scratch);
        if let Poll::Ready(Ok(1..)) = read {
            scratch = buffer.receive(scratch);
        }
        SCRATCH.set(scratch);
        let read = ready!(read);
        if !matches!(read, Ok(1..)) {
            self.end = None;
        }
        Poll::Ready(match read {
            Ok(0) => Filled::End,
            Ok(_) => Filled::More,
            Err(error) => Filled::Failed(crate::exceptions::io_exception(error)),
        })
    }

    pub(super) fn ended(self, exception: Exception) -> Ended {
        Ended {
            exception,
            source: self,
        }
    }
}

impl Drop for Source {
    /// Where the side that writes is gone already, the connection ends here.
    fn drop(&mut self) {
        if let Some(end) = self.end.take()
            && self.outgoing.strong_count() == 0
        {
            end.let_go();
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
