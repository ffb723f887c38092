//! What is noted of a run that is compared with others: who made whom, and who waits for what.

use std::collections::HashMap;
use std::sync::Mutex;

use asyncio_core::{Future, Task};
use asyncio_sync::Event;

use super::lock;
use super::locks::Primitive;
use super::machine::{Frame, HARNESS, Value};
use super::queues::AnyQueue;

/// The notes of one run.
#[derive(Default)]
pub(super) struct Notes {
    /// The frames' names for people: those of all who called or started one another, from main on.
    paths: Mutex<HashMap<u64, String>>,
    waits: Mutex<HashMap<u64, Wait>>,
    children: Mutex<Vec<Future<Value>>>,
    outlived: Mutex<Option<String>>,
}

/// What a statement waits for, as far as it can be seen from outside whether it is there.
pub(super) enum Wait {
    Task(Task<Value>),
    Future(Future<Value>),
    /// For all of them to be done, or for one.
    Tasks(Vec<Task<Value>>, bool),
    Primitive(Primitive),
    Event(Event),
    Get(AnyQueue),
    Put(AnyQueue),
}

impl Notes {
    /// Names a frame.
    pub(super) fn born(&self, parent: &Frame, child: &Frame, name: &str) {
        let mut paths = lock(&self.paths);
        let path = match paths.get(&parent.id) {
            Some(path) => format!("{path}/{name}.{}", child.number),
            None => name.to_owned(),
        };
        paths.insert(child.id, path);
    }

    /// The name of a frame.
    pub(super) fn path(&self, id: u64) -> String {
        if id == HARNESS {
            return "harness".to_owned();
        }
        let path = lock(&self.paths).get(&id).cloned();
        path.unwrap_or_else(|| format!("{id:x}"))
    }

    /// Notes that a combinator was given a future.
    pub(super) fn given(&self, future: &Future<Value>) {
        lock(&self.children).push(future.clone());
    }

    /// Ends the futures that combinators were given. What a combinator makes of a future and that
    /// future hold each other until the one is done; a loop lets go of both when it is closed.
    pub(super) fn end_families(&self) {
        let children = std::mem::take(&mut *lock(&self.children));
        for child in children {
            child.cancel();
        }
    }

    /// Notes that a task is still there though its group is over.
    pub(super) fn outlived(&self, text: String) {
        lock(&self.outlived).get_or_insert(text);
    }

    /// The first task that outlived its group.
    pub(super) fn outliving(&self) -> Option<String> {
        lock(&self.outlived).clone()
    }

    /// Notes for as long as the guard lives that a frame waits.
    pub(super) fn waits(&self, frame: &Frame, wait: Wait) -> Waiting<'_> {
        let before = lock(&self.waits).insert(frame.id, wait);
        drop(before);
        Waiting {
            notes: self,
            id: frame.id,
        }
    }

    /// Who waits for something that is there, though nothing runs any more: a wake was lost.
    pub(super) fn overdue(&self) -> Option<String> {
        let waits = lock(&self.waits);
        let (id, what) = waits
            .iter()
            .find_map(|(&id, wait)| Some((id, wait.overdue()?)))?;
        drop(waits);
        Some(format!("{} waits for {what}", self.path(id)))
    }
}

impl Wait {
    fn overdue(&self) -> Option<&'static str> {
        let (there, what) = match self {
            Self::Task(task) => (task.done(), "a task that is done"),
            Self::Future(future) => (future.done(), "a future that is done"),
            Self::Tasks(tasks, false) => {
                (tasks.iter().all(Task::done), "tasks of which all are done")
            }
            Self::Tasks(tasks, true) => (
                tasks.iter().any(Task::done),
                "the first of several tasks, of which one is done",
            ),
            Self::Primitive(Primitive::Lock(lock)) => (!lock.locked(), "a lock that is free"),
            Self::Primitive(Primitive::Condition(condition)) => {
                (!condition.locked(), "a condition's lock that is free")
            }
            // Who waits for it is all that can be seen of a semaphore or barrier.
            Self::Primitive(_) => (false, ""),
            Self::Event(event) => (event.is_set(), "an event that is set"),
            Self::Get(queue) => (!queue.empty(), "an item of a queue that has one"),
            Self::Put(queue) => (!queue.full(), "a place in a queue that has one"),
        };
        there.then_some(what)
    }
}

/// Notes that a frame waits.
pub(super) struct Waiting<'a> {
    notes: &'a Notes,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let over = lock(&self.notes.waits).remove(&self.id);
        drop(over);
    }
}
