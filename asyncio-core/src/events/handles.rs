//! `Handle` and `TimerHandle`, and what exception handlers are told.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::contextvars::Context;
use crate::debug;
use crate::exceptions::{Exception, Result};
use crate::loop_cell::{Core, LoopCell, Mail};
use crate::slab::Key;
use crate::tasks::TaskHandle;

/// What a callback may return: nothing, or a [`Result`] whose error goes to the exception handler.
///
/// ```
/// # use asyncio_core::{CallbackResult, RuntimeError};
/// assert!(().into_result().is_ok());
/// assert!(Err::<(), _>(RuntimeError::new("no")).into_result().is_err());
/// ```
#[diagnostic::on_unimplemented(
    message = "a callback returns nothing or a `Result<()>`, not `{Self}`",
    label = "the callback returns `{Self}`",
    note = "nobody asks for a callback's value: drop it, as in `|task| drop(task.result())`"
)]
pub trait CallbackResult: 'static {
    /// The error, if the callback failed.
    ///
    /// # Errors
    ///
    /// What the callback returned.
    fn into_result(self) -> Result<()>;
}

impl CallbackResult for () {
    fn into_result(self) -> Result<()> {
        Ok(())
    }
}

impl<E: Into<Exception> + 'static> CallbackResult for Result<(), E> {
    fn into_result(self) -> Result<()> {
        self.map_err(Into::into)
    }
}

/// A function that waits to be called (`asyncio.Handle`).
///
/// ```
/// # use asyncio_core::{Result, get_running_loop, run, sleep};
/// # fn main() -> Result<()> {
/// # run(async {
/// let handle = get_running_loop()?.call_soon(|| println!("never called"))?;
/// handle.cancel();
/// sleep(0).await?;
/// assert!(handle.cancelled());
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone)]
pub struct Handle {
    pub(super) inner: Arc<HandleInner>,
}

pub(super) struct HandleInner {
    cell: Arc<LoopCell>,
    pub(super) cancelled: AtomicBool,
    /// The function's place, and that of its timer.
    keys: Mutex<(Key, Key)>,
}

impl Handle {
    pub(super) fn new(cell: Arc<LoopCell>, call: Key, timer: Key) -> Self {
        let cancelled = AtomicBool::new(false);
        Self {
            inner: Arc::new(HandleInner {
                cell,
                cancelled,
                keys: Mutex::new((call, timer)),
            }),
        }
    }

    /// Has the function not called, and drops it; without effect once it was called.
    pub fn cancel(&self) {
        // AcqRel: the loop that inserts a call posted from another thread looks at this first.
        if self.inner.cancelled.swap(true, Ordering::AcqRel) {
            return;
        }
        match self.inner.cell.core() {
            Some(core) => self.inner.remove(core),
            None => {
                let inner = Arc::clone(&self.inner);
                let remove = move |core: &Core| inner.remove(core);
                // A closed loop has dropped the function already.
                let _ = self.inner.cell.post(Mail::Run(Box::new(remove)));
            }
        }
    }

    /// Whether [`cancel`](Self::cancel) was called.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::Acquire)
    }

    /// The context the function will run in; `None` once it was called or cancelled, and on another
    /// thread than the loop's.
    #[must_use]
    pub fn get_context(&self) -> Option<Context> {
        let key = self.inner.lock_keys().0;
        let core = self.inner.cell.core()?;
        let mut calls = core.calls.borrow_mut();
        calls.get_mut(key).map(|call| call.context.share())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("cancelled", &self.cancelled())
            .finish()
    }
}

impl HandleInner {
    pub(super) fn lock_keys(&self) -> MutexGuard<'_, (Key, Key)> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, core: &Core) {
        let (call, timer) = *self.lock_keys();
        let timer = core.timers.borrow_mut().cancel(timer);
        let call = core.calls.borrow_mut().remove(call);
        drop((call, timer));
    }
}

/// A function that waits for its time (`asyncio.TimerHandle`).
///
/// It derefs to [`Handle`], which cancels it.
///
/// # asyncio
///
/// Timers are not ordered by comparing their handles; compare what [`when`](Self::when) returns.
#[derive(Clone)]
pub struct TimerHandle {
    pub(super) handle: Handle,
    pub(super) when: f64,
}

impl TimerHandle {
    /// The loop's time, in seconds, at which the function is called.
    #[must_use]
    pub const fn when(&self) -> f64 {
        self.when
    }
}

impl Deref for TimerHandle {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl fmt::Debug for TimerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerHandle")
            .field("when", &self.when)
            .field("cancelled", &self.cancelled())
            .finish()
    }
}

/// What an exception handler is told.
///
/// ```
/// # use asyncio_core::{ExceptionContext, ValueError};
/// let context = ExceptionContext::new("Exception in callback", Some(ValueError::new("odd").into()));
/// assert_eq!(context.to_string(), "Exception in callback\nValueError(\"odd\")");
/// ```
///
/// # asyncio
///
/// In Python a dict; here what it always holds has names and types.
#[derive(Clone, Debug)]
pub struct ExceptionContext {
    message: Cow<'static, str>,
    exception: Option<Exception>,
    task_name: Option<String>,
    created_at: Option<&'static Location<'static>>,
    /// That of the task or the callback that it happened to: the handler runs in it.
    context: Option<Context>,
}

impl ExceptionContext {
    /// A context with what every one has.
    #[must_use]
    pub fn new(message: impl Into<Cow<'static, str>>, exception: Option<Exception>) -> Self {
        Self {
            message: message.into(),
            exception,
            task_name: None,
            created_at: None,
            context: None,
        }
    }

    /// What happened, in one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The exception, where there is one.
    #[must_use]
    pub const fn exception(&self) -> Option<&Exception> {
        self.exception.as_ref()
    }

    /// The name of the task that it happened to, where it happened to one.
    #[must_use]
    pub fn task_name(&self) -> Option<&str> {
        self.task_name.as_deref()
    }

    /// Where that task was spawned (the key `source_traceback` in Python); in debug mode only.
    #[must_use]
    pub const fn created_at(&self) -> Option<&'static Location<'static>> {
        self.created_at
    }

    /// The same, of something that happened to a task: its name is told, and the handler runs in its
    /// context (the key `task` in Python).
    ///
    /// ```
    /// # use asyncio_core::{ExceptionContext, Result, current_task, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let me = current_task().expect("main is a task");
    /// let context = ExceptionContext::new("something odd", None).with_task(&me);
    /// assert_eq!(context.task_name(), Some("Task-1"));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    #[must_use]
    pub fn with_task(self, task: &TaskHandle) -> Self {
        let header = task.task();
        let created_at = debug::is_on(header.cell().home()).then_some(header.spawned_at);
        self.of_task(task.get_name(), task.get_context(), created_at)
    }

    pub(crate) fn of_task(
        mut self,
        name: String,
        context: Option<Context>,
        created_at: Option<&'static Location<'static>>,
    ) -> Self {
        self.task_name = Some(name);
        self.created_at = created_at;
        self.in_context(context)
    }

    pub(crate) fn in_context(mut self, context: Option<Context>) -> Self {
        self.context = context;
        self
    }

    pub(crate) const fn context(&self) -> Option<&Context> {
        self.context.as_ref()
    }
}

impl fmt::Display for ExceptionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(name) = &self.task_name {
            write!(f, "\ntask: {name}")?;
        }
        if let Some(created_at) = self.created_at {
            write!(f, "\ncreated at: {created_at}")?;
        }
        if let Some(exception) = &self.exception {
            write!(f, "\n{exception:?}")?;
        }
        Ok(())
    }
}
