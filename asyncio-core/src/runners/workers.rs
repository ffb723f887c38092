//! What the threads of a `MultiThreadRunner` share: its tasks, and who hears of what goes wrong.
//!
//! Each of its threads knows it from the start, so that whatever runs there finds it: a task of ours,
//! and a tokio task that starts one.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context as PollContext, Poll, Waker};

use tokio::runtime::{Handle as Runtime, Id};

use crate::base_events::{self, default_exception_handler};
use crate::cell::{self, TaskRef};
use crate::contextvars::{Context, Slot};
use crate::current;
use crate::events::ExceptionContext;
use crate::exceptions::Exception;
use crate::primitives::{Mutex, MutexGuard};
use crate::tasks::TaskHandle;

/// Who hears of errors that nobody else can be told of.
pub(crate) type Handler = dyn Fn(&ExceptionContext) + Send + Sync;

/// A runner with many threads, as these see it.
pub(crate) struct Workers {
    runtime: OnceLock<Id>,
    pub(crate) debug: bool,
    handler: Option<Box<Handler>>,
    /// The tasks that are not done, in the order in which they were made.
    tasks: Mutex<BTreeMap<u64, TaskRef>>,
    made: AtomicU64,
    /// How many were given a number for a name.
    numbered: AtomicU64,
    escape: Mutex<Escape>,
}

/// An exception on its way out of the runner (`KeyboardInterrupt`, `SystemExit`).
#[derive(Default)]
struct Escape {
    exception: Option<Exception>,
    /// Wakes the thread that runs the runner.
    waker: Option<Waker>,
}

thread_local! {
    /// Set when a thread of a runner starts, and never changed.
    static HERE: OnceCell<Arc<Workers>> = const { OnceCell::new() };
}

/// The runner whose thread this is.
pub(crate) fn here() -> Option<Arc<Workers>> {
    HERE.try_with(|here| here.get().cloned()).ok().flatten()
}

/// Whether this is a thread of a runner.
#[inline]
pub(crate) fn is_here() -> bool {
    HERE.try_with(|here| here.get().is_some()).unwrap_or(false)
}

/// The runner whose runtime this is, as far as it is known on this thread.
#[inline]
pub(crate) fn of(runtime: &Runtime) -> Option<Arc<Workers>> {
    let found = HERE.try_with(|here| {
        let workers = here.get()?;
        // Another runtime may have been entered on a thread of the runner's.
        (workers.runtime.get() == Some(&runtime.id())).then(|| Arc::clone(workers))
    });
    found.ok().flatten()
}

/// An exception left a callback that no loop has called.
pub(crate) fn failed_callback(exception: Exception, context: Option<Context>) {
    match here() {
        Some(workers) if exception.escapes_the_loop() => workers.escape(exception),
        _ => call_exception_handler(&base_events::in_callback(exception, context)),
    }
}

/// Tells the handler of the runner whose thread this is, or the default one.
pub(crate) fn call_exception_handler(context: &ExceptionContext) {
    match here() {
        Some(workers) => workers.call_exception_handler(context),
        None => default_exception_handler(context),
    }
}

impl Workers {
    pub(crate) fn new(debug: bool, handler: Option<Box<Handler>>) -> Self {
        Self {
            runtime: OnceLock::new(),
            debug,
            handler,
            tasks: Mutex::default(),
            made: AtomicU64::new(0),
            numbered: AtomicU64::new(0),
            escape: Mutex::default(),
        }
    }

    /// Says whose runtime it is; once.
    pub(super) fn belong_to(&self, runtime: &Runtime) {
        // It was not set before, because the runner makes one runtime.
        let _ = self.runtime.set(runtime.id());
    }

    /// Makes the thread that is starting one of the runner's.
    pub(super) fn enter(this: &Arc<Self>) {
        // It was not set before, because a thread starts once.
        let _ = HERE.with(|here| here.set(Arc::clone(this)));
    }

    /// The number of a new task.
    pub(crate) fn count(&self) -> u64 {
        // Relaxed: only that numbers differ matters, and an atomic addition sees to that.
        self.made.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The number of a new task that has no other name.
    pub(crate) fn count_name(&self) -> u64 {
        // Relaxed: as above.
        self.numbered.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The tasks that are not done, in the order in which they were made.
    pub(crate) fn tasks(&self) -> Vec<TaskHandle> {
        let tasks: Vec<TaskRef> = self.lock().values().cloned().collect();
        // Between the end of one and the next line of the thread that ended it.
        let pending = tasks.into_iter().filter(|task| !task.base.is_done());
        pending.map(TaskHandle::of).collect()
    }

    /// Takes a task in that is about to run.
    pub(crate) fn add(&self, number: u64, task: &TaskRef) {
        self.lock().insert(number, task.clone());
    }

    /// A task has ended, or is going to be dropped.
    pub(crate) fn remove(&self, number: u64) {
        let removed = self.lock().remove(&number);
        drop(removed);
    }

    /// A task has ended.
    pub(crate) fn ended(&self, number: u64, task: &TaskRef) {
        self.remove(number);
        if let Some(exception) = cell::peek(task.cell())
            && exception.escapes_the_loop()
        {
            self.escape(exception);
        }
    }

    /// Has the runner left, with this exception.
    pub(crate) fn escape(&self, exception: Exception) {
        let (old, waker) = {
            let mut escape = lock(&self.escape);
            (escape.exception.replace(exception), escape.waker.take())
        };
        drop(old);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The exception with which the runner is to be left.
    pub(crate) fn poll_escape(&self, cx: &PollContext<'_>) -> Poll<Exception> {
        let mut waker = Some(cx.waker().clone());
        let exception = {
            let mut escape = lock(&self.escape);
            let exception = escape.exception.take();
            if exception.is_none() {
                std::mem::swap(&mut escape.waker, &mut waker);
            }
            exception
        };
        exception.map_or(Poll::Pending, Poll::Ready)
    }

    pub(crate) fn call_exception_handler(&self, context: &ExceptionContext) {
        let Some(handler) = &self.handler else {
            return default_exception_handler(context);
        };
        let call = || match context.context().cloned() {
            Some(place) => current::in_context(Slot::shared(place), || handler(context)),
            None => handler(context),
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
            default_exception_handler(&ExceptionContext::new(
                "Unhandled error in exception handler",
                Some(Exception::from_panic(panic)),
            ));
            default_exception_handler(context);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, TaskRef>> {
        lock(&self.tasks)
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("tasks", &self.lock().len())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
