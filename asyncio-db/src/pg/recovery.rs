//! What happens to a session whose user has gone in the middle of an operation.
//!
//! A task is cancelled, or a future dropped: either way an [`Operation`](super::operation::Operation)
//! goes while something is outstanding, and hands its session to a task of its own. That task asks the
//! server to stop, waits until no signal can be under way any more, hears all that was still to be said,
//! ends what transaction the operation has begun, and puts the session where its next user waits for it.
//! A session that does not get there in time is closed.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use asyncio_core::{CancelledError, Result};
use asyncio_sync::Event;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::link::Shared;
use super::protocol::{self, IDLE, Incoming, Wire};

/// What is to be done about an operation that was left in the middle.
#[derive(Debug)]
pub(crate) struct Orders {
    /// The state of the session when the operation began.
    pub(crate) before: u8,
    pub(crate) interrupt: Interrupt,
    /// A group of messages that lacks its end must not count.
    pub(crate) atomic: bool,
    pub(crate) undo: Vec<Undo>,
}

/// What becomes of the statement under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The server is asked to stop it.
    Cancel,
    /// It is too late to stop it: a COMMIT.
    Wait,
}

/// What else is to be put right afterwards.
#[derive(Debug)]
pub(crate) enum Undo {
    /// The transaction under way, if there is one.
    Transaction,
    /// All behind this savepoint, and the savepoint.
    Savepoint(String),
    /// A statement that may have been prepared.
    Statement(String),
}

/// A session on its way from one user to the next.
#[derive(Debug)]
pub(crate) struct Handover {
    state: Mutex<State>,
    done: Event,
    /// Something is wanted of who only watches the session.
    disturbed: Event,
}

#[derive(Debug)]
struct State {
    undo: VecDeque<Undo>,
    phase: Phase,
    /// Its next user waits for it.
    wanted: bool,
    /// Nobody will come for it.
    abandoned: bool,
}

#[derive(Debug)]
enum Phase {
    UnderWay,
    /// `None` for a session that was given up.
    Over(Option<Box<Wire>>),
}

/// The server may not have begun by the time it is asked to stop, and then it is asked again after so
/// long; then after twice the time, and so on.
const FIRST_PATIENCE: Duration = Duration::from_millis(5);
const LONGEST_PATIENCE: Duration = Duration::from_millis(500);

/// Starts the recovery of a session.
pub(crate) fn begin(shared: &Arc<Shared>, wire: Box<Wire>, orders: Orders) -> Arc<Handover> {
    let handover = Arc::new(Handover {
        state: Mutex::new(State {
            undo: orders.undo.into(),
            phase: Phase::UnderWay,
            wanted: false,
            abandoned: false,
        }),
        done: Event::new(),
        disturbed: Event::new(),
    });
    let end = End {
        handover: Arc::clone(&handover),
    };
    let recovery = Recovery {
        shared: Arc::clone(shared),
        before: orders.before,
        interrupt: orders.interrupt,
        atomic: orders.atomic,
    };
    // Where the runtime is gone the future is dropped, and the session with it.
    drop(shared.runtime.spawn(recovery.run(wire, end)));
    handover
}

impl Handover {
    /// Waits until it is over.
    ///
    /// # Errors
    ///
    /// [`CancelledError`] when the task is cancelled meanwhile; the recovery goes on.
    pub(crate) async fn wait(&self) -> Result<(), CancelledError> {
        self.lock().wanted = true;
        self.disturbed.set();
        self.done.wait().await
    }

    /// Takes the session when it is over; one that was given up is none.
    pub(crate) fn take(&self) -> Option<Option<Box<Wire>>> {
        match &mut self.lock().phase {
            Phase::UnderWay => None,
            Phase::Over(wire) => Some(wire.take()),
        }
    }

    /// Has something more put right.
    ///
    /// # Errors
    ///
    /// When it is over already.
    pub(crate) fn add(&self, undo: Undo) -> Result<(), Undo> {
        let mut state = self.lock();
        match state.phase {
            Phase::UnderWay => {
                state.undo.push_back(undo);
                drop(state);
                self.disturbed.set();
                Ok(())
            }
            Phase::Over(_) => Err(undo),
        }
    }

    /// Nobody will come for the session: it ends when nothing is left to be put right.
    pub(crate) fn abandon(&self) {
        let over = {
            let mut state = self.lock();
            state.abandoned = true;
            match &mut state.phase {
                Phase::UnderWay => None,
                Phase::Over(wire) => wire.take(),
            }
        };
        self.disturbed.set();
        if let Some(wire) = over {
            wire.terminate();
        }
    }

    /// Whether the session was given up.
    pub(crate) fn is_lost(&self) -> bool {
        match &self.lock().phase {
            Phase::UnderWay => false,
            Phase::Over(wire) => wire.as_ref().is_none_or(|wire| wire.is_broken()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a recovery is over, however that comes about.
struct End {
    handover: Arc<Handover>,
}

impl End {
    /// What is to be done next, and the session back; where there is nothing more it is handed over.
    fn next(&self, wire: Box<Wire>, watched: bool) -> Option<(Next, Box<Wire>)> {
        // Before anything is looked at, so that what comes afterwards is noticed.
        self.handover.disturbed.clear();
        let mut state = self.handover.lock();
        if let Some(undo) = state.undo.pop_front() {
            return Some((Next::Undo(undo), wire));
        }
        if state.abandoned {
            drop(state);
            wire.terminate();
        } else if watched && !state.wanted {
            return Some((Next::Watch, wire));
        } else {
            state.phase = Phase::Over(Some(wire));
        }
        None
    }
}

/// What a recovery does next.
enum Next {
    Undo(Undo),
    /// Somebody listens, so that the session is read until somebody wants it.
    Watch,
}

impl Drop for End {
    fn drop(&mut self) {
        {
            let mut state = self.handover.lock();
            if matches!(state.phase, Phase::UnderWay) {
                state.phase = Phase::Over(None);
            }
        }
        self.handover.done.set();
    }
}

struct Recovery {
    shared: Arc<Shared>,
    before: u8,
    interrupt: Interrupt,
    atomic: bool,
}

impl Recovery {
    async fn run(self, mut wire: Box<Wire>, end: End) {
        let time = self.shared.cancel_timeout;
        let settled = tokio::time::timeout(time, self.settle(&mut wire)).await;
        if !matches!(settled, Ok(Ok(()))) {
            return;
        }
        while let Some((next, back)) = end.next(wire, self.shared.notices.is_watched()) {
            wire = back;
            let done = match next {
                Next::Undo(undo) => {
                    let undone = tokio::time::timeout(time, undo.carry_out(&mut wire)).await;
                    matches!(undone, Ok(Ok(())))
                }
                Next::Watch => watch(&mut wire, &end.handover).await.is_ok(),
            };
            if !done {
                return;
            }
        }
    }

    /// Has the operation end, and what transaction it has begun.
    async fn settle(&self, wire: &mut Wire) -> Result<()> {
        if wire.is_unsynced() {
            if self.atomic {
                abandon_group(wire, self.before)?;
            }
            wire.sync();
        }
        if wire.is_copying() {
            // Between two rows the server does not notice that it is to stop.
            wire.refuse_copy();
            if let Ok(drained) = tokio::time::timeout(FIRST_PATIENCE, drain(wire)).await {
                drained?;
            }
        }
        // All that is owed may have come already.
        if now(|cx| poll_drain(wire, cx)).transpose()?.is_none() {
            match self.interrupt {
                Interrupt::Wait => drain(wire).await?,
                Interrupt::Cancel => self.stop(wire).await?,
            }
        }
        if self.before == IDLE && wire.status() != IDLE {
            simple(wire, "ROLLBACK").await?;
        }
        Ok(())
    }

    /// Asks the server to stop until it has.
    async fn stop(&self, wire: &mut Wire) -> Result<()> {
        let shared = &self.shared;
        // What nobody waits for, the reset of a pool, is not to be stopped.
        poll_fn(|cx| poll_unheard(wire, cx)).await?;
        let mut patience = FIRST_PATIENCE;
        loop {
            protocol::interrupt(
                &shared.target,
                &shared.address,
                shared.encrypted,
                wire.backend(),
            )
            .await?;
            match tokio::time::timeout(patience, drain(wire)).await {
                Ok(drained) => return drained,
                // What was to be stopped had not begun; or there is more than one statement.
                Err(_) => patience = (patience * 2).min(LONGEST_PATIENCE),
            }
        }
    }
}

impl Undo {
    async fn carry_out(&self, wire: &mut Wire) -> Result<()> {
        match self {
            Self::Transaction if wire.status() == IDLE => Ok(()),
            Self::Transaction => simple(wire, "ROLLBACK").await,
            // Without a transaction there are no savepoints.
            Self::Savepoint(_) if wire.status() == IDLE => Ok(()),
            Self::Savepoint(name) => {
                // One that was not set is no mistake of anybody's; but it leaves the transaction failed,
                // which is what its user has to hear of a savepoint that was lost.
                let text = format!("ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}");
                simple(wire, &text).await
            }
            Self::Statement(name) => {
                wire.extended(|out| frontend::close(b'S', name, out))?;
                wire.sync();
                drain(wire).await
            }
        }
    }
}

/// Reads what is said unasked, until the session is wanted.
async fn watch(wire: &mut Wire, handover: &Handover) -> Result<()> {
    let mut disturbed = pin!(handover.disturbed.wait());
    poll_fn(|cx| {
        loop {
            if disturbed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            // All that can be said unasked goes to who listens.
            ready!(wire.poll_incoming(cx))?;
        }
    })
    .await
}

/// Makes a group of messages without effect: its end has not been said, so that all before it is one
/// transaction.
///
/// # Errors
///
/// None: the text is ours.
pub(crate) fn abandon_group(wire: &mut Wire, before: u8) -> Result<()> {
    // Where the group is a transaction of its own, this ends it, and is passed over where it has failed
    // already. In a transaction of somebody else's, which cannot be ended here, what is half done must
    // not be committed: a savepoint that does not exist has it fail.
    let text = if before == IDLE {
        "ROLLBACK"
    } else {
        "ROLLBACK TO SAVEPOINT asyncio_was_cancelled_in_the_middle"
    };
    wire.extended(|out| {
        frontend::parse("", text, [], out)?;
        let bound = frontend::bind("", "", [], [], |(): (), _| unreachable!(), [], out);
        bound.map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
        frontend::execute("", 0, out)
    })
}

async fn simple(wire: &mut Wire, text: &str) -> Result<()> {
    wire.query(text)?;
    drain(wire).await
}

async fn drain(wire: &mut Wire) -> Result<()> {
    poll_fn(|cx| poll_drain(wire, cx)).await
}

/// Hears all that is owed, and keeps nothing of it.
fn poll_drain(wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Result<()>> {
    while !wire.is_clean() {
        match ready!(wire.poll_incoming(cx))? {
            Incoming::Message(Message::CopyInResponse(_)) => wire.refuse_copy(),
            Incoming::Message(_) | Incoming::Rows(_) | Incoming::Copied(_) => {}
        }
    }
    Poll::Ready(Ok(()))
}

/// Waits until all that is under way is somebody's.
fn poll_unheard(wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Result<()>> {
    while wire.is_unheard() {
        let heard = wire.poll_incoming(cx);
        if wire.is_unheard() {
            ready!(heard)?;
        }
    }
    Poll::Ready(Ok(()))
}

/// Polls once, and wakes nobody.
fn now<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    match poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
