//! Which types may go to other threads, and which may be moved while they are polled.

use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;

use asyncio_core::{
    AsCompleted, AsCompletedIter, BorrowScope, BrokenThreadPool, CallbackId, Cancellable,
    CancelledError, ClockHold, Context, ContextVar, Delay, EventLoop, EventLoopBuilder, ExceptStar,
    Exception, ExceptionContext, ExceptionGroup, Future, Gathering, Handle, InvalidStateError, Job,
    KeyboardInterrupt, MaybeDelay, MultiThreadRunner, MultiThreadRunnerBuilder, NextCompleted,
    OwnedEventLoop, PanicError, Race, ReturnWhen, Runner, RunnerBuilder, RuntimeError, ScopedTask,
    Sleep, SystemExit, Task, TaskBuilder, TaskGroup, TaskGroupBuilder, TaskGroupCancelled,
    TaskHandle, ThreadPoolBuilder, ThreadPoolExecutor, Timeout, TimeoutError, TimeoutScope,
    TimerHandle, Token, ValueError, Wait, Work,
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
        traits!(BrokenThreadPool),
        traits!(ExceptStar),
        traits!(MaybeDelay),
        traits!(Race<u8>),
        traits!(ReturnWhen),
        traits!(TaskGroupCancelled),
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
        // It blocks whichever thread runs it, one at a time.
        (traits!(MultiThreadRunner), [YES, NO, YES]),
        (traits!(MultiThreadRunnerBuilder), [YES, YES, YES]),
        (traits!(TaskGroup), [YES, YES, YES]),
        (traits!(TaskGroupBuilder), [YES, YES, YES]),
        (traits!(Timeout), [YES, YES, YES]),
        (traits!(BorrowScope<'static>), [YES, YES, YES]),
        (traits!(ThreadPoolExecutor), [YES, YES, YES]),
        (traits!(ThreadPoolBuilder), [YES, YES, YES]),
        // A function on its way to one thread.
        (traits!(Work), [YES, NO, YES]),
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
        (traits!(Job<u8>), [YES, YES, YES]),
        (traits!(Job<SendOnly>), [YES, YES, YES]),
        (traits!(Job<Local>), [NO, NO, YES]),
        (traits!(Job<Pinned>), [YES, YES, YES]),
        (traits!(ScopedTask<u8>), [YES, YES, YES]),
        (traits!(ScopedTask<SendOnly>), [YES, YES, YES]),
        (traits!(ScopedTask<Local>), [NO, NO, YES]),
        (traits!(AsCompleted<u8>), [YES, YES, YES]),
        (traits!(AsCompleted<Local>), [NO, NO, YES]),
        (traits!(AsCompletedIter<AsCompleted<u8>>), [YES, YES, YES]),
        (traits!(NextCompleted<u8>), [YES, YES, YES]),
        (traits!(NextCompleted<Local>), [NO, NO, YES]),
        (traits!(Wait<Task<u8>>), [YES, YES, YES]),
        (traits!(Wait<Task<Local>>), [NO, NO, YES]),
        (
            traits!(Gathering<(Task<u8>, Task<SendOnly>)>),
            [YES, YES, YES],
        ),
        (traits!(Gathering<Vec<Task<Local>>>), [NO, NO, YES]),
        (traits!(Race<SendOnly>), [YES, NO, YES]),
        (traits!(Race<Local>), [NO, NO, YES]),
    ];
    for ((name, traits), expected) in table {
        assert_eq!(traits, expected, "{name}");
    }
}

#[test]
fn what_wraps_a_future_is_what_that_is() {
    let table = [
        (
            traits!(Cancellable<std::future::Ready<u8>>),
            [YES, YES, YES],
        ),
        (traits!(Cancellable<Local>), [NO, NO, YES]),
        (traits!(Cancellable<SendOnly>), [YES, NO, YES]),
        (traits!(Cancellable<Pinned>), [YES, YES, NO]),
        (
            traits!(TimeoutScope<std::future::Ready<u8>>),
            [YES, YES, YES],
        ),
        (traits!(TimeoutScope<Local>), [NO, NO, YES]),
        (traits!(TimeoutScope<SendOnly>), [YES, NO, YES]),
        (traits!(TimeoutScope<Pinned>), [YES, YES, NO]),
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
    drop(is_send(async {
        let sum = asyncio_core::task_group(async |group| {
            let one = group.create_task(async { Ok(1) });
            asyncio_core::timeout(1, one).await
        });
        let both = asyncio_core::gather((async { Ok(2) }, asyncio_core::to_thread(|| Ok(3))));
        let (two, three) = both.await?;
        let job = asyncio_core::run_coroutine_threadsafe(
            async { Ok(4) },
            &tokio::runtime::Handle::current(),
        );
        asyncio_core::wait_for(asyncio_core::shield(job), 1).await?;
        Ok::<i32, Exception>(sum.await? + two + three)
    }));
}

/// `TimerHandle` is a `Handle` and an `OwnedEventLoop` an `EventLoop`, as subclasses are.
#[test]
fn the_narrower_type_derefs_to_the_wider() {
    fn derefs<T: Deref<Target = U>, U>() {}
    derefs::<TimerHandle, Handle>();
    derefs::<OwnedEventLoop, EventLoop>();
}
