//! What is open on a connection on somebody's behalf, and is given up when that somebody goes.

use std::fmt;
use std::sync::Arc;

use super::worker::Queue;

/// A transaction, a savepoint or a cursor that is open on the thread. Whoever holds this holds it; the drop
/// has it ended before any other call, and waits for nothing.
pub(super) struct Lease {
    queue: Arc<Queue>,
    what: What,
    name: u64,
}

#[derive(Clone, Copy)]
enum What {
    Cursor,
    Transaction,
    /// It has ended in another way.
    Nothing,
}

impl Lease {
    pub(super) fn of_cursor(queue: &Arc<Queue>, name: u64) -> Self {
        Self::of(queue, What::Cursor, name)
    }

    pub(super) fn of_transaction(queue: &Arc<Queue>, name: u64) -> Self {
        Self::of(queue, What::Transaction, name)
    }

    fn of(queue: &Arc<Queue>, what: What, name: u64) -> Self {
        Self {
            queue: Arc::clone(queue),
            what,
            name,
        }
    }

    pub(super) const fn name(&self) -> u64 {
        self.name
    }

    /// There is nothing left to end.
    pub(super) fn has_ended(&mut self) {
        self.what = What::Nothing;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let name = self.name;
        match self.what {
            What::Cursor => self
                .queue
                .repair(Box::new(move |desk| desk.close_cursor(name))),
            What::Transaction => self.queue.repair(Box::new(move |desk| desk.abandon(name))),
            What::Nothing => {}
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.name).finish()
    }
}
