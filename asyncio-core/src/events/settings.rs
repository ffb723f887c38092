//! What can be set about a loop: how tasks are made, who hears of errors, debug mode.

use std::rc::Rc;
use std::time::Duration;

use super::EventLoop;
use super::handles::ExceptionContext;
use crate::base_events;
use crate::exceptions::{Result, RuntimeError, ValueError};
use crate::tasks::TaskFactory;
use crate::time::Delay;

/// A function that hears of errors nobody else can be told of; see
/// [`EventLoop::set_exception_handler`].
pub type ExceptionHandler = dyn Fn(&EventLoop, &ExceptionContext);

impl EventLoop {
    /// How the tasks of this loop are made from now on (`loop.set_task_factory`); `None` for the
    /// default.
    ///
    /// See [`eager_task_factory`](crate::eager_task_factory).
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] on another thread than the loop's, and once it is closed.
    pub fn set_task_factory(&self, factory: Option<Box<TaskFactory>>) -> Result<(), RuntimeError> {
        let old = self.core()?.task_factory.replace(factory.map(Rc::from));
        drop(old);
        Ok(())
    }

    /// The factory that was set, or `None` for the default (`loop.get_task_factory`); and `None` on
    /// another thread than the loop's, and once it is closed.
    ///
    /// ```
    /// # use asyncio_core::{Result, TaskBuilder, eager_task_factory, get_running_loop, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let event_loop = get_running_loop()?;
    /// assert!(event_loop.get_task_factory().is_none());
    /// event_loop.set_task_factory(Some(Box::new(eager_task_factory)))?;
    /// let before = event_loop.get_task_factory();
    /// event_loop.set_task_factory(Some(Box::new(|builder| builder.name("probe"))))?;
    /// event_loop.set_task_factory(before) // as it was
    /// # .map_err(Into::into)
    /// # })
    /// # }
    /// ```
    ///
    /// # asyncio
    ///
    /// It does what the one that was set does, but it is another object.
    #[must_use]
    pub fn get_task_factory(&self) -> Option<Box<TaskFactory>> {
        let factory = self.cell.core()?.task_factory.borrow().clone()?;
        Some(Box::new(move |builder| factory(builder)))
    }

    /// Who hears of errors that nobody else can be told of (`loop.set_exception_handler`); `None`
    /// for the default, which logs them.
    ///
    /// ```
    /// # use asyncio_core::{Result, ValueError, get_running_loop, run, sleep};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let event_loop = get_running_loop()?;
    /// event_loop.set_exception_handler(Some(Box::new(|_, context| {
    ///     assert_eq!(context.message(), "Exception in callback");
    /// })))?;
    /// event_loop.call_soon(|| Err::<(), _>(ValueError::new("odd")))?;
    /// sleep(0).await?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] on another thread than the loop's, and once it is closed.
    pub fn set_exception_handler(
        &self,
        handler: Option<Box<ExceptionHandler>>,
    ) -> Result<(), RuntimeError> {
        let old = self.core()?.handler.replace(handler.map(Rc::from));
        drop(old);
        Ok(())
    }

    /// The handler that was set, or `None` for the default (`loop.get_exception_handler`); and `None` on
    /// another thread than the loop's, and once it is closed.
    ///
    /// ```
    /// # use asyncio_core::{Result, get_running_loop, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let event_loop = get_running_loop()?;
    /// let before = event_loop.get_exception_handler();
    /// event_loop.set_exception_handler(Some(Box::new(move |event_loop, context| match &before {
    ///     Some(before) => before(event_loop, context),
    ///     None => event_loop.default_exception_handler(context),
    /// })))?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # asyncio
    ///
    /// It does what the one that was set does, but it is another object.
    #[must_use]
    pub fn get_exception_handler(&self) -> Option<Box<ExceptionHandler>> {
        let handler = self.cell.core()?.handler.borrow().clone()?;
        Some(Box::new(move |event_loop, context| {
            handler(event_loop, context)
        }))
    }

    /// Tells the loop's exception handler (`loop.call_exception_handler`), or the default one where
    /// the loop is not this thread's.
    ///
    /// The handler runs in the current context, or in that of the task that the report is about.
    pub fn call_exception_handler(&self, context: &ExceptionContext) {
        match self.cell.core() {
            Some(core) => base_events::call_exception_handler(core, context),
            None => base_events::default_exception_handler(context),
        }
    }

    /// What happens to errors when no handler is set (`loop.default_exception_handler`).
    pub fn default_exception_handler(&self, context: &ExceptionContext) {
        base_events::default_exception_handler(context);
    }

    /// Whether debug mode is on (`loop.get_debug`).
    #[must_use]
    pub fn get_debug(&self) -> bool {
        self.cell.debug()
    }

    /// Turns debug mode on or off (`loop.set_debug`), from any thread.
    ///
    /// It is on from the start where the environment variable `ASYNCIO_DEBUG` is set to anything. In
    /// debug mode warnings are logged, as events of `tracing` with the target `asyncio`:
    ///
    /// - a step of a task or a callback that takes longer than
    ///   [`slow_callback_duration`](Self::slow_callback_duration), with the task's name and the place
    ///   where it was spawned, or the callback's name;
    /// - a call on another thread than the loop's, which fails with a [`RuntimeError`] in any mode;
    /// - a coroutine that was handed over, as to [`wait_for`](crate::wait_for), and dropped before its
    ///   first step;
    /// - a task that was cancelled and returned a value, without
    ///   [`uncancel`](crate::Task::uncancel).
    ///
    /// And what the exception handler is told of a task says
    /// [where the task was spawned](ExceptionContext::created_at).
    ///
    /// ```
    /// # use asyncio_core::{Result, get_running_loop, run, sleep};
    /// # use std::time::Duration;
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let event_loop = get_running_loop()?;
    /// event_loop.set_debug(true);
    /// event_loop.set_slow_callback_duration(0.010)?;
    /// event_loop.call_soon(|| std::thread::sleep(Duration::from_millis(12)))?;
    /// sleep(0).await // WARN asyncio: Executing <Handle my_crate::main::…> took 0.012 seconds
    /// # })
    /// # }
    /// ```
    pub fn set_debug(&self, enabled: bool) {
        if !self.is_closed() {
            self.cell.set_debug(enabled);
        }
    }

    /// How long a step or a callback may take before debug mode says so
    /// (`loop.slow_callback_duration`): 0.1 seconds, where nothing else was set. Zero on another
    /// thread than the loop's, and once it is closed.
    #[must_use]
    pub fn slow_callback_duration(&self) -> Duration {
        let core = self.cell.core();
        core.map_or(Duration::ZERO, |core| core.slow_callback_duration.get())
    }

    /// Sets how long a step or a callback may take before debug mode says so.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when the duration is negative or not a number; [`RuntimeError`] on another
    /// thread than the loop's, and once it is closed.
    pub fn set_slow_callback_duration(&self, duration: impl Into<Delay>) -> Result<()> {
        let seconds = duration.into().as_secs_f64();
        let duration = Duration::try_from_secs_f64(seconds)
            .map_err(|_| ValueError::new("a duration must be a number of seconds, not negative"))?;
        self.core()?.slow_callback_duration.set(duration);
        Ok(())
    }
}
