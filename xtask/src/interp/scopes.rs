//! Timeouts and task groups.

use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use asyncio_core::{MaybeDelay, Result, Task, TaskGroup, Timeout, task_group};

use super::lock;
use super::machine::{Bound, Flow, Frame, Machine, Step, Value};
use super::place::Place;
use crate::program::{Body, Name, Scope, ScopeAction};

/// An open group, and whom it has started.
#[derive(Clone)]
pub(super) struct Group {
    open: TaskGroup,
    members: Arc<Mutex<Vec<Member>>>,
}

/// A task of a group.
struct Member {
    id: u64,
    task: Task<Value>,
    /// Lives as long as what the task runs.
    life: Weak<()>,
}

pub(super) async fn run(machine: &Arc<Machine>, frame: &Frame, statement: &Scope) -> Step {
    match statement {
        Scope::Timeout { scope, delay, body } => {
            let delay = delay.map(|delay| machine.place.limit(delay).into());
            let timeout = Timeout::new(MaybeDelay::from(delay));
            limited(machine, frame, *scope, timeout, body).await
        }
        Scope::TimeoutAt { scope, when, body } => {
            let timeout = match &machine.place {
                Place::Loop(_) => Timeout::at(*when),
                place => {
                    let delay = when.map(|when| place.limit(when - place.now()).into());
                    Timeout::new(MaybeDelay::from(delay))
                }
            };
            limited(machine, frame, *scope, timeout, body).await
        }
        Scope::TaskGroup { group, body } => grouped(machine, frame, *group, body).await,
    }
}

pub(super) fn act(machine: &Arc<Machine>, frame: &Frame, action: &ScopeAction) -> Result<()> {
    match action {
        ScopeAction::Reschedule { scope, delay } => {
            let delay = delay.map(|delay| machine.place.limit(delay));
            let (timeout, made) = timeout(machine, *scope)?;
            let now = match &machine.place {
                Place::Runtime(_) => made.elapsed().as_secs_f64(),
                place => place.now(),
            };
            timeout.reschedule(delay.map(|delay| now + delay))?;
            machine.log(frame, format_args!("reschedule {}", machine.name(*scope)));
        }
        ScopeAction::When(scope) => {
            let when = timeout(machine, *scope)?.0.when();
            let text = when.map_or_else(|| "None".to_owned(), |when| format!("{when:.3}"));
            machine.log_moment(frame, format_args!("when {} {text}", machine.name(*scope)));
        }
        ScopeAction::Spawn {
            group,
            task,
            function,
        } => {
            let Bound::Group(open) = machine.lookup(*group)? else {
                return Err(machine.ill_formed(format!("{} is no group", machine.name(*group))));
            };
            let coroutine = machine.start(frame, *function, 0);
            let id = coroutine.frame.id;
            let life = Arc::new(());
            let watched = Arc::downgrade(&life);
            let body = coroutine.run();
            let made = open.open.try_create_task(async move {
                let _life = life;
                body.await
            })?;
            lock(&open.members).push(Member {
                id,
                task: made.clone(),
                life: watched,
            });
            machine.add(id, Some(made.clone()));
            machine.bind(*task, Bound::Task(made));
            machine.log(frame, format_args!("tg_spawn {}", machine.name(*task)));
        }
    }
    Ok(())
}

async fn limited(
    machine: &Arc<Machine>,
    frame: &Frame,
    name: Name,
    timeout: Timeout,
    body: &Body,
) -> Step {
    machine.bind(name, Bound::Timeout(timeout.clone(), Instant::now()));
    let outcome = timeout.run(machine.block(frame, body)).await;
    let expired = if timeout.expired() { "True" } else { "False" };
    machine.log(
        frame,
        format_args!("timeout {} expired {expired}", machine.name(name)),
    );
    outcome
}

async fn grouped(machine: &Arc<Machine>, frame: &Frame, name: Name, body: &Body) -> Step {
    let members = Arc::default();
    let outcome = task_group(async |open| {
        let members = Arc::clone(&members);
        machine.bind(name, Bound::Group(Group { open, members }));
        let flow = machine.block(frame, body).await?;
        if let Flow::Next = flow {
            machine.log(
                frame,
                format_args!("taskgroup {} body done", machine.name(name)),
            );
        }
        Ok(flow)
    })
    .await;
    end(machine, name, &members);
    let flow = outcome?;
    if let Flow::Next = flow {
        machine.log(frame, format_args!("taskgroup {} done", machine.name(name)));
    }
    Ok(flow)
}

/// Sees that nobody whom a group has started is still there when the group is over.
fn end(machine: &Machine, group: Name, members: &Mutex<Vec<Member>>) {
    let Some(notes) = &machine.notes else { return };
    // Taken out, for a task that ends here may run code of the crates.
    let members = std::mem::take(&mut *lock(members));
    for member in &members {
        if !member.task.done() || member.life.strong_count() > 0 {
            let path = notes.path(member.id);
            notes.outlived(format!("{path} outlives {}", machine.name(group)));
        }
    }
}

fn timeout(machine: &Arc<Machine>, name: Name) -> Result<(Timeout, Instant)> {
    match machine.lookup(name)? {
        Bound::Timeout(timeout, made) => Ok((timeout, made)),
        _ => Err(machine.ill_formed(format!("{} is no timeout", machine.name(name)))),
    }
}

#[cfg(test)]
mod tests {
    use asyncio_core::{create_task, run, sleep};
    use serde_json::json;

    use super::super::notes::Notes;
    use super::*;

    /// Ends a group of one member, whose task is over or not, and has let go of what it ran or not.
    fn outliving(is_done: bool, is_dropped: bool) -> Option<String> {
        let program = json!({"name": "p", "funcs": {"main": [["taskgroup", "tg0", []]]}});
        let program = Arc::new(crate::parse::parse(&program).unwrap());
        let (group, noted) = run(async move {
            let group = program.names.iter().position(|name| &**name == "tg0");
            let place = Place::Loop(asyncio_core::get_running_loop()?);
            let machine = Machine::new(program, place, Some(Notes::default()));
            let task = create_task(async move {
                sleep(if is_done { 0 } else { 3600 }).await?;
                Ok(Value::List(Arc::default()))
            });
            sleep(0.001).await?;
            let kept = Arc::new(());
            let member = Member {
                id: 1,
                task: task.clone(),
                life: Arc::downgrade(&kept),
            };
            let kept = (!is_dropped).then_some(kept);
            end(&machine, group.unwrap(), &Mutex::new(vec![member]));
            drop(kept);
            task.cancel();
            Ok((group, machine.notes.as_ref().and_then(Notes::outliving)))
        })
        .unwrap();
        assert!(group.is_some());
        noted
    }

    #[test]
    fn no_task_of_a_group_is_there_when_it_is_over() {
        assert_eq!(outliving(true, true), None);
        for (is_done, is_dropped) in [(false, true), (true, false)] {
            let noted = outliving(is_done, is_dropped);
            assert_eq!(noted.as_deref(), Some("1 outlives tg0"));
        }
    }
}
