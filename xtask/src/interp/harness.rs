//! Runs one program on an event loop: the watchdog, the end of main, the tasks it leaves, their final
//! states.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use asyncio_core::{EventLoop, OwnedEventLoop, Result, Task};

use super::machine::{Frame, Machine, Value};
use super::notes::Notes;
use super::place::{Chance, Habits, Manner, Place};
use super::{Ending, Outcome, lock};
use crate::program::Program;

/// Virtual seconds between two looks of the watchdog.
const WATCHDOG: f64 = 1000.0;
/// The look at which it gives the program up.
pub(super) const LAST_TICK: u32 = 5;

/// Runs a program on an event loop of its own.
pub(crate) fn run(program: Program) -> Outcome {
    caught(|| finish(Arc::new(program), None)).map_or_else(Outcome::Skip, |(outcome, _)| outcome)
}

/// Runs a program on an event loop, and says how it ended as well.
pub(crate) fn run_noted(program: &Arc<Program>) -> (Outcome, Ending) {
    noted(program, None)
}

/// Runs a program on an event loop that leaves to chance what is not certain on several threads.
///
/// The order in which what is ready runs is drawn, and how much of it runs before the clock goes on;
/// the delays are drawn, and tasks are interrupted between statements. Every run has a number, which
/// decides all of it.
pub(crate) fn run_drawn(program: &Arc<Program>, manner: Manner, number: u64) -> Ending {
    noted(program, Some((manner, number))).1
}

/// How a run is drawn, and its number.
type Drawn = (Manner, u64);

fn noted(program: &Arc<Program>, drawn: Option<Drawn>) -> (Outcome, Ending) {
    let order = Some(drawn);
    caught(|| finish(Arc::clone(program), order)).unwrap_or_else(|why| {
        let ending = Ending {
            skip: Some(why.clone()),
            ..Ending::default()
        };
        (Outcome::Skip(why), ending)
    })
}

/// A panic of the crates is a finding about this program, not the end of the run.
fn caught<T>(run: impl FnOnce() -> Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(error)) => Err(format!("the loop failed: {error}")),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(format!("panicked: {}", text.unwrap_or_default()))
        }
    }
}

/// Runs a program, and frees all that it made. `noted`: the ending is wanted, and the number of the
/// run where its order is drawn.
pub(super) fn finish(
    program: Arc<Program>,
    noted: Option<Option<Drawn>>,
) -> Result<(Outcome, Ending)> {
    let mut builder = OwnedEventLoop::builder().virtual_clock(true);
    if let Some(Some((_, number))) = noted {
        builder = builder.shuffle(number);
    }
    let owner = builder.build()?;
    let event_loop = EventLoop::clone(&owner);
    let place = match noted {
        Some(Some((manner, number))) => Place::Drawn {
            event_loop,
            chance: Chance::new(number),
            habits: Habits::of(manner, number),
        },
        Some(None) | None => Place::Loop(event_loop),
    };
    let machine = Machine::new(program, place, noted.map(|_| Notes::default()));
    let watch = Arc::new(Watch::default());
    let played = play(&owner, &machine, &watch);
    let ending = match &machine.notes {
        Some(notes) => {
            let overdue = lock(&watch.overdue).take();
            Ending::of(&machine, notes, watch.ticks(), overdue)
        }
        None => Ending::default(),
    };
    // What dropping the leftovers reports is no part of the trace.
    owner.set_exception_handler(Some(Box::new(|_loop, _context| {})))?;
    machine.forget();
    let hung = !played?;
    let lines = machine.take_trace();
    let mut ending = ending;
    if let Some(notes) = &machine.notes {
        let is_timed = !machine.place.is_restless();
        ending.add_histories(notes, &lines, is_timed);
    }
    let skip = machine.skipped().or(hung.then(|| "hung".to_owned()));
    ending.skip.clone_from(&skip);
    let outcome = match skip {
        Some(why) => Outcome::Skip(why),
        None => Outcome::Trace(lines.into_iter().map(|(_, line)| line).collect()),
    };
    Ok((outcome, ending))
}

/// Whether the program came to its end.
fn play(owner: &OwnedEventLoop, machine: &Arc<Machine>, watch: &Arc<Watch>) -> Result<bool> {
    let watched = Arc::downgrade(machine);
    owner.set_exception_handler(Some(Box::new(move |_loop, context| {
        // Reports of exceptions never retrieved come when the last reference goes, which differs.
        let (Some(machine), false) = (
            watched.upgrade(),
            context.message().contains("never retrieved"),
        ) else {
            return;
        };
        let text = context
            .exception()
            .map_or_else(|| "None".to_owned(), |exception| machine.show(exception));
        machine.report("loop", format_args!("unhandled {text}"));
    })))?;
    look_after(owner, machine, watch)?;

    let main = machine.spawn(&Frame::harness(), machine.program.main);
    // How main ended is its state; that the watchdog stopped the loop is seen by main not being done.
    let _ended = owner.run_until_complete(main.clone());
    let mut ended = main.done();
    if ended {
        machine.report("loop", format_args!("main {}", machine.state(&main)));
        ended = leave(owner, machine)? && watch.ticks() < LAST_TICK;
    }
    let made = lock(&machine.made).clone();
    for (number, made) in made.iter().enumerate() {
        let state = made
            .task
            .as_ref()
            .map_or_else(|| "pending".to_owned(), |task| machine.state(task));
        machine.report("loop", format_args!("task {number} {state}"));
    }
    Ok(ended)
}

/// Cancels the tasks that main left behind and waits for them. Says whether all of them ended.
fn leave(owner: &OwnedEventLoop, machine: &Arc<Machine>) -> Result<bool> {
    let left = machine.unfinished();
    if left.is_empty() {
        return Ok(true);
    }
    cancel(owner, machine, left.clone(), None)?;
    // What `gather` does: each task's callback counts it, the last one settles the outer future.
    let outer = owner.create_future::<()>();
    let missing = Arc::new(AtomicUsize::new(left.len()));
    for task in &left {
        let (outer, missing) = (outer.clone(), Arc::clone(&missing));
        task.add_local_done_callback(move |_: &Task<Value>| {
            // Relaxed: this thread alone counts.
            if missing.fetch_sub(1, Ordering::Relaxed) == 1 {
                // Nobody else knows the future, so it cannot be settled already.
                let _settled = outer.set_result(());
            }
        })?;
    }
    // When the watchdog stops the loop, the future is not done.
    let _stopped = owner.run_until_complete(outer.clone());
    Ok(outer.done())
}

/// What the watchdog has seen.
#[derive(Default)]
struct Watch {
    ticks: AtomicU32,
    overdue: std::sync::Mutex<Option<String>>,
}

impl Watch {
    fn ticks(&self) -> u32 {
        // Relaxed: counted and read on the loop's thread.
        self.ticks.load(Ordering::Relaxed)
    }
}

/// Schedules the watchdog's next look: it cancels everything that still runs, and at the last one
/// it stops the loop.
fn look_after(event_loop: &EventLoop, machine: &Arc<Machine>, watch: &Arc<Watch>) -> Result<()> {
    let (watched, watch) = (Arc::downgrade(machine), Arc::clone(watch));
    let owner = event_loop.clone();
    event_loop.call_later(WATCHDOG, move || -> Result<()> {
        let Some(machine) = watched.upgrade() else {
            return Ok(());
        };
        let tick = watch.ticks.fetch_add(1, Ordering::Relaxed) + 1;
        machine.report("loop", format_args!("watchdog {tick}"));
        if let Some(overdue) = machine.notes.as_ref().and_then(Notes::overdue) {
            lock(&watch.overdue).get_or_insert(overdue);
        }
        if tick >= LAST_TICK {
            owner.stop();
            return Ok(());
        }
        look_after(&owner, &machine, &watch)?;
        cancel(&owner, &machine, machine.unfinished(), Some("watchdog"))
    })?;
    Ok(())
}

/// Cancels tasks one after the other. Where chance says so, others get in between.
fn cancel(
    event_loop: &EventLoop,
    machine: &Arc<Machine>,
    tasks: Vec<Task<Value>>,
    message: Option<&'static str>,
) -> Result<()> {
    let mut tasks = tasks.into_iter();
    while let Some(task) = tasks.next() {
        match message {
            Some(message) => task.cancel_with_message(message),
            None => task.cancel(),
        };
        if machine.place.lets_others_in() {
            let (owner, machine) = (event_loop.clone(), Arc::clone(machine));
            event_loop.call_soon(move || cancel(&owner, &machine, tasks.collect(), message))?;
            return Ok(());
        }
    }
    Ok(())
}
