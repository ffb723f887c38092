//! What a task is waiting for: one slot for each of its waits.
//!
//! A wait (an awaited future, a sleep, a place in a queue) holds a [`SlotId`] and the slot holds what
//! cancellation and completion need. Nothing points into a user's future, so a wait may be dropped
//! anywhere and at any time, and a late wake finds a slot that has moved on.

use std::task::Waker;

use super::callbacks::Token;
use super::refs::CellRef;
use crate::exceptions::Message;

/// Names one wait of a task; stale once the wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId {
    index: u32,
    generation: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    Free,
    Pending,
    /// What was waited for is there; the task's step is on its way.
    Woken,
    /// The wait itself was cancelled, as the future of a sleep is.
    Cancelled,
    /// The task is to raise CancelledError here, whatever else has happened.
    Thrown,
}

#[derive(Default)]
pub(crate) struct Slot {
    generation: u32,
    pub(crate) state: State,
    /// The awaited future, with the token of our callback there.
    pub(crate) target: Option<(CellRef, Token)>,
    /// Who polls this wait, where that is not the task itself (`FuturesUnordered` and its like).
    pub(crate) waker: Option<Waker>,
    pub(crate) message: Message,
}

/// The waits of one task: nearly always none or one.
#[derive(Default)]
pub(crate) struct Waits {
    first: Slot,
    more: Option<Box<More>>,
}

#[derive(Default)]
struct More {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Waits {
    /// Begins a wait.
    pub(crate) fn begin(&mut self, waker: Option<Waker>) -> SlotId {
        if self.first.state == State::Free {
            return self.first.begin(0, waker);
        }
        let more = self.more.get_or_insert_default();
        let at = more.free.pop().unwrap_or_else(|| {
            more.slots.push(Slot::default());
            u32::try_from(more.slots.len() - 1).unwrap_or(u32::MAX)
        });
        more.slots[at as usize].begin(at + 1, waker)
    }

    pub(crate) fn get(&mut self, id: SlotId) -> Option<&mut Slot> {
        let slot = match id.index {
            0 => &mut self.first,
            index => self.more.as_mut()?.slots.get_mut(index as usize - 1)?,
        };
        (slot.generation == id.generation && slot.state != State::Free).then_some(slot)
    }

    /// Ends a wait and returns what its slot held.
    pub(crate) fn end(&mut self, id: SlotId) -> Option<Slot> {
        let slot = self.get(id)?;
        let generation = slot.generation.wrapping_add(1);
        let ended = std::mem::replace(
            slot,
            Slot {
                generation,
                ..Slot::default()
            },
        );
        if id.index != 0
            && let Some(more) = &mut self.more
        {
            more.free.push(id.index - 1);
        }
        Some(ended)
    }

    /// The waits under way, oldest slot first.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        let more = self.more.iter_mut().flat_map(|more| more.slots.iter_mut());
        std::iter::once(&mut self.first)
            .chain(more)
            .filter(|slot| slot.state != State::Free)
    }
}

impl Slot {
    fn begin(&mut self, index: u32, waker: Option<Waker>) -> SlotId {
        self.state = State::Pending;
        self.waker = waker;
        SlotId {
            index,
            generation: self.generation,
        }
    }
}
