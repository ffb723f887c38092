//! Runs one program on a tokio runtime: the watchdog, the end of main, the tasks it leaves, and what
//! must be gone when all of it is over.

use std::sync::Arc;
use std::time::Duration;

use asyncio_core::Task;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::harness::LAST_TICK;
use super::machine::{Frame, Machine, Value};
use super::notes::Notes;
use super::place::{OnRuntime, Place};
use super::{Ending, lock};
use crate::program::Program;

/// How a run on a tokio runtime is looked after.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Care {
    /// Decides how long statements take.
    pub(crate) seed: u64,
    /// Real seconds for one of the program's.
    pub(crate) second: f64,
    /// For so long nothing must happen before a program counts as stuck.
    pub(crate) patience: Duration,
}

/// What a run on a tokio runtime came to.
#[derive(Debug)]
pub(crate) struct Worked {
    pub(crate) ending: Ending,
    /// What must not be: tasks that never end, or something that outlives them.
    pub(crate) trouble: Option<Trouble>,
}

/// What must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// However often they were cancelled, some tasks did not end.
    Hung(String),
    /// All tasks have ended, and something of them is still there.
    Leaked(String),
}

/// What is left of a program is cancelled until it ends, or until so many times in a row have led to
/// nothing: tasks that wait in a circle for what they must not leave behind, groups and conditions.
const VAIN_ROUNDS: u32 = 3;
/// What is on its way out is given so long.
const LAST: Duration = Duration::from_secs(3);
const MOMENT: Duration = Duration::from_millis(1);
/// A wake that was not lost comes in this time, whatever else the machine does.
const CERTAIN: Duration = Duration::from_secs(2);

/// Runs a program on the runtime that this is called on.
///
/// The ending is that of the run, as on a loop: main ends, what it leaves is cancelled and awaited.
/// Whatever is left even then, for tasks may start others while they are cancelled, is cancelled until
/// nothing is left.
pub(crate) async fn run_on_runtime(program: Arc<Program>, care: Care) -> Worked {
    let place = Place::Runtime(Box::new(OnRuntime::new(
        Handle::current(),
        care.second,
        care.seed,
    )));
    let machine = Machine::new(program, place, Some(Notes::default()));
    let mut watch = Watch {
        machine: &machine,
        patience: care.patience,
        ticks: 0,
        stuck: String::new(),
        overdue: None,
    };
    let main = machine.spawn(&Frame::harness(), machine.program.main);
    let mut ended = watch.until_done(&[main]).await;
    if ended {
        let left = machine.unfinished();
        for task in &left {
            task.cancel();
        }
        ended = watch.until_done(&left).await;
    }
    if !ended {
        // As on a loop.
        machine.skip("hung");
    }
    let (ticks, overdue) = (watch.ticks, watch.overdue.take());
    let mut ending = match &machine.notes {
        Some(notes) => Ending::of(&machine, notes, ticks, overdue),
        None => Ending::default(),
    };
    ending.stuck.clone_from(&watch.stuck);
    let ended = watch.end().await;
    let lines = machine.take_trace();
    let restless = (!ended).then(|| restless(&machine, &lines));
    if let Some(notes) = &machine.notes {
        ending.add_histories(notes, &lines, false);
    }
    if let Place::Runtime(runtime) = &machine.place {
        runtime.drop_callbacks();
    }
    if let Some(notes) = &machine.notes {
        notes.end_families();
    }
    machine.forget();
    let trouble = match restless {
        None => leaked(&machine).await.map(Trouble::Leaked),
        Some(restless) => Some(Trouble::Hung(restless)),
    };
    Worked { ending, trouble }
}

/// Looks after a program while it runs.
struct Watch<'a> {
    machine: &'a Arc<Machine>,
    patience: Duration,
    ticks: u32,
    /// Who had not ended when nothing happened any more.
    stuck: String,
    overdue: Option<String>,
}

impl Watch<'_> {
    /// Waits for tasks to end. Where nothing happens any more they are cancelled, as by the watchdog of
    /// a loop, and as often as there; false when they have not ended by then.
    async fn until_done(&mut self, tasks: &[Task<Value>]) -> bool {
        while !self.done_or_stuck(tasks).await {
            self.tick().await;
            if self.ticks == LAST_TICK {
                return false;
            }
            for task in self.machine.unfinished() {
                task.cancel_with_message("watchdog");
            }
            // All of them have their turn before anything is made of main's end, as on a loop.
            self.is_stuck(self.patience).await;
        }
        true
    }

    /// Ends what is left, whatever it takes; false when that does not help.
    async fn end(&self) -> bool {
        let mut vain = 0;
        while vain < VAIN_ROUNDS {
            let left = self.machine.unfinished();
            if left.is_empty() {
                if self.machine.is_still() {
                    return true;
                }
                // A callback runs, and what it starts is not known yet.
                sleep(MOMENT).await;
            }
            // Who waits for a condition has its lock before anything else, a cancellation included.
            self.machine.release_locks();
            let before = self.machine.lines();
            for task in &left {
                task.cancel();
            }
            let is_over = self.done_or_stuck(&left).await;
            let is_vain = !is_over && self.machine.lines() == before;
            vain = if is_vain { vain + 1 } else { 0 };
        }
        false
    }

    /// Waits until tasks are done, which is true, or until nothing happens any more.
    async fn done_or_stuck(&self, tasks: &[Task<Value>]) -> bool {
        for task in tasks {
            while !task.done() {
                let waited = timeout(self.patience, task.clone()).await;
                if waited.is_err() && self.is_stuck(self.patience).await && !task.done() {
                    return false;
                }
            }
        }
        true
    }

    async fn tick(&mut self) {
        if let Some(overdue) = self.machine.notes.as_ref().and_then(Notes::overdue)
            && self.overdue.is_none()
            && self.is_stuck(CERTAIN).await
            && self
                .machine
                .notes
                .as_ref()
                .and_then(Notes::overdue)
                .as_ref()
                == Some(&overdue)
        {
            self.overdue = Some(overdue);
        }
        if self.ticks == 0 {
            let lines = self.machine.copy_trace();
            self.stuck = restless(self.machine, &lines);
        }
        self.ticks += 1;
    }

    async fn is_stuck(&self, slack: Duration) -> bool {
        match &self.machine.place {
            Place::Runtime(runtime) => runtime.is_quiet(slack).await,
            Place::Loop(_) | Place::Drawn { .. } => false,
        }
    }
}

/// The tasks that have not ended, and what was heard of them last.
fn restless(machine: &Machine, lines: &[(u64, String)]) -> String {
    let made = lock(&machine.made).clone();
    let path = |id| notes_path(machine, id);
    let tasks = made
        .iter()
        .filter(|made| made.task.as_ref().is_none_or(|task| !task.done()));
    let tasks = tasks.map(|made| {
        let path = path(made.id);
        let inside = |id: &u64| notes_path(machine, *id).starts_with(&path);
        match lines.iter().rev().find(|(id, _)| inside(id)) {
            Some((_, last)) => format!("{path} after {last:?}"),
            None => path,
        }
    });
    tasks.collect::<Vec<_>>().join(", ")
}

fn notes_path(machine: &Machine, id: u64) -> String {
    let notes = machine.notes.as_ref();
    notes.map_or_else(String::new, |notes| notes.path(id))
}

/// What is still there of a program whose tasks have ended.
async fn leaked(machine: &Arc<Machine>) -> Option<String> {
    for _ in 0..LAST.as_millis() {
        if is_alone(machine) {
            return None;
        }
        sleep(MOMENT).await;
    }
    let (coroutines, values) = (machine.alive(), machine.values_alive());
    Some(format!(
        "{coroutines} coroutines or callbacks and {values} values are still there, {} hold the program",
        Arc::strong_count(machine) - 1
    ))
}

fn is_alone(machine: &Arc<Machine>) -> bool {
    machine.alive() == 0 && machine.values_alive() == 0 && Arc::strong_count(machine) == 1
}
