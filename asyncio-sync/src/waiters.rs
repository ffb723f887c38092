//! Who waits for a primitive, first come first served.
//!
//! A [`WaitList`] stands in the state of a primitive, under the primitive's own mutex. A task that
//! waits has a [`Place`] in it until it leaves, and the list knows for each whether it was woken: that
//! record, not what the waiting task can tell, decides who is owed what was handed over. Wake-ups are
//! collected in [`Wakes`] and carried out once the mutex is free again, because a wake may run a waker
//! that is somebody else's.
//!
//! [`Waiting`] is the future of all waits. A [`Request`] tells it what is waited for: how it is taken,
//! in which list one waits, and what is to be done when a wait is given up.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use asyncio_core::CancelledError;
use asyncio_core::waiting::{Waiter, Wakeup};

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

/// A wait's number in its list. Given back by [`WaitList::leave`], and by nothing else.
#[derive(Debug)]
pub(crate) struct Place(u32);

#[derive(Debug)]
struct Node {
    /// None once it is woken: whoever woke it has taken it.
    wakeup: Option<Wakeup>,
    in_line: bool,
    previous: u32,
    next: u32,
}

/// Wakes to be carried out once the primitive's mutex is free.
#[derive(Debug, Default)]
#[must_use = "nobody is woken unless the wakes are carried out"]
pub(crate) struct Wakes {
    first: Option<Wakeup>,
    more: Vec<Wakeup>,
    /// Places that were left without having been woken: they are dropped where no lock is held.
    left: Option<Wakeup>,
}

/// Nobody's number.
const NOBODY: u32 = u32::MAX;

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
            if !node.wakeup.as_ref().is_some_and(Wakeup::is_cancelled) {
                return false;
            }
            at = node.next;
        }
        true
    }

    /// Joins the end of the line.
    pub(crate) fn push(&mut self, wakeup: Wakeup) -> Place {
        let node = Node {
            wakeup: Some(wakeup),
            in_line: true,
            previous: self.last,
            next: NOBODY,
        };
        let at = match self.nodes.get_mut(self.free as usize) {
            Some(free) => {
                let at = self.free;
                self.free = free.next;
                *free = node;
                at
            }
            None => {
                self.nodes.push(node);
                // More waits than fit into the memory of any machine would be needed to overflow.
                u32::try_from(self.nodes.len() - 1).unwrap_or(NOBODY)
            }
        };
        match self.nodes.get_mut(self.last as usize) {
            Some(last) => last.next = at,
            None => self.first = at,
        }
        self.last = at;
        if self.waiting == NOBODY {
            self.waiting = at;
        }
        self.len += 1;
        Place(at)
    }

    /// Whether somebody woke this wait.
    pub(crate) fn is_woken(&self, place: &Place) -> bool {
        self.nodes[place.0 as usize].wakeup.is_none()
    }

    /// Has another wake-up used for a wait that keeps its place; the former one is handed back.
    pub(crate) fn renew(&mut self, place: &Place, wakeup: Wakeup) -> Option<Wakeup> {
        // Whoever looked at the former wake-up may have passed it by.
        self.waiting = self.first;
        self.nodes[place.0 as usize].wakeup.replace(wakeup)
    }

    /// Leaves the line for good; whether the wait had been woken.
    pub(crate) fn leave(&mut self, place: Place, wakes: &mut Wakes) -> bool {
        self.step_out(place.0);
        let node = &mut self.nodes[place.0 as usize];
        node.next = self.free;
        self.free = place.0;
        match node.wakeup.take() {
            None => true,
            Some(wakeup) => {
                wakes.left = Some(wakeup);
                false
            }
        }
    }

    /// Wakes the first in line, unless that one is woken or cancelled already.
    pub(crate) fn wake_first(&mut self, wakes: &mut Wakes) {
        if let Some(first) = self.nodes.get_mut(self.first as usize)
            && first.is_pending()
        {
            wakes.add(first.wakeup.take());
        }
    }

    /// Wakes the first in line who can be woken; whether there was one. Its place stays in line.
    pub(crate) fn wake_next(&mut self, wakes: &mut Wakes) -> bool {
        while let Some(node) = self.nodes.get_mut(self.waiting as usize) {
            self.waiting = node.next;
            if node.is_pending() {
                wakes.add(node.wakeup.take());
                return true;
            }
        }
        false
    }

    /// Wakes everybody who can be woken. The places stay in line.
    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        while self.wake_next(wakes) {}
    }

    /// As [`wake_next`](Self::wake_next), but who is looked at leaves the line.
    pub(crate) fn pop_next(&mut self, wakes: &mut Wakes) -> bool {
        while self.first != NOBODY {
            let at = self.first;
            self.step_out(at);
            let node = &mut self.nodes[at as usize];
            if node.is_pending() {
                wakes.add(node.wakeup.take());
                return true;
            }
        }
        false
    }

    /// Wakes everybody who can be woken; the line is empty then.
    pub(crate) fn pop_all(&mut self, wakes: &mut Wakes) {
        while self.pop_next(wakes) {}
    }

    fn step_out(&mut self, at: u32) {
        let node = &mut self.nodes[at as usize];
        if !std::mem::take(&mut node.in_line) {
            return;
        }
        let (previous, next) = (node.previous, node.next);
        if self.waiting == at {
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

impl Node {
    /// Whether it can be woken (`not future.done()`).
    fn is_pending(&self) -> bool {
        self.wakeup.as_ref().is_some_and(Wakeup::is_pending)
    }
}

impl Wakes {
    fn add(&mut self, wakeup: Option<Wakeup>) {
        if self.first.is_none() {
            self.first = wakeup;
        } else {
            self.more.extend(wakeup);
        }
    }

    /// Carries the wakes out, first come first served. No lock is held by now.
    ///
    /// Whoever is cancelled or dropped at this very moment finds in the list that it was woken, and
    /// passes on what it was given.
    #[inline]
    pub(crate) fn carry_out(self) {
        // Nearly always there is one or none.
        if let Some(wakeup) = self.first {
            wakeup.wake();
            for wakeup in self.more {
                wakeup.wake();
            }
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
        let taken = self.request.take_now(&mut lock(self.state), &mut wakes);
        wakes.carry_out();
        taken
    }

    /// What the first poll and every new beginning do.
    #[inline]
    fn start(&mut self, cx: &Context<'_>) -> Poll<R::Output> {
        match self.try_now() {
            Some(output) => Poll::Ready(output),
            None => self.join(cx),
        }
    }

    /// Joins the line, unless there is no need for that any more.
    fn join(&mut self, cx: &Context<'_>) -> Poll<R::Output> {
        // Begun before the mutex is taken, for it may clone somebody else's waker.
        let wakeup = self.waiter.begin(cx);
        let mut wakes = Wakes::default();
        let taken = {
            let mut state = lock(self.state);
            let taken = self.request.take_now(&mut state, &mut wakes);
            if taken.is_none() {
                self.place = Some(R::list(&mut state).push(wakeup));
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

    fn poll_place(
        &mut self,
        mut place: Place,
        cx: &mut Context<'_>,
    ) -> Poll<Result<R::Output, CancelledError>> {
        let polled = self.waiter.poll(cx);
        match polled {
            Poll::Pending => {
                self.place = Some(place);
                Poll::Pending
            }
            Poll::Ready(Ok(())) => {
                if !R::list(&mut lock(self.state)).is_woken(&place) {
                    // Polled elsewhere than where it began: it goes on here, in the same place.
                    match self.go_on(place, cx) {
                        None => return Poll::Pending,
                        Some(woken) => place = woken,
                    }
                }
                let mut wakes = Wakes::default();
                let taken = {
                    let mut state = lock(self.state);
                    R::list(&mut state).leave(place, &mut wakes);
                    self.request.take_woken(&mut state, &mut wakes)
                };
                wakes.carry_out();
                match taken {
                    Some(output) => Poll::Ready(Ok(output)),
                    None => self.join(cx).map(Ok),
                }
            }
            Poll::Ready(Err(error)) => {
                self.leave(place, false);
                Poll::Ready(Err(error))
            }
        }
    }

    /// Begins the wait anew without losing its place; the place, where it was woken meanwhile.
    fn go_on(&mut self, place: Place, cx: &Context<'_>) -> Option<Place> {
        // The former wait goes on until the new one is in its place, so that nobody passes it by.
        let mut waiter = Waiter::new();
        let wakeup = waiter.begin(cx);
        let former = {
            let mut state = lock(self.state);
            let list = R::list(&mut state);
            if list.is_woken(&place) {
                return Some(place);
            }
            list.renew(&place, wakeup)
        };
        drop(former);
        self.waiter = waiter;
        self.place = Some(place);
        None
    }

    fn leave(&mut self, place: Place, dropped: bool) {
        let mut wakes = Wakes::default();
        {
            let mut state = lock(self.state);
            let woken = R::list(&mut state).leave(place, &mut wakes);
            let end = End { woken, dropped };
            self.request.give_up(&mut state, end, &mut wakes);
        }
        wakes.carry_out();
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

/// Takes a primitive's mutex. A panic while it was held (a comparison of items can) has left the
/// state as complete as it ever is.
#[inline]
pub(crate) fn lock<S>(state: &Mutex<S>) -> MutexGuard<'_, S> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
