//! Runs one program: the watchdog, the end of main, the tasks it leaves, their final states.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use asyncio_core::{EventLoop, OwnedEventLoop, Result, Task};

use super::Outcome;
use super::machine::{Machine, Value};
use crate::program::{Constant, Program};

/// Virtual seconds between two looks of the watchdog.
const WATCHDOG: f64 = 1000.0;
/// The look at which it gives the program up.
const LAST_TICK: u32 = 5;

/// Runs a program on an event loop of its own.
pub(crate) fn run(program: Program) -> Outcome {
    // A panic of the crates is a finding about this program, not the end of the run.
    match catch_unwind(AssertUnwindSafe(|| finish(Rc::new(program)))) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Outcome::Skip(format!("the loop failed: {error}")),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Outcome::Skip(format!("panicked: {}", text.unwrap_or_default()))
        }
    }
}

/// Runs a program, and frees all that it made.
pub(super) fn finish(program: Rc<Program>) -> Result<Outcome> {
    let owner = OwnedEventLoop::builder().virtual_clock(true).build()?;
    let machine = Machine::new(program, EventLoop::clone(&owner));
    let hung = Rc::new(Cell::new(false));
    let outcome = play(&owner, &machine, &hung);
    // What dropping the leftovers reports is no part of the trace.
    owner.set_exception_handler(Some(Box::new(|_loop, _context| {})))?;
    machine.forget();
    outcome?;
    Ok(match machine.skipped() {
        Some(why) => Outcome::Skip(why),
        None if hung.get() => Outcome::Skip("hung".to_owned()),
        None => Outcome::Trace(machine.take_trace()),
    })
}

fn play(owner: &OwnedEventLoop, machine: &Rc<Machine>, hung: &Rc<Cell<bool>>) -> Result<()> {
    let watched = Rc::downgrade(machine);
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
    watch(machine, hung, 1)?;

    let main = machine.spawn(machine.program.main);
    // How main ended is its state; that the watchdog stopped the loop is seen by main not being done.
    let _ended = owner.run_until_complete(main.clone());
    if main.done() {
        machine.report("loop", format_args!("main {}", machine.state(&main)));
        hung.set(!leave(owner, machine)? || hung.get());
    } else {
        hung.set(true);
    }
    let made = machine.made.borrow().clone();
    for (number, task) in made.iter().enumerate() {
        let state = task
            .as_ref()
            .map_or_else(|| "pending".to_owned(), |task| machine.state(task));
        machine.report("loop", format_args!("task {number} {state}"));
    }
    Ok(())
}

/// Cancels the tasks that main left behind and waits for them. Says whether all of them ended.
fn leave(owner: &OwnedEventLoop, machine: &Rc<Machine>) -> Result<bool> {
    let left = machine.unfinished();
    for task in &left {
        task.cancel();
    }
    if left.is_empty() {
        return Ok(true);
    }
    // What `gather` does: each task's callback counts it, the last one settles the outer future.
    let outer = owner.create_future::<Value>();
    let missing = Rc::new(Cell::new(left.len()));
    for task in &left {
        let (outer, missing) = (outer.clone(), Rc::clone(&missing));
        task.add_local_done_callback(move |_: &Task<Value>| {
            missing.set(missing.get() - 1);
            if missing.get() == 0 {
                // Nobody else knows the future, so it cannot be settled already.
                let _settled = outer.set_result(Value::Constant(Constant::None));
            }
        })?;
    }
    // When the watchdog stops the loop, the future is not done.
    let _stopped = owner.run_until_complete(outer.clone());
    Ok(outer.done())
}

/// Schedules the watchdog's next look: it cancels everything that still runs, and at the last one
/// it stops the loop.
fn watch(machine: &Rc<Machine>, hung: &Rc<Cell<bool>>, tick: u32) -> Result<()> {
    let (watched, hung) = (Rc::downgrade(machine), Rc::clone(hung));
    machine
        .event_loop
        .call_later(WATCHDOG, move || -> Result<()> {
            let Some(machine) = watched.upgrade() else {
                return Ok(());
            };
            machine.report("loop", format_args!("watchdog {tick}"));
            if tick >= LAST_TICK {
                hung.set(true);
                machine.event_loop.stop();
                return Ok(());
            }
            watch(&machine, &hung, tick + 1)?;
            for task in machine.unfinished() {
                task.cancel_with_message("watchdog");
            }
            Ok(())
        })?;
    Ok(())
}
