//! Which types may go to other threads, and which may be moved while they are polled.

use std::marker::PhantomData;
use std::rc::Rc;

use asyncio_sync::{
    Barrier, BoundedSemaphore, BrokenBarrierError, Condition, Event, Get, LifoQueue, Lock,
    LockGuard, OwnedLockGuard, OwnedPermit, Permit, PriorityQueue, Put, Queue, QueueEmpty,
    QueueFull, QueueItems, QueueShutDown, QueueSink, Semaphore,
};

/// Answers `false` for every type; a more exact method with the same name wins where it applies.
trait Fallback {
    fn is_send(&self) -> bool {
        false
    }
    fn is_sync(&self) -> bool {
        false
    }
    fn is_unpin(&self) -> bool {
        false
    }
}

struct Send_<T: ?Sized>(PhantomData<T>);

struct Sync_<T: ?Sized>(PhantomData<T>);

struct Unpin_<T: ?Sized>(PhantomData<T>);

impl<T: ?Sized> Fallback for Send_<T> {}
impl<T: ?Sized> Fallback for Sync_<T> {}
impl<T: ?Sized> Fallback for Unpin_<T> {}

impl<T: ?Sized + Send> Send_<T> {
    fn is_send(&self) -> bool {
        true
    }
}

impl<T: ?Sized + Sync> Sync_<T> {
    fn is_sync(&self) -> bool {
        true
    }
}

impl<T: ?Sized + Unpin> Unpin_<T> {
    fn is_unpin(&self) -> bool {
        true
    }
}

macro_rules! traits {
    ($type:ty) => {{
        let traits = [
            Send_::<$type>(PhantomData).is_send(),
            Sync_::<$type>(PhantomData).is_sync(),
            Unpin_::<$type>(PhantomData).is_unpin(),
        ];
        (stringify!($type), traits)
    }};
}

const YES: bool = true;
const NO: bool = false;

/// A value that may go to another thread but not be shared between two.
type SendOnly = std::cell::Cell<u8>;
/// A value that must stay on its thread.
type Local = Rc<u8>;
/// A value that must stay where it is once it is pinned, which a primitive never does.
type Pinned = std::marker::PhantomPinned;

#[test]
fn primitives_without_values_and_errors_may_go_anywhere() {
    let table = [
        traits!(Lock),
        traits!(Event),
        traits!(Condition),
        traits!(Semaphore),
        traits!(BoundedSemaphore),
        traits!(Barrier),
        traits!(Permit<'static>),
        traits!(LockGuard<'static>),
        traits!(OwnedPermit),
        traits!(OwnedLockGuard),
        traits!(BrokenBarrierError),
        traits!(QueueEmpty),
        traits!(QueueFull),
        traits!(QueueShutDown),
    ];
    for (name, traits) in table {
        assert_eq!(traits, [YES, YES, YES], "{name}");
    }
}

#[test]
fn what_holds_values_may_go_where_they_may() {
    let table = [
        (traits!(Lock<SendOnly>), [YES, YES, YES]),
        (traits!(Lock<Local>), [NO, NO, YES]),
        (traits!(Lock<Pinned>), [YES, YES, YES]),
        (traits!(LockGuard<'static, u8>), [YES, YES, YES]),
        (traits!(LockGuard<'static, SendOnly>), [YES, NO, YES]),
        (traits!(LockGuard<'static, Local>), [NO, NO, YES]),
        (traits!(OwnedLockGuard<u8>), [YES, YES, YES]),
        (traits!(OwnedLockGuard<SendOnly>), [YES, NO, YES]),
        (traits!(OwnedLockGuard<Local>), [NO, NO, YES]),
        (traits!(Queue<SendOnly>), [YES, YES, YES]),
        (traits!(Queue<Local>), [NO, NO, YES]),
        (traits!(LifoQueue<SendOnly>), [YES, YES, YES]),
        (traits!(LifoQueue<Local>), [NO, NO, YES]),
        (traits!(PriorityQueue<SendOnly>), [YES, YES, YES]),
        (traits!(PriorityQueue<Local>), [NO, NO, YES]),
    ];
    for ((name, traits), expected) in table {
        assert_eq!(traits, expected, "{name}");
    }
}

#[test]
fn waits_may_go_where_their_values_may() {
    let table = [
        (traits!(Get<'static, u8>), [YES, YES, YES]),
        (traits!(Get<'static, SendOnly>), [YES, YES, YES]),
        (traits!(Get<'static, Local>), [NO, NO, YES]),
        (traits!(Get<'static, Pinned>), [YES, YES, YES]),
        (traits!(Put<'static, u8>), [YES, YES, YES]),
        (traits!(Put<'static, SendOnly>), [YES, NO, YES]),
        (traits!(Put<'static, Local>), [NO, NO, YES]),
        (traits!(Put<'static, Pinned>), [YES, YES, YES]),
        (traits!(QueueItems<'static, SendOnly>), [YES, YES, YES]),
        (traits!(QueueItems<'static, Local>), [NO, NO, YES]),
        (traits!(QueueSink<'static, SendOnly>), [YES, NO, YES]),
        (traits!(QueueSink<'static, Local>), [NO, NO, YES]),
        (traits!(Pinned), [YES, YES, NO]),
    ];
    for ((name, traits), expected) in table {
        assert_eq!(traits, expected, "{name}");
    }
}

#[test]
fn the_futures_of_all_waits_are_send() {
    fn is_send<T: Send>(value: T) {
        drop(value);
    }
    let (lock, condition) = (Lock::new(), Condition::new());
    is_send(lock.acquire());
    is_send(lock.guard());
    is_send(lock.guard_owned());
    is_send(Event::new().wait());
    is_send(condition.wait());
    is_send(condition.wait_for(|| true));
    is_send(Semaphore::new(1).guard());
    is_send(BoundedSemaphore::new(1).acquire());
    is_send(Queue::<SendOnly>::new(1).join());
    is_send(async {
        let barrier = Barrier::new(1)?;
        barrier.wait().await?;
        barrier.reset().await?;
        barrier.abort().await
    });
}
