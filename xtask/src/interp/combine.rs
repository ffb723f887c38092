//! Gather, wait, as_completed, shield and wait_for.

use std::sync::Arc;

use asyncio_core::{
    ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, Future, MaybeDelay, Result, Task,
    as_completed, ensure_future, gather, shield, wait, wait_for,
};

use super::errors;
use super::machine::{Bound, Flow, Frame, Machine, Step, Value};
use super::notes::Wait;
use crate::program::{Combine, CombineAction, Kind, Name, ReturnWhen, Spec};

pub(super) async fn run(machine: &Arc<Machine>, frame: &Frame, statement: &Combine) -> Step {
    match statement {
        Combine::Gather {
            specs,
            return_exceptions,
        } => {
            let children = awaitables(machine, frame, specs)?;
            let _noted = machine.waits(frame, || Wait::Tasks(children.clone(), false));
            machine.place.rest().await;
            let values = gathered(children, *return_exceptions).await?;
            machine.log(frame, format_args!("gather {}", machine.value(&values)));
        }
        Combine::Wait {
            names,
            timeout,
            when,
        } => wait_names(machine, frame, names, *timeout, *when).await?,
        Combine::AsCompleted {
            names,
            timeout,
            asynchronous,
        } => completed(machine, frame, names, *timeout, *asynchronous).await?,
        Combine::Shield(spec) => {
            let inner = awaitable(machine, frame, *spec)?;
            let _noted = machine.waits(frame, || Wait::Task(inner.clone()));
            machine.place.rest().await;
            let value = shield(inner).await?;
            machine.log(frame, format_args!("shield {}", machine.value(&value)));
        }
        Combine::WaitFor { spec, timeout } => {
            let value = limited(machine, frame, *spec, *timeout).await?;
            machine.log(frame, format_args!("wait_for {}", machine.value(&value)));
        }
    }
    Ok(Flow::Next)
}

pub(super) fn act(machine: &Arc<Machine>, frame: &Frame, action: &CombineAction) -> Result<()> {
    match action {
        CombineAction::GatherBg {
            future,
            specs,
            return_exceptions,
        } => {
            let values = gathered(awaitables(machine, frame, specs)?, *return_exceptions);
            machine.bind(*future, Bound::Future(values));
            machine.log(frame, format_args!("gather_bg {}", machine.name(*future)));
        }
        CombineAction::ShieldBg { future, spec } => {
            let value = shield(awaitable(machine, frame, *spec)?);
            machine.bind(*future, Bound::Future(value));
            machine.log(frame, format_args!("shield_bg {}", machine.name(*future)));
        }
    }
    Ok(())
}

fn gathered(children: Vec<Task<Value>>, return_exceptions: bool) -> Future<Value> {
    let gathering = gather(children);
    if return_exceptions {
        gathering.map_results(|results| {
            let values = results
                .into_iter()
                .map(|result| result.unwrap_or_else(Value::Exception));
            Value::List(values.collect())
        })
    } else {
        gathering.map(|values| Value::List(values.into()))
    }
}

async fn wait_names(
    machine: &Arc<Machine>,
    frame: &Frame,
    names: &[Name],
    timeout: Option<f64>,
    when: ReturnWhen,
) -> Result<()> {
    let tasks = bound_to(machine, frame, names)?;
    let first = when == ReturnWhen::FirstCompleted;
    let _noted = machine.waits(frame, || Wait::Tasks(tasks.clone(), first));
    let mut waiting = wait(tasks.clone()).return_when(match when {
        ReturnWhen::FirstCompleted => FIRST_COMPLETED,
        ReturnWhen::FirstException => FIRST_EXCEPTION,
        ReturnWhen::AllCompleted => ALL_COMPLETED,
    });
    if let Some(timeout) = timeout {
        waiting = waiting.timeout(machine.place.limit(timeout));
    }
    let (done, pending) = waiting.await?;
    // Python looks the names up again: another task may have bound one of them anew.
    let tasks = bound_to(machine, frame, names)?;
    let show = |set: &[Task<Value>]| {
        let names = names.iter().zip(&tasks);
        let members = names.filter(|(_, task)| set.iter().any(|member| member.same_as(task)));
        let text: Vec<&str> = members.map(|(&name, _)| machine.name(name)).collect();
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.join(" ")
        }
    };
    machine.log(
        frame,
        format_args!("wait done {} pending {}", show(&done), show(&pending)),
    );
    Ok(())
}

async fn completed(
    machine: &Arc<Machine>,
    frame: &Frame,
    names: &[Name],
    timeout: Option<f64>,
    asynchronous: bool,
) -> Result<()> {
    let tasks = bound_to(machine, frame, names)?;
    let _noted = machine.waits(frame, || Wait::Tasks(tasks.clone(), false));
    machine.place.rest().await;
    let mut done = as_completed(tasks.clone());
    if let Some(timeout) = timeout {
        done = done.timeout(machine.place.limit(timeout));
    }
    if !asynchronous {
        for next in done {
            match next.await {
                Ok(value) => {
                    machine.log(frame, format_args!("completed {}", machine.value(&value)));
                }
                Err(error) if errors::matches(Kind::Exception, &error) => {
                    machine.log(frame, format_args!("completed {}", machine.show(&error)));
                }
                Err(error) => return Err(error),
            }
        }
        return Ok(());
    }
    while let Some(next) = done.next_task().await {
        match next {
            Ok(task) => {
                // Of two names for one task Python knows the last.
                let named = names.iter().zip(&tasks);
                let name = named
                    .filter(|(_, named)| named.same_as(&task))
                    .map(|(&name, _)| machine.name(name))
                    .last();
                machine.log(
                    frame,
                    format_args!(
                        "completed {} {}",
                        name.unwrap_or_default(),
                        machine.state(&task)
                    ),
                );
            }
            Err(error) if errors::matches(Kind::TimeoutError, &error) => {
                machine.log(frame, format_args!("completed {}", machine.show(&error)));
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn limited(
    machine: &Arc<Machine>,
    frame: &Frame,
    spec: Spec,
    timeout: Option<f64>,
) -> Result<Value> {
    let delay = timeout.map(|timeout| machine.place.limit(timeout).into());
    let delay = MaybeDelay::from(delay);
    match spec {
        // Awaited where it is: no task is made of it.
        Spec::Call(function) if timeout.is_none_or(|seconds| seconds > 0.0) => {
            let depth = machine.deeper(frame)?;
            wait_for(machine.start(frame, function, depth).call(), delay).await
        }
        spec => {
            let awaited = awaitable(machine, frame, spec)?;
            let _noted = machine.waits(frame, || Wait::Task(awaited.clone()));
            machine.place.rest().await;
            wait_for(awaited, delay).await
        }
    }
}

/// What a combinator is given: a call becomes a task, as the combinator would make one.
///
/// It is made here because the end of the trace tells the state of every task.
fn awaitable(machine: &Arc<Machine>, frame: &Frame, spec: Spec) -> Result<Task<Value>> {
    match spec {
        Spec::Call(function) => Ok(machine.spawn(frame, function)),
        Spec::Var(name) => match machine.lookup(name)? {
            Bound::Task(task) => Ok(task),
            Bound::Future(future) => {
                if let Some(notes) = &machine.notes {
                    notes.given(&future);
                }
                Ok(ensure_future(future))
            }
            _ => Err(machine.ill_formed(format!("{} cannot be awaited", machine.name(name)))),
        },
    }
}

fn awaitables(machine: &Arc<Machine>, frame: &Frame, specs: &[Spec]) -> Result<Vec<Task<Value>>> {
    specs
        .iter()
        .map(|&spec| awaitable(machine, frame, spec))
        .collect()
}

fn bound_to(machine: &Arc<Machine>, frame: &Frame, names: &[Name]) -> Result<Vec<Task<Value>>> {
    names
        .iter()
        .map(|&name| awaitable(machine, frame, Spec::Var(name)))
        .collect()
}
