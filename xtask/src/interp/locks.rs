//! Locks, events, semaphores, conditions and barriers.

use std::sync::Arc;

use asyncio_core::Result;
use asyncio_sync::{Barrier, BoundedSemaphore, Condition, Event, Semaphore};

use super::machine::{Bound, Flow, Frame, Machine, Step};
use super::notes::Wait;
use crate::program::{Body, Constant, Lock, LockAction, Name, Object};

/// What `async with` can be given, and what has `acquire` and `release`.
#[derive(Clone)]
pub(super) enum Primitive {
    Lock(asyncio_sync::Lock),
    Event(Event),
    Semaphore(Semaphore),
    Bounded(BoundedSemaphore),
    Condition(Condition),
    Barrier(Barrier),
}

/// Makes an object of this area.
pub(super) fn make(machine: &Machine, object: &Object) -> Result<Primitive> {
    Ok(match object {
        Object::Lock => Primitive::Lock(asyncio_sync::Lock::new()),
        Object::Event => Primitive::Event(Event::new()),
        Object::Semaphore { value, bounded } => {
            let value = usize::try_from(*value)
                .map_err(|_| machine.ill_formed("a semaphore with less than no permits"))?;
            if *bounded {
                Primitive::Bounded(BoundedSemaphore::new(value))
            } else {
                Primitive::Semaphore(Semaphore::new(value))
            }
        }
        Object::Condition { lock: None } => Primitive::Condition(Condition::new()),
        Object::Condition { lock: Some(name) } => match machine.lookup(*name)? {
            Bound::Primitive(Primitive::Lock(lock)) => {
                Primitive::Condition(Condition::with_lock(lock))
            }
            _ => return Err(machine.ill_formed("a condition of what is no lock")),
        },
        Object::Barrier(parties) => {
            Primitive::Barrier(Barrier::new(usize::try_from(*parties).unwrap_or(0))?)
        }
        Object::Future | Object::Queue { .. } | Object::StreamReader { .. } => {
            return Err(machine.ill_formed("an object of another area"));
        }
    })
}

pub(super) async fn run(machine: &Arc<Machine>, frame: &Frame, statement: &Lock) -> Step {
    match statement {
        Lock::Acquire(name) => {
            acquire(machine, frame, *name, &primitive(machine, *name)?).await?;
            machine.log(frame, format_args!("acquire {}", machine.name(*name)));
        }
        Lock::With { object, body } => return with(machine, frame, *object, body).await,
        Lock::WaitEvent(name) => {
            let event = event(machine, *name)?;
            let _noted = machine.waits(frame, || Wait::Event(event.clone()));
            event.wait().await?;
            machine.log(frame, format_args!("wait_event {}", machine.name(*name)));
        }
        Lock::CondWait(name) => {
            condition(machine, *name)?.wait().await?;
            machine.log(frame, format_args!("cond_wait {}", machine.name(*name)));
        }
        Lock::CondWaitFor {
            condition: name,
            counter,
            least,
        } => {
            condition(machine, *name)?
                .wait_for(|| machine.count(*counter) >= *least)
                .await?;
            machine.log(frame, format_args!("cond_wait_for {}", machine.name(*name)));
        }
        Lock::BarrierWait(name) => {
            let index = barrier(machine, *name)?.wait().await?;
            let name = machine.name(*name);
            machine.log(frame, format_args!("barrier_wait {name} {index}"));
        }
        Lock::BarrierReset(name) => {
            barrier(machine, *name)?.reset().await?;
            machine.log(frame, format_args!("barrier_reset {}", machine.name(*name)));
        }
        Lock::BarrierAbort(name) => {
            barrier(machine, *name)?.abort().await?;
            machine.log(frame, format_args!("barrier_abort {}", machine.name(*name)));
        }
    }
    Ok(Flow::Next)
}

pub(super) fn act(machine: &Arc<Machine>, frame: &Frame, action: &LockAction) -> Result<()> {
    match action {
        LockAction::Release(name) => {
            release(machine, *name, &primitive(machine, *name)?)?;
            machine.log(frame, format_args!("release {}", machine.name(*name)));
        }
        LockAction::Locked(name) => {
            let locked = match primitive(machine, *name)? {
                Primitive::Lock(lock) => lock.locked(),
                Primitive::Semaphore(semaphore) => semaphore.locked(),
                Primitive::Bounded(semaphore) => semaphore.locked(),
                Primitive::Condition(condition) => condition.locked(),
                Primitive::Event(_) | Primitive::Barrier(_) => return Err(misused(machine, *name)),
            };
            log_truth(machine, frame, "locked", *name, locked);
        }
        LockAction::Set(name) => {
            event(machine, *name)?.set();
            machine.log(frame, format_args!("set {}", machine.name(*name)));
        }
        LockAction::Clear(name) => {
            event(machine, *name)?.clear();
            machine.log(frame, format_args!("clear {}", machine.name(*name)));
        }
        LockAction::IsSet(name) => {
            let set = event(machine, *name)?.is_set();
            log_truth(machine, frame, "is_set", *name, set);
        }
        LockAction::Notify {
            condition: name,
            count,
        } => {
            // Less than none is none.
            let count = usize::try_from(*count).unwrap_or(0);
            condition(machine, *name)?.notify(count)?;
            machine.log(frame, format_args!("notify {}", machine.name(*name)));
        }
        LockAction::NotifyAll(name) => {
            condition(machine, *name)?.notify_all()?;
            machine.log(frame, format_args!("notify_all {}", machine.name(*name)));
        }
        LockAction::BarrierState(name) => {
            let barrier = barrier(machine, *name)?;
            let (waiting, broken) = (barrier.n_waiting(), Constant::Bool(barrier.broken()));
            let name = machine.name(*name);
            machine.log(
                frame,
                format_args!("barrier_state {name} {waiting} {broken}"),
            );
        }
    }
    Ok(())
}

/// `async with`.
async fn with(machine: &Arc<Machine>, frame: &Frame, name: Name, body: &Body) -> Step {
    let object = primitive(machine, name)?;
    acquire(machine, frame, name, &object).await?;
    machine.log(frame, format_args!("enter {}", machine.name(name)));
    // Not a guard: leaving raises where the body has released the object itself.
    let outcome = machine.block(frame, body).await;
    if !matches!(object, Primitive::Barrier(_)) {
        release(machine, name, &object)?;
    }
    if let Ok(Flow::Next) = outcome {
        machine.log(frame, format_args!("exit {}", machine.name(name)));
    }
    outcome
}

async fn acquire(machine: &Machine, frame: &Frame, name: Name, object: &Primitive) -> Result<()> {
    let _noted = machine.waits(frame, || Wait::Primitive(object.clone()));
    match object {
        Primitive::Lock(lock) => lock.acquire().await?,
        Primitive::Semaphore(semaphore) => semaphore.acquire().await?,
        Primitive::Bounded(semaphore) => semaphore.acquire().await?,
        Primitive::Condition(condition) => condition.acquire().await?,
        Primitive::Barrier(barrier) => {
            barrier.wait().await?;
        }
        Primitive::Event(_) => return Err(misused(machine, name)),
    }
    Ok(())
}

fn release(machine: &Machine, name: Name, object: &Primitive) -> Result<()> {
    match object {
        Primitive::Lock(lock) => lock.release()?,
        Primitive::Semaphore(semaphore) => semaphore.release(),
        Primitive::Bounded(semaphore) => semaphore.release()?,
        Primitive::Condition(condition) => condition.release()?,
        Primitive::Event(_) | Primitive::Barrier(_) => return Err(misused(machine, name)),
    }
    Ok(())
}

fn primitive(machine: &Machine, name: Name) -> Result<Primitive> {
    match machine.lookup(name)? {
        Bound::Primitive(primitive) => Ok(primitive),
        _ => Err(misused(machine, name)),
    }
}

fn event(machine: &Machine, name: Name) -> Result<Event> {
    match primitive(machine, name)? {
        Primitive::Event(event) => Ok(event),
        _ => Err(misused(machine, name)),
    }
}

fn condition(machine: &Machine, name: Name) -> Result<Condition> {
    match primitive(machine, name)? {
        Primitive::Condition(condition) => Ok(condition),
        _ => Err(misused(machine, name)),
    }
}

fn barrier(machine: &Machine, name: Name) -> Result<Barrier> {
    match primitive(machine, name)? {
        Primitive::Barrier(barrier) => Ok(barrier),
        _ => Err(misused(machine, name)),
    }
}

fn misused(machine: &Machine, name: Name) -> asyncio_core::Exception {
    machine.ill_formed(format!("{} cannot do that", machine.name(name)))
}

fn log_truth(machine: &Machine, frame: &Frame, what: &str, name: Name, truth: bool) {
    let truth = Constant::Bool(truth);
    machine.log(frame, format_args!("{what} {} {truth}", machine.name(name)));
}
