//! From JSON to [`Program`]: every statement is checked here, once, before anything runs.

mod args;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value as Json;

use self::args::{Args, array, bytes, group, kind, object, one, shown, text};
use crate::program::{
    Action, Body, Combine, CombineAction, Deferred, Function, FunctionId, Handler, Line, Lock,
    LockAction, Name, Object, Program, Queue, QueueAction, QueueKind, ReturnWhen, Scope,
    ScopeAction, Spec, Statement, Stream, StreamAction, Target,
};

/// Why a text is no program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadProgram(String);

impl BadProgram {
    fn new(why: &str) -> Self {
        Self(why.to_owned())
    }
}

type Parsed<T> = Result<T, BadProgram>;

/// Parses one program. Keys that the language does not know are ignored.
pub(crate) fn parse(json: &Json) -> Parsed<Program> {
    let top = object(json, "a program")?;
    let name = top
        .get("name")
        .and_then(Json::as_str)
        .ok_or_else(|| BadProgram::new("a program needs a name"))?;
    let bodies = object(top.get("funcs").unwrap_or(&Json::Null), "funcs")?;
    let mut parser = Parser::default();
    for function in bodies.keys() {
        parser
            .functions
            .insert(function.clone(), parser.functions.len());
    }
    let main = *parser
        .functions
        .get("main")
        .ok_or_else(|| BadProgram::new("no function main"))?;

    let mut objects = Vec::new();
    if let Some(declared) = top.get("objects") {
        for (name, spec) in object(declared, "objects")? {
            let made = parser.object(spec)?;
            objects.push((parser.name(name), made));
        }
    }
    let mut functions = Vec::new();
    for (name, body) in bodies {
        functions.push(Function {
            name: name.clone(),
            body: parser.body(body)?,
        });
    }
    Ok(Program {
        name: name.to_owned(),
        objects,
        functions,
        main,
        names: parser.names,
        counters: parser.counters,
    })
}

#[derive(Default)]
struct Parser {
    functions: HashMap<String, FunctionId>,
    numbers: HashMap<String, Name>,
    names: Vec<String>,
    counters: Vec<String>,
}

impl Parser {
    fn body(&mut self, json: &Json) -> Parsed<Body> {
        array(json, "a body")?
            .iter()
            .map(|line| self.line(line))
            .collect()
    }

    fn line(&mut self, json: &Json) -> Parsed<Line> {
        let mut args = Args::new(json)?;
        let mut uses = Vec::new();
        let statement = self.statement(&mut args, &mut uses)?;
        args.end()?;
        Ok(Line { uses, statement })
    }

    fn statement(&mut self, args: &mut Args<'_>, uses: &mut Vec<Name>) -> Parsed<Statement> {
        Ok(match args.op {
            "sleep" => {
                let (delay, text) = args.number_and_text()?;
                Statement::Sleep { delay, text }
            }
            "await" => Statement::Await(self.bound(args, uses)?),
            "call" => Statement::Call(self.function(args)?),
            "repeat" => Statement::Repeat {
                times: args.integer()?.max(0).unsigned_abs(),
                body: self.block(args)?,
            },
            "try" => Statement::Try {
                body: self.block(args)?,
                handlers: self.handlers(args, true)?,
                otherwise: self.block(args)?,
                last: self.block(args)?,
            },
            "trystar" => Statement::TryStar {
                body: self.block(args)?,
                handlers: self.handlers(args, false)?,
            },
            "reraise" => return Err(BadProgram::new("reraise outside a handler of try")),
            _ => match self.suspending(args, uses)? {
                Some(statement) => statement,
                None => Statement::Action(self.action(args, uses)?),
            },
        })
    }

    /// The suspending statements of the areas above the core.
    fn suspending(
        &mut self,
        args: &mut Args<'_>,
        uses: &mut Vec<Name>,
    ) -> Parsed<Option<Statement>> {
        Ok(Some(match args.op {
            "gather" => Statement::Combine(Combine::Gather {
                specs: self.specs(args, uses)?,
                return_exceptions: args.boolean()?,
            }),
            "wait" => Statement::Combine(Combine::Wait {
                names: self.names(args, uses)?,
                timeout: args.optional_number()?,
                when: match args.text()? {
                    "FIRST_COMPLETED" => ReturnWhen::FirstCompleted,
                    "FIRST_EXCEPTION" => ReturnWhen::FirstException,
                    "ALL_COMPLETED" => ReturnWhen::AllCompleted,
                    other => {
                        return Err(BadProgram::new(&format!(
                            "unknown moment {other:?} of wait"
                        )));
                    }
                },
            }),
            "as_completed" => Statement::Combine(Combine::AsCompleted {
                names: self.names(args, uses)?,
                timeout: args.optional_number()?,
                asynchronous: args.text()? != "iter",
            }),
            "shield" => Statement::Combine(Combine::Shield(self.spec(args, uses)?)),
            "wait_for" => Statement::Combine(Combine::WaitFor {
                spec: self.spec(args, uses)?,
                timeout: args.optional_number()?,
            }),
            "timeout" => Statement::Scope(Scope::Timeout {
                scope: self.binds(args)?,
                delay: args.optional_number()?,
                body: self.block(args)?,
            }),
            "timeout_at" => Statement::Scope(Scope::TimeoutAt {
                scope: self.binds(args)?,
                when: args.optional_number()?,
                body: self.block(args)?,
            }),
            "taskgroup" => Statement::Scope(Scope::TaskGroup {
                group: self.binds(args)?,
                body: self.block(args)?,
            }),
            "with" => Statement::Lock(Lock::With {
                object: self.bound(args, uses)?,
                body: self.block(args)?,
            }),
            "cond_wait_for" => Statement::Lock(Lock::CondWaitFor {
                condition: self.bound(args, uses)?,
                counter: self.counter(args)?,
                least: args.integer()?,
            }),
            "acquire" => Statement::Lock(Lock::Acquire(self.bound(args, uses)?)),
            "wait_event" => Statement::Lock(Lock::WaitEvent(self.bound(args, uses)?)),
            "cond_wait" => Statement::Lock(Lock::CondWait(self.bound(args, uses)?)),
            "barrier_wait" => Statement::Lock(Lock::BarrierWait(self.bound(args, uses)?)),
            "barrier_reset" => Statement::Lock(Lock::BarrierReset(self.bound(args, uses)?)),
            "barrier_abort" => Statement::Lock(Lock::BarrierAbort(self.bound(args, uses)?)),
            "put" => Statement::Queue(Queue::Put {
                queue: self.bound(args, uses)?,
                item: args.constant()?,
            }),
            "get" => Statement::Queue(Queue::Get(self.bound(args, uses)?)),
            "join" => Statement::Queue(Queue::Join(self.bound(args, uses)?)),
            "read" => Statement::Stream(Stream::Read {
                reader: self.bound(args, uses)?,
                count: args.integer()?,
            }),
            "readline" => Statement::Stream(Stream::ReadLine(self.bound(args, uses)?)),
            "readexactly" => Statement::Stream(Stream::ReadExactly {
                reader: self.bound(args, uses)?,
                count: args.integer()?,
            }),
            "readuntil" => Statement::Stream(Stream::ReadUntil {
                reader: self.bound(args, uses)?,
                separators: array(args.next()?, "separators")?
                    .iter()
                    .map(bytes)
                    .collect::<Parsed<_>>()?,
            }),
            _ => return Ok(None),
        }))
    }

    fn action(&mut self, args: &mut Args<'_>, uses: &mut Vec<Name>) -> Parsed<Action> {
        Ok(match args.op {
            "log" => Action::Log(format!("log {}", args.constant()?)),
            "time" => Action::Time,
            "tasks" => Action::Tasks,
            "spawn" => Action::Spawn {
                task: self.binds(args)?,
                function: self.function(args)?,
            },
            "spawn_eager" => Action::SpawnEager {
                task: self.binds(args)?,
                function: self.function(args)?,
            },
            "cancel" => Action::Cancel {
                target: self.target(args, uses)?,
                message: args.message()?,
            },
            "uncancel" => Action::Uncancel(self.target(args, uses)?),
            "cancelling" => Action::Cancelling(self.target(args, uses)?),
            "inspect" => Action::Inspect(self.bound(args, uses)?),
            "return" => Action::Return(args.constant()?),
            "raise" => Action::Raise(one(args.next()?, args.next()?)?),
            "raise_group" => Action::Raise(group(args.next()?, args.next()?)?),
            "call_soon" => Action::CallSoon {
                handle: self.binds(args)?,
                action: self.deferred(args)?,
            },
            "call_later" => Action::CallLater {
                handle: self.binds(args)?,
                delay: args.number_and_text()?.0,
                action: self.deferred(args)?,
            },
            "call_at" => Action::CallAt {
                handle: self.binds(args)?,
                when: args.number_and_text()?.0,
                action: self.deferred(args)?,
            },
            "handle_cancel" => Action::HandleCancel(self.bound(args, uses)?),
            "add_done_callback" => Action::AddDoneCallback {
                target: self.bound(args, uses)?,
                tag: shown(args.constant()?),
            },
            "set_result" => Action::SetResult {
                future: self.bound(args, uses)?,
                value: args.constant()?,
            },
            "set_exception" => Action::SetException {
                future: self.bound(args, uses)?,
                raise: one(args.next()?, args.next()?)?,
            },
            "ctx_set" => Action::CtxSet(shown(args.constant()?)),
            "ctx_get" => Action::CtxGet,
            "incr" => Action::Incr(self.counter(args)?),
            _ => self.action_above(args, uses)?,
        })
    }

    /// The synchronous statements of the areas above the core.
    fn action_above(&mut self, args: &mut Args<'_>, uses: &mut Vec<Name>) -> Parsed<Action> {
        Ok(match args.op {
            "gather_bg" => Action::Combine(CombineAction::GatherBg {
                future: self.binds(args)?,
                specs: self.specs(args, uses)?,
                return_exceptions: args.boolean()?,
            }),
            "shield_bg" => Action::Combine(CombineAction::ShieldBg {
                future: self.binds(args)?,
                spec: self.spec(args, uses)?,
            }),
            "reschedule" => Action::Scope(ScopeAction::Reschedule {
                scope: self.bound(args, uses)?,
                delay: args.optional_number()?,
            }),
            "when" => Action::Scope(ScopeAction::When(self.bound(args, uses)?)),
            "tg_spawn" => Action::Scope(ScopeAction::Spawn {
                group: self.bound(args, uses)?,
                task: self.binds(args)?,
                function: self.function(args)?,
            }),
            "release" => Action::Lock(LockAction::Release(self.bound(args, uses)?)),
            "locked" => Action::Lock(LockAction::Locked(self.bound(args, uses)?)),
            "set" => Action::Lock(LockAction::Set(self.bound(args, uses)?)),
            "clear" => Action::Lock(LockAction::Clear(self.bound(args, uses)?)),
            "is_set" => Action::Lock(LockAction::IsSet(self.bound(args, uses)?)),
            "notify" => Action::Lock(LockAction::Notify {
                condition: self.bound(args, uses)?,
                count: args.integer()?,
            }),
            "notify_all" => Action::Lock(LockAction::NotifyAll(self.bound(args, uses)?)),
            "barrier_state" => Action::Lock(LockAction::BarrierState(self.bound(args, uses)?)),
            "put_nowait" => Action::Queue(QueueAction::PutNowait {
                queue: self.bound(args, uses)?,
                item: args.constant()?,
            }),
            "get_nowait" => Action::Queue(QueueAction::GetNowait(self.bound(args, uses)?)),
            "task_done" => Action::Queue(QueueAction::TaskDone(self.bound(args, uses)?)),
            "shutdown" => Action::Queue(QueueAction::Shutdown {
                queue: self.bound(args, uses)?,
                immediate: args.boolean()?,
            }),
            "qsize" => Action::Queue(QueueAction::QSize(self.bound(args, uses)?)),
            "feed" => Action::Stream(StreamAction::Feed {
                reader: self.bound(args, uses)?,
                data: bytes(args.next()?)?,
            }),
            "feed_eof" => Action::Stream(StreamAction::FeedEof(self.bound(args, uses)?)),
            "stream_exception" => Action::Stream(StreamAction::Exception {
                reader: self.bound(args, uses)?,
                raise: one(args.next()?, args.next()?)?,
            }),
            "at_eof" => Action::Stream(StreamAction::AtEof(self.bound(args, uses)?)),
            other => return Err(BadProgram::new(&format!("unknown statement {other:?}"))),
        })
    }

    /// The action of a callback: one statement that never suspends.
    fn deferred(&mut self, args: &mut Args<'_>) -> Parsed<Arc<Deferred>> {
        let mut inner = Args::new(args.next()?)?;
        let mut uses = Vec::new();
        let action = self.action(&mut inner, &mut uses)?;
        inner.end()?;
        Ok(Arc::new(Deferred { uses, action }))
    }

    fn handlers(&mut self, args: &mut Args<'_>, may_reraise: bool) -> Parsed<Vec<Handler>> {
        let mut handlers = Vec::new();
        for handler in array(args.next()?, "handlers")? {
            let [kinds, body] = array(handler, "a handler")? else {
                return Err(BadProgram::new("a handler is [kinds, body]"));
            };
            let kinds = array(kinds, "kinds")?
                .iter()
                .map(kind)
                .collect::<Parsed<_>>()?;
            let mut lines = Vec::new();
            let mut reraise = false;
            for line in array(body, "a body")? {
                // What follows a `reraise` is never reached.
                reraise |= may_reraise
                    && line.as_array().and_then(|a| a.first()) == Some(&Json::from("reraise"));
                if !reraise {
                    lines.push(self.line(line)?);
                }
            }
            handlers.push(Handler {
                kinds,
                body: lines,
                reraise,
            });
        }
        Ok(handlers)
    }

    fn block(&mut self, args: &mut Args<'_>) -> Parsed<Body> {
        self.body(args.next()?)
    }

    fn specs(&mut self, args: &mut Args<'_>, uses: &mut Vec<Name>) -> Parsed<Vec<Spec>> {
        array(args.next()?, "specs")?
            .iter()
            .map(|json| self.one_spec(json, uses))
            .collect()
    }

    fn spec(&mut self, args: &mut Args<'_>, uses: &mut Vec<Name>) -> Parsed<Spec> {
        self.one_spec(args.next()?, uses)
    }

    fn one_spec(&mut self, json: &Json, uses: &mut Vec<Name>) -> Parsed<Spec> {
        match array(json, "a spec")? {
            [Json::String(kind), Json::String(function)] if kind == "call" => {
                Ok(Spec::Call(self.known(function)?))
            }
            [Json::String(kind), Json::String(name)] if kind == "var" => {
                let name = self.name(name);
                uses.push(name);
                Ok(Spec::Var(name))
            }
            _ => Err(BadProgram::new(
                "a spec is [\"call\", FUNC] or [\"var\", NAME]",
            )),
        }
    }

    fn names(&mut self, args: &mut Args<'_>, uses: &mut Vec<Name>) -> Parsed<Vec<Name>> {
        let names = array(args.next()?, "names")?
            .iter()
            .map(|name| Ok(self.name(text(name)?)))
            .collect::<Parsed<Vec<_>>>()?;
        uses.extend(&names);
        Ok(names)
    }

    fn target(&mut self, args: &mut Args<'_>, uses: &mut Vec<Name>) -> Parsed<Target> {
        match args.text()? {
            "self" => Ok(Target::Current),
            name => {
                let name = self.name(name);
                uses.push(name);
                Ok(Target::Name(name))
            }
        }
    }

    /// The next argument: a name that must be bound when the statement runs.
    fn bound(&mut self, args: &mut Args<'_>, uses: &mut Vec<Name>) -> Parsed<Name> {
        let name = self.name(args.text()?);
        uses.push(name);
        Ok(name)
    }

    /// The next argument: a name that the statement binds.
    fn binds(&mut self, args: &mut Args<'_>) -> Parsed<Name> {
        Ok(self.name(args.text()?))
    }

    fn name(&mut self, text: &str) -> Name {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        self.names.push(text.to_owned());
        self.numbers.insert(text.to_owned(), self.names.len() - 1);
        self.names.len() - 1
    }

    fn counter(&mut self, args: &mut Args<'_>) -> Parsed<usize> {
        let name = args.text()?;
        Ok(self
            .counters
            .iter()
            .position(|known| known == name)
            .unwrap_or_else(|| {
                self.counters.push(name.to_owned());
                self.counters.len() - 1
            }))
    }

    fn function(&self, args: &mut Args<'_>) -> Parsed<FunctionId> {
        self.known(args.text()?)
    }

    fn known(&self, function: &str) -> Parsed<FunctionId> {
        self.functions
            .get(function)
            .copied()
            .ok_or_else(|| BadProgram::new(&format!("no function {function:?}")))
    }

    fn object(&mut self, json: &Json) -> Parsed<Object> {
        let mut args = Args::new(json)?;
        let made = match args.op {
            "future" => Object::Future,
            "lock" => Object::Lock,
            "event" => Object::Event,
            "semaphore" => Object::Semaphore {
                value: args.integer_or(1)?,
                bounded: false,
            },
            "bounded_semaphore" => Object::Semaphore {
                value: args.integer_or(1)?,
                bounded: true,
            },
            "condition" if args.rest.is_empty() => Object::Condition { lock: None },
            "condition" => Object::Condition {
                lock: Some(self.binds(&mut args)?),
            },
            "barrier" => Object::Barrier(args.integer()?),
            "queue" => Object::Queue {
                kind: QueueKind::Fifo,
                maxsize: args.integer_or(0)?,
            },
            "priority_queue" => Object::Queue {
                kind: QueueKind::Priority,
                maxsize: args.integer_or(0)?,
            },
            "lifo_queue" => Object::Queue {
                kind: QueueKind::Lifo,
                maxsize: args.integer_or(0)?,
            },
            "stream_reader" => Object::StreamReader {
                limit: args.integer()?,
            },
            other => return Err(BadProgram::new(&format!("unknown object kind {other:?}"))),
        };
        args.end()?;
        Ok(made)
    }
}
