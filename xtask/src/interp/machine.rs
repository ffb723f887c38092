//! What a running program shares: its names, its trace, its tasks, and its errors.

use std::fmt::{self, Write as _};
use std::future::{Future as StdFuture, poll_fn};
use std::ops::Deref;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Instant;

use asyncio_core::{
    ContextVar, Exception, Future, Handle, Result, Task, Timeout, TimerHandle, create_task,
};
use asyncio_net::StreamReader;

use super::errors::{self, IllFormed};
use super::lock;
use super::locks::{self, Primitive};
use super::notes::{Notes, Wait, Waiting};
use super::place::{Detached, Place};
use super::queues::{self, AnyQueue};
use super::scopes::Group;
use super::streams;
use crate::program::{Constant, FunctionId, Name, Object, Program};

/// Calls within calls (or eager starts within eager starts) that a program may make. Python gives
/// up with a RecursionError well before this, and this well before the thread's stack ends.
const DEEPEST: usize = 400;

static CONTEXT: LazyLock<ContextVar<Arc<str>>> =
    LazyLock::new(|| ContextVar::with_default("ctx", "-".into()));

/// A value that tasks and futures hold.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Constant(
        Constant,
        #[expect(dead_code, reason = "it counts by being there")] Token,
    ),
    List(Arc<[Self]>),
    Exception(Exception),
}

/// Counts the values and exceptions of a program by being in them.
pub(super) type Token = Arc<()>;

/// What a name can be bound to.
#[derive(Clone)]
pub(super) enum Bound {
    Task(Task<Value>),
    Future(Future<Value>),
    Handle(Handle),
    Timer(TimerHandle),
    /// A callback where no loop runs.
    Detached(Detached),
    /// With the moment of its making, from which it counts where no loop runs.
    Timeout(Timeout, Instant),
    Group(Group),
    Primitive(Primitive),
    Queue(AnyQueue),
    Reader(StreamReader),
}

/// A running coroutine or callback.
pub(super) struct Frame {
    /// `FUNC.N`; empty for callbacks.
    label: String,
    /// How many calls and eager starts it lies deep.
    depth: usize,
    /// A number for it that does not depend on the order in which coroutines are made: who made it,
    /// and how many it had made before.
    pub(super) id: u64,
    /// How many its maker had made before.
    pub(super) number: u32,
    made: AtomicU32,
}

/// How a statement that raised nothing leaves its block.
pub(super) enum Flow {
    Next,
    Return(Value),
}

/// What running a statement or a block gives.
pub(super) type Step = Result<Flow>;

/// A task, and the number of its coroutine's frame.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) id: u64,
    /// None while the task's eager first step still runs.
    pub(super) task: Option<Task<Value>>,
}

/// One running program.
pub(super) struct Machine {
    pub(super) program: Arc<Program>,
    pub(super) place: Place,
    /// Every task in creation order.
    pub(super) made: Mutex<Vec<Made>>,
    /// What is compared beside the trace, where that is wanted.
    pub(super) notes: Option<Notes>,
    trace: Mutex<Vec<(u64, String)>>,
    bound: Mutex<Vec<Option<Bound>>>,
    calls: AtomicUsize,
    counters: Mutex<Vec<i64>>,
    skip: Mutex<Option<String>>,
    /// Coroutines and callbacks that have been made and not been dropped.
    alive: AtomicUsize,
    token: Token,
}

/// The machine, counted as long as a coroutine or callback that was made lives.
pub(super) struct Alive(Arc<Machine>);

impl Alive {
    pub(super) fn new(machine: &Arc<Machine>) -> Self {
        // Relaxed: who looks at the count has seen the last task end, or looks again.
        machine.alive.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(machine))
    }
}

impl Deref for Alive {
    type Target = Arc<Machine>;

    fn deref(&self) -> &Arc<Machine> {
        &self.0
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Machine {
    pub(super) fn new(program: Arc<Program>, place: Place, notes: Option<Notes>) -> Arc<Self> {
        let machine = Arc::new(Self {
            place,
            made: Mutex::default(),
            notes,
            trace: Mutex::default(),
            bound: Mutex::new(vec![None; program.names.len()]),
            calls: AtomicUsize::new(0),
            counters: Mutex::new(vec![0; program.counters.len()]),
            skip: Mutex::default(),
            alive: AtomicUsize::new(0),
            token: Token::default(),
            program,
        });
        for (name, object) in &machine.program.objects {
            // An object that cannot be made has given the program up.
            if let Ok(made) = machine.make(object) {
                machine.bind(*name, made);
            }
        }
        machine
    }

    fn make(&self, object: &Object) -> Result<Bound> {
        Ok(match object {
            Object::Future => Bound::Future(match &self.place {
                Place::Loop(event_loop) | Place::Drawn { event_loop, .. } => {
                    event_loop.create_future()
                }
                Place::Runtime(_) => Future::new(),
            }),
            Object::Queue { kind, maxsize } => Bound::Queue(queues::make(*kind, *maxsize)),
            Object::StreamReader { limit } => Bound::Reader(streams::make(*limit)?),
            primitive => Bound::Primitive(locks::make(self, primitive)?),
        })
    }

    // -- trace ------------------------------------------------------------

    pub(super) fn log(&self, frame: &Frame, text: impl fmt::Display) {
        self.line(frame.id, frame.label(), text);
    }

    /// Logs what depends on the clock, or on how many others there are: in traces only.
    pub(super) fn log_moment(&self, frame: &Frame, text: impl fmt::Display) {
        if let Place::Loop(_) = self.place {
            self.log(frame, text);
        }
    }

    /// Logs a line that no coroutine or callback of the program's own wrote.
    pub(super) fn report(&self, label: &str, text: impl fmt::Display) {
        self.line(HARNESS, label, text);
    }

    fn line(&self, id: u64, label: &str, text: impl fmt::Display) {
        let mut line = String::with_capacity(48);
        // Writing to a String cannot fail.
        let _ = match &self.place {
            Place::Loop(event_loop) => write!(line, "{:.3} {label} {text}", event_loop.time()),
            Place::Drawn { .. } | Place::Runtime(_) => write!(line, "{text}"),
        };
        lock(&self.trace).push((id, line));
    }

    /// The lines so far, each with the number of the frame that wrote it.
    pub(super) fn take_trace(&self) -> Vec<(u64, String)> {
        std::mem::take(&mut *lock(&self.trace))
    }

    /// The lines so far, which stay.
    pub(super) fn copy_trace(&self) -> Vec<(u64, String)> {
        lock(&self.trace).clone()
    }

    /// How many lines there are.
    pub(super) fn lines(&self) -> usize {
        lock(&self.trace).len()
    }

    /// Gives the program up, for the first reason there is.
    pub(super) fn skip(&self, why: impl Into<String>) {
        lock(&self.skip).get_or_insert_with(|| why.into());
    }

    pub(super) fn skipped(&self) -> Option<String> {
        lock(&self.skip).clone()
    }

    /// The error of a statement that makes no sense in Python either.
    pub(super) fn ill_formed(&self, why: impl Into<String>) -> Exception {
        let why = why.into();
        self.skip(format!("ill-formed: {why}"));
        IllFormed(why).into()
    }

    // -- names ------------------------------------------------------------

    pub(super) fn name(&self, name: Name) -> &str {
        &self.program.names[name]
    }

    pub(super) fn bind(&self, name: Name, to: Bound) {
        // What was bound before is dropped after the table is free again.
        let _before = lock(&self.bound)[name].replace(to);
    }

    pub(super) fn lookup(&self, name: Name) -> Result<Bound> {
        let found = lock(&self.bound)[name].clone();
        found.ok_or_else(|| self.ill_formed(format!("{} is not bound", self.name(name))))
    }

    /// What the names are bound to.
    pub(super) fn bound(&self) -> Vec<Option<Bound>> {
        lock(&self.bound).clone()
    }

    /// Logs the first of the names that is not bound yet, and says whether there is one.
    pub(super) fn unbound(&self, frame: &Frame, uses: &[Name]) -> bool {
        let missing = {
            let bound = lock(&self.bound);
            uses.iter().copied().find(|&name| bound[name].is_none())
        };
        if let Some(name) = missing {
            self.log(frame, format_args!("unbound {}", self.name(name)));
        }
        missing.is_some()
    }

    /// Counts one more, and gives the count.
    pub(super) fn increment(&self, counter: usize) -> i64 {
        let count = &mut lock(&self.counters)[counter];
        *count += 1;
        *count
    }

    pub(super) fn count(&self, counter: usize) -> i64 {
        lock(&self.counters)[counter]
    }

    /// Lets go of all that the program made, so that nothing outlives it.
    pub(super) fn forget(&self) {
        // Dropping a task may run code of the crates: both tables must be free by then.
        let bound = std::mem::take(&mut *lock(&self.bound));
        let made = std::mem::take(&mut *lock(&self.made));
        drop((bound, made));
    }

    /// Whether no step and no callback is under way, where that is counted.
    pub(super) fn is_still(&self) -> bool {
        match &self.place {
            Place::Runtime(runtime) => runtime.is_still(),
            Place::Loop(_) | Place::Drawn { .. } => true,
        }
    }

    /// Releases the locks of the program's objects that are held.
    pub(super) fn release_locks(&self) {
        for bound in self.bound().into_iter().flatten() {
            // Somebody else may have been quicker, which is as good.
            let _released = match bound {
                Bound::Primitive(Primitive::Lock(lock)) if lock.locked() => lock.release(),
                Bound::Primitive(Primitive::Condition(lock)) if lock.locked() => lock.release(),
                _ => Ok(()),
            };
        }
    }

    /// How many coroutines and callbacks have not been dropped.
    pub(super) fn alive(&self) -> usize {
        self.alive.load(Ordering::Relaxed)
    }

    /// Notes what a frame waits for, for as long as the guard lives.
    pub(super) fn waits(&self, frame: &Frame, what: impl FnOnce() -> Wait) -> Option<Waiting<'_>> {
        Some(self.notes.as_ref()?.waits(frame, what()))
    }

    /// A value of the program.
    pub(super) fn constant(&self, constant: Constant) -> Value {
        Value::Constant(constant, self.token())
    }

    /// What every value and exception of the program has in it.
    pub(super) fn token(&self) -> Token {
        Arc::clone(&self.token)
    }

    /// How many values and exceptions have not been dropped.
    pub(super) fn values_alive(&self) -> usize {
        Arc::strong_count(&self.token) - 1
    }

    // -- tasks ------------------------------------------------------------

    /// Calls a function: its label is taken now, its first statement runs when it is polled.
    pub(super) fn start(
        self: &Arc<Self>,
        parent: &Frame,
        function: FunctionId,
        depth: usize,
    ) -> Coroutine {
        let name = &self.program.functions[function].name;
        // Relaxed: only that the numbers differ matters.
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let label = match &self.place {
            Place::Loop(_) => format!("{name}.{number}"),
            Place::Drawn { .. } | Place::Runtime(_) => name.clone(),
        };
        let frame = parent.child(label, depth);
        if let Some(notes) = &self.notes {
            notes.born(parent, &frame, name);
        }
        Coroutine {
            machine: Alive::new(self),
            function,
            frame,
        }
    }

    /// The frame of a callback that is made here.
    pub(super) fn callback_frame(&self, parent: &Frame) -> Frame {
        let frame = parent.child(String::new(), 0);
        if let Some(notes) = &self.notes {
            notes.born(parent, &frame, "cb");
        }
        frame
    }

    pub(super) fn spawn(self: &Arc<Self>, parent: &Frame, function: FunctionId) -> Task<Value> {
        let coroutine = self.start(parent, function, 0);
        let id = coroutine.frame.id;
        let task = match &self.place {
            Place::Loop(event_loop) | Place::Drawn { event_loop, .. } => {
                event_loop.create_task(coroutine.run())
            }
            Place::Runtime(_) => create_task(coroutine.run()),
        };
        self.add(id, Some(task.clone()));
        task
    }

    /// Takes note of a task, and gives its place.
    pub(super) fn add(&self, id: u64, task: Option<Task<Value>>) -> usize {
        let mut made = lock(&self.made);
        made.push(Made { id, task });
        made.len() - 1
    }

    /// The tasks not done, in creation order.
    pub(super) fn unfinished(&self) -> Vec<Task<Value>> {
        let made = lock(&self.made).clone();
        made.into_iter()
            .filter_map(|made| made.task)
            .filter(|task| !task.done())
            .collect()
    }

    /// The depth of what a frame calls or starts eagerly, unless that is too deep.
    pub(super) fn deeper(&self, frame: &Frame) -> Result<usize> {
        if frame.depth < DEEPEST {
            Ok(frame.depth + 1)
        } else {
            Err(self.ill_formed("calls nest too deep"))
        }
    }

    // -- text -------------------------------------------------------------

    /// The text of an exception. One without a text gives the program up, and so does a panic.
    pub(super) fn show(&self, exception: &Exception) -> String {
        errors::show(exception).unwrap_or_else(|IllFormed(why)| {
            let manner = if exception.is_panic() {
                "panicked"
            } else {
                "artefact"
            };
            self.skip(format!("{manner}: {why}"));
            why
        })
    }

    pub(super) fn value(&self, value: &Value) -> String {
        match value {
            Value::Constant(constant, _) => constant.text(),
            Value::List(items) => self.list(items.iter().map(|item| self.value(item))),
            Value::Exception(exception) => self.show(exception),
        }
    }

    fn list(&self, items: impl Iterator<Item = String>) -> String {
        format!("[{}]", items.collect::<Vec<_>>().join(", "))
    }

    /// The state of a task or future, as `inspect` shows it.
    pub(super) fn state(&self, outcome: &impl Awaitable) -> String {
        if !outcome.done() {
            return "pending".to_owned();
        }
        if outcome.cancelled() {
            return "cancelled".to_owned();
        }
        match (outcome.exception(), outcome.result()) {
            (Ok(Some(exception)), _) => format!("exception {}", self.show(&exception)),
            (Ok(None), Ok(value)) => format!("result {}", self.value(&value)),
            (Err(error), _) | (Ok(None), Err(error)) => format!("no state: {error}"),
        }
    }
}

/// The part that tasks and futures have in common.
pub(super) trait Awaitable {
    fn done(&self) -> bool;
    fn cancelled(&self) -> bool;
    fn exception(&self) -> Result<Option<Exception>>;
    fn result(&self) -> Result<Value>;
}

macro_rules! awaitable {
    ($kind:ident) => {
        impl Awaitable for $kind<Value> {
            fn done(&self) -> bool {
                Self::done(self)
            }

            fn cancelled(&self) -> bool {
                Self::cancelled(self)
            }

            fn exception(&self) -> Result<Option<Exception>> {
                Self::exception(self)
            }

            fn result(&self) -> Result<Value> {
                Self::result(self)
            }
        }
    };
}

awaitable!(Task);
awaitable!(Future);

/// The number of the frame that starts main, and writes what nobody else does.
pub(super) const HARNESS: u64 = 0;

/// A function that has been called and does not run yet.
pub(super) struct Coroutine {
    machine: Alive,
    function: FunctionId,
    pub(super) frame: Frame,
}

impl Coroutine {
    /// Runs it as part of the task that calls it.
    #[expect(
        clippy::manual_async_fn,
        reason = "that it may go to any thread is said here, where it can be checked"
    )]
    pub(super) fn call(self) -> impl StdFuture<Output = Result<Value>> + Send + 'static {
        async move { self.machine.function(&self.frame, self.function).await }
    }

    /// Runs it as a task.
    #[expect(clippy::manual_async_fn, reason = "as above")]
    pub(super) fn run(self) -> impl StdFuture<Output = Result<Value>> + Send + 'static {
        async move {
            let body = self.machine.function(&self.frame, self.function);
            if !self.machine.place.is_restless() {
                return body.await;
            }
            let mut body = pin!(body);
            let place = &self.machine.place;
            poll_fn(|cx| place.step(|| body.as_mut().poll(cx))).await
        }
    }
}

impl Frame {
    /// Where main is started from.
    pub(super) const fn harness() -> Self {
        Self {
            label: String::new(),
            depth: 0,
            id: HARNESS,
            number: 0,
            made: AtomicU32::new(0),
        }
    }

    fn child(&self, label: String, depth: usize) -> Self {
        // Relaxed: one coroutine makes one thing after the other.
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        // A step of FNV-1a with 64 bits at a time, and its bits spread: numbers of different frames
        // are the same as rarely as those that are drawn.
        let mixed = (self.id ^ u64::from(number + 1)).wrapping_mul(0x0000_0100_0000_01b3);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self {
            label,
            depth,
            id: mixed ^ (mixed >> 32),
            number,
            made: AtomicU32::new(0),
        }
    }

    pub(super) fn label(&self) -> &str {
        if self.label.is_empty() {
            "cb"
        } else {
            &self.label
        }
    }
}

pub(super) fn context() -> Arc<str> {
    CONTEXT.get().unwrap_or_else(|| "-".into())
}

pub(super) fn set_context(text: &str) -> Result<()> {
    let _token = CONTEXT.set(text.into())?;
    Ok(())
}
