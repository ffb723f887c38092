//! One exchange with the server, from the first message to the last answer.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use asyncio_core::{FutureExt, Result};
use postgres_protocol::message::backend::Message;

use super::errors;
use super::link::{Link, Outdated};
use super::protocol::{IDLE, Incoming, Passing, Wire};
use super::recovery::{Interrupt, Orders, Undo};
use crate::exceptions::PgError;

/// Who has it has the session.
///
/// It may go at any moment, because its future is dropped or because an error, a cancellation for one,
/// has ended what it was for: whatever is outstanding then is put right by a task of its own.
#[derive(Debug)]
pub(crate) struct Operation<'a> {
    link: &'a mut Link,
    before: u8,
    interrupt: Interrupt,
    atomic: bool,
    undo: Vec<Undo>,
    /// The query that it is about.
    about: Option<Arc<str>>,
    named: bool,
}

impl<'a> Operation<'a> {
    pub(super) fn new(link: &'a mut Link) -> Result<Self> {
        let before = link.wire().ok_or_else(errors::connection_closed)?.status();
        Ok(Self {
            link,
            before,
            interrupt: Interrupt::Cancel,
            atomic: false,
            undo: Vec::new(),
            about: None,
            named: false,
        })
    }

    /// Errors are about this query from here on, which the server knows by a name or is about to.
    pub(crate) fn about(&mut self, query: &Arc<str>, named: bool) {
        self.about = Some(Arc::clone(query));
        self.named = named;
    }

    pub(crate) fn wire(&mut self) -> Result<&mut Wire> {
        self.link.wire_mut().ok_or_else(errors::connection_closed)
    }

    /// What the server had said last before it began.
    pub(crate) const fn before(&self) -> u8 {
        self.before
    }

    pub(crate) const fn is_in_transaction(&self) -> bool {
        self.before != IDLE
    }

    /// Why statements that were prepared are outdated, if they are; said once.
    pub(crate) const fn take_outdated(&mut self) -> Option<Outdated> {
        self.link.take_outdated()
    }

    /// Whether what went wrong may go well when it is tried once more: statements were outdated, and there
    /// is no transaction that has failed for that.
    pub(crate) const fn may_be_tried_again(&self) -> bool {
        self.link.is_outdated() && !self.is_in_transaction()
    }

    /// It is too late to stop it from here on.
    pub(crate) const fn do_not_interrupt(&mut self) {
        self.interrupt = Interrupt::Wait;
    }

    /// What is said from here to the next Sync counts as a whole or not at all.
    pub(crate) const fn atomic(&mut self) {
        self.atomic = true;
    }

    /// To be put right when it is left in the middle.
    pub(crate) fn undo(&mut self, undo: Undo) {
        self.undo.push(undo);
    }

    /// What was to be put right has become somebody else's.
    pub(crate) fn settled(&mut self) {
        self.undo.clear();
    }

    /// The next that the server says.
    ///
    /// # Errors
    ///
    /// When the session ends, and when the task is cancelled.
    pub(crate) async fn incoming(&mut self) -> Result<Incoming> {
        let wire = self.wire()?;
        poll_fn(|cx| wire.poll_incoming(cx)).cancellable().await?
    }

    /// Hears all that is owed. What went wrong first is the outcome; all else is passed on, but for messages
    /// that only say that something went well.
    ///
    /// # Errors
    ///
    /// As of [`incoming`](Self::incoming); what the server says that went wrong; what the function ends
    /// with.
    pub(crate) async fn until_ready(
        &mut self,
        mut hear: impl FnMut(Incoming) -> Result<()>,
    ) -> Result<()> {
        self.wire()?.pass(Passing::Assent);
        let mut outcome = Ok(());
        // One wait for all of it: most of it comes at once.
        poll_fn(|cx| self.poll_ready(cx, &mut outcome, &mut hear))
            .cancellable()
            .await??;
        outcome
    }

    fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
        outcome: &mut Result<()>,
        hear: &mut impl FnMut(Incoming) -> Result<()>,
    ) -> Poll<Result<()>> {
        loop {
            let incoming = ready!(self.wire()?.poll_incoming(cx))?;
            match self.sort(incoming)? {
                Sorted::Ready => return Poll::Ready(Ok(())),
                Sorted::Failed(error) => {
                    if outcome.is_ok() {
                        *outcome = Err(error.into());
                    }
                }
                Sorted::Nothing => {}
                Sorted::Something(incoming) => {
                    if outcome.is_ok() {
                        *outcome = hear(incoming);
                    }
                }
            }
        }
    }

    /// The next that the server says, while there is more to be written than this.
    ///
    /// # Errors
    ///
    /// As of [`incoming`](Self::incoming).
    pub(crate) async fn incoming_or_room(&mut self, room: usize) -> Result<Option<Incoming>> {
        let wire = self.wire()?;
        poll_fn(|cx| wire.poll_incoming_or_room(cx, room))
            .cancellable()
            .await?
    }

    /// Hears what comes until no more than so much is to be written.
    ///
    /// # Errors
    ///
    /// As of [`until_ready`](Self::until_ready).
    pub(crate) async fn until_room(
        &mut self,
        room: usize,
        mut hear: impl FnMut(Sorted) -> Result<()>,
    ) -> Result<()> {
        poll_fn(|cx| {
            while let Some(incoming) = ready!(self.wire()?.poll_incoming_or_room(cx, room))? {
                hear(self.sort(incoming)?)?;
            }
            Poll::Ready(Ok(()))
        })
        .cancellable()
        .await?
    }

    /// What every exchange has to look at.
    pub(crate) fn sort(&mut self, incoming: Incoming) -> Result<Sorted> {
        let owed = self.wire()?.owed();
        Ok(match incoming {
            Incoming::Message(Message::ReadyForQuery(_)) if owed == 0 => Sorted::Ready,
            Incoming::Message(Message::ReadyForQuery(_) | Message::CloseComplete) => {
                Sorted::Nothing
            }
            Incoming::Message(Message::ErrorResponse(body)) => Sorted::Failed({
                let error = errors::server_error(body.fields());
                if self.named {
                    self.link.note(&error);
                }
                match &self.about {
                    Some(query) => error.with_query(query),
                    None => error,
                }
            }),
            Incoming::Message(Message::CopyInResponse(_)) => {
                self.wire()?.refuse_copy();
                Sorted::Nothing
            }
            Incoming::Message(Message::CopyOutResponse(_) | Message::CopyDone) => Sorted::Nothing,
            incoming => Sorted::Something(incoming),
        })
    }
}

/// What a message means for the exchange that it belongs to.
pub(crate) enum Sorted {
    /// It is over.
    Ready,
    Failed(PgError),
    /// Of no interest.
    Nothing,
    Something(Incoming),
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        self.link.leave(Orders {
            before: self.before,
            interrupt: self.interrupt,
            atomic: self.atomic,
            undo: std::mem::take(&mut self.undo),
        });
    }
}
