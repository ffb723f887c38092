//! What a task is waiting for: one slot for each of its waits.
//!
//! A wait (an awaited future, a sleep, a place in a queue) holds a [`SlotId`] and the slot holds what
//! cancellation and completion need. Nothing points into a user's future, so a wait may be dropped
//! anywhere and at any time, and a late wake finds a slot that has moved on.
//!
//! All of it is for the cell's only user, within `CellRef::access`.

use std::task::Waker;

use super::callbacks::{FIRST, NO_TOKEN, Token};
use super::refs::CellRef;
use super::task::TaskHeader;
use crate::exceptions::Message;
use crate::pages::Pages;
use crate::primitives::Cell;

/// Names one wait of a task; stale once the wait is over. The slot's index is in the upper half, its
/// generation in the lower: one word, because it is moved about a lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId(u64);

impl SlotId {
    /// The name of no wait.
    pub(crate) const NONE: Self = Self(u64::MAX);

    #[inline(always)]
    fn new(index: u32, generation: u32) -> Self {
        Self(u64::from(index) << 32 | u64::from(generation))
    }

    #[inline(always)]
    const fn index(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline(always)]
    const fn generation(self) -> u32 {
        self.0 as u32
    }

    /// Whether it is that of the wait for which a task has room in its head.
    #[inline(always)]
    fn is_first(self, generation: u32) -> bool {
        self.0 == u64::from(generation)
    }
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

/// One wait of a task. Every task has room for one in its head, the wait that its own waker polls.
#[derive(Default)]
pub(crate) struct Slot {
    generation: Cell<u32>,
    pub(crate) state: Cell<State>,
    /// What there is to know beside the state; in one byte, because every idle task pays for it.
    marks: Cell<u8>,
    /// The awaited future.
    target: Cell<Option<CellRef>>,
    /// The token of our callback there, once it is known.
    token: Cell<Token>,
}

/// Somebody has ended the wait, whatever the task is to raise here.
const WOKEN: u8 = 1;
/// The step under way, or one before it, raises the CancelledError of a cancelled wait.
pub(super) const RAISED: u8 = 1 << 1;
/// The wait has something in an [`Extra`].
const HAS_EXTRA: u8 = 1 << 2;
/// A request to cancel has gone on to the awaited future.
pub(super) const ASKED: u8 = 1 << 3;
/// There is no awaited future.
const BARE: u8 = 1 << 4;

/// What few waits have.
#[derive(Default)]
pub(crate) struct Extra {
    /// Who polls the wait, where that is not the task itself (`FuturesUnordered` and its like).
    pub(crate) waker: Option<Waker>,
    /// The message of its cancellation.
    pub(crate) message: Message,
}

/// What few tasks have: more than one wait at a time, or one with an `Extra`.
#[derive(Default)]
pub(crate) struct More {
    others: Pages<Slot>,
    free: Vec<u32>,
    /// By the index of the wait, for as many as were needed.
    extras: Vec<Extra>,
}

impl More {
    fn extra(&mut self, index: u32) -> &mut Extra {
        let index = index as usize;
        if self.extras.len() <= index {
            self.extras.resize_with(index + 1, Extra::default);
        }
        &mut self.extras[index]
    }

    fn take_extra(&mut self, index: u32) -> Extra {
        self.extras
            .get_mut(index as usize)
            .map(std::mem::take)
            .unwrap_or_default()
    }
}

/// What the slot of a wait held that is over; dropped outside of any change.
#[derive(Default)]
pub(crate) struct Ended {
    pub(crate) target: Option<CellRef>,
    pub(crate) token: Token,
    /// The awaited future has been asked to end, and its end was not waited for.
    pub(crate) asked: bool,
    /// Somebody had ended the wait before.
    pub(crate) woken: bool,
    pub(crate) extra: Extra,
}

impl TaskHeader {
    /// Begins the wait of a task that has no other, on a future where nobody else waits.
    #[inline(always)]
    pub(super) fn begin_first(&self, target: impl FnOnce() -> CellRef) -> Option<SlotId> {
        if self.first.state.get() != State::Free {
            return None;
        }
        Some(self.first.begin(0, Some(target()), FIRST))
    }

    /// Begins the wait of a task that has no other, on no future.
    #[inline(always)]
    pub(crate) fn begin_bare(&self) -> Option<SlotId> {
        (self.first.state.get() == State::Free).then(|| self.first.begin(0, None, NO_TOKEN))
    }

    /// Ends a wait that was begun by `begin_bare` and was neither cancelled nor polled by another than
    /// the task; false where that is not so.
    #[inline(always)]
    pub(crate) fn end_bare(&self, id: SlotId) -> bool {
        let first = &self.first;
        let plain =
            id.index() == 0 && first.generation.get() == id.generation() && !first.has(HAS_EXTRA);
        if plain {
            first.end();
        }
        plain
    }

    /// Begins a wait.
    #[inline]
    pub(super) fn begin_wait(&self, waker: Option<Waker>, target: Option<CellRef>) -> SlotId {
        if waker.is_none() && self.first.state.get() == State::Free {
            return self.first.begin(0, target, NO_TOKEN);
        }
        self.begin_another(waker, target)
    }

    #[cold]
    fn begin_another(&self, waker: Option<Waker>, target: Option<CellRef>) -> SlotId {
        self.rest_or_new().waits.with(|more| {
            let at = more.free.pop().unwrap_or_else(|| {
                more.others.push(Default::default());
                u32::try_from(more.others.len() - 1).unwrap_or(u32::MAX)
            });
            let index = at + 1;
            let Some(slot) = more.others.get(at as usize) else {
                return SlotId::NONE;
            };
            let id = slot.begin(index, target, NO_TOKEN);
            if waker.is_some() {
                slot.mark(HAS_EXTRA);
                more.extra(index).waker = waker;
            }
            id
        })
    }

    /// Says under which token the wait's callback was added to its future.
    pub(super) fn set_token(&self, id: SlotId, token: Token) {
        self.with_slot(id, |slot| slot.token.set(token));
    }

    #[inline]
    pub(super) fn wait_state(&self, id: SlotId) -> State {
        self.with_slot(id, |slot| slot.state.get())
            .unwrap_or(State::Free)
    }

    /// Whether somebody has ended the wait, whatever the task is to raise there.
    pub(super) fn was_woken(&self, id: SlotId) -> bool {
        self.with_slot(id, |slot| slot.has(WOKEN)) == Some(true)
    }

    /// Whether the wait was cancelled, and no step has begun since then.
    pub(super) fn was_just_cancelled(&self, id: SlotId) -> bool {
        let just = |slot: &Slot| slot.state.get() == State::Cancelled && !slot.has(RAISED);
        self.with_slot(id, just) == Some(true)
    }

    /// Wakes a wait that the task itself polls; false where that is not so.
    #[inline(always)]
    pub(super) fn wake_first(&self, id: SlotId) -> bool {
        let first = &self.first;
        let plain = id.is_first(first.generation.get())
            && first.state.get() == State::Pending
            && !first.has(HAS_EXTRA);
        if plain {
            first.wake();
        }
        plain
    }

    /// Wakes a wait: who polls it, where that is not the task; `None` when it was over.
    pub(super) fn wake_wait(&self, id: SlotId) -> Option<Option<Waker>> {
        let pending = self.with_slot(id, |slot| {
            let pending = slot.state.get() == State::Pending;
            if pending {
                slot.wake();
            }
            pending
        });
        (pending == Some(true)).then(|| self.with_extra(id, |extra| extra.waker.take()).flatten())
    }

    /// Who polls a wait, if not the task: whether that is this one, where anybody is known.
    pub(super) fn is_polled_by(&self, id: SlotId, waker: &Waker) -> Option<bool> {
        self.with_extra(id, |extra| {
            let known = extra.waker.as_ref()?;
            Some(known.will_wake(waker))
        })
        .flatten()
    }

    /// Whether there is a place for who polls a wait.
    fn has_place(&self, id: SlotId) -> bool {
        self.with_slot(id, |slot| slot.has(HAS_EXTRA)) == Some(true)
    }

    /// Has another than before woken for a wait, and hands back who was.
    pub(super) fn place_waker(&self, id: SlotId, waker: &mut Option<Waker>) {
        let is_under_way = self.with_slot(id, |slot| slot.mark(HAS_EXTRA)).is_some();
        if is_under_way {
            self.rest_or_new();
            self.with_extra(id, |extra| std::mem::swap(&mut extra.waker, waker));
        }
    }

    /// Ends a wait whose future is done, which has told its slot and nothing else has; the reference
    /// to the future is the caller's.
    #[inline(always)]
    pub(super) fn end_first(&self, id: SlotId) -> Option<CellRef> {
        if self.end_woken(id) {
            self.first.target.take()
        } else {
            None
        }
    }

    /// Ends a wait for no future, if it has been woken and that is all.
    #[inline(always)]
    pub(super) fn end_woken(&self, id: SlotId) -> bool {
        let first = &self.first;
        let plain = id.is_first(first.generation.get())
            && first.state.get() == State::Woken
            && !first.has(HAS_EXTRA);
        if plain {
            first.end();
        }
        plain
    }

    /// Ends the wait in the task's head, if it is one for no future and has been woken: which it was. Who
    /// waits finds its slot free, and so that it was woken.
    #[inline]
    pub(super) fn end_if_woken(&self) -> SlotId {
        let id = SlotId::new(0, self.first.generation.get());
        if self.first.has(BARE) && self.end_woken(id) {
            id
        } else {
            SlotId::NONE
        }
    }

    /// Ends a wait.
    #[inline]
    pub(super) fn end_wait(&self, id: SlotId) -> Ended {
        let mut ended = Ended::default();
        let has_extra = self.with_slot(id, |slot| {
            ended.asked = slot.has(ASKED) && slot.state.get() == State::Pending;
            ended.woken = slot.has(WOKEN);
            slot.end();
            ended.target = slot.target.take();
            ended.token = slot.token.get();
            slot.has(HAS_EXTRA)
        });
        // Who waits and finds the slot of his wait free was woken, and it was ended for that.
        ended.woken |= has_extra.is_none();
        if let Some(has_extra) = has_extra
            && (has_extra || id.index() > 0)
        {
            self.with_more(|more| {
                if has_extra {
                    ended.extra = more.take_extra(id.index());
                }
                more.free.extend(id.index().checked_sub(1));
            });
        }
        ended
    }

    /// Shows a function the waits under way, oldest slot first, each with its extra.
    pub(super) fn each_wait(&self, mut function: impl FnMut(&Slot, &mut Extra)) {
        let mut show = |slot: &Slot, extra: &mut Extra| {
            function(slot, extra);
            let needed = extra.waker.is_some() || extra.message.is_some();
            let others = slot.marks.get() & !HAS_EXTRA;
            slot.marks.set(others | if needed { HAS_EXTRA } else { 0 });
            needed
        };
        if self.first.state.get() != State::Free {
            let mut extra = self
                .with_more(|more| more.take_extra(0))
                .unwrap_or_default();
            if show(&self.first, &mut extra) {
                self.rest_or_new().waits.with(|more| *more.extra(0) = extra);
            }
        }
        self.with_more(|more| {
            for index in 1..=u32::try_from(more.others.len()).unwrap_or(u32::MAX) {
                let mut extra = more.take_extra(index);
                let Some(slot) = more.others.get(index as usize - 1) else {
                    return;
                };
                if slot.state.get() != State::Free && show(slot, &mut extra) {
                    *more.extra(index) = extra;
                }
            }
        });
    }

    fn with_more<R>(&self, function: impl FnOnce(&mut More) -> R) -> Option<R> {
        self.rest().map(|rest| rest.waits.with(function))
    }

    #[inline]
    fn with_slot<R>(&self, id: SlotId, function: impl FnOnce(&Slot) -> R) -> Option<R> {
        let function = |slot: &Slot| slot.is(id).then(|| function(slot));
        match id.index().checked_sub(1) {
            None => function(&self.first),
            Some(at) => self
                .with_more(|more| function(more.others.get(at as usize)?))
                .flatten(),
        }
    }

    /// Runs a function on the extra of a wait that has one.
    fn with_extra<R>(&self, id: SlotId, function: impl FnOnce(&mut Extra) -> R) -> Option<R> {
        if !self.has_place(id) {
            return None;
        }
        self.with_more(|more| function(more.extra(id.index())))
    }
}

impl Slot {
    #[inline(always)]
    fn begin(&self, index: u32, target: Option<CellRef>, token: Token) -> SlotId {
        self.state.set(State::Pending);
        self.marks.set(if target.is_none() { BARE } else { 0 });
        let none = self.target.replace(target);
        debug_assert!(none.is_none(), "a wait that is over has left its future");
        // There is nothing to drop; said so, because finding out takes longer than the rest.
        std::mem::forget(none);
        self.token.set(token);
        SlotId::new(index, self.generation.get())
    }

    #[inline(always)]
    fn wake(&self) {
        self.state.set(State::Woken);
        self.mark(WOKEN);
    }

    #[inline(always)]
    fn end(&self) {
        self.state.set(State::Free);
        self.generation.set(self.generation.get().wrapping_add(1));
    }

    #[inline]
    fn is(&self, id: SlotId) -> bool {
        self.generation.get() == id.generation() && self.state.get() != State::Free
    }

    #[inline(always)]
    fn has(&self, mark: u8) -> bool {
        self.marks.get() & mark != 0
    }

    #[inline(always)]
    pub(super) fn mark(&self, mark: u8) {
        self.marks.set(self.marks.get() | mark);
    }

    /// The awaited future.
    pub(super) fn target(&self) -> Option<CellRef> {
        let target = self.target.take();
        self.target.set(target.clone());
        target
    }
}
