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

impl SlotId {
    /// The name of no wait.
    pub(crate) const NONE: Self = Self {
        index: u32::MAX,
        generation: u32::MAX,
    };
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
    /// Somebody has ended the wait, whatever the task is to raise here.
    pub(crate) woken: bool,
    /// A request to cancel has gone on to the awaited future.
    pub(crate) asked: bool,
    /// The awaited future.
    pub(crate) target: Option<CellRef>,
    /// The token of our callback there, once it is known.
    pub(crate) token: Token,
    pub(crate) message: Message,
}

/// The waits of one task: nearly always none or one.
#[derive(Default)]
pub(crate) struct Waits {
    /// The wait that the task's own waker polls.
    first: Slot,
    more: Option<Box<More>>,
}

/// All other waits.
#[derive(Default)]
struct More {
    slots: Vec<Slot>,
    /// Who polls each of them, where that is not the task itself (`FuturesUnordered` and its like).
    wakers: Vec<Option<Waker>>,
    free: Vec<u32>,
    /// Who polls the first wait, where that is no longer the task itself.
    first_waker: Option<Waker>,
}

impl Waits {
    /// Begins a wait.
    #[inline(always)]
    pub(crate) fn begin(&mut self, waker: Option<Waker>, target: Option<CellRef>) -> SlotId {
        if waker.is_none() && self.first.state == State::Free {
            return self.first.begin(0, target);
        }
        self.begin_another(waker, target)
    }

    #[cold]
    fn begin_another(&mut self, waker: Option<Waker>, target: Option<CellRef>) -> SlotId {
        let more = self.more.get_or_insert_default();
        let at = more.free.pop().unwrap_or_else(|| {
            more.slots.push(Slot::default());
            more.wakers.push(None);
            u32::try_from(more.slots.len() - 1).unwrap_or(u32::MAX)
        });
        more.wakers[at as usize] = waker;
        more.slots[at as usize].begin(at + 1, target)
    }

    #[inline]
    pub(crate) fn get(&mut self, id: SlotId) -> Option<&mut Slot> {
        let slot = match id.index {
            0 => &mut self.first,
            index => self.more.as_mut()?.slots.get_mut(index as usize - 1)?,
        };
        (slot.generation == id.generation && slot.state != State::Free).then_some(slot)
    }

    #[inline]
    pub(crate) fn state(&mut self, id: SlotId) -> State {
        self.get(id).map_or(State::Free, |slot| slot.state)
    }

    /// Who polls a wait, where that is not the task itself.
    pub(crate) fn waker(&mut self, id: SlotId) -> Option<&mut Option<Waker>> {
        self.get(id)?;
        let more = self.more.as_mut()?;
        match id.index as usize {
            0 => Some(&mut more.first_waker),
            index => more.wakers.get_mut(index - 1),
        }
    }

    /// Has another than the task itself woken for a wait, and hands back who was before.
    pub(crate) fn place_waker(&mut self, id: SlotId, waker: &mut Option<Waker>) {
        if self.get(id).is_some() {
            self.more.get_or_insert_default();
            if let Some(place) = self.waker(id) {
                std::mem::swap(place, waker);
            }
        }
    }

    /// Ends a wait and moves what its slot held to `ended`.
    #[inline(always)]
    pub(crate) fn end(&mut self, id: SlotId, ended: &mut Ended) {
        let Some(slot) = self.get(id) else { return };
        ended.target = slot.target.take();
        ended.token = slot.token;
        ended.asked = slot.asked && slot.state == State::Pending;
        ended.woken = slot.woken;
        ended.message = slot.message.take();
        slot.state = State::Free;
        slot.generation = slot.generation.wrapping_add(1);
        if id.index != 0 || self.more.is_some() {
            self.end_another(id, ended);
        }
    }

    #[cold]
    fn end_another(&mut self, id: SlotId, ended: &mut Ended) {
        if let Some(more) = &mut self.more {
            match id.index.checked_sub(1) {
                None => ended.waker = more.first_waker.take(),
                Some(at) => {
                    ended.waker = more.wakers[at as usize].take();
                    more.free.push(at);
                }
            }
        }
    }

    /// The waits under way, oldest slot first, each with who polls it.
    pub(crate) fn for_each(&mut self, mut f: impl FnMut(&mut Slot, &mut Option<Waker>)) {
        if self.first.state != State::Free {
            let waker = self.more.as_mut().map(|more| &mut more.first_waker);
            f(&mut self.first, waker.unwrap_or(&mut None));
        }
        if let Some(more) = &mut self.more {
            for (slot, waker) in more.slots.iter_mut().zip(&mut more.wakers) {
                if slot.state != State::Free {
                    f(slot, waker);
                }
            }
        }
    }
}

/// What the slot of a wait held that is over; dropped outside of any change.
#[derive(Default)]
pub(crate) struct Ended {
    pub(crate) target: Option<CellRef>,
    pub(crate) token: Token,
    pub(crate) message: Message,
    /// The awaited future has been asked to end, and its end was not waited for.
    pub(crate) asked: bool,
    /// Somebody had ended the wait before.
    pub(crate) woken: bool,
    waker: Option<Waker>,
}

impl Slot {
    #[inline(always)]
    fn begin(&mut self, index: u32, target: Option<CellRef>) -> SlotId {
        self.state = State::Pending;
        self.woken = false;
        self.asked = false;
        self.target = target;
        self.token = Token::MAX;
        SlotId {
            index,
            generation: self.generation,
        }
    }
}
