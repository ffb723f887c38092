//! The loop's iterations (`asyncio/base_events.py`, `BaseEventLoop._run_once`), as one future that a
//! tokio runtime drives, and what is reported to the exception handler.

use std::any::Any;
use std::fmt;
use std::future::Future as StdFuture;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context as PollContext, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep as TokioSleep;
use tracing::subscriber::NoSubscriber;

use crate::cell::{self, CellRef, TaskRef};
use crate::contextvars::{Context, Slot};
use crate::current::{self, Frame};
use crate::debug;
use crate::events::{EventLoop, ExceptionContext};
use crate::exceptions::{Exception, Result};
use crate::loop_cell::{Core, LoopCell, Mail};
use crate::primitives::Cell;
use crate::ready::{Call, Ready};
use crate::runners::workers;
use crate::shuffle::Shuffle;
use crate::tasks::TaskHandle;
use crate::time::{Clock, due_before};
use crate::timeouts;

/// Drives a loop until it is stopped or an exception leaves it.
pub(crate) struct Driver<'a> {
    core: &'a Core,
    cell: &'a LoopCell,
    /// tokio's timer for our earliest deadline.
    alarm: Option<Pin<Box<TokioSleep>>>,
}

/// The loop looks at the time after this many handles, and lets tokio's I/O and timers run when it
/// has been busy for `BUSY`. Measured: a look costs what three handles cost, giving way what a
/// hundred do.
const LOOK: u32 = 64;
const BUSY: Duration = Duration::from_micros(200);
/// The longest sleep (`MAXIMUM_SELECT_TIMEOUT`).
const MAX_SLEEP: f64 = 24.0 * 3600.0;

impl<'a> Driver<'a> {
    pub(crate) const fn new(core: &'a Core, cell: &'a LoopCell) -> Self {
        Self {
            core,
            cell,
            alarm: None,
        }
    }

    /// Runs what is left of the iteration under way; false when it was time to give way.
    fn run_batch(&self, started: Instant, handles: &mut u32) -> bool {
        let core = self.core;
        let debug = self.cell.debug();
        while let Some(left) = core.batch.get().checked_sub(1) {
            let Some(next) = core.ready.borrow_mut().pop() else {
                core.batch.set(0);
                break;
            };
            core.batch.set(left);
            match next {
                Some(task) if !debug => {
                    cell::step(core, &task);
                    task.into_cell().drop_here();
                }
                step => run_next(core, step, debug),
            }
            if core.has_escaped.get() {
                // The rest of the batch runs when the loop is run again.
                return true;
            }
            *handles = handles.wrapping_add(1);
            if handles.is_multiple_of(LOOK) && started.elapsed() > BUSY {
                return false;
            }
        }
        true
    }

    /// Begins an iteration: mail, due timers, and the batch is what is ready then.
    #[inline]
    fn begin(&mut self, cx: &mut PollContext<'_>) -> Poll<()> {
        let core = self.core;
        if self.cell.has_mail() {
            self.cell
                .take_mail()
                .into_iter()
                .for_each(|mail| read(core, mail));
        }
        if !core.timers.borrow().is_empty() {
            if self.begin_with_timers(cx).is_pending() {
                return Poll::Pending;
            }
        } else if core.ready.borrow().is_empty() && !core.stopping.get() {
            return Poll::Pending;
        }
        core.batch.set(match core.shuffle.get() {
            None => core.ready.borrow().len(),
            Some(shuffle) => deal(core, shuffle),
        });
        core.turn.set(core.turn.get() + 1);
        Poll::Ready(())
    }

    fn begin_with_timers(&mut self, cx: &mut PollContext<'_>) -> Poll<()> {
        let core = self.core;
        let next = core.timers.borrow_mut().next();
        if core.ready.borrow().is_empty() && !core.stopping.get() && self.sleeps_until(next, cx) {
            return Poll::Pending;
        }
        if next.is_some() {
            let end = due_before(core.now());
            while let Some(action) = { core.timers.borrow_mut().pop_before(end) } {
                core.ready.borrow_mut().push(action.into());
            }
        }
        Poll::Ready(())
    }

    /// Whether there is nothing to do yet; then somebody will wake the loop.
    fn sleeps_until(&mut self, next: Option<f64>, cx: &mut PollContext<'_>) -> bool {
        let Some(when) = next else { return true };
        let now = match self.core.clock.get() {
            Clock::Virtual { now } => {
                // A timer that is never due is nothing to jump to.
                if self.core.holds.get() > 0 || when == f64::INFINITY {
                    return true;
                }
                self.core.clock.set(Clock::Virtual { now: now.max(when) });
                return false;
            }
            clock @ Clock::Real { .. } => clock.now(),
        };
        if when < due_before(now) {
            return false;
        }
        let seconds = (when - now).clamp(0.0, MAX_SLEEP);
        let deadline = tokio::time::Instant::now() + Duration::from_secs_f64(seconds);
        let alarm = match &mut self.alarm {
            Some(alarm) => {
                alarm.as_mut().reset(deadline);
                alarm
            }
            none => none.insert(Box::pin(tokio::time::sleep_until(deadline))),
        };
        alarm.as_mut().poll(cx).is_pending()
    }
}

impl StdFuture for Driver<'_> {
    /// `Ok` when stopped; an exception when one left the loop.
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let core = this.core;
        this.cell.set_waker(cx.waker());
        let _polling = Polling::new(&core.polling);
        let started = Instant::now();
        let mut handles = 0;
        loop {
            let in_batch = core.batch.get() > 0;
            if !in_batch && this.begin(cx).is_pending() {
                return Poll::Pending;
            }
            let on = this.run_batch(started, &mut handles);
            if core.has_escaped.replace(false) {
                core.batch.set(0);
                let escaped = core.escaped.borrow_mut().take();
                return Poll::Ready(escaped.map_or(Ok(()), Err));
            }
            // The iteration may have ended with the very handle after which it is time to give way.
            if core.batch.get() == 0 && core.stopping.get() {
                return Poll::Ready(Ok(()));
            }
            if !on {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
}

/// Lets chance decide what the iteration runs, and in which order.
#[cold]
fn deal(core: &Core, mut shuffle: Shuffle) -> usize {
    let mut queue = core.ready.borrow_mut();
    let mut entries = queue.take_all();
    let dealt = shuffle.deal(&mut entries);
    queue.extend(entries);
    core.shuffle.set(Some(shuffle));
    dealt
}

/// Does what another thread has asked for; on the loop's own thread.
pub(crate) fn read(core: &Core, mail: Mail) {
    match mail {
        Mail::Release(released) => released.release(),
        Mail::Wake(task) => {
            // Acquire, with the Release in the sender: one that found the flag set sends nothing, so that
            // this step has to see what it woke for. A plain store would not: it reads nothing.
            task.base.wake_sent.swap(false, Ordering::Acquire);
            cell::schedule(&task);
        }
        Mail::WakeSlot(task, id) => {
            cell::wake_slot(&task, id);
        }
        Mail::Slept(task, id) => core.push(Ready::Slept(task, id)),
        Mail::EndWait(task, id) => drop(cell::end(&task, id)),
        Mail::Cancel(cell, message) => {
            cell::cancel(&cell, &message);
        }
        Mail::AddCallback(cell, callback) => {
            cell::add_callback(&cell, callback.into_inner());
        }
        Mail::RemoveCallback(cell, token) => cell::remove_callback(&cell, token),
        Mail::Run(function) => function(core),
    }
}

/// Does what can still be done of what another thread has asked for while the loop was being closed.
pub(crate) fn read_closed(mail: Mail) {
    match mail {
        Mail::Release(released) => released.release(),
        // What was waited for has been dropped, and whoever waits hears of it.
        Mail::AddCallback(cell, callback) => {
            cell::add_callback(&cell, callback.into_inner());
        }
        Mail::RemoveCallback(cell, token) => cell::remove_callback(&cell, token),
        Mail::Cancel(cell, message) => {
            cell::cancel(&cell, &message);
        }
        Mail::EndWait(task, id) => drop(cell::end(&task, id)),
        // Its tasks have ended, and nothing is called any more.
        Mail::Wake(_) | Mail::WakeSlot(..) | Mail::Slept(..) | Mail::Run(_) => {}
    }
}

/// Runs an entry that was taken out of the ready queue just now.
#[inline(never)]
fn run_next(core: &Core, step: Option<TaskRef>, debug: bool) {
    let other = || core.ready.borrow_mut().take_other();
    let Some(ready) = step.map(Ready::Step).or_else(other) else {
        return;
    };
    if debug {
        debug::run(core, ready, run_ready);
    } else {
        run_ready(core, ready);
    }
}

/// Runs one entry of the ready queue (`Handle._run`).
#[inline(never)]
fn run_ready(core: &Core, ready: Ready) {
    match ready {
        Ready::Step(task) => cell::step(core, &task),
        Ready::Slept(task, id) => {
            cell::wake_slot(&task, id);
        }
        Ready::Call(key) => {
            let call = core.calls.borrow_mut().remove(key);
            if let Some(call) = call {
                run_call(core, call);
            }
        }
        Ready::Done(cell, call) => run_done(core, || call.call(cell)),
        Ready::Family(outer, child, number) => {
            run_done(core, || cell::tell(&outer, &child, number));
        }
        Ready::Watch(watcher, child, number) => run_done(core, || watcher.done(&child, number)),
        Ready::Timeout(key) => timeouts::fire(core, key),
        Ready::Wake(waker) => run_done(core, || waker.wake()),
        Ready::Stop(cell) => {
            // An exception that leaves the loop has done so already (`_run_until_complete_cb`).
            let escapes = cell::peek(&cell).is_some_and(|error| error.escapes_the_loop());
            if !escapes {
                core.stopping.set(true);
            }
        }
    }
}

fn run_call(core: &Core, call: Call) {
    let Call { function, context } = call;
    let context = Cell::new(context);
    let result = Frame::run(core.loop_cell().as_ptr(), None, &context, |_| {
        catch_unwind(AssertUnwindSafe(|| function.call()))
            .unwrap_or_else(|panic| Err(Exception::from_panic(panic)))
    });
    if let Err(exception) = result {
        failed_callback(Some(core), exception, Some(context.take().share()));
    }
}

/// Runs something that brings its own context along and reports its own errors.
fn run_done(core: &Core, function: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(function)) {
        failed_callback(Some(core), Exception::from_panic(panic), None);
    }
}

/// An exception left a callback, which ran in this context: it is reported and the loop goes on, or it
/// leaves the loop too.
pub(crate) fn failed_callback(core: Option<&Core>, exception: Exception, context: Option<Context>) {
    match core {
        Some(core) if exception.escapes_the_loop() => core.escape(exception),
        Some(core) => call_exception_handler(core, &in_callback(exception, context)),
        None => workers::failed_callback(exception, context),
    }
}

/// What is told of an exception that left a callback.
pub(crate) fn in_callback(exception: Exception, context: Option<Context>) -> ExceptionContext {
    ExceptionContext::new("Exception in callback", Some(exception)).in_context(context)
}

/// Tells the loop's handler, or the default one (`BaseEventLoop.call_exception_handler`).
pub(crate) fn call_exception_handler(core: &Core, context: &ExceptionContext) {
    let handler = core.handler.borrow().clone();
    let Some(handler) = handler else {
        return default_exception_handler(context);
    };
    let event_loop = EventLoop::of(core.shared());
    let handle = || handler(&event_loop, context);
    let is_current = std::ptr::eq(current::loop_cell(), core.loop_cell().as_ptr());
    let called = catch_unwind(AssertUnwindSafe(|| match context.context().cloned() {
        Some(context) if is_current => current::in_context(Slot::shared(context), handle),
        None if is_current => handle(),
        context => {
            let place = Cell::new(context.map_or_else(Slot::default, Slot::shared));
            Frame::run(core.loop_cell().as_ptr(), None, &place, |_| handle());
        }
    }));
    if let Err(panic) = called {
        let exception = Exception::from_panic(panic);
        default_exception_handler(&ExceptionContext::new(
            "Unhandled error in exception handler",
            Some(exception),
        ));
        default_exception_handler(context);
    }
}

/// Logs the context as an error of the target `asyncio`; where nothing collects `tracing`'s events,
/// to standard error, as Python's last-resort handler does.
pub(crate) fn default_exception_handler(context: &ExceptionContext) {
    // That of this thread: another thread's collector hears nothing of what happens here.
    let collected = tracing::dispatcher::get_default(|dispatch| !dispatch.is::<NoSubscriber>());
    if !collected {
        print(context);
        return;
    }
    // A collector is anybody's code.
    let tell = AssertUnwindSafe(|| tracing::error!(target: "asyncio", "{context}"));
    if let Err(panic) = catch_unwind(tell) {
        // It has been printed where it happened, and dropping it may be no better.
        drop(Exception::from_panic(panic));
        print("Exception in default exception handler");
        print(context);
    }
}

#[expect(
    clippy::print_stderr,
    reason = "an error must not vanish where nothing collects events"
)]
fn print(text: impl fmt::Display) {
    // It panics where nobody reads what is printed, and then nobody can be told.
    let _ = catch_unwind(AssertUnwindSafe(|| eprintln!("{text}")));
}

/// The last reference to a failed future or task is gone and nobody has asked for its exception.
pub(crate) fn report_never_retrieved(
    home: &LoopCell,
    task: Option<(String, Context, &'static Location<'static>)>,
    exception: Option<Exception>,
) {
    let message = if task.is_some() {
        "Task exception was never retrieved"
    } else {
        "Future exception was never retrieved"
    };
    let mut context = ExceptionContext::new(message, exception);
    if let Some((name, place, spawned_at)) = task {
        let created_at = debug::is_on(home).then_some(spawned_at);
        context = context.of_task(name, Some(place), created_at);
    }
    report(home, &context);
}

/// A panic where there is nobody it could be raised to.
pub(crate) fn report_panic(home: &LoopCell, message: &'static str, panic: Box<dyn Any + Send>) {
    report(
        home,
        &ExceptionContext::new(message, Some(Exception::from_panic(panic))),
    );
}

fn report(home: &LoopCell, context: &ExceptionContext) {
    match home.core() {
        Some(core) => call_exception_handler(core, context),
        None => workers::call_exception_handler(context),
    }
}

/// Empties a loop that is being closed: tasks are dropped unfinished, everything queued is dropped.
pub(crate) fn empty(core: &Core) {
    // Dropping may make new work (a destructor may spawn), which is dropped in turn. What never
    // comes to an end is cut off, so that closing always does.
    for _ in 0..MAX_ROUNDS {
        let tasks = core.tasks.borrow_mut().take_all();
        let ready = core.ready.borrow_mut().take_all();
        let calls = core.calls.borrow_mut().take_all();
        let timers = core.timers.borrow_mut().take_all();
        let timeouts = core.timeouts.borrow_mut().take_all();
        let families = core.families.borrow_mut().take_all();
        let done = tasks.is_empty()
            && ready.is_empty()
            && calls.is_empty()
            && timers.is_empty()
            && families.is_empty();
        families.iter().for_each(cell::let_go);
        drop((ready, calls, timers, timeouts, families));
        for task in tasks {
            report_destroyed(core, task.cell());
            cell::drop_unfinished(Some(core), &task);
        }
        if done {
            break;
        }
    }
    core.batch.set(0);
}

const MAX_ROUNDS: usize = 1000;

fn report_destroyed(core: &Core, cell: &CellRef) {
    if cell.is_done() {
        return;
    }
    if let Some(task) = cell.as_task() {
        let context = ExceptionContext::new("Task was destroyed but it is pending!", None)
            .with_task(&TaskHandle::of(task.clone()));
        call_exception_handler(core, &context);
        debug::never_started(core, task);
    }
}

/// Says for as long as it lives that the loop is being polled.
struct Polling<'a>(&'a Cell<bool>);

impl<'a> Polling<'a> {
    fn new(polling: &'a Cell<bool>) -> Self {
        polling.set(true);
        Self(polling)
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
