//! Timeouts and task groups.

use std::rc::Rc;

use asyncio_core::{MaybeDelay, Result, Timeout, task_group};

use super::machine::{Bound, Flow, Frame, Machine, Step};
use crate::program::{Body, Name, Scope, ScopeAction};

pub(super) async fn run(machine: &Rc<Machine>, frame: &Frame, statement: &Scope) -> Step {
    match statement {
        Scope::Timeout { scope, delay, body } => {
            let timeout = Timeout::new(MaybeDelay::from(delay.map(Into::into)));
            limited(machine, frame, *scope, timeout, body).await
        }
        Scope::TimeoutAt { scope, when, body } => {
            limited(machine, frame, *scope, Timeout::at(*when), body).await
        }
        Scope::TaskGroup { group, body } => grouped(machine, frame, *group, body).await,
    }
}

pub(super) fn act(machine: &Rc<Machine>, frame: &Frame, action: &ScopeAction) -> Result<()> {
    match action {
        ScopeAction::Reschedule { scope, delay } => {
            let when = delay.map(|delay| machine.event_loop.time() + delay);
            timeout(machine, *scope)?.reschedule(when)?;
            machine.log(frame, format_args!("reschedule {}", machine.name(*scope)));
        }
        ScopeAction::When(scope) => {
            let when = timeout(machine, *scope)?.when();
            let text = when.map_or_else(|| "None".to_owned(), |when| format!("{when:.3}"));
            machine.log(frame, format_args!("when {} {text}", machine.name(*scope)));
        }
        ScopeAction::Spawn {
            group,
            task,
            function,
        } => {
            let Bound::Group(open) = machine.lookup(*group)? else {
                return Err(machine.ill_formed(format!("{} is no group", machine.name(*group))));
            };
            let made = open.try_create_local_task(machine.start(*function, 0))?;
            machine.made.borrow_mut().push(Some(made.clone()));
            machine.bind(*task, Bound::Task(made));
            machine.log(frame, format_args!("tg_spawn {}", machine.name(*task)));
        }
    }
    Ok(())
}

async fn limited(
    machine: &Rc<Machine>,
    frame: &Frame,
    name: Name,
    timeout: Timeout,
    body: &Body,
) -> Step {
    machine.bind(name, Bound::Timeout(timeout.clone()));
    let outcome = timeout.run(machine.block(frame, body)).await;
    let expired = if timeout.expired() { "True" } else { "False" };
    machine.log(
        frame,
        format_args!("timeout {} expired {expired}", machine.name(name)),
    );
    outcome
}

async fn grouped(machine: &Rc<Machine>, frame: &Frame, name: Name, body: &Body) -> Step {
    let flow = task_group(async |group| {
        machine.bind(name, Bound::Group(group));
        let flow = machine.block(frame, body).await?;
        if let Flow::Next = flow {
            machine.log(
                frame,
                format_args!("taskgroup {} body done", machine.name(name)),
            );
        }
        Ok(flow)
    })
    .await?;
    if let Flow::Next = flow {
        machine.log(frame, format_args!("taskgroup {} done", machine.name(name)));
    }
    Ok(flow)
}

fn timeout(machine: &Rc<Machine>, name: Name) -> Result<Timeout> {
    match machine.lookup(name)? {
        Bound::Timeout(timeout) => Ok(timeout),
        _ => Err(machine.ill_formed(format!("{} is no timeout", machine.name(name)))),
    }
}
