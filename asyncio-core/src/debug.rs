//! Debug mode (`PYTHONASYNCIODEBUG`, `loop.set_debug`): what it watches, and what it says.
//!
//! Everything goes to `tracing`, as events of the target `asyncio`. Nothing in here runs while debug
//! mode is off.

use std::any::type_name;
use std::marker::PhantomData;
use std::panic::Location;
use std::time::{Duration, Instant};

use crate::cell::{self, CellRef, TaskRef};
use crate::current;
use crate::events::{CallbackResult, with_running};
use crate::exceptions::Result;
use crate::loop_cell::{Core, LoopCell, SLOW};
use crate::ready::{Function, Ready};
use crate::runners::workers;
use crate::tasks::TaskHandle;

/// Whether a loop is in debug mode from its start: the environment says so (`ASYNCIO_DEBUG`).
pub(crate) fn is_wanted() -> bool {
    std::env::var_os("ASYNCIO_DEBUG").is_some_and(|value| !value.is_empty())
}

/// Runs one entry of the ready queue, and says so when that took too long, or when a task ended in a
/// way that is likely to be a mistake.
#[cold]
pub(crate) fn run(core: &Core, ready: Ready, run: impl FnOnce(&Core, Ready)) {
    let what = What::of(core, &ready);
    watch(what, core.slow_callback_duration.get(), || run(core, ready));
}

/// The same for a step of a task on a tokio runtime.
#[cold]
pub(crate) fn step<R>(task: &TaskRef, step: impl FnOnce() -> R) -> R {
    watch(What::Step(task.clone()), SLOW, step)
}

fn watch<R>(what: What, slow: Duration, run: impl FnOnce() -> R) -> R {
    let begun = Instant::now();
    let result = run();
    let taken = begun.elapsed();
    if taken >= slow {
        let (what, seconds) = (what.describe(), taken.as_secs_f64());
        tracing::warn!(target: "asyncio", "Executing {what} took {seconds:.3} seconds");
    }
    if let What::Step(task) = what
        && task.base.is_done()
        && task.cancelling() > 0
        && cell::peek(task.cell()).is_none()
    {
        let task = TaskHandle::of(task);
        tracing::warn!(
            target: "asyncio",
            "{task:?} swallowed a CancelledError: it was asked to end and returned a value; who \
             means to go on calls `uncancel`",
        );
    }
    result
}

/// Whether debug mode is on for what has this home, or where this is a thread of a runner with many.
pub(crate) fn is_on(home: &LoopCell) -> bool {
    home.debug() || workers::here().is_some_and(|workers| workers.debug)
}

/// A future was handed to us and dropped before anything polled it.
#[cold]
pub(crate) fn never_awaited(what: &str, created_at: Option<&Location<'_>>) {
    let is_on = with_running(|core| core.debug());
    if is_on.unwrap_or_else(|| workers::here().is_some_and(|workers| workers.debug)) {
        let mut place = String::new();
        if let Some(created_at) = created_at {
            place += &format!(", created at {created_at}");
        }
        let task = current::with(|frame| frame.and_then(|frame| frame.task().cloned()));
        if let Some(task) = task.map(TaskHandle::of) {
            place += &format!(", in {task:?}");
        }
        tracing::warn!(target: "asyncio", "coroutine '{what}' was never awaited{place}");
    }
}

/// Says so when it is dropped with a coroutine that nothing has polled.
pub(crate) struct Unpolled {
    what: &'static &'static str,
    created_at: &'static Location<'static>,
}

impl Unpolled {
    #[track_caller]
    pub(crate) const fn new(what: &'static &'static str) -> Self {
        Self {
            what,
            created_at: Location::caller(),
        }
    }

    /// The first step of the coroutine.
    pub(crate) const fn polled(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unpolled {
    fn drop(&mut self) {
        never_awaited(self.what, Some(self.created_at));
    }
}

/// The loop is closed before a task's first step.
pub(crate) fn never_started(core: &Core, task: &TaskRef) {
    if core.debug() && !task.base.has(cell::STARTED) {
        let task = TaskHandle::of(task.clone());
        tracing::warn!(target: "asyncio", "coroutine of {task:?} was never awaited");
    }
}

/// Something was asked of a loop on a thread that is not its own.
#[cold]
pub(crate) fn wrong_thread() {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("without a name");
    tracing::warn!(
        target: "asyncio",
        "Non-thread-safe operation invoked on an event loop other than the current one, on thread \
         {name}",
    );
}

/// What is being run, so that it can be named afterwards.
enum What {
    Step(TaskRef),
    Call(&'static str),
    Done(CellRef),
    Other(&'static str),
}

impl What {
    fn of(core: &Core, ready: &Ready) -> Self {
        match ready {
            Ready::Step(task) => Self::Step(task.clone()),
            Ready::Call(key) => match core.calls.borrow().get(*key) {
                Some(call) => Self::Call(call.function.name()),
                None => Self::Other("a cancelled callback"),
            },
            Ready::Done(cell, _) => Self::Done(cell.clone()),
            Ready::Wake(_) => Self::Other("the waker of something foreign"),
            _ => Self::Other("a callback of the loop's own"),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Step(task) => format!("{:?}", TaskHandle::of(task.clone())),
            Self::Call(name) => format!("<Handle {name}>"),
            Self::Done(cell) => match cell.as_task() {
                Some(task) => format!("<done callback of {:?}>", TaskHandle::of(task.clone())),
                None => "<done callback of a Future>".to_owned(),
            },
            Self::Other(name) => format!("<{name}>"),
        }
    }
}

/// A callback of a user's, which knows its name: that costs nothing until it is asked for.
pub(crate) struct UserCall<F, R> {
    function: F,
    result: PhantomData<fn() -> R>,
}

impl<F, R> UserCall<F, R> {
    pub(crate) const fn new(function: F) -> Self {
        Self {
            function,
            result: PhantomData,
        }
    }
}

impl<F: FnOnce() -> R, R: CallbackResult> Function for UserCall<F, R> {
    fn call(self: Box<Self>) -> Result<()> {
        (self.function)().into_result()
    }

    fn name(&self) -> &'static str {
        type_name::<F>()
    }
}
