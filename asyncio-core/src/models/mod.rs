//! Models of what two or three threads do with one cell, for loom to run in every order.
//!
//! The cells, mailboxes and loops are the real ones, and so are the futures and tasks. Only tokio's
//! part is played by the threads of the model: each polls one task as a tokio worker does, and sleeps
//! until that one's waker is used. Each model says what it would catch; that was seen, by breaking the
//! code in that way.

#[cfg(test)]
mod home;
#[cfg(test)]
mod shared;

use std::backtrace::Backtrace;
use std::future::Future as StdFuture;
use std::panic::{self, Location, PanicHookInfo};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::task::{Context as PollContext, Poll, Wake, Waker};

use loom::sync::atomic::AtomicBool;
use loom::thread::JoinHandle;

use crate::base_events::Driver;
use crate::cell::{self, Callback};
use crate::contextvars::Slot;
use crate::current::Frame;
use crate::events::EventLoop;
use crate::exceptions::Result;
use crate::loop_cell::LoopCell;
use crate::primitives::{Cell, Turn, sleep_in_model, wake_in_model};
use crate::tasks::{self, Task};
use crate::time::Clock;

/// What the stack of a model's thread holds; loom gives it a few pages, which is not enough for our
/// frames in a debug build.
const STACK: usize = 1 << 15;

/// Has loom run a model in every order that takes so many preemptions; in every order at all where
/// no bound is given. Waiting is no preemption.
///
/// # Panics
///
/// When the model does, when its threads wait for each other, and when two of them use something at
/// once that is not synchronised.
pub fn check(name: &str, preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    let model = Arc::new(model);
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 10_000;
    builder.preemption_bound = builder.preemption_bound.or(preemptions);
    // Once: what loom's threads are made of ends them by panics, which the hook that it adds to this
    // one keeps from it.
    static HOOK: Once = Once::new();
    HOOK.call_once(|| panic::set_hook(Box::new(fail)));
    let started = std::time::Instant::now();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        let model = Arc::clone(&model);
        spawn(move || model()).join().expect("the model's thread");
    });
    #[expect(clippy::print_stdout, reason = "`cargo xtask test loom` adds these up")]
    {
        println!(
            "model {name}: {} orders in {:.1} s",
            orders.load(Ordering::Relaxed),
            started.elapsed().as_secs_f64(),
        );
    }
}

/// Ends the process: a task would keep a panic as its exception, loom's own ones among them, and
/// what unwinds would go on with a model that has failed.
fn fail(panic: &PanicHookInfo<'_>) {
    #[expect(clippy::print_stderr, reason = "nobody else says what has failed")]
    {
        eprintln!("{panic}\n{}", Backtrace::capture());
    }
    std::process::exit(FAILED);
}

/// As the test harness ends where a test has failed.
const FAILED: i32 = 101;

/// A thread of the model.
pub fn spawn<T: Send + 'static>(function: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let thread = loom::thread::Builder::new().stack_size(STACK);
    thread.spawn(function).expect("a model has few threads")
}

/// Polls a future as a runtime's worker does: whenever its waker was used.
pub fn block_on<F: StdFuture>(future: F) -> F::Output {
    let mut future = pin!(future);
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = PollContext::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        woken.wait();
    }
}

/// A worker that sleeps until there is something to poll. What is done before a wake is seen by the
/// poll that follows, and nothing else is ordered by it.
struct Woken(AtomicBool);

impl Woken {
    fn wait(self: &Arc<Self>) {
        while !self.0.swap(false, Ordering::AcqRel) {
            sleep_in_model(self.address());
        }
    }

    fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.swap(true, Ordering::AcqRel);
        wake_in_model(self.address());
    }
}

/// A loop of this thread, which has no tokio runtime: it is for [`run`] alone. What it would report is
/// what the models are about.
pub fn event_loop() -> EventLoop {
    let event_loop = EventLoop::of(LoopCell::make(Clock::virtual_()));
    let set = event_loop.set_exception_handler(Some(Box::new(|_, _| ())));
    set.expect("this is its thread");
    event_loop
}

/// As `EventLoop::run_until_complete` does it, but for tokio's part.
///
/// # Errors
///
/// Those of the future.
///
/// # Panics
///
/// When an exception leaves the loop.
pub fn run<T, F>(event_loop: &EventLoop, future: F) -> Result<T>
where
    F: StdFuture<Output = Result<T>> + 'static,
    T: 'static,
{
    let core = event_loop.core()?;
    let task = tasks::spawn(core, future, Location::caller()).into_typed();
    cell::add_callback(task.cell(), Callback::Stop);
    core.running.set(true);
    let cell: &LoopCell = &core.shared();
    let left = Frame::run(cell, None, &Cell::new(Slot::default()), |_| {
        block_on(Driver::new(core, cell))
    });
    core.running.set(false);
    core.stopping.set(false);
    cell.clear_waker();
    left.expect("no exception leaves the loop");
    task.take_result()
}

/// A task of no loop, and what a tokio runtime would be given to poll.
pub fn task<T, F>(future: F) -> (Task<T>, impl StdFuture<Output = ()> + Send + 'static)
where
    F: StdFuture<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    Task::builder().undriven(future)
}

/// What a tokio runtime was given to poll, after the first poll; the wake that comes next is lost, as
/// that of a worker that has looked elsewhere meanwhile, and `block_on` polls anew.
pub fn begun<F: StdFuture<Output = ()>>(future: F) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    let polled = future
        .as_mut()
        .poll(&mut PollContext::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "there is something to wait for");
    future
}

/// How many of what was made here are still there.
#[derive(Clone, Debug, Default)]
pub struct Alive(Arc<AtomicUsize>);

impl Alive {
    /// One more.
    #[must_use]
    pub fn one(&self) -> Counted {
        // Relaxed, here and below: only the sum matters, and it is looked at when all have ended.
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted {
            turn: Turn::new(),
            alive: self.clone(),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Something that one thread at a time may use, which loom checks, and that is dropped once.
#[derive(Debug)]
pub struct Counted {
    turn: Turn,
    alive: Alive,
}

impl Counted {
    /// Uses it as its only user.
    pub fn touch(&self) {
        self.turn.take();
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.turn.look();
        self.alive.one()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.touch();
        self.alive.0.fetch_sub(1, Ordering::Relaxed);
    }
}
