//! The tasks of a loop that are not done, which the loop keeps alive.

use super::refs::TaskRef;

/// Tasks in no order, each of which knows its place.
///
/// A slab's keys would cost every task as much again as its place and reference do.
#[derive(Default)]
pub(crate) struct Registry(Vec<TaskRef>);

impl Registry {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn insert(&mut self, task: TaskRef) {
        // A loop with more tasks than this has run out of memory long before.
        task.place
            .set(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        self.0.push(task);
    }

    /// Takes a task out, where it is here.
    pub(crate) fn remove(&mut self, task: &TaskRef) -> Option<TaskRef> {
        let place = task.place.get();
        let at = place as usize;
        if self.0.get(at)? != task {
            return None;
        }
        let removed = self.0.swap_remove(at);
        if let Some(moved) = self.0.get(at) {
            moved.place.set(place);
        }
        Some(removed)
    }

    /// The tasks in the order in which they were made.
    pub(crate) fn in_order(&self) -> Vec<TaskRef> {
        let mut tasks = self.0.clone();
        tasks.sort_unstable_by_key(|task| task.order());
        tasks
    }

    /// Takes all of them out, in the order in which they were made.
    pub(crate) fn take_all(&mut self) -> Vec<TaskRef> {
        let mut tasks = std::mem::take(&mut self.0);
        tasks.sort_unstable_by_key(|task| task.order());
        tasks
    }
}
