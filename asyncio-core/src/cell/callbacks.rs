//! What is to happen when a future is done, in the order in which it was asked for.

#![expect(
    unsafe_code,
    reason = "some callbacks may go to another thread, and only those do"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use super::refs::{CellRef, TaskRef};
use super::waits::SlotId;

/// One thing to do at completion, each a turn of the loop later.
pub(crate) enum Callback {
    /// Resume a task that awaits this (`Task.__wakeup`).
    Task { task: TaskRef, slot: SlotId },
    /// Call a function (`Future.add_done_callback`).
    Call(Box<dyn DoneCall>),
    /// Wake something that is no task of ours.
    Waker(Waker),
    /// Bring the outcome to another thread and wake who waits there.
    Fetch(Box<dyn FnOnce(&CellRef) + Send>),
    /// Tell a future that this child of its is done, and call it by its number.
    Family(CellRef, u32),
    /// Tell somebody who watches several futures, and call this one by its number.
    Watch(Arc<dyn Watcher>, u32),
    /// Leave `run_until_complete` (`_run_until_complete_cb`).
    Stop,
    /// One that came from another thread, where it goes by this token.
    Sent(Token, Box<Self>),
}

/// Somebody who waits for several futures: `wait`, `as_completed`, a task group.
pub(crate) trait Watcher: Send + Sync {
    /// One of them is done: called a turn of the loop after it was, at once where there is no loop.
    fn done(&self, child: &CellRef, number: u32);
}

/// A callback that may go to another thread.
pub(crate) struct SendCallback(Callback);

// SAFETY: `new` lets only such through.
unsafe impl Send for SendCallback {}

impl SendCallback {
    /// A function may be bound to its thread; all others may go.
    pub(super) fn new(callback: Callback) -> Option<Self> {
        (!matches!(callback, Callback::Call(_))).then_some(Self(callback))
    }

    /// The same under a token that the sender has chosen, and the token.
    pub(super) fn under_token(self) -> (Token, Self) {
        static NEXT: AtomicU64 = AtomicU64::new(SENT);
        // Relaxed: only that tokens differ matters, and an atomic addition sees to that.
        let token = NEXT.fetch_add(1, Ordering::Relaxed);
        (token, Self(Callback::Sent(token, Box::new(self.0))))
    }

    pub(crate) fn into_inner(self) -> Callback {
        self.0
    }
}

/// A done callback with the context it runs in.
pub(crate) trait DoneCall {
    fn call(self: Box<Self>, cell: CellRef);

    /// The number under which it is removed; zero for one that never is.
    fn id(&self) -> u64 {
        0
    }
}

/// The callbacks of one future; nearly always none or one.
#[derive(Default)]
pub(crate) enum Callbacks {
    #[default]
    None,
    One(Callback),
    Many(Box<Many>),
}

pub(crate) struct Many {
    /// With increasing tokens; `None` where one was taken out.
    entries: Vec<(Token, Option<Callback>)>,
    next: Token,
    live: usize,
}

/// Names a callback of one future for [`Callbacks::remove`].
pub(crate) type Token = u64;

/// The token of no callback.
pub(crate) const NO_TOKEN: Token = Token::MAX;
/// The token of a future's first callback.
pub(super) const FIRST: Token = 0;
/// Tokens from here on are chosen by other threads, for callbacks that they send.
const SENT: Token = 1 << 63;

impl Callbacks {
    pub(crate) fn add(&mut self, callback: Callback) -> Token {
        match std::mem::take(self) {
            Self::None => {
                *self = Self::One(callback);
                FIRST
            }
            Self::One(first) => {
                let entries = vec![(FIRST, Some(first)), (FIRST + 1, Some(callback))];
                *self = Self::Many(Box::new(Many {
                    entries,
                    next: FIRST + 2,
                    live: 2,
                }));
                FIRST + 1
            }
            Self::Many(mut many) => {
                let token = many.push(callback);
                *self = Self::Many(many);
                token
            }
        }
    }

    /// Takes out the callback with this token.
    pub(crate) fn remove(&mut self, token: Token) -> Option<Callback> {
        if token >= SENT {
            let is_it =
                |callback: &Callback| matches!(callback, Callback::Sent(it, _) if *it == token);
            return self.remove_first(is_it);
        }
        match std::mem::take(self) {
            Self::None => None,
            Self::One(callback) if token == FIRST => Some(callback),
            one @ Self::One(_) => {
                *self = one;
                None
            }
            Self::Many(mut many) => {
                let callback = many.remove(token);
                if many.live > 0 {
                    *self = Self::Many(many);
                }
                callback
            }
        }
    }

    /// Takes out the function that was added under this number.
    pub(crate) fn remove_call(&mut self, id: u64) -> Option<Callback> {
        self.remove_first(|callback| matches!(callback, Callback::Call(call) if call.id() == id))
    }

    /// Takes out what tells this future.
    pub(crate) fn remove_family(&mut self, outer: &CellRef) -> Option<Callback> {
        self.remove_first(|callback| matches!(callback, Callback::Family(it, _) if it == outer))
    }

    /// Takes out what ends `run_until_complete`.
    pub(crate) fn remove_stop(&mut self) -> Option<Callback> {
        self.remove_first(|callback| matches!(callback, Callback::Stop))
    }

    fn remove_first(&mut self, is_it: impl Fn(&Callback) -> bool) -> Option<Callback> {
        let token = match self {
            Self::None => None,
            Self::One(callback) => is_it(callback).then_some(FIRST),
            Self::Many(many) => many
                .entries
                .iter()
                .find(|(_, callback)| callback.as_ref().is_some_and(&is_it))
                .map(|(token, _)| *token),
        }?;
        self.remove(token)
    }

    /// Hands all of them over, in order.
    pub(crate) fn for_each(self, mut f: impl FnMut(Callback)) {
        match self {
            Self::None => {}
            Self::One(callback) => f(callback),
            Self::Many(many) => {
                many.entries
                    .into_iter()
                    .filter_map(|(_, callback)| callback)
                    .for_each(f);
            }
        }
    }
}

impl Many {
    fn push(&mut self, callback: Callback) -> Token {
        // Holes are closed when they are the larger part, so that waiters that come and go on a
        // future that is never done leave nothing behind.
        if self.entries.len() > 8 && self.live * 2 < self.entries.len() {
            self.entries.retain(|(_, callback)| callback.is_some());
        }
        let token = self.next;
        self.next += 1;
        self.entries.push((token, Some(callback)));
        self.live += 1;
        token
    }

    fn remove(&mut self, token: Token) -> Option<Callback> {
        let at = self
            .entries
            .binary_search_by_key(&token, |(token, _)| *token)
            .ok()?;
        let callback = self.entries[at].1.take();
        self.live -= usize::from(callback.is_some());
        callback
    }
}
