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
    /// What is on its way out when all tasks have ended is given so long.
    pub(crate) last: Duration,
    /// Whether its story is wanted.
    pub(crate) told: bool,
}

/// What a run on a tokio runtime came to.
#[derive(Debug)]
pub(crate) struct Worked {
    pub(crate) ending: Ending,
    /// What must not be: tasks that never end, or something that outlives them.
    pub(crate) trouble: Option<Trouble>,
    /// What everybody logged, in the order in which it came, where that is wanted.
    pub(crate) story: Vec<String>,
}

/// What must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// However often they were cancelled, some tasks did not end.
    Hung(String),
    /// All tasks have ended, and something of them is still there.
    Leaked(String),
}

/// How long nothing happens before somebody looks whether a program is stuck.
const PATIENCE: Duration = Duration::from_millis(24);
/// What is left of a program is cancelled until it ends, or until so many times in a row have led to
/// nothing: tasks that wait in a circle for what they must not leave behind, groups and conditions.
const VAIN_ROUNDS: u32 = 3;
const MOMENT: Duration = Duration::from_millis(1);

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
    look_after(machine, care).await
}

/// Runs a program from its start to the end of all that it has made.
async fn look_after(machine: Arc<Machine>, care: Care) -> Worked {
    let mut watch = Watch {
        machine: &machine,
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
    let told = |(id, line): &(u64, String)| format!("{}: {line}", notes_path(&machine, *id));
    let story = if care.told {
        lines.iter().map(told).collect()
    } else {
        Vec::new()
    };
    if let Some(notes) = &machine.notes {
        ending.add_histories(notes, &lines, false);
        ending.outlived = notes.outliving();
    }
    if let Place::Runtime(runtime) = &machine.place {
        runtime.drop_callbacks();
    }
    if let Some(notes) = &machine.notes {
        notes.end_families();
    }
    machine.forget();
    let trouble = match restless {
        None => leaked(&machine, care.last).await.map(Trouble::Leaked),
        Some(restless) => Some(Trouble::Hung(restless)),
    };
    Worked {
        ending,
        trouble,
        story,
    }
}

/// Looks after a program while it runs.
struct Watch<'a> {
    machine: &'a Arc<Machine>,
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
            self.is_stuck().await;
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
                let waited = timeout(PATIENCE, task.clone()).await;
                if waited.is_err() && self.is_stuck().await && !task.done() {
                    return false;
                }
            }
        }
        true
    }

    async fn tick(&mut self) {
        if self.overdue.is_none() {
            self.overdue = self.machine.notes.as_ref().and_then(Notes::overdue);
        }
        if self.ticks == 0 {
            let lines = self.machine.copy_trace();
            self.stuck = restless(self.machine, &lines);
        }
        self.ticks += 1;
    }

    async fn is_stuck(&self) -> bool {
        match &self.machine.place {
            Place::Runtime(runtime) => runtime.is_quiet(PATIENCE).await,
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
async fn leaked(machine: &Arc<Machine>, last: Duration) -> Option<String> {
    for _ in 0..last.as_millis() {
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

#[cfg(test)]
mod tests {
    use std::future::Future;

    use asyncio_core::create_task;
    use serde_json::json;
    use tokio::runtime::Builder;

    use super::super::machine::Alive;
    use super::super::notes::Wait;
    use super::*;
    use crate::program::Constant;

    /// Runs a program with two workers, after something has been done to it.
    fn run<P, F>(functions: &serde_json::Value, plant: P) -> Worked
    where
        P: FnOnce(Arc<Machine>) -> F,
        F: Future<Output = ()>,
    {
        let program = json!({"name": "p", "objects": {"f0": ["future"]}, "funcs": functions});
        let program = Arc::new(crate::parse::parse(&program).unwrap());
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_time().build().unwrap();
        runtime.block_on(async move {
            let care = Care {
                seed: 1,
                second: 0.01,
                last: Duration::from_millis(100),
                told: false,
            };
            let place = OnRuntime::new(Handle::current(), care.second, care.seed);
            let place = Place::Runtime(Box::new(place));
            let machine = Machine::new(program, place, Some(Notes::default()));
            plant(Arc::clone(&machine)).await;
            look_after(machine, care).await
        })
    }

    fn hello() -> serde_json::Value {
        json!({
            "main": [["spawn", "t0", "work"], ["await", "t0"]],
            "work": [["sleep", 0.5], ["return", 7]]
        })
    }

    fn waits() -> serde_json::Value {
        json!({"main": [["try", [["await", "f0"]], [[["CancelledError"], []]], [], []]]})
    }

    #[test]
    fn a_program_that_ends_leaves_nothing() {
        let worked = run(&hello(), async |_machine| {});
        assert_eq!(worked.trouble, None);
        assert_eq!(worked.ending.states["main/work.0"], "result 7");
        assert_eq!(worked.ending.ticks, 0);
    }

    #[test]
    fn a_program_that_waits_for_ever_is_woken_by_the_watchdog() {
        let worked = run(&waits(), async |_machine| {});
        assert_eq!((worked.trouble, worked.ending.ticks), (None, 1));
        assert!(worked.ending.stuck.contains("main"), "{:?}", worked.ending);
    }

    #[test]
    fn a_coroutine_that_is_not_dropped_is_a_leak() {
        let mut kept = None;
        let worked = run(&hello(), async |machine| kept = Some(Alive::new(&machine)));
        assert!(
            matches!(&worked.trouble, Some(Trouble::Leaked(why)) if why.starts_with("1 coroutines")),
            "{worked:?}"
        );
    }

    #[test]
    fn a_value_that_is_not_dropped_is_a_leak() {
        let mut kept = None;
        let worked = run(&hello(), async |machine| {
            kept = Some(machine.constant(Constant::None));
        });
        assert!(
            matches!(&worked.trouble, Some(Trouble::Leaked(why)) if why.contains("and 1 values")),
            "{worked:?}"
        );
    }

    #[test]
    fn a_task_that_does_not_end_is_a_hang() {
        let worked = run(&hello(), async |machine| {
            let stubborn = create_task(async {
                loop {
                    let _cancelled = asyncio_core::sleep(3600).await;
                }
            });
            machine.add(1, Some(stubborn));
        });
        assert_eq!(worked.ending.skip.as_deref(), Some("hung"));
        assert!(
            matches!(&worked.trouble, Some(Trouble::Hung(who)) if who == "1"),
            "{worked:?}"
        );
    }

    #[test]
    fn who_waits_for_what_is_there_was_not_woken() {
        let worked = run(&waits(), async |machine| {
            let done = create_task(async { Ok(Value::List(Arc::default())) });
            let _waited = done.clone().await;
            let notes = machine.notes.as_ref().unwrap();
            // The guard goes out of use only with the machine.
            std::mem::forget(notes.waits(&Frame::harness(), Wait::Task(done)));
        });
        let overdue = worked.ending.overdue.as_deref();
        assert_eq!(overdue, Some("harness waits for a task that is done"));
    }
}
