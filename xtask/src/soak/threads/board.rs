//! Where all find what others have made.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use asyncio_core::{Future, Job, Task};

use super::super::random::Random;
use super::super::tally::{Counted, Kind, Tally};

/// So many things at the most.
const SLOTS: usize = 64;

pub(super) struct Board(Vec<Mutex<Thing>>);

/// What may be put on the board, and goes on by itself when it is taken off.
#[derive(Default)]
pub(super) enum Thing {
    #[default]
    Nothing,
    Task(Task<Counted>),
    Promise(Promise),
    Job(Job<Counted>),
    Bell(Rope),
}

/// A future that is set, by whatever way there is, when this is dropped.
pub(super) struct Promise {
    pub(super) future: Future<Counted>,
    tally: Arc<Tally>,
}

/// Rings a bell when it is dropped.
pub(super) struct Rope(Arc<Bell>);

/// What foreign futures wait for.
#[derive(Default)]
pub(super) struct Bell(Mutex<(bool, Vec<Waker>)>);

impl Board {
    pub(super) fn new() -> Self {
        Self((0..SLOTS).map(|_| Mutex::default()).collect())
    }

    fn any(&self, random: &mut Random) -> &Mutex<Thing> {
        &self.0[random.below(SLOTS)]
    }

    /// Puts something anywhere; what was there is taken off.
    pub(super) fn put(&self, random: &mut Random, thing: Thing) {
        drop(std::mem::replace(&mut *lock(self.any(random)), thing));
    }

    pub(super) fn take(&self, random: &mut Random) -> Thing {
        std::mem::take(&mut *lock(self.any(random)))
    }

    /// Another handle of something; a job, of which there is one handle only, is taken off.
    pub(super) fn pick(&self, random: &mut Random) -> Pick {
        let mut thing = lock(self.any(random));
        match &*thing {
            Thing::Nothing => Pick::Nothing,
            Thing::Task(task) => Pick::Task(task.clone()),
            Thing::Promise(promise) => Pick::Future(promise.future.clone()),
            Thing::Bell(rope) => Pick::Bell(Arc::clone(&rope.0)),
            Thing::Job(_) => match std::mem::take(&mut *thing) {
                Thing::Job(job) => Pick::Job(job),
                other => {
                    *thing = other;
                    Pick::Nothing
                }
            },
        }
    }

    /// Takes all off that others wait for.
    pub(super) fn resolve(&self) {
        for slot in &self.0 {
            let resolved = {
                let mut thing = lock(slot);
                match &*thing {
                    Thing::Promise(_) | Thing::Bell(_) => std::mem::take(&mut *thing),
                    _ => Thing::Nothing,
                }
            };
            drop(resolved);
        }
    }

    /// Takes everything off.
    pub(super) fn clear(&self) -> Vec<Thing> {
        let take = |slot| std::mem::take(&mut *lock(slot));
        self.0.iter().map(take).collect()
    }
}

/// What was found on the board.
pub(super) enum Pick {
    Nothing,
    Task(Task<Counted>),
    Future(Future<Counted>),
    Job(Job<Counted>),
    Bell(Arc<Bell>),
}

impl Promise {
    pub(super) fn new(future: Future<Counted>, tally: &Arc<Tally>) -> Self {
        Self {
            future,
            tally: Arc::clone(tally),
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let value = self.tally.one(Kind::Result);
        if self.future.set_result(value).is_ok() || self.future.done() {
            return;
        }
        // It is another thread's. There a call sets it; or, where the loop is closed and drops the call
        // without calling it, the end of that.
        let again = Self::new(self.future.clone(), &self.tally);
        if let Some(event_loop) = self.future.get_loop() {
            drop(event_loop.call_soon_threadsafe(move || drop(again)));
        }
    }
}

impl Rope {
    pub(super) fn of(bell: Bell) -> Self {
        Self(Arc::new(bell))
    }
}

impl Drop for Rope {
    fn drop(&mut self) {
        let wakers = {
            let mut bell = lock(&self.0.0);
            bell.0 = true;
            std::mem::take(&mut bell.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Bell {
    /// Waits until it rings; as something foreign does.
    pub(super) async fn rings(&self) {
        poll_fn(|cx| {
            let mut bell = lock(&self.0);
            if bell.0 {
                return Poll::Ready(());
            }
            if !bell.1.iter().any(|waker| waker.will_wake(cx.waker())) {
                bell.1.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
