//! What a group knows of its tasks, and what follows when one of them ends.

use std::task::Waker;

use crate::base_events;
use crate::cell::{self, Callback, CellRef, FAILED, Outer, Part, TaskRef, Wakeup};
use crate::events::ExceptionContext;
use crate::exception_group::Origin;
use crate::exceptions::Exception;
use crate::runners::workers;
use crate::tasks::TaskHandle;

/// The state of a group, the part of a cell of its own.
#[derive(Default)]
pub(super) struct Members {
    /// `None`: the group was entered by something that is no task of ours.
    parent: Option<TaskRef>,
    pub(super) exiting: bool,
    pub(super) aborting: bool,
    pub(super) parent_cancel_requested: bool,
    /// The outcome has been told, which has settled the parent's count, or the scope was dropped.
    pub(super) concluded: bool,
    /// The tasks that are not done, each at the number of its callback, with the order of creation.
    tasks: Vec<(u64, Option<TaskRef>)>,
    free: Vec<u32>,
    made: u64,
    /// How many tasks are not done, or are being started.
    pub(super) live: usize,
    pub(super) errors: Vec<(Exception, Option<Origin>)>,
    /// The first KeyboardInterrupt or SystemExit.
    pub(super) base_error: Option<Exception>,
    pub(super) on_completed: Option<Wakeup>,
    /// Who polls the body, where that is no task of ours.
    pub(super) body_waker: Option<Waker>,
}

impl Members {
    pub(super) fn of(parent: Option<TaskRef>) -> Self {
        Self {
            parent,
            ..Self::default()
        }
    }

    /// Whether nothing can be added any more.
    pub(super) const fn is_finished(&self) -> bool {
        self.exiting && self.live == 0
    }

    pub(super) fn reserve(&mut self) -> u32 {
        self.live += 1;
        self.made += 1;
        if let Some(number) = self.free.pop() {
            self.tasks[number as usize] = (self.made, None);
            return number;
        }
        self.tasks.push((self.made, None));
        u32::try_from(self.tasks.len() - 1).unwrap_or(u32::MAX)
    }

    fn fill(&mut self, number: u32, task: TaskRef) {
        if let Some((_, place)) = self.tasks.get_mut(number as usize) {
            *place = Some(task);
        }
    }

    fn remove(&mut self, number: u32) -> Option<TaskRef> {
        let removed = self.tasks.get_mut(number as usize)?.1.take();
        self.free.push(number);
        self.live -= 1;
        removed
    }

    /// The tasks that are not done, in the order of their creation.
    pub(super) fn children(&self) -> Vec<TaskRef> {
        let started = |(made, task): &(u64, Option<TaskRef>)| Some((*made, task.clone()?));
        let mut children: Vec<_> = self.tasks.iter().filter_map(started).collect();
        children.sort_unstable_by_key(|(made, _)| *made);
        children.into_iter().map(|(_, task)| task).collect()
    }

    pub(super) fn note_base_error(&mut self, error: &Exception) {
        if error.escapes_the_loop() {
            self.base_error.get_or_insert_with(|| error.clone());
        }
    }
}

impl Part for Members {
    type Value = ();

    /// `_on_task_done`.
    fn child_done(group: &Outer<Self>, child: &CellRef, number: u32) {
        if group.cell().is_driven() {
            // Once it is woken the parent may conclude at once, on another thread.
            child_ended(group, child);
            leave(group, number);
        } else {
            // In CPython's order: the parent is woken, and runs in a later turn.
            leave(group, number);
            child_ended(group, child);
        }
    }

    /// Nobody awaits the cell of a group.
    fn forwards_to(&self) -> Option<Vec<CellRef>> {
        None
    }

    fn asked(&mut self) {}

    fn answered(_: &Outer<Self>, _: bool) {}

    fn cancelled(_: &Outer<Self>) {}

    fn let_go(group: &Outer<Self>) {
        let tasks = group.with(|members| std::mem::take(&mut members.tasks));
        drop(tasks);
    }
}

/// Has a task that is not done belong to the group, at the place that was reserved for it.
pub(super) fn adopt(group: &Outer<Members>, number: u32, child: &TaskRef) {
    let state = group.with(|members| {
        members.fill(number, child.clone());
        (members.aborting, members.concluded)
    });
    let (aborting, concluded) = state.unwrap_or_default();
    cell::add_callback(child.cell(), Callback::Family(group.cell().clone(), number));
    if concluded {
        // The group was dropped meanwhile, with its other tasks.
        cell::kill(child);
    } else if aborting {
        // Its first steps have ended the group, or another thread has.
        cell::cancel(child.cell(), &None);
    }
}

/// Gives a place up. The last one that does ends the wait for them.
pub(super) fn leave(group: &Outer<Members>, number: u32) {
    let left = group.with(|members| {
        let removed = members.remove(number);
        let last = members.live == 0;
        (removed, last.then(|| members.on_completed.take()).flatten())
    });
    if let Some((removed, wakeup)) = left {
        drop(removed);
        if let Some(wakeup) = wakeup {
            wakeup.wake();
        }
    }
}

/// Cancels every task of the group, which is aborting (`_abort`).
pub(super) fn cancel_children(group: &Outer<Members>) {
    let children = group.with(|members| members.children()).unwrap_or_default();
    for child in children {
        if !child.base.is_done() {
            cell::cancel(child.cell(), &None);
        }
    }
}

/// Cancels who runs the group's function, once.
pub(super) fn cancel_parent(group: &Outer<Members>) {
    let first = group.with(|members| {
        let first = !std::mem::replace(&mut members.parent_cancel_requested, true);
        first.then(|| (members.parent.clone(), members.body_waker.take()))
    });
    let Some(Some((parent, waker))) = first else {
        return;
    };
    if let Some(parent) = parent {
        cell::cancel(parent.cell(), &None);
    }
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A task of the group has ended; an error ends the whole group.
pub(super) fn child_ended(group: &Outer<Members>, child: &CellRef) {
    if !child.has(FAILED) {
        return;
    }
    let Ok(Some(error)) = cell::error(child) else {
        return;
    };
    let origin = child.as_task().map(|task| Origin {
        name: task.name(),
        spawned_at: task.spawned_at,
    });
    let settled = group.with(|members| {
        if members.concluded {
            // Dropped: nobody collects the errors any more.
            return None;
        }
        members.note_base_error(&error);
        members.errors.push((error.clone(), origin));
        let aborts = !members.aborting && !members.parent_cancel_requested;
        members.aborting |= aborts;
        Some((aborts, members.parent.clone()))
    });
    let Some(Some((aborts, parent))) = settled else {
        return;
    };
    if parent.is_some_and(|parent| parent.base.is_done()) {
        let message = "Task has errored out but its parent task is already completed";
        let mut context = ExceptionContext::new(message, Some(error));
        if let Some(task) = child.as_task() {
            context = context.with_task(&TaskHandle::of(task.clone()));
        }
        match child.home().core() {
            Some(core) => base_events::call_exception_handler(core, &context),
            None => workers::call_exception_handler(&context),
        }
        return;
    }
    if aborts {
        cancel_children(group);
        cancel_parent(group);
    }
}
