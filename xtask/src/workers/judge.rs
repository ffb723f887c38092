//! What one program's runs on the loop and on tokio runtimes say together.

use std::sync::Arc;
use std::time::Duration;

use crate::interp::{self, Care, Ending, Outcome, Trouble, Worked};
use crate::program::Program;

/// In so many orders a program is run on the loop before it counts as independent of the order.
const RUNS: u64 = 16;
/// In so many more before what a runtime made of it is called a fault.
const MORE_RUNS: u64 = 4000;
/// For so long nothing must happen on a runtime before a program counts as stuck, where it gets stuck
/// on the loop too, and where it does not. A busy machine keeps threads waiting for the first, not for
/// the second.
const PATIENCE: Duration = Duration::from_millis(20);
const MUCH_PATIENCE: Duration = Duration::from_secs(2);

/// What is the same whatever the order.
///
/// A program is run on the loop as CPython runs it, and then 16 times with everything drawn that is not
/// certain on several threads (`interp::run_drawn`). It is *order-independent* when all of these runs
/// have the same final states ([`Ending`]), come to an end and leave no task behind. Then a run on any
/// runtime must have the same final states too. What the final states are worth is said by CPython: the
/// trace of the first of these runs is compared with CPython's, line for line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// The final states depend on the order, or there are none.
    Dependent,
    /// The final states do not, and must be those of the loop.
    Independent,
    /// Nor does anything else that any task or callback of the program sees.
    Blind,
}

/// What must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An independent program ended in another way.
    Diverged,
    /// The program got stuck as it never does on the loop.
    Stuck,
    /// Something was there, and who waited for it was not woken.
    NotWoken,
    Hung,
    Leaked,
    Panicked,
}

/// One program.
pub(super) struct Case {
    pub(super) program: Arc<Program>,
    pub(super) outcome: Outcome,
    pub(super) class: Class,
    loops: Ending,
    /// What the numbers of its drawn runs begin with.
    first: u64,
    /// How often the watchdog looked in the drawn run in which it looked most often.
    most_ticks: u32,
    /// Whether one of its runs on the loop did not end, however often it was cancelled.
    hangs: bool,
    pub(super) faults: Vec<(Fault, String)>,
}

impl Case {
    /// Runs a program on the loop, in CPython's order and in others.
    pub(super) fn new(program: Program) -> Self {
        let program = Arc::new(program);
        let (outcome, loops) = interp::run_noted(&program);
        let mut case = Self {
            first: hash(&program.name) << 16,
            most_ticks: loops.ticks,
            hangs: is_hung(&loops),
            class: Class::Blind,
            faults: Vec::new(),
            outcome,
            loops,
            program,
        };
        let loops = case.loops.clone();
        case.check(&loops, "the loop");
        if loops.skip.is_some() || loops.unfinished {
            case.class = Class::Dependent;
        }
        case.draw(0..RUNS);
        case
    }

    /// Runs it in more orders, until it is seen to depend on them.
    fn draw(&mut self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let drawn = interp::run_drawn(&self.program, self.first + number);
            self.check(&drawn, "a loop in another order");
            self.most_ticks = self.most_ticks.max(drawn.ticks);
            self.hangs |= is_hung(&drawn);
            if !drawn.ends_as(&self.loops) || drawn.unfinished {
                self.class = Class::Dependent;
            } else if drawn.histories != self.loops.histories {
                self.class = self.class.min(Class::Independent);
            }
        }
    }

    /// Notes what no run may show.
    fn check(&mut self, ending: &Ending, place: &str) {
        if let Some(overdue) = &ending.overdue {
            self.fault(Fault::NotWoken, format!("on {place} {overdue}"));
        }
        if let Some(why) = ending.skip.as_ref().filter(|why| {
            ["panicked", "the loop failed"]
                .iter()
                .any(|word| why.starts_with(word))
        }) {
            self.fault(Fault::Panicked, format!("on {place}: {why}"));
        }
    }

    fn fault(&mut self, fault: Fault, text: String) {
        self.faults.push((fault, text));
    }

    /// How its run on a runtime is to be looked after.
    pub(super) const fn care(&self, seed: u64) -> Care {
        Care {
            seed,
            patience: if self.most_ticks > 0 {
                PATIENCE
            } else {
                MUCH_PATIENCE
            },
        }
    }

    /// Whether a run may have been taken for stuck because the machine was busy with other things, and
    /// how it is to be looked after when it is run again to see.
    pub(super) fn doubts(&self, worked: &Worked, seed: u64) -> Option<Care> {
        let doubtful = worked.ending.ticks > 0 && !self.agrees(&worked.ending);
        doubtful.then_some(Care {
            seed,
            patience: MUCH_PATIENCE,
        })
    }

    /// Says what a run on a runtime is worth.
    pub(super) fn judge(&mut self, workers: usize, worked: Worked) {
        let place = format!("{workers} workers");
        self.check(&worked.ending, &place);
        match worked.trouble {
            Some(Trouble::Hung(text)) => {
                self.fault(Fault::Hung, format!("on {place}: {text}"));
                return;
            }
            Some(Trouble::Leaked(text)) => self.fault(Fault::Leaked, format!("on {place}: {text}")),
            None => {}
        }
        if !self.agrees(&worked.ending) {
            // What no order of the loop explains is a fault.
            self.draw(RUNS..RUNS + MORE_RUNS);
            if !self.agrees(&worked.ending) {
                let difference = worked.ending.difference(&self.loops);
                self.fault(Fault::Diverged, format!("on {place}: {difference}"));
            }
        } else if worked.ending.ticks > 0 && self.most_ticks == 0 {
            self.draw(RUNS..RUNS + MORE_RUNS);
            if self.most_ticks == 0 {
                let text =
                    format!("on {place} nothing happens any more, as it never does on the loop");
                self.fault(Fault::Stuck, text);
            }
        } else if is_hung(&worked.ending) && !self.hangs {
            self.draw(RUNS..RUNS + MORE_RUNS);
            if !self.hangs {
                let text =
                    format!("on {place} cancelling does not help, as it always does on the loop");
                self.fault(Fault::Hung, text);
            }
        }
    }

    /// Whether a run on a runtime ended as it must.
    fn agrees(&self, ending: &Ending) -> bool {
        match self.class {
            Class::Dependent => true,
            Class::Independent => ending.ends_as(&self.loops),
            Class::Blind => ending.ends_as(&self.loops) && ending.histories == self.loops.histories,
        }
    }
}

fn is_hung(ending: &Ending) -> bool {
    ending.skip.as_deref() == Some("hung")
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
