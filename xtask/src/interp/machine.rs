//! What a running program shares: its names, its trace, its tasks, and its errors.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Write as _};
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use asyncio_core::{
    ContextVar, EventLoop, Exception, Future, Handle, Result, Task, TaskGroup, Timeout, TimerHandle,
};
use asyncio_net::StreamReader;

use super::errors::{self, IllFormed};
use super::locks::{self, Primitive};
use super::queues::{self, AnyQueue};
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
    Constant(Constant),
    List(Rc<[Self]>),
    Exception(Exception),
}

/// What a name can be bound to.
#[derive(Clone)]
pub(super) enum Bound {
    Task(Task<Value>),
    Future(Future<Value>),
    Handle(Handle),
    Timer(TimerHandle),
    Timeout(Timeout),
    Group(TaskGroup),
    Primitive(Primitive),
    Queue(AnyQueue),
    Reader(StreamReader),
}

/// A running coroutine.
pub(super) struct Frame {
    /// `FUNC.N`; empty for callbacks.
    pub(super) label: String,
    /// How many calls and eager starts it lies deep.
    pub(super) depth: usize,
}

/// How a statement that raised nothing leaves its block.
pub(super) enum Flow {
    Next,
    Return(Value),
}

/// What running a statement or a block gives.
pub(super) type Step = Result<Flow>;

/// One running program.
pub(super) struct Machine {
    pub(super) program: Rc<Program>,
    pub(super) event_loop: EventLoop,
    /// Every task in creation order; None while a task's eager first step still runs.
    pub(super) made: RefCell<Vec<Option<Task<Value>>>>,
    trace: RefCell<Vec<String>>,
    bound: RefCell<Vec<Option<Bound>>>,
    calls: Cell<usize>,
    counters: RefCell<Vec<i64>>,
    skip: RefCell<Option<String>>,
}

impl Machine {
    pub(super) fn new(program: Rc<Program>, event_loop: EventLoop) -> Rc<Self> {
        let machine = Rc::new(Self {
            event_loop,
            made: RefCell::default(),
            trace: RefCell::default(),
            bound: RefCell::new(vec![None; program.names.len()]),
            calls: Cell::new(0),
            counters: RefCell::new(vec![0; program.counters.len()]),
            skip: RefCell::default(),
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
            Object::Future => Bound::Future(self.event_loop.create_future()),
            Object::Queue { kind, maxsize } => Bound::Queue(queues::make(*kind, *maxsize)),
            Object::StreamReader { limit } => Bound::Reader(streams::make(*limit)?),
            primitive => Bound::Primitive(locks::make(self, primitive)?),
        })
    }

    // -- trace ------------------------------------------------------------

    pub(super) fn log(&self, frame: &Frame, text: impl fmt::Display) {
        self.report(frame.label(), text);
    }

    /// Logs a line that no coroutine or callback of the program's own wrote.
    pub(super) fn report(&self, label: &str, text: impl fmt::Display) {
        let mut line = String::with_capacity(48);
        // Writing to a String cannot fail.
        let _ = write!(line, "{:.3} {label} {text}", self.event_loop.time());
        self.trace.borrow_mut().push(line);
    }

    pub(super) fn take_trace(&self) -> Vec<String> {
        self.trace.take()
    }

    /// Gives the program up, for the first reason there is.
    pub(super) fn skip(&self, why: impl Into<String>) {
        self.skip.borrow_mut().get_or_insert_with(|| why.into());
    }

    pub(super) fn skipped(&self) -> Option<String> {
        self.skip.borrow().clone()
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
        let _before = self.bound.borrow_mut()[name].replace(to);
    }

    pub(super) fn lookup(&self, name: Name) -> Result<Bound> {
        let found = self.bound.borrow()[name].clone();
        found.ok_or_else(|| self.ill_formed(format!("{} is not bound", self.name(name))))
    }

    /// Logs the first of the names that is not bound yet, and says whether there is one.
    pub(super) fn unbound(&self, frame: &Frame, uses: &[Name]) -> bool {
        let missing = {
            let bound = self.bound.borrow();
            uses.iter().copied().find(|&name| bound[name].is_none())
        };
        if let Some(name) = missing {
            self.log(frame, format_args!("unbound {}", self.name(name)));
        }
        missing.is_some()
    }

    /// Counts one more, and gives the count.
    pub(super) fn increment(&self, counter: usize) -> i64 {
        let count = &mut self.counters.borrow_mut()[counter];
        *count += 1;
        *count
    }

    pub(super) fn count(&self, counter: usize) -> i64 {
        self.counters.borrow()[counter]
    }

    /// Lets go of all that the program made, so that nothing outlives it.
    pub(super) fn forget(&self) {
        // Dropping a task may run code of the crates: both tables must be free by then.
        let bound = self.bound.take();
        let made = self.made.take();
        drop((bound, made));
    }

    // -- tasks ------------------------------------------------------------

    /// Calls a function: its label is taken now, its first statement runs when it is polled.
    pub(super) fn start(
        self: &Rc<Self>,
        function: FunctionId,
        depth: usize,
    ) -> impl std::future::Future<Output = Result<Value>> + 'static + use<> {
        let machine = Rc::clone(self);
        let number = self.calls.replace(self.calls.get() + 1);
        let label = format!("{}.{number}", self.program.functions[function].name);
        async move { machine.function(&Frame { label, depth }, function).await }
    }

    pub(super) fn spawn(self: &Rc<Self>, function: FunctionId) -> Task<Value> {
        let task = self.event_loop.create_task(self.start(function, 0));
        self.made.borrow_mut().push(Some(task.clone()));
        task
    }

    /// The tasks not done, in creation order.
    pub(super) fn unfinished(&self) -> Vec<Task<Value>> {
        self.made
            .borrow()
            .iter()
            .flatten()
            .filter(|task| !task.done())
            .cloned()
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
            Value::Constant(Constant::List(items)) => self.list(
                items
                    .iter()
                    .map(|item| self.value(&Value::Constant(item.clone()))),
            ),
            Value::Constant(constant) => constant.to_string(),
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

impl Frame {
    /// Where the actions of callbacks run.
    pub(super) const CALLBACK: Self = Self {
        label: String::new(),
        depth: 0,
    };

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
