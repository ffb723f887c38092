//! Scenario programs as a typed tree: what `parse` makes and the interpreter walks.
//!
//! Names are numbers here. A variable is an index into [`Program::names`], a function one into
//! [`Program::functions`], so that running a program never looks a string up.

use std::fmt;
use std::sync::Arc;

use crate::pytext;

/// The number of a name in the program's one global table.
pub(crate) type Name = usize;
/// The number of a function of the program.
pub(crate) type FunctionId = usize;

/// One scenario program.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    /// What is made before main starts, in this order.
    pub(crate) objects: Vec<(Name, Object)>,
    pub(crate) functions: Vec<Function>,
    pub(crate) main: FunctionId,
    /// The text of every name that the program mentions.
    pub(crate) names: Vec<String>,
    /// The text of every counter (`incr`, `cond_wait_for`), a table of their own.
    pub(crate) counters: Vec<String>,
}

/// A coroutine function without parameters.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) body: Body,
}

/// The statements of a function, a handler or a scope.
pub(crate) type Body = Vec<Line>;

/// A statement with the names that must be bound before it may run, in order of appearance.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) uses: Vec<Name>,
    pub(crate) statement: Statement,
}

/// A synchronous statement kept for a callback.
#[derive(Debug)]
pub(crate) struct Deferred {
    pub(crate) uses: Vec<Name>,
    pub(crate) action: Action,
}

/// What a coroutine can do.
#[derive(Debug)]
pub(crate) enum Statement {
    Action(Action),
    Sleep {
        delay: f64,
        text: String,
    },
    Await(Name),
    Call(FunctionId),
    Repeat {
        times: u64,
        body: Body,
    },
    Try {
        body: Body,
        handlers: Vec<Handler>,
        otherwise: Body,
        last: Body,
    },
    TryStar {
        body: Body,
        handlers: Vec<Handler>,
    },
    Combine(Combine),
    Scope(Scope),
    Lock(Lock),
    Queue(Queue),
    Stream(Stream),
}

/// A part of `try` or `trystar`.
#[derive(Debug)]
pub(crate) struct Handler {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) body: Body,
    /// Whether it ends by raising the caught exception again.
    pub(crate) reraise: bool,
}

/// What never suspends: all that a callback may do.
#[derive(Debug)]
pub(crate) enum Action {
    Log(String),
    Time,
    Tasks,
    Spawn {
        task: Name,
        function: FunctionId,
    },
    SpawnEager {
        task: Name,
        function: FunctionId,
    },
    Cancel {
        target: Target,
        message: Option<String>,
    },
    Uncancel(Target),
    Cancelling(Target),
    Inspect(Name),
    Return(Constant),
    Raise(Raise),
    CallSoon {
        handle: Name,
        action: Arc<Deferred>,
    },
    CallLater {
        handle: Name,
        delay: f64,
        action: Arc<Deferred>,
    },
    CallAt {
        handle: Name,
        when: f64,
        action: Arc<Deferred>,
    },
    HandleCancel(Name),
    AddDoneCallback {
        target: Name,
        tag: Arc<str>,
    },
    SetResult {
        future: Name,
        value: Constant,
    },
    SetException {
        future: Name,
        raise: Raise,
    },
    CtxSet(Arc<str>),
    CtxGet,
    Incr(usize),
    Combine(CombineAction),
    Scope(ScopeAction),
    Lock(LockAction),
    Queue(QueueAction),
    Stream(StreamAction),
}

/// Whom `cancel`, `uncancel` and `cancelling` mean.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    Current,
    Name(Name),
}

/// An exception that a program makes.
#[derive(Debug)]
pub(crate) enum Raise {
    One(Kind, Arc<str>),
    Group(Arc<str>, Vec<Self>),
}

/// What a combinator is given: a new coroutine or something already bound.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spec {
    Call(FunctionId),
    Var(Name),
}

/// Suspending statements of gather, wait, as_completed, shield and wait_for.
#[derive(Debug)]
pub(crate) enum Combine {
    Gather {
        specs: Vec<Spec>,
        return_exceptions: bool,
    },
    Wait {
        names: Vec<Name>,
        timeout: Option<f64>,
        when: ReturnWhen,
    },
    AsCompleted {
        names: Vec<Name>,
        timeout: Option<f64>,
        asynchronous: bool,
    },
    Shield(Spec),
    WaitFor {
        spec: Spec,
        timeout: Option<f64>,
    },
}

/// When `wait` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReturnWhen {
    FirstCompleted,
    FirstException,
    AllCompleted,
}

/// The combinators that leave a future behind instead of awaiting it.
#[derive(Debug)]
pub(crate) enum CombineAction {
    GatherBg {
        future: Name,
        specs: Vec<Spec>,
        return_exceptions: bool,
    },
    ShieldBg {
        future: Name,
        spec: Spec,
    },
}

/// Suspending statements of timeouts and task groups.
#[derive(Debug)]
pub(crate) enum Scope {
    Timeout {
        scope: Name,
        delay: Option<f64>,
        body: Body,
    },
    TimeoutAt {
        scope: Name,
        when: Option<f64>,
        body: Body,
    },
    TaskGroup {
        group: Name,
        body: Body,
    },
}

/// What can be done with an open timeout or task group.
#[derive(Debug)]
pub(crate) enum ScopeAction {
    Reschedule {
        scope: Name,
        delay: Option<f64>,
    },
    When(Name),
    Spawn {
        group: Name,
        task: Name,
        function: FunctionId,
    },
}

/// Suspending statements of locks, events, semaphores, conditions and barriers.
#[derive(Debug)]
pub(crate) enum Lock {
    Acquire(Name),
    With {
        object: Name,
        body: Body,
    },
    WaitEvent(Name),
    CondWait(Name),
    CondWaitFor {
        condition: Name,
        counter: usize,
        least: i64,
    },
    BarrierWait(Name),
    BarrierReset(Name),
    BarrierAbort(Name),
}

/// Synchronous statements of the same.
#[derive(Debug)]
pub(crate) enum LockAction {
    Release(Name),
    Locked(Name),
    Set(Name),
    Clear(Name),
    IsSet(Name),
    Notify { condition: Name, count: i64 },
    NotifyAll(Name),
    BarrierState(Name),
}

/// Suspending statements of queues.
#[derive(Debug)]
pub(crate) enum Queue {
    Put { queue: Name, item: Constant },
    Get(Name),
    Join(Name),
}

/// Synchronous statements of queues.
#[derive(Debug)]
pub(crate) enum QueueAction {
    PutNowait { queue: Name, item: Constant },
    GetNowait(Name),
    TaskDone(Name),
    Shutdown { queue: Name, immediate: bool },
    QSize(Name),
}

/// Suspending statements of a stream reader.
#[derive(Debug)]
pub(crate) enum Stream {
    Read {
        reader: Name,
        count: i64,
    },
    ReadLine(Name),
    ReadExactly {
        reader: Name,
        count: i64,
    },
    ReadUntil {
        reader: Name,
        separators: Vec<Vec<u8>>,
    },
}

/// Synchronous statements of the same.
#[derive(Debug)]
pub(crate) enum StreamAction {
    Feed { reader: Name, data: Vec<u8> },
    FeedEof(Name),
    Exception { reader: Name, raise: Raise },
    AtEof(Name),
}

/// What `objects` can make.
#[derive(Debug)]
pub(crate) enum Object {
    Future,
    Lock,
    Event,
    Semaphore { value: i64, bounded: bool },
    Condition { lock: Option<Name> },
    Barrier(i64),
    Queue { kind: QueueKind, maxsize: i64 },
    StreamReader { limit: i64 },
}

/// The order in which a queue gives its items back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueKind {
    Fifo,
    Priority,
    Lifo,
}

/// The kinds of exception that programs name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    ErrA,
    ErrB,
    ValueError,
    TimeoutError,
    RuntimeError,
    InvalidStateError,
    QueueEmpty,
    QueueFull,
    QueueShutDown,
    BrokenBarrierError,
    IncompleteReadError,
    LimitOverrunError,
    CancelledError,
    ExceptionGroup,
    Exception,
}

/// A value that stands in a program: all of JSON but objects.
#[derive(Debug, Clone)]
pub(crate) enum Constant {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Arc<str>),
    List(Arc<[Self]>),
}

impl Kind {
    /// Its name in Python, which is also its name in programs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ErrA => "ErrA",
            Self::ErrB => "ErrB",
            Self::ValueError => "ValueError",
            Self::TimeoutError => "TimeoutError",
            Self::RuntimeError => "RuntimeError",
            Self::InvalidStateError => "InvalidStateError",
            Self::QueueEmpty => "QueueEmpty",
            Self::QueueFull => "QueueFull",
            Self::QueueShutDown => "QueueShutDown",
            Self::BrokenBarrierError => "BrokenBarrierError",
            Self::IncompleteReadError => "IncompleteReadError",
            Self::LimitOverrunError => "LimitOverrunError",
            Self::CancelledError => "CancelledError",
            Self::ExceptionGroup => "ExceptionGroup",
            Self::Exception => "Exception",
        }
    }

    /// The kind of that name, if there is one.
    pub(crate) fn named(name: &str) -> Option<Self> {
        const ALL: [Kind; 15] = [
            Kind::ErrA,
            Kind::ErrB,
            Kind::ValueError,
            Kind::TimeoutError,
            Kind::RuntimeError,
            Kind::InvalidStateError,
            Kind::QueueEmpty,
            Kind::QueueFull,
            Kind::QueueShutDown,
            Kind::BrokenBarrierError,
            Kind::IncompleteReadError,
            Kind::LimitOverrunError,
            Kind::CancelledError,
            Kind::ExceptionGroup,
            Kind::Exception,
        ];
        ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl Constant {
    /// As traces show it: unlike with `str()` what is in a list is not quoted.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::text).collect();
                format!("[{}]", items.join(", "))
            }
            other => other.to_string(),
        }
    }

    /// `repr()`, which differs from `str()` for strings only.
    fn repr(&self) -> String {
        match self {
            Self::Str(text) => pytext::repr(text),
            other => other.to_string(),
        }
    }
}

/// `str()`, as f-strings use it: the strings inside a list are quoted.
impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => f.write_str(&pytext::float(*number)),
            Self::Str(text) => f.write_str(text),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::repr).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}
