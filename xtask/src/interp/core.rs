//! The core of the language: control flow, tasks, futures, callbacks and the context variable.

use std::pin::Pin;
use std::sync::Arc;

use asyncio_core::{Exception, ExceptionGroup, Task, copy_context, current_task, sleep};

use super::errors;
use super::lock;
use super::machine::{
    Alive, Awaitable, Bound, Flow, Frame, Machine, Step, Value, context, set_context,
};
use super::notes::Wait;
use super::place::{OnRuntime, Place};
use super::{combine, locks, queues, scopes, streams};
use crate::program::{
    Action, Body, Constant, Deferred, FunctionId, Handler, Name, Raise, Statement, Target,
};

type Boxed<'a> = Pin<Box<dyn Future<Output = Step> + Send + 'a>>;

impl Machine {
    /// The body of a coroutine.
    pub(super) async fn function(
        self: &Arc<Self>,
        frame: &Frame,
        function: FunctionId,
    ) -> asyncio_core::Result<Value> {
        self.log(frame, "start");
        match self
            .block(frame, &self.program.functions[function].body)
            .await
        {
            Ok(Flow::Return(value)) => {
                self.log(frame, format_args!("return {}", self.value(&value)));
                Ok(value)
            }
            Ok(Flow::Next) => {
                self.log(frame, "return None");
                Ok(self.constant(Constant::None))
            }
            Err(exception) => {
                self.log(frame, format_args!("raise {}", self.show(&exception)));
                Err(exception)
            }
        }
    }

    /// Runs statements one after the other. Boxed, for blocks contain blocks.
    pub(super) fn block<'a>(self: &'a Arc<Self>, frame: &'a Frame, body: &'a Body) -> Boxed<'a> {
        Box::pin(async move {
            for line in body {
                if self.place.is_restless() {
                    self.place.rest().await;
                }
                if !line.uses.is_empty() && self.unbound(frame, &line.uses) {
                    continue;
                }
                let flow = match &line.statement {
                    Statement::Action(action) => self.act(frame, action)?,
                    Statement::Sleep { delay, text } => {
                        sleep(self.place.delay(*delay)).await?;
                        self.log(frame, format_args!("slept {text}"));
                        Flow::Next
                    }
                    Statement::Await(name) => self.await_name(frame, *name).await?,
                    Statement::Call(function) => {
                        let depth = self.deeper(frame)?;
                        let value = self.start(frame, *function, depth).call().await?;
                        let name = &self.program.functions[*function].name;
                        self.log(frame, format_args!("call {name} {}", self.value(&value)));
                        Flow::Next
                    }
                    Statement::Repeat { times, body } => self.repeat(frame, *times, body).await?,
                    Statement::Try {
                        body,
                        handlers,
                        otherwise,
                        last,
                    } => self.try_(frame, body, handlers, otherwise, last).await?,
                    Statement::TryStar { body, handlers } => {
                        self.try_star(frame, body, handlers).await?
                    }
                    Statement::Combine(statement) => combine::run(self, frame, statement).await?,
                    Statement::Scope(statement) => scopes::run(self, frame, statement).await?,
                    Statement::Lock(statement) => locks::run(self, frame, statement).await?,
                    Statement::Queue(statement) => queues::run(self, frame, statement).await?,
                    Statement::Stream(statement) => streams::run(self, frame, statement).await?,
                };
                if let Flow::Return(_) = flow {
                    return Ok(flow);
                }
            }
            Ok(Flow::Next)
        })
    }

    async fn await_name(self: &Arc<Self>, frame: &Frame, name: Name) -> Step {
        let value = match self.lookup(name)? {
            Bound::Task(task) => {
                let _noted = self.waits(frame, || Wait::Task(task.clone()));
                task.await?
            }
            Bound::Future(future) => {
                let _noted = self.waits(frame, || Wait::Future(future.clone()));
                future.await?
            }
            _ => return Err(self.ill_formed(format!("{} cannot be awaited", self.name(name)))),
        };
        self.log(
            frame,
            format_args!("await {} {}", self.name(name), self.value(&value)),
        );
        Ok(Flow::Next)
    }

    async fn repeat(self: &Arc<Self>, frame: &Frame, times: u64, body: &Body) -> Step {
        for _ in 0..times {
            if let Flow::Return(value) = self.block(frame, body).await? {
                return Ok(Flow::Return(value));
            }
        }
        Ok(Flow::Next)
    }

    async fn try_(
        self: &Arc<Self>,
        frame: &Frame,
        body: &Body,
        handlers: &[Handler],
        otherwise: &Body,
        last: &Body,
    ) -> Step {
        let outcome = match self.block(frame, body).await {
            Ok(Flow::Next) => self.block(frame, otherwise).await,
            Err(exception) => self.handle(frame, handlers, exception).await,
            returned => returned,
        };
        if last.is_empty() {
            return outcome;
        }
        self.log(frame, "finally");
        match self.block(frame, last).await {
            Ok(Flow::Next) => outcome,
            // A `finally` that returns or raises puts its own outcome in place of the other.
            instead => instead,
        }
    }

    async fn handle(
        self: &Arc<Self>,
        frame: &Frame,
        handlers: &[Handler],
        exception: Exception,
    ) -> Step {
        let matching = |handler: &&Handler| {
            handler
                .kinds
                .iter()
                .any(|&kind| errors::matches(kind, &exception))
        };
        let Some(handler) = handlers.iter().find(matching) else {
            return Err(exception);
        };
        self.log(frame, format_args!("except {}", self.show(&exception)));
        match self.block(frame, &handler.body).await {
            Ok(Flow::Next) if handler.reraise => Err(exception),
            outcome => outcome,
        }
    }

    /// As `do_trystar` of the reference interpreter, which is what defines the statement: what the
    /// handlers raise stands beside what none of them matched, also where it is the caught group
    /// itself, which Python's own `except*` would merge.
    async fn try_star(self: &Arc<Self>, frame: &Frame, body: &Body, handlers: &[Handler]) -> Step {
        let exception = match self.block(frame, body).await {
            Err(exception) => exception,
            done => return done,
        };
        let mut rest = match exception.as_group() {
            Some(group) => Some(group.clone()),
            None => Some(ExceptionGroup::new("", vec![exception.clone()])?),
        };
        let mut raised = Vec::new();
        for handler in handlers {
            let Some(unmatched) = rest.take() else { break };
            let (matched, others) = unmatched.split_by(|member| {
                handler
                    .kinds
                    .iter()
                    .any(|&kind| errors::matches(kind, member))
            });
            rest = others;
            let Some(matched) = matched else { continue };
            self.log(
                frame,
                format_args!("except* {}", self.show(&matched.into())),
            );
            match self.block(frame, &handler.body).await {
                Ok(Flow::Next) => {}
                Ok(returned) => return Ok(returned),
                Err(new) => raised.push(new),
            }
        }
        if !raised.is_empty() {
            raised.extend(rest.map(Exception::from));
            return Err(match raised.len() {
                1 => raised.swap_remove(0),
                _ => ExceptionGroup::new("", raised)?.into(),
            });
        }
        match rest {
            None => Ok(Flow::Next),
            Some(_) if exception.as_group().is_none() => Err(exception),
            Some(rest) => Err(rest.into()),
        }
    }

    // -- statements that never suspend --------------------------------------

    fn act(self: &Arc<Self>, frame: &Frame, action: &Action) -> Step {
        match action {
            Action::Log(text) => self.log(frame, text),
            Action::Time => self.log_moment(frame, format_args!("time {:.3}", self.place.now())),
            Action::Tasks => {
                self.log_moment(
                    frame,
                    format_args!("tasks {}", asyncio_core::all_tasks().len()),
                );
            }
            Action::Spawn { task, function } => {
                self.bind(*task, Bound::Task(self.spawn(frame, *function)));
                self.log(frame, format_args!("spawn {}", self.name(*task)));
            }
            Action::SpawnEager { task, function } => {
                self.bind(*task, Bound::Task(self.spawn_eager(frame, *function)?));
                self.log(frame, format_args!("spawn_eager {}", self.name(*task)));
            }
            Action::Cancel { target, message } => {
                self.cancel(frame, *target, message.as_deref())?
            }
            Action::Uncancel(target) => {
                let left = match self.task(*target)? {
                    Some(task) => task.uncancel(),
                    None => self.current()?.uncancel(),
                };
                self.log(
                    frame,
                    format_args!("uncancel {} {left}", self.target_name(*target)),
                );
            }
            Action::Cancelling(target) => {
                let count = match self.task(*target)? {
                    Some(task) => task.cancelling(),
                    None => self.current()?.cancelling(),
                };
                self.log(
                    frame,
                    format_args!("cancelling {} {count}", self.target_name(*target)),
                );
            }
            Action::Inspect(name) => {
                let state = match self.lookup(*name)? {
                    Bound::Task(task) => self.state(&task),
                    Bound::Future(future) => self.state(&future),
                    _ => return Err(self.ill_formed(format!("{} has no state", self.name(*name)))),
                };
                self.log(frame, format_args!("inspect {} {state}", self.name(*name)));
            }
            Action::Return(value) => return Ok(Flow::Return(self.constant(value.clone()))),
            Action::Raise(raise) => return Err(self.exception(raise)?),
            Action::CallSoon { handle, action } => {
                let callback = self.callback(frame, action);
                let made = match &self.place {
                    Place::Loop(event_loop) | Place::Drawn { event_loop, .. } => {
                        Bound::Handle(event_loop.call_soon(callback)?)
                    }
                    Place::Runtime(runtime) => self.detached(runtime, None, callback),
                };
                self.bind(*handle, made);
                self.log(frame, format_args!("call_soon {}", self.name(*handle)));
            }
            Action::CallLater {
                handle,
                delay,
                action,
            } => {
                let made = self.call_later(frame, self.place.delay(*delay), action)?;
                self.bind(*handle, made);
                self.log(frame, format_args!("call_later {}", self.name(*handle)));
            }
            Action::CallAt {
                handle,
                when,
                action,
            } => {
                let made = match &self.place {
                    Place::Loop(event_loop) => {
                        let callback = self.callback(frame, action);
                        Bound::Timer(event_loop.call_at(*when, callback)?)
                    }
                    place => self.call_later(frame, place.until(*when), action)?,
                };
                self.bind(*handle, made);
                self.log(frame, format_args!("call_at {}", self.name(*handle)));
            }
            Action::HandleCancel(name) => self.handle_cancel(frame, *name)?,
            Action::AddDoneCallback { target, tag } => {
                self.add_done_callback(frame, *target, tag)?;
                self.log(
                    frame,
                    format_args!("add_done_callback {} {tag}", self.name(*target)),
                );
            }
            Action::SetResult { future, value } => {
                self.future(*future)?
                    .set_result(self.constant(value.clone()))?;
                self.log(frame, format_args!("set_result {}", self.name(*future)));
            }
            Action::SetException { future, raise } => {
                let exception = self.exception(raise)?;
                self.future(*future)?.set_exception(exception)?;
                self.log(frame, format_args!("set_exception {}", self.name(*future)));
            }
            Action::CtxSet(text) => {
                set_context(text)?;
                self.log(frame, format_args!("ctx_set {text}"));
            }
            Action::CtxGet => self.log(frame, format_args!("ctx_get {}", context())),
            Action::Incr(counter) => {
                let count = self.increment(*counter);
                let name = &self.program.counters[*counter];
                self.log(frame, format_args!("incr {name} {count}"));
            }
            Action::Combine(action) => combine::act(self, frame, action)?,
            Action::Scope(action) => scopes::act(self, frame, action)?,
            Action::Lock(action) => locks::act(self, frame, action)?,
            Action::Queue(action) => queues::act(self, frame, action)?,
            Action::Stream(action) => streams::act(self, frame, action)?,
        }
        Ok(Flow::Next)
    }

    fn call_later(
        self: &Arc<Self>,
        frame: &Frame,
        delay: f64,
        action: &Arc<Deferred>,
    ) -> asyncio_core::Result<Bound> {
        let callback = self.callback(frame, action);
        Ok(match &self.place {
            Place::Loop(event_loop) | Place::Drawn { event_loop, .. } => {
                Bound::Timer(event_loop.call_later(delay, callback)?)
            }
            Place::Runtime(runtime) => self.detached(runtime, Some(delay), callback),
        })
    }

    /// Has a tokio task do what a loop's callback does.
    fn detached(
        self: &Arc<Self>,
        runtime: &OnRuntime,
        delay: Option<f64>,
        callback: impl FnOnce() -> asyncio_core::Result<()> + Send + 'static,
    ) -> Bound {
        let (machine, context) = (Alive::new(self), copy_context());
        Bound::Detached(runtime.call(delay, move || {
            machine.place.step(|| {
                // An error that leaves a callback is reported to the loop, which there is none.
                let _reported = context.run(callback);
            });
        }))
    }

    /// The closure that runs an action as a callback, of the loop or of the runtime.
    fn callback(
        self: &Arc<Self>,
        frame: &Frame,
        deferred: &Arc<Deferred>,
    ) -> impl FnOnce() -> asyncio_core::Result<()> + Send + 'static + use<> {
        let (machine, deferred) = (Alive::new(self), Arc::clone(deferred));
        let frame = self.callback_frame(frame);
        move || {
            if machine.unbound(&frame, &deferred.uses) {
                return Ok(());
            }
            match machine.act(&frame, &deferred.action)? {
                Flow::Next => Ok(()),
                Flow::Return(_) => Err(machine.ill_formed("return in a callback")),
            }
        }
    }

    fn spawn_eager(
        self: &Arc<Self>,
        frame: &Frame,
        function: FunctionId,
    ) -> asyncio_core::Result<Task<Value>> {
        let depth = self.deeper(frame)?;
        let coroutine = self.start(frame, function, depth);
        // Its place comes before those of the tasks that its first step makes.
        let number = self.add(coroutine.frame.id, None);
        let task = Task::builder().eager_start(true).spawn(coroutine.run());
        if let Some(made) = lock(&self.made).get_mut(number) {
            made.task = Some(task.clone());
        }
        Ok(task)
    }

    fn cancel(
        &self,
        frame: &Frame,
        target: Target,
        message: Option<&str>,
    ) -> asyncio_core::Result<()> {
        let bound = match target {
            Target::Current => None,
            Target::Name(name) => Some(self.lookup(name)?),
        };
        let accepted = Constant::Bool(match (bound, message) {
            (None, None) => self.current()?.cancel(),
            (None, Some(message)) => self.current()?.cancel_with_message(message),
            (Some(Bound::Task(task)), None) => task.cancel(),
            (Some(Bound::Task(task)), Some(message)) => task.cancel_with_message(message),
            (Some(Bound::Future(future)), None) => future.cancel(),
            (Some(Bound::Future(future)), Some(message)) => future.cancel_with_message(message),
            _ => return Err(self.ill_formed(format!("{} is no task", self.target_name(target)))),
        });
        self.log(
            frame,
            format_args!("cancel {} {accepted}", self.target_name(target)),
        );
        Ok(())
    }

    fn handle_cancel(&self, frame: &Frame, name: Name) -> asyncio_core::Result<()> {
        let cancelled = Constant::Bool(match self.lookup(name)? {
            Bound::Handle(handle) => {
                handle.cancel();
                handle.cancelled()
            }
            Bound::Timer(timer) => {
                timer.cancel();
                timer.cancelled()
            }
            Bound::Detached(callback) => {
                callback.cancel();
                callback.cancelled()
            }
            _ => return Err(self.ill_formed(format!("{} is no handle", self.name(name)))),
        });
        self.log(
            frame,
            format_args!("handle_cancel {} {cancelled}", self.name(name)),
        );
        Ok(())
    }

    fn add_done_callback(
        self: &Arc<Self>,
        frame: &Frame,
        target: Name,
        tag: &Arc<str>,
    ) -> asyncio_core::Result<()> {
        let bound = self.lookup(target)?;
        let (machine, tag) = (Alive::new(self), Arc::clone(tag));
        let frame = self.callback_frame(frame);
        match bound {
            Bound::Task(task) => {
                task.add_done_callback(move |task| machine.done(&frame, &tag, task));
            }
            Bound::Future(future) => {
                future.add_done_callback(move |future| machine.done(&frame, &tag, future));
            }
            _ => return Err(self.ill_formed(format!("{} takes no callback", self.name(target)))),
        }
        Ok(())
    }

    fn done(&self, frame: &Frame, tag: &str, outcome: &impl Awaitable) {
        self.place.step(|| {
            self.log(
                frame,
                format_args!("done {tag} {} {}", self.state(outcome), context()),
            );
        });
    }

    // -- operands ------------------------------------------------------------

    pub(super) fn exception(&self, raise: &Raise) -> asyncio_core::Result<Exception> {
        errors::make(raise, &self.token()).map_err(|error| self.ill_formed(error.0))
    }

    /// The future that a program may settle. A task is a RuntimeError, as in Python.
    fn future(&self, name: Name) -> asyncio_core::Result<asyncio_core::Future<Value>> {
        match self.lookup(name)? {
            Bound::Future(future) => Ok(future),
            Bound::Task(_) => {
                Err(asyncio_core::RuntimeError::new("a task sets its own outcome").into())
            }
            _ => Err(self.ill_formed(format!("{} is no future", self.name(name)))),
        }
    }

    /// The named task, or None for the current one.
    fn task(&self, target: Target) -> asyncio_core::Result<Option<Task<Value>>> {
        let Target::Name(name) = target else {
            return Ok(None);
        };
        match self.lookup(name)? {
            Bound::Task(task) => Ok(Some(task)),
            _ => Err(self.ill_formed(format!("{} is no task", self.name(name)))),
        }
    }

    fn current(&self) -> asyncio_core::Result<asyncio_core::TaskHandle> {
        current_task().ok_or_else(|| self.ill_formed("no current task in a callback"))
    }

    fn target_name(&self, target: Target) -> &str {
        match target {
            Target::Current => "self",
            Target::Name(name) => self.name(name),
        }
    }
}
