//! From JSON to [`Program`]: every statement is checked here, once, before anything runs.

mod args;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Value as Json;

use self::args::{Args, array, bytes, group, kind, object, one, shown, text};
use crate::program::{
    Action, Area, Body, Combine, CombineAction, Deferred, Function, FunctionId, Handler, Line,
    Lock, LockAction, Name, Object, Program, Queue, QueueAction, QueueKind, ReturnWhen, Scope,
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
    parser.objects_in_use(&objects);
    Ok(Program {
        name: name.to_owned(),
        objects,
        functions,
        main,
        names: parser.names,
        counters: parser.counters,
        needs: parser.needs,
    })
}

#[derive(Default)]
struct Parser {
    functions: HashMap<String, FunctionId>,
    numbers: HashMap<String, Name>,
    names: Vec<String>,
    counters: Vec<String>,
    needs: Vec<(Area, String)>,
    used: Vec<Name>,
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
        self.used.extend(&uses);
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
        let (area, statement) = match args.op {
            "gather" => {
                let specs = self.specs(args, uses)?;
                (
                    Area::Combine,
                    Statement::Combine(Combine::Gather {
                        specs,
                        return_exceptions: args.boolean()?,
                    }),
                )
            }
            "wait" => {
                let names = self.names(args, uses)?;
                let timeout = args.optional_number()?;
                let when = match args.text()? {
                    "FIRST_COMPLETED" => ReturnWhen::FirstCompleted,
                    "FIRST_EXCEPTION" => ReturnWhen::FirstException,
                    "ALL_COMPLETED" => ReturnWhen::AllCompleted,
                    other => {
                        return Err(BadProgram::new(&format!(
                            "unknown moment {other:?} of wait"
                        )));
                    }
                };
                (
                    Area::Combine,
                    Statement::Combine(Combine::Wait {
                        names,
                        timeout,
                        when,
                    }),
                )
            }
            "as_completed" => {
                let names = self.names(args, uses)?;
                let timeout = args.optional_number()?;
                let asynchronous = args.text()? != "iter";
                (
                    Area::Combine,
                    Statement::Combine(Combine::AsCompleted {
                        names,
                        timeout,
                        asynchronous,
                    }),
                )
            }
            "shield" => (
                Area::Combine,
                Statement::Combine(Combine::Shield(self.spec(args, uses)?)),
            ),
            "wait_for" => {
                let spec = self.spec(args, uses)?;
                (
                    Area::Combine,
                    Statement::Combine(Combine::WaitFor {
                        spec,
                        timeout: args.optional_number()?,
                    }),
                )
            }
            "timeout" => {
                let (scope, delay) = (self.binds(args)?, args.optional_number()?);
                (
                    Area::Scopes,
                    Statement::Scope(Scope::Timeout {
                        scope,
                        delay,
                        body: self.block(args)?,
                    }),
                )
            }
            "timeout_at" => {
                let (scope, when) = (self.binds(args)?, args.optional_number()?);
                (
                    Area::Scopes,
                    Statement::Scope(Scope::TimeoutAt {
                        scope,
                        when,
                        body: self.block(args)?,
                    }),
                )
            }
            "taskgroup" => {
                let group = self.binds(args)?;
                (
                    Area::Scopes,
                    Statement::Scope(Scope::TaskGroup {
                        group,
                        body: self.block(args)?,
                    }),
                )
            }
            "with" => {
                let object = self.bound(args, uses)?;
                (
                    Area::Locks,
                    Statement::Lock(Lock::With {
                        object,
                        body: self.block(args)?,
                    }),
                )
            }
            "cond_wait_for" => {
                let (condition, counter) = (self.bound(args, uses)?, self.counter(args)?);
                let least = args.integer()?;
                (
                    Area::Locks,
                    Statement::Lock(Lock::CondWaitFor {
                        condition,
                        counter,
                        least,
                    }),
                )
            }
            "acquire" => (
                Area::Locks,
                Statement::Lock(Lock::Acquire(self.bound(args, uses)?)),
            ),
            "wait_event" => (
                Area::Locks,
                Statement::Lock(Lock::WaitEvent(self.bound(args, uses)?)),
            ),
            "cond_wait" => (
                Area::Locks,
                Statement::Lock(Lock::CondWait(self.bound(args, uses)?)),
            ),
            "barrier_wait" => (
                Area::Locks,
                Statement::Lock(Lock::BarrierWait(self.bound(args, uses)?)),
            ),
            "barrier_reset" => (
                Area::Locks,
                Statement::Lock(Lock::BarrierReset(self.bound(args, uses)?)),
            ),
            "barrier_abort" => (
                Area::Locks,
                Statement::Lock(Lock::BarrierAbort(self.bound(args, uses)?)),
            ),
            "put" => {
                let queue = self.bound(args, uses)?;
                (
                    Area::Queues,
                    Statement::Queue(Queue::Put {
                        queue,
                        item: args.constant()?,
                    }),
                )
            }
            "get" => (
                Area::Queues,
                Statement::Queue(Queue::Get(self.bound(args, uses)?)),
            ),
            "join" => (
                Area::Queues,
                Statement::Queue(Queue::Join(self.bound(args, uses)?)),
            ),
            "read" => {
                let reader = self.bound(args, uses)?;
                (
                    Area::Streams,
                    Statement::Stream(Stream::Read {
                        reader,
                        count: args.integer()?,
                    }),
                )
            }
            "readline" => (
                Area::Streams,
                Statement::Stream(Stream::ReadLine(self.bound(args, uses)?)),
            ),
            "readexactly" => {
                let reader = self.bound(args, uses)?;
                (
                    Area::Streams,
                    Statement::Stream(Stream::ReadExactly {
                        reader,
                        count: args.integer()?,
                    }),
                )
            }
            "readuntil" => {
                let reader = self.bound(args, uses)?;
                let separators = array(args.next()?, "separators")?
                    .iter()
                    .map(bytes)
                    .collect::<Parsed<_>>()?;
                (
                    Area::Streams,
                    Statement::Stream(Stream::ReadUntil { reader, separators }),
                )
            }
            _ => return Ok(None),
        };
        self.need(area, args.op);
        Ok(Some(statement))
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
            _ => {
                let (area, action) = self.action_above(args, uses)?;
                self.need(area, args.op);
                action
            }
        })
    }

    /// The synchronous statements of the areas above the core.
    fn action_above(
        &mut self,
        args: &mut Args<'_>,
        uses: &mut Vec<Name>,
    ) -> Parsed<(Area, Action)> {
        let lock = |action| (Area::Locks, Action::Lock(action));
        let queue = |action| (Area::Queues, Action::Queue(action));
        let stream = |action| (Area::Streams, Action::Stream(action));
        Ok(match args.op {
            "gather_bg" => {
                let (future, specs) = (self.binds(args)?, self.specs(args, uses)?);
                let return_exceptions = args.boolean()?;
                (
                    Area::Combine,
                    Action::Combine(CombineAction::GatherBg {
                        future,
                        specs,
                        return_exceptions,
                    }),
                )
            }
            "shield_bg" => {
                let (future, spec) = (self.binds(args)?, self.spec(args, uses)?);
                (
                    Area::Combine,
                    Action::Combine(CombineAction::ShieldBg { future, spec }),
                )
            }
            "reschedule" => {
                let scope = self.bound(args, uses)?;
                let delay = args.optional_number()?;
                (
                    Area::Scopes,
                    Action::Scope(ScopeAction::Reschedule { scope, delay }),
                )
            }
            "when" => (
                Area::Scopes,
                Action::Scope(ScopeAction::When(self.bound(args, uses)?)),
            ),
            "tg_spawn" => {
                let (group, task) = (self.bound(args, uses)?, self.binds(args)?);
                let function = self.function(args)?;
                (
                    Area::Scopes,
                    Action::Scope(ScopeAction::Spawn {
                        group,
                        task,
                        function,
                    }),
                )
            }
            "release" => lock(LockAction::Release(self.bound(args, uses)?)),
            "locked" => lock(LockAction::Locked(self.bound(args, uses)?)),
            "set" => lock(LockAction::Set(self.bound(args, uses)?)),
            "clear" => lock(LockAction::Clear(self.bound(args, uses)?)),
            "is_set" => lock(LockAction::IsSet(self.bound(args, uses)?)),
            "notify" => lock(LockAction::Notify {
                condition: self.bound(args, uses)?,
                count: args.integer()?,
            }),
            "notify_all" => lock(LockAction::NotifyAll(self.bound(args, uses)?)),
            "barrier_state" => lock(LockAction::BarrierState(self.bound(args, uses)?)),
            "put_nowait" => queue(QueueAction::PutNowait {
                queue: self.bound(args, uses)?,
                item: args.constant()?,
            }),
            "get_nowait" => queue(QueueAction::GetNowait(self.bound(args, uses)?)),
            "task_done" => queue(QueueAction::TaskDone(self.bound(args, uses)?)),
            "shutdown" => queue(QueueAction::Shutdown {
                queue: self.bound(args, uses)?,
                immediate: args.boolean()?,
            }),
            "qsize" => queue(QueueAction::QSize(self.bound(args, uses)?)),
            "feed" => stream(StreamAction::Feed {
                reader: self.bound(args, uses)?,
                data: bytes(args.next()?)?,
            }),
            "feed_eof" => stream(StreamAction::FeedEof(self.bound(args, uses)?)),
            "stream_exception" => stream(StreamAction::Exception {
                reader: self.bound(args, uses)?,
                raise: one(args.next()?, args.next()?)?,
            }),
            "at_eof" => stream(StreamAction::AtEof(self.bound(args, uses)?)),
            other => return Err(BadProgram::new(&format!("unknown statement {other:?}"))),
        })
    }

    /// The action of a callback: one statement that never suspends.
    fn deferred(&mut self, args: &mut Args<'_>) -> Parsed<Rc<Deferred>> {
        let mut inner = Args::new(args.next()?)?;
        let mut uses = Vec::new();
        let action = self.action(&mut inner, &mut uses)?;
        inner.end()?;
        self.used.extend(&uses);
        Ok(Rc::new(Deferred { uses, action }))
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

    fn need(&mut self, area: Area, what: &str) {
        if !self.needs.iter().any(|(_, known)| known == what) {
            self.needs.push((area, what.to_owned()));
        }
    }

    /// Objects that no statement uses need no support.
    fn objects_in_use(&mut self, objects: &[(Name, Object)]) {
        for (name, object) in objects {
            if self.used.contains(name) {
                match object {
                    Object::Future => {}
                    Object::Queue { .. } => self.need(Area::Queues, "queue"),
                    Object::StreamReader { .. } => self.need(Area::Streams, "stream_reader"),
                    _ => self.need(Area::Locks, "lock"),
                }
            }
        }
    }
}
