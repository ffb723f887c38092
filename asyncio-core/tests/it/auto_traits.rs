//! Which types may go to other threads, and which may be moved while they are polled.

use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;

use asyncio_core::{
    CallbackId, Cancellable, CancelledError, ClockHold, Context, ContextVar, Delay, EventLoop,
    EventLoopBuilder, Exception, ExceptionContext, ExceptionGroup, Future, Handle,
    InvalidStateError, KeyboardInterrupt, OwnedEventLoop, PanicError, Runner, RunnerBuilder,
    RuntimeError, Sleep, SystemExit, Task, TaskBuilder, TaskHandle, TimeoutError, TimerHandle,
    Token, ValueError,
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

struct Type<T: ?Sized>(PhantomData<T>);

struct Sync_<T: ?Sized>(PhantomData<T>);

struct Unpin_<T: ?Sized>(PhantomData<T>);

impl<T: ?Sized> Fallback for Type<T> {}
impl<T: ?Sized> Fallback for Sync_<T> {}
impl<T: ?Sized> Fallback for Unpin_<T> {}

impl<T: ?Sized + Send> Type<T> {
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
            Type::<$type>(PhantomData).is_send(),
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
/// A future that must stay where it is.
type Pinned = std::marker::PhantomPinned;

#[test]
fn the_types_of_values_and_errors_may_go_anywhere() {
    let table = [
        traits!(CallbackId),
        traits!(CancelledError),
        traits!(Context),
        traits!(ContextVar<u8>),
        traits!(Token<u8>),
        traits!(Delay),
        traits!(EventLoopBuilder),
        traits!(RunnerBuilder),
        traits!(TaskBuilder),
        traits!(Exception),
        traits!(ExceptionContext),
        traits!(ExceptionGroup),
        traits!(InvalidStateError),
        traits!(KeyboardInterrupt),
        traits!(PanicError),
        traits!(RuntimeError),
        traits!(SystemExit),
        traits!(TimeoutError),
        traits!(ValueError),
    ];
    for (name, traits) in table {
        assert_eq!(traits, [YES, YES, YES], "{name}");
    }
}

#[test]
fn handles_of_the_loop_may_go_anywhere_and_its_owner_stays() {
    let table = [
        (traits!(EventLoop), [YES, YES, YES]),
        (traits!(Handle), [YES, YES, YES]),
        (traits!(TimerHandle), [YES, YES, YES]),
        (traits!(TaskHandle), [YES, YES, YES]),
        (traits!(ClockHold), [YES, YES, YES]),
        (traits!(OwnedEventLoop), [NO, NO, YES]),
        (traits!(Runner), [NO, NO, YES]),
    ];
    for ((name, traits), expected) in table {
        assert_eq!(traits, expected, "{name}");
    }
}

#[test]
fn tasks_and_futures_may_go_where_their_values_may() {
    let table = [
        (traits!(Task<u8>), [YES, YES, YES]),
        (traits!(Task<SendOnly>), [YES, YES, YES]),
        (traits!(Task<Local>), [NO, NO, YES]),
        (traits!(Task<Pinned>), [YES, YES, YES]),
        (traits!(Future<u8>), [YES, YES, YES]),
        (traits!(Future<SendOnly>), [YES, YES, YES]),
        (traits!(Future<Local>), [NO, NO, YES]),
        (traits!(Future<Pinned>), [YES, YES, YES]),
        (traits!(Sleep), [YES, YES, YES]),
    ];
    for ((name, traits), expected) in table {
        assert_eq!(traits, expected, "{name}");
    }
}

#[test]
fn a_cancellable_future_is_what_its_inner_future_is() {
    let table = [
        (
            traits!(Cancellable<std::future::Ready<u8>>),
            [YES, YES, YES],
        ),
        (traits!(Cancellable<Local>), [NO, NO, YES]),
        (traits!(Cancellable<SendOnly>), [YES, NO, YES]),
        (traits!(Cancellable<Pinned>), [YES, YES, NO]),
    ];
    for ((name, traits), expected) in table {
        assert_eq!(traits, expected, "{name}");
    }
}

#[test]
fn the_futures_of_a_typical_coroutine_are_send() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    drop(is_send(async {
        let task = asyncio_core::create_task(async { Ok(1) });
        asyncio_core::sleep(1).await?;
        let event_loop = asyncio_core::get_running_loop()?;
        let future = event_loop.create_future::<u8>();
        future.await?;
        task.await
    }));
}

/// `TimerHandle` is a `Handle` and an `OwnedEventLoop` an `EventLoop`, as subclasses are.
#[test]
fn the_narrower_type_derefs_to_the_wider() {
    fn derefs<T: Deref<Target = U>, U>() {}
    derefs::<TimerHandle, Handle>();
    derefs::<OwnedEventLoop, EventLoop>();
}
