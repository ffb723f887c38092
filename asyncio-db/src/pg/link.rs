//! A connection's session: where it is, and how an operation gets hold of it.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use asyncio_core::Result;
use socket2::Socket;
use tokio::runtime::Handle;

use super::config::Address;
use super::errors;
use super::execute::tag_of;
use super::notices::Notices;
use super::operation::Operation;
use super::protocol::{Backend, IDLE, Session, Wire};
use super::recovery::{self, Handover, Interrupt, Orders, Undo};
use super::target::Target;
use crate::exc;
use crate::exceptions::PgError;

/// A connection's hold on its session.
#[derive(Debug)]
pub(crate) struct Link {
    place: Place,
    shared: Arc<Shared>,
    /// What the server had said last when the operation before began.
    status: u8,
    /// So many operations have begun.
    operations: u64,
    /// What the server has said of statements that were prepared.
    outdated: Option<Outdated>,
}

/// Why statements that were prepared are of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outdated {
    /// They were planned for tables that have changed since.
    Plans,
    /// The server does not know their names, or knows them as those of others.
    Names,
}

/// What does not change about a session.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) target: Arc<Target>,
    pub(crate) address: Address,
    pub(crate) encrypted: bool,
    pub(crate) backend: Backend,
    pub(crate) version: ServerVersion,
    pub(crate) runtime: Handle,
    pub(crate) cancel_timeout: Duration,
    pub(crate) notices: Arc<Notices>,
}

/// Which version of PostgreSQL a server is (`asyncpg.types.ServerVersion`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ServerVersion {
    /// The version proper: 17 of 17.2.
    pub major: u32,
    /// The number of its correction: 2 of 17.2.
    pub minor: u32,
}

impl ServerVersion {
    fn of(wire: &Wire) -> Self {
        let told = wire.parameters().get("server_version");
        let mut numbers = told
            .map_or("", String::as_str)
            .split(|it: char| !it.is_ascii_digit())
            .map(|number| number.parse().unwrap_or(0));
        Self {
            major: numbers.next().unwrap_or(0),
            minor: numbers.next().unwrap_or(0),
        }
    }
}

/// Where the session is: in one place only, so that nobody else can use it meanwhile.
#[derive(Debug)]
enum Place {
    Here(Box<Wire>),
    Recovering(Arc<Handover>),
    Gone,
}

impl Link {
    pub(crate) fn new(
        session: Session,
        target: Arc<Target>,
        notices: Arc<Notices>,
        runtime: Handle,
        cancel_timeout: Duration,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                target,
                address: session.address,
                encrypted: session.encrypted,
                backend: session.wire.backend(),
                version: ServerVersion::of(&session.wire),
                runtime,
                cancel_timeout,
                notices,
            }),
            status: session.wire.status(),
            place: Place::Here(Box::new(session.wire)),
            operations: 0,
            outdated: None,
        }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The session, where it is at hand.
    pub(crate) fn wire(&self) -> Option<&Wire> {
        match &self.place {
            Place::Here(wire) => Some(wire),
            Place::Recovering(_) | Place::Gone => None,
        }
    }

    pub(super) fn wire_mut(&mut self) -> Option<&mut Wire> {
        match &mut self.place {
            Place::Here(wire) => Some(wire),
            Place::Recovering(_) | Place::Gone => None,
        }
    }

    /// Its socket once more, by which somebody else can end it; none where that cannot be had.
    pub(crate) fn socket(&self) -> Option<Socket> {
        self.wire()?.socket().ok()
    }

    /// What the server has said last: idle, in a transaction, in one that has failed.
    pub(crate) fn status(&self) -> u8 {
        self.wire().map_or(self.status, Wire::status)
    }

    /// Whether nothing can be done with it any more, as far as it is known.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.place {
            Place::Here(wire) => wire.is_broken(),
            Place::Recovering(handover) => handover.is_lost(),
            Place::Gone => true,
        }
    }

    /// Waits until what was left in the middle has been put right.
    ///
    /// # Errors
    ///
    /// When the task is cancelled, and when there is no session any more.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        if self.wire().is_some_and(|wire| !wire.is_clean()) {
            // An operation was forgotten: nothing was said when it went.
            self.recover(Orders {
                before: self.status,
                interrupt: Interrupt::Cancel,
                atomic: true,
                undo: Vec::new(),
            });
        }
        if let Place::Recovering(handover) = &self.place {
            handover.wait().await?;
            let wire = handover.take().flatten();
            self.place = wire.map_or(Place::Gone, Place::Here);
        }
        if self.is_closed() {
            return Err(errors::connection_closed());
        }
        Ok(())
    }

    /// Begins an operation, once the one before is over.
    ///
    /// # Errors
    ///
    /// As of [`settle`](Self::settle).
    pub(crate) async fn begin(&mut self) -> Result<Operation<'_>> {
        self.settle().await?;
        self.status = self.status();
        self.operations += 1;
        Operation::new(self)
    }

    /// An operation has gone. What is outstanding, or was to be put right, is put right by a task of its
    /// own.
    pub(super) fn leave(&mut self, orders: Orders) {
        match &self.place {
            Place::Here(wire) if wire.is_clean() && orders.undo.is_empty() => self.watch(),
            Place::Here(_) => self.recover(orders),
            Place::Recovering(_) | Place::Gone => {}
        }
    }

    /// Where somebody listens, the session is read while nothing is asked, by a task of its own.
    pub(crate) fn watch(&mut self) {
        if !self.shared.notices.is_watched() || !self.wire().is_some_and(Wire::is_clean) {
            return;
        }
        self.status = self.status();
        self.recover(Orders {
            before: self.status,
            interrupt: Interrupt::Wait,
            atomic: false,
            undo: Vec::new(),
        });
    }

    fn recover(&mut self, orders: Orders) {
        match std::mem::replace(&mut self.place, Place::Gone) {
            Place::Here(wire) if wire.is_broken() => {}
            Place::Here(wire) => {
                let handover = recovery::begin(&self.shared, wire, orders);
                self.place = Place::Recovering(handover);
            }
            place => self.place = place,
        }
    }

    /// Has something put right, as soon as that is possible, by a task of its own.
    pub(crate) fn undo(&mut self, undo: Undo) {
        let place = std::mem::replace(&mut self.place, Place::Gone);
        let (wire, undo) = match place {
            // Without a transaction there is nothing to be undone.
            Place::Here(wire) if wire.is_clean() && wire.status() == IDLE => {
                self.place = Place::Here(wire);
                return;
            }
            Place::Here(wire) if !wire.is_broken() => (wire, undo),
            Place::Recovering(handover) => match handover.add(undo) {
                Ok(()) => {
                    self.place = Place::Recovering(handover);
                    return;
                }
                Err(undo) => match handover.take().flatten() {
                    Some(wire) => (wire, undo),
                    None => return,
                },
            },
            Place::Here(_) | Place::Gone => return,
        };
        let orders = Orders {
            // It is inside of a transaction; what becomes of that is said by what is to be undone.
            before: wire.status(),
            interrupt: Interrupt::Cancel,
            atomic: false,
            undo: vec![undo],
        };
        self.place = Place::Recovering(recovery::begin(&self.shared, wire, orders));
    }

    /// Ends the session, at once.
    pub(crate) fn terminate(&mut self) {
        match std::mem::replace(&mut self.place, Place::Gone) {
            Place::Here(wire) => wire.terminate(),
            Place::Recovering(handover) => handover.abandon(),
            Place::Gone => {}
        }
        self.status = IDLE;
    }

    /// Looks whether an error says that statements are outdated.
    pub(super) fn note(&mut self, error: &PgError) {
        if error.is::<exc::InvalidCachedStatementError>() {
            self.outdated = Some(Outdated::Plans);
        } else if matches!(error.sqlstate(), "26000" | "42P05") {
            self.outdated = Some(Outdated::Names);
        }
    }

    /// Why statements are outdated, if they are; said once.
    pub(super) const fn take_outdated(&mut self) -> Option<Outdated> {
        self.outdated.take()
    }

    pub(super) const fn is_outdated(&self) -> bool {
        self.outdated.is_some()
    }

    /// So many operations have begun.
    pub(crate) const fn operations(&self) -> u64 {
        self.operations
    }

    /// Whether nothing is outstanding, and no transaction is open.
    pub(crate) fn is_ready(&self) -> bool {
        self.wire()
            .is_some_and(|wire| wire.is_clean() && wire.status() == IDLE)
    }

    /// Whether the session is ready and, as far as can be told without waiting, has not ended. After a
    /// pause the socket itself is asked: the runtime may not have heard of it yet.
    pub(crate) fn is_fit(&mut self, after_pause: bool) -> bool {
        if !self.is_ready() {
            return false;
        }
        let mut context = Context::from_waker(Waker::noop());
        self.wire_mut().is_some_and(|wire| {
            // Nobody has asked for anything, so that the server has nothing to say but good-bye.
            wire.poll_incoming(&mut context).is_pending() && !(after_pause && wire.is_over())
        })
    }

    /// Sends a script whose answer nobody waits for; false where that cannot be done at once.
    pub(crate) fn send_unheard(&mut self, script: &str) -> bool {
        let Some(wire) = self.wire_mut() else {
            return false;
        };
        if wire.query(script).is_err() {
            return false;
        }
        wire.disown();
        let mut context = Context::from_waker(Waker::noop());
        matches!(wire.poll_write_out(&mut context), Poll::Ready(Ok(())))
    }

    /// Waits until what was left has been put right, ends a transaction that is open, and runs a script.
    ///
    /// # Errors
    ///
    /// When the session cannot be used any more.
    pub(crate) async fn put_right(&mut self, script: Option<&str>) -> Result<()> {
        self.settle().await?;
        let time = self.shared.cancel_timeout;
        let putting = async {
            let mut operation = self.begin().await?;
            if operation.is_in_transaction() {
                tag_of(&mut operation, "ROLLBACK").await?;
            }
            if let Some(script) = script {
                tag_of(&mut operation, script).await?;
            }
            Ok(())
        };
        match tokio::time::timeout(time, putting).await {
            Ok(put) => put,
            Err(_) => Err(errors::connection_closed()),
        }
    }
}
