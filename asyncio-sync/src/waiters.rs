//! Who waits for a primitive, first come first served.
//!
//! A [`WaitList`] stands in the state of a primitive, under the primitive's own mutex. A task that
//! waits has a [`Place`] in it until it leaves, and the list knows for each whether it was woken: that
//! record, not what the waiting task can tell, decides who is owed what was handed over. A task that
//! waits by itself, on the loop that is running here, is woken on the spot. All other wake-ups are
//! collected in [`Wakes`] and carried out once the mutex is free again, because a wake may run a waker
//! that is somebody else's.
//!
//! [`Waiting`] is the future of all waits. A [`Request`] tells it what is waited for: how it is taken,
//! in which list one waits, and what is to be done when a wait is given up.

use std::mem::ManuallyDrop;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_core::CancelledError;
use asyncio_core::waiting::{Mutex, Untold, Waiter, Wakeup};

/// A first-in-first-out list of waits.
#[derive(Debug)]
pub(crate) struct WaitList {
    /// Linked by their numbers; the memory of those who left is used again.
    nodes: Vec<Node>,
    first: u32,
    last: u32,
    /// Nobody before this one still waits to be woken.
    waiting: u32,
    free: u32,
    len: usize,
}

/// A wait's number in its list, counted from 1. Given back by [`WaitList::leave`], and by nothing else.
#[derive(Debug)]
pub(crate) struct Place(NonZeroU32);

#[derive(Debug)]
struct Node {
    /// That of no wait once it is woken: whoever woke it has taken it.
    wakeup: Wakeup,
    /// `LEFT` for a wait that is not in line any more.
    previous: u32,
    next: u32,
}

/// Wakes to be carried out once the primitive's mutex is free.
///
/// It has no drop: nearly always there is nothing in it, and finding that out takes longer than the rest.
#[derive(Debug, Default)]
#[must_use = "nobody is woken unless the wakes are carried out"]
pub(crate) struct Wakes(ManuallyDrop<Collected>);

#[derive(Debug, Default)]
enum Collected {
    #[default]
    None,
    One(Wake),
    Many(Vec<Wake>),
}

#[derive(Debug)]
enum Wake {
    /// The wait has been ended already, and this is left.
    Untold(Untold),
    Whole(Wakeup),
}

/// Nobody's number.
const NOBODY: u32 = u32::MAX;
const LEFT: u32 = NOBODY - 1;

impl WaitList {
    pub(crate) const fn new() -> Self {
        Self {
            nodes: Vec::new(),
            first: NOBODY,
            last: NOBODY,
            waiting: NOBODY,
            free: NOBODY,
            len: 0,
        }
    }

    /// How many are in line, woken or not.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody is in line.
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.first == NOBODY
    }

    /// Whether everybody in line was cancelled and is about to leave; also when nobody is there.
    #[inline]
    pub(crate) fn all_cancelled(&self) -> bool {
        let mut at = self.first;
        while let Some(node) = self.nodes.get(at as usize) {
            if node.wakeup.is_none() || !node.wakeup.is_cancelled() {
                return false;
            }
            at = node.next;
        }
        true
    }

    /// Joins the end of the line, with the wake-up that a function fills in; if it does.
    #[inline]
    pub(crate) fn push_with(&mut self, fill: impl FnOnce(&mut Wakeup) -> bool) -> Option<Place> {
        if self.free == NOBODY {
            self.add_node();
        }
        let at = self.free;
        let node = self.nodes.get_mut(at as usize)?;
        if !fill(&mut node.wakeup) {
            return None;
        }
        self.free = node.next;
        self.link(at);
        Some(Place(NonZeroU32::MIN.saturating_add(at)))
    }

    /// Puts a node that is not in line at its end.
    #[inline]
    fn link(&mut self, at: u32) {
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.previous = self.last;
            node.next = NOBODY;
        }
        match self.nodes.get_mut(self.last as usize) {
            Some(last) => last.next = at,
            None => self.first = at,
        }
        self.last = at;
        if self.waiting == NOBODY {
            self.waiting = at;
        }
        self.len += 1;
    }

    /// Joins the end of the line.
    pub(crate) fn push(&mut self, wakeup: Wakeup) -> Option<Place> {
        self.push_with(|place| {
            *place = wakeup;
            true
        })
    }

    #[cold]
    fn add_node(&mut self) {
        // Only with more waits than fit into the memory of any machine would it overflow.
        self.free = u32::try_from(self.nodes.len()).unwrap_or(NOBODY);
        self.nodes.push(Node {
            wakeup: Wakeup::none(),
            previous: LEFT,
            next: NOBODY,
        });
    }

    /// Whether somebody woke this wait.
    #[inline]
    pub(crate) fn is_woken(&self, place: &Place) -> bool {
        self.nodes[place.index()].wakeup.is_none()
    }

    /// Has another wake-up used for a wait that keeps its place; the former one is handed back.
    pub(crate) fn renew(&mut self, place: &Place, wakeup: Wakeup) -> Wakeup {
        // Whoever looked at the former wake-up may have passed it by, or sent it out of the line.
        if self.nodes[place.index()].previous == LEFT {
            self.link(place.0.get() - 1);
        }
        self.waiting = self.first;
        std::mem::replace(&mut self.nodes[place.index()].wakeup, wakeup)
    }

    /// Leaves the line for good. The wake-up comes back, to be dropped where no lock is held: that of no
    /// wait, if somebody woke this one.
    #[inline]
    pub(crate) fn leave(&mut self, place: Place) -> Wakeup {
        let index = place.index();
        self.step_out(index);
        let free = self.free;
        self.free = place.0.get() - 1;
        let node = &mut self.nodes[index];
        node.next = free;
        std::mem::take(&mut node.wakeup)
    }

    /// Wakes the first in line, unless that one is woken or cancelled already.
    pub(crate) fn wake_first(&mut self, wakes: &mut Wakes) {
        if let Some(first) = self.nodes.get_mut(self.first as usize) {
            first.wake(wakes);
        }
    }

    /// Wakes the first in line who can be woken; whether there was one. Its place stays in line.
    pub(crate) fn wake_next(&mut self, wakes: &mut Wakes) -> bool {
        while let Some(node) = self.nodes.get_mut(self.waiting as usize) {
            self.waiting = node.next;
            if node.wake(wakes) {
                return true;
            }
        }
        false
    }

    /// Wakes everybody. The places stay in line.
    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        while let Some(node) = self.nodes.get_mut(self.waiting as usize) {
            self.waiting = node.next;
            if !node.wake(wakes) && !node.wakeup.is_none() {
                // Its task was cancelled; but the wait may have gone to another, which hears of it then.
                wakes.add(Wake::Whole(std::mem::take(&mut node.wakeup)));
            }
        }
    }

    /// As [`wake_next`](Self::wake_next), but who is looked at leaves the line.
    #[inline]
    pub(crate) fn pop_next(&mut self, wakes: &mut Wakes) -> bool {
        !self.is_empty() && self.pop_first(wakes)
    }

    #[inline(never)]
    fn pop_first(&mut self, wakes: &mut Wakes) -> bool {
        while self.first != NOBODY {
            let at = self.first as usize;
            self.step_out(at);
            if self.nodes[at].wake(wakes) {
                return true;
            }
        }
        false
    }

    /// Wakes everybody who can be woken; the line is empty then.
    pub(crate) fn pop_all(&mut self, wakes: &mut Wakes) {
        while self.pop_next(wakes) {}
    }

    #[inline]
    fn step_out(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let (previous, next) = (node.previous, node.next);
        if previous == LEFT {
            return;
        }
        node.previous = LEFT;
        if self.waiting as usize == at {
            self.waiting = next;
        }
        match self.nodes.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => self.first = next,
        }
        match self.nodes.get_mut(next as usize) {
            Some(next) => next.previous = previous,
            None => self.last = previous,
        }
        self.len -= 1;
    }
}

impl Place {
    #[inline]
    const fn index(&self) -> usize {
        self.0.get() as usize - 1
    }
}

impl Node {
    /// Wakes it, if it can be woken (`not future.done()`); whether it could.
    #[inline]
    fn wake(&mut self, wakes: &mut Wakes) -> bool {
        // Who comes after one that cannot be woken on the spot waits for that one, so that the order
        // stays.
        wakes.is_empty() && self.wakeup.wake_plain() || self.wake_later(wakes)
    }

    #[inline(never)]
    fn wake_later(&mut self, wakes: &mut Wakes) -> bool {
        if let Some(untold) = self.wakeup.wake_untold() {
            wakes.add(Wake::Untold(untold));
            return true;
        }
        let is_pending = self.wakeup.is_pending();
        if is_pending {
            wakes.add(Wake::Whole(std::mem::take(&mut self.wakeup)));
        }
        is_pending
    }
}

impl Wakes {
    #[inline]
    fn is_empty(&self) -> bool {
        matches!(*self.0, Collected::None)
    }

    #[inline]
    fn add(&mut self, wake: Wake) {
        if self.is_empty() {
            self.0 = ManuallyDrop::new(Collected::One(wake));
        } else {
            self.add_to(wake);
        }
    }

    #[cold]
    fn add_to(&mut self, wake: Wake) {
        let mut many = match std::mem::take(&mut *self.0) {
            Collected::None => Vec::new(),
            Collected::One(first) => vec![first],
            Collected::Many(many) => many,
        };
        many.push(wake);
        *self.0 = Collected::Many(many);
    }

    /// Carries the wakes out, first come first served. No lock is held by now.
    ///
    /// Whoever is cancelled or dropped at this very moment finds in the list that it was woken, and
    /// passes on what it was given. They stay where they are meanwhile: words that were just written one
    /// by one are slow to be read again as a whole.
    #[inline(always)]
    pub(crate) fn carry_out(&mut self) {
        if !self.is_empty() {
            self.carry_out_each();
        }
    }

    #[inline(never)]
    fn carry_out_each(&mut self) {
        match &*self.0 {
            Collected::None => {}
            Collected::One(wake) => wake.carry_out(),
            Collected::Many(wakes) => wakes.iter().for_each(Wake::carry_out),
        }
        *self.0 = Collected::None;
    }
}

impl Wake {
    #[inline]
    fn carry_out(&self) {
        match self {
            Self::Untold(untold) => untold.tell(),
            // False where it is over by now, and then the list says that it was woken all the same.
            Self::Whole(wakeup) => drop(wakeup.wake()),
        }
    }
}

/// What is waited for.
pub(crate) trait Request {
    /// What the primitive's mutex protects.
    type State;
    /// What a wait that is not cancelled ends with.
    type Output;

    /// The list in which one waits.
    fn list(state: &mut Self::State) -> &mut WaitList;

    /// Takes what is waited for, where that needs no wait.
    fn take_now(&mut self, state: &mut Self::State, wakes: &mut Wakes) -> Option<Self::Output>;

    /// Takes it after having been woken and having left the line; None to wait once more.
    fn take_woken(&mut self, state: &mut Self::State, wakes: &mut Wakes) -> Option<Self::Output>;

    /// The wait has left the line and will take nothing; what it was given goes on.
    fn give_up(&mut self, state: &mut Self::State, end: End, wakes: &mut Wakes);
}

/// How a wait was given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// It had been woken.
    pub(crate) woken: bool,
    /// Its future was dropped; otherwise it raises CancelledError.
    pub(crate) dropped: bool,
}

/// The future of a wait. When it is done it can be polled again, and begins anew.
#[derive(Debug)]
pub(crate) struct Waiting<'a, R: Request> {
    state: &'a Mutex<R::State>,
    pub(crate) request: R,
    waiter: Waiter,
    place: Option<Place>,
}

impl<'a, R: Request> Waiting<'a, R> {
    pub(crate) const fn new(state: &'a Mutex<R::State>, request: R) -> Self {
        Self {
            state,
            request,
            waiter: Waiter::new(),
            place: None,
        }
    }

    /// Whether it has a place in the line.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.place.is_some()
    }

    /// Takes what is waited for, where that needs no wait.
    #[inline]
    pub(crate) fn try_now(&mut self) -> Option<R::Output> {
        let mut wakes = Wakes::default();
        let taken = self.request.take_now(&mut self.state.lock(), &mut wakes);
        wakes.carry_out();
        taken
    }

    /// What the first poll and every new beginning do.
    #[inline]
    fn start(&mut self, cx: &Context<'_>) -> Poll<R::Output> {
        let taken = {
            let mut wakes = Wakes::default();
            let mut state = self.state.lock();
            let taken = self.request.take_now(&mut state, &mut wakes);
            if taken.is_none() {
                self.join_plain(&mut state, cx);
            }
            drop(state);
            wakes.carry_out();
            taken
        };
        self.taken_or_joined(taken, cx)
    }

    /// What a poll does that finds the wait ended.
    #[inline]
    fn end(&mut self, place: Place, cx: &Context<'_>) -> Poll<R::Output> {
        let taken = {
            let mut wakes = Wakes::default();
            let mut state = self.state.lock();
            let list = R::list(&mut state);
            if !list.is_woken(&place) {
                drop(state);
                return self.go_on(place, cx);
            }
            let used = list.leave(place);
            debug_assert!(used.is_none(), "it was woken");
            // There is nothing to drop; said so, because finding out takes longer.
            std::mem::forget(used);
            let taken = self.request.take_woken(&mut state, &mut wakes);
            if taken.is_none() {
                self.join_plain(&mut state, cx);
            }
            drop(state);
            wakes.carry_out();
            taken
        };
        self.taken_or_joined(taken, cx)
    }

    /// Joins the line, unless that has to be begun where no lock is held.
    #[inline]
    fn join_plain(&mut self, state: &mut R::State, cx: &Context<'_>) {
        let waiter = &mut self.waiter;
        self.place = R::list(state).push_with(|wakeup| waiter.begin_plain(cx, wakeup));
    }

    #[inline]
    fn taken_or_joined(&mut self, taken: Option<R::Output>, cx: &Context<'_>) -> Poll<R::Output> {
        match taken {
            Some(output) => Poll::Ready(output),
            None if self.place.is_some() => Poll::Pending,
            None => self.join(cx),
        }
    }

    /// Joins the line with a waker that is somebody else's, unless there is no need for that any more.
    #[inline(never)]
    fn join(&mut self, cx: &Context<'_>) -> Poll<R::Output> {
        // Begun before the mutex is taken, for it clones that waker.
        let wakeup = self.waiter.begin(cx);
        let mut wakes = Wakes::default();
        let taken = {
            let mut state = self.state.lock();
            let taken = self.request.take_now(&mut state, &mut wakes);
            if taken.is_none() {
                self.place = R::list(&mut state).push(wakeup);
            }
            taken
        };
        wakes.carry_out();
        match taken {
            Some(output) => {
                self.waiter.give_up();
                Poll::Ready(output)
            }
            None => Poll::Pending,
        }
    }

    #[inline]
    fn poll_place(
        &mut self,
        place: Place,
        cx: &Context<'_>,
    ) -> Poll<Result<R::Output, CancelledError>> {
        match self.waiter.poll(cx) {
            Poll::Pending => {
                self.place = Some(place);
                Poll::Pending
            }
            Poll::Ready(Ok(())) => self.end(place, cx).map(Ok),
            Poll::Ready(Err(error)) => {
                self.leave(place, false);
                Poll::Ready(Err(error))
            }
        }
    }

    /// The wait has been polled elsewhere than where it began: it goes on here, in the same place.
    #[inline(never)]
    fn go_on(&mut self, place: Place, cx: &Context<'_>) -> Poll<R::Output> {
        // The former wait goes on until the new one is in its place, so that nobody passes it by.
        let mut waiter = Waiter::new();
        let wakeup = waiter.begin(cx);
        let mut wakes = Wakes::default();
        let (former, taken) = {
            let mut state = self.state.lock();
            let list = R::list(&mut state);
            if list.is_woken(&place) {
                drop(state);
                return self.end(place, cx);
            }
            let former = list.renew(&place, wakeup);
            // Unless the task where it began was cancelled meanwhile: what was handed out then, and was
            // taken by nobody, is handed out once more.
            let end = End {
                woken: false,
                dropped: false,
            };
            self.request.give_up(&mut state, end, &mut wakes);
            let taken = self.request.take_now(&mut state, &mut wakes);
            match taken {
                Some(output) => {
                    let unused = R::list(&mut state).leave(place);
                    (former, Some((output, unused)))
                }
                None => {
                    self.place = Some(place);
                    (former, None)
                }
            }
        };
        wakes.carry_out();
        drop(former);
        self.waiter = waiter;
        match taken {
            Some((output, unused)) => {
                drop(unused);
                self.waiter.give_up();
                Poll::Ready(output)
            }
            None => Poll::Pending,
        }
    }

    #[cold]
    fn leave(&mut self, place: Place, dropped: bool) {
        let mut wakes = Wakes::default();
        let unused = {
            let mut state = self.state.lock();
            let unused = R::list(&mut state).leave(place);
            let woken = unused.is_none();
            let end = End { woken, dropped };
            self.request.give_up(&mut state, end, &mut wakes);
            unused
        };
        wakes.carry_out();
        drop(unused);
    }
}

impl<R: Request> Future for Waiting<'_, R> {
    type Output = Result<R::Output, CancelledError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        match this.place.take() {
            None => this.start(cx).map(Ok),
            Some(place) => this.poll_place(place, cx),
        }
    }
}

/// Nothing in it is ever pinned.
impl<R: Request> Unpin for Waiting<'_, R> {}

impl<R: Request> Drop for Waiting<'_, R> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.leave(place, true);
        }
    }
}
