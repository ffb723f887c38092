//! Models of what two or three threads do with one cell, for loom to run in every order.
//!
//! The cells, mailboxes and loops are the real ones, and so are the futures and tasks. Only tokio's
//! part is played by the threads of the model: each polls one task as a tokio worker does, and sleeps
//! until that one's waker is used.

#[cfg(test)]
mod home;
#[cfg(test)]
mod shared;

use std::backtrace::Backtrace;
use std::future::Future as StdFuture;
use std::panic::{self, Location, PanicHookInfo};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::task::{Context as PollContext, Poll, Wake, Waker};

use loom::cell::UnsafeCell;
use loom::sync::Notify;
use loom::thread::JoinHandle;

use crate::base_events::Driver;
use crate::cell::{self, Callback};
use crate::contextvars::Slot;
use crate::current::Frame;
use crate::events::EventLoop;
use crate::exceptions::Result;
use crate::loop_cell::LoopCell;
use crate::primitives::Cell;
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
        NOTES.lock().unwrap().clear(); //TEMP
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
        for n in NOTES.lock().unwrap().iter() {
            eprintln!("NOTE {n}");
        } //TEMP
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
    struct Woken(Notify);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            note("wake");
            self.0.notify();
        }
    }
    let mut future = pin!(future);
    let woken = Arc::new(Woken(Notify::new()));
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = PollContext::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            note("ready");
            return output;
        }
        note("pending");
        woken.0.wait();
        note("woken");
    }
}

/// A loop of this thread, which has no tokio runtime: it is for [`run`] alone.
pub fn event_loop() -> EventLoop {
    EventLoop::of(LoopCell::make(Clock::virtual_()))
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
    let (task, driven) = Task::builder().driven(future);
    (
        task,
        driven.expect("a task that is not eager has not ended"),
    )
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
            content: UnsafeCell::new(()),
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
    content: UnsafeCell<()>,
    alive: Alive,
}

impl Counted {
    /// Uses it as its only user.
    pub fn touch(&self) {
        self.content.with_mut(|_| ());
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.content.with(|_| ());
        self.alive.one()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.touch();
        self.alive.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub static NOTES: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new()); //TEMP
pub fn note(s: impl Into<String>) {
    NOTES
        .lock()
        .unwrap()
        .push(format!("{:?} {}", loom::thread::current().id(), s.into()));
} //TEMP
