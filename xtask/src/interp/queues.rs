//! Queues in their three orders.

use std::cmp::Ordering;
use std::ops::Deref;
use std::sync::Arc;

use asyncio_core::Result;
use asyncio_sync::{LifoQueue, PriorityQueue, Queue};

use super::machine::{Bound, Flow, Frame, Machine, Step};
use super::notes::Wait;
use crate::program::{Constant, Name, Queue as Statement, QueueAction, QueueKind};

/// A queue of any order.
#[derive(Clone)]
pub(super) enum AnyQueue {
    Fifo(Queue<Item>),
    Priority(PriorityQueue<Item>),
    Lifo(LifoQueue<Item>),
}

/// What programs put into queues, compared as Python compares it.
#[derive(Clone, Debug)]
pub(super) struct Item(Constant);

pub(super) fn make(kind: QueueKind, maxsize: i64) -> AnyQueue {
    // More than there is memory for is as good as no limit.
    let maxsize = isize::try_from(maxsize).unwrap_or(0);
    match kind {
        QueueKind::Fifo => AnyQueue::Fifo(Queue::new(maxsize)),
        QueueKind::Priority => AnyQueue::Priority(PriorityQueue::new(maxsize)),
        QueueKind::Lifo => AnyQueue::Lifo(LifoQueue::new(maxsize)),
    }
}

pub(super) async fn run(machine: &Arc<Machine>, frame: &Frame, statement: &Statement) -> Step {
    match statement {
        Statement::Put { queue: name, item } => {
            let queue = queue(machine, *name)?;
            let _noted = machine.waits(frame, || Wait::Put(queue.clone()));
            queue.put(Item(item.clone())).await?;
            machine.log(frame, format_args!("put {} {item}", machine.name(*name)));
        }
        Statement::Get(name) => {
            let queue = queue(machine, *name)?;
            let _noted = machine.waits(frame, || Wait::Get(queue.clone()));
            let Item(item) = queue.get().await?;
            machine.log(frame, format_args!("get {} {item}", machine.name(*name)));
        }
        Statement::Join(name) => {
            queue(machine, *name)?.join().await?;
            machine.log(frame, format_args!("join {}", machine.name(*name)));
        }
    }
    Ok(Flow::Next)
}

pub(super) fn act(machine: &Arc<Machine>, frame: &Frame, action: &QueueAction) -> Result<()> {
    match action {
        QueueAction::PutNowait { queue: name, item } => {
            queue(machine, *name)?.put_nowait(Item(item.clone()))?;
            machine.log(
                frame,
                format_args!("put_nowait {} {item}", machine.name(*name)),
            );
        }
        QueueAction::GetNowait(name) => {
            let Item(item) = queue(machine, *name)?.get_nowait()?;
            machine.log(
                frame,
                format_args!("get_nowait {} {item}", machine.name(*name)),
            );
        }
        QueueAction::TaskDone(name) => {
            queue(machine, *name)?.task_done()?;
            machine.log(frame, format_args!("task_done {}", machine.name(*name)));
        }
        QueueAction::Shutdown {
            queue: name,
            immediate,
        } => {
            queue(machine, *name)?.shutdown(*immediate);
            machine.log(frame, format_args!("shutdown {}", machine.name(*name)));
        }
        QueueAction::QSize(name) => {
            let queue = queue(machine, *name)?;
            let (size, name) = (queue.qsize(), machine.name(*name));
            let (empty, full) = (Constant::Bool(queue.empty()), Constant::Bool(queue.full()));
            machine.log(frame, format_args!("qsize {name} {size} {empty} {full}"));
        }
    }
    Ok(())
}

fn queue(machine: &Machine, name: Name) -> Result<AnyQueue> {
    match machine.lookup(name)? {
        Bound::Queue(queue) => Ok(queue),
        _ => Err(machine.ill_formed(format!("{} is no queue", machine.name(name)))),
    }
}

impl Deref for AnyQueue {
    type Target = Queue<Item>;

    fn deref(&self) -> &Queue<Item> {
        match self {
            Self::Fifo(queue) => queue,
            Self::Priority(queue) => queue,
            Self::Lifo(queue) => queue,
        }
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        compare(&self.0, &other.0) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        compare(&self.0, &other.0)
    }
}

/// What Python raises a TypeError for is not comparable here, and the program is one that CPython skips.
fn compare(one: &Constant, other: &Constant) -> Option<Ordering> {
    match (one, other) {
        (Constant::Str(one), Constant::Str(other)) => Some(one.cmp(other)),
        (Constant::List(one), Constant::List(other)) => {
            let differs = one
                .iter()
                .zip(other.iter())
                .map(|(one, other)| compare(one, other));
            differs
                .into_iter()
                .find(|ordering| *ordering != Some(Ordering::Equal))
                .unwrap_or_else(|| Some(one.len().cmp(&other.len())))
        }
        _ => number(one)?.partial_cmp(&number(other)?),
    }
}

/// `True` is 1, and 1.0 is 1.
fn number(constant: &Constant) -> Option<f64> {
    match constant {
        Constant::Bool(truth) => Some(f64::from(*truth)),
        // Programs hold small numbers.
        Constant::Int(number) => Some(*number as f64),
        Constant::Float(number) => Some(*number),
        Constant::None | Constant::Str(_) | Constant::List(_) => None,
    }
}
