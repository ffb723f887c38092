//! How a run ended, in a form that two runs in different orders can have in common.

use std::collections::BTreeMap;
use std::fmt;

use super::locks::Primitive;
use super::machine::{Bound, HARNESS, Machine};
use super::notes::Notes;

/// How a run ended.
///
/// The *final states* are
///
/// - for every task how it ended: its result, its exception, or that it was cancelled, as the last
///   lines of a trace show it. A task is known by who made it and how many that one had made before,
///   not by its number: numbers depend on the order;
/// - for every object of the program and every counter what can be seen of it: whether a lock is
///   locked or an event set, how many items a queue has, what a future was set to;
/// - how often the watchdog had to wake the program because nothing was going to happen any more;
/// - why the program was given up, if it was.
///
/// The *histories* are what each coroutine and each callback logged, one after the other, without
/// times and numbers. They say all that a program can see of the order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) states: BTreeMap<String, String>,
    pub(crate) histories: BTreeMap<String, Vec<String>>,
    /// How often the watchdog had to look.
    pub(crate) ticks: u32,
    /// Why the program was given up.
    pub(crate) skip: Option<String>,
    /// Whether there are tasks that had not ended: who made them did so after main had ended. How far
    /// such a task gets is up to the moment.
    pub(crate) unfinished: bool,
    /// Who had not ended when the watchdog had to look.
    pub(crate) stuck: String,
    /// A wait for something that was there.
    pub(crate) overdue: Option<String>,
}

impl Ending {
    /// Looks at a machine that has come to its end.
    pub(super) fn of(
        machine: &Machine,
        notes: &Notes,
        ticks: u32,
        overdue: Option<String>,
    ) -> Self {
        let mut ending = Self {
            ticks,
            overdue,
            ..Self::default()
        };
        let made = super::lock(&machine.made).clone();
        for made in made {
            let state = made
                .task
                .map_or_else(|| "pending".to_owned(), |task| machine.state(&task));
            ending.unfinished |= state == "pending";
            ending.states.insert(notes.path(made.id), state);
        }
        let bound = machine.bound();
        for (name, _) in &machine.program.objects {
            if let Some(bound) = &bound[*name] {
                let state = seen(machine, bound);
                ending
                    .states
                    .insert(format!("object {}", machine.name(*name)), state);
            }
        }
        for (number, counter) in machine.program.counters.iter().enumerate() {
            let count = machine.count(number).to_string();
            ending.states.insert(format!("counter {counter}"), count);
        }
        ending.skip = machine.skipped();
        ending
    }

    /// Sorts the lines of a run by who wrote them; `timed` where each begins with a time and a label.
    pub(super) fn add_histories(&mut self, notes: &Notes, lines: &[(u64, String)], timed: bool) {
        for (id, line) in lines {
            let text = if timed {
                line.splitn(3, ' ').nth(2).unwrap_or_default()
            } else {
                line
            };
            let moment = ["time ", "tasks ", "when "];
            if *id == HARNESS || timed && moment.iter().any(|word| text.starts_with(word)) {
                continue;
            }
            let history = self.histories.entry(notes.path(*id)).or_default();
            history.push(text.to_owned());
        }
    }

    /// Whether the final states are the same.
    pub(crate) fn ends_as(&self, other: &Self) -> bool {
        self.states == other.states && self.ticks == other.ticks && self.skip == other.skip
    }

    /// What differs from another ending, in few words.
    pub(crate) fn difference(&self, other: &Self) -> String {
        let mut text = String::new();
        if self.ticks != other.ticks {
            text = format!(
                "the watchdog looked {} times, not {}",
                self.ticks, other.ticks
            );
        }
        if self.skip != other.skip {
            text = format!("given up for {:?}, not for {:?}", self.skip, other.skip);
        }
        let all = self.states.keys().chain(other.states.keys());
        let differing = all.filter(|key| self.states.get(*key) != other.states.get(*key));
        if let Some(key) = differing.min() {
            let state = |ending: &Self| {
                ending
                    .states
                    .get(key)
                    .cloned()
                    .unwrap_or("nothing".to_owned())
            };
            return format!("{text} {key}: {} instead of {}", state(self), state(other))
                .trim()
                .to_owned();
        }
        let all = self.histories.keys().chain(other.histories.keys());
        let differing = all.filter(|key| self.histories.get(*key) != other.histories.get(*key));
        if let Some(key) = differing.min() {
            let history = |ending: &Self| ending.histories.get(key).map(|lines| lines.join("; "));
            return format!(
                "{text} {key} saw {:?} instead of {:?}",
                history(self),
                history(other)
            )
            .trim()
            .to_owned();
        }
        text
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, state) in &self.states {
            writeln!(f, "    {key}: {state}")?;
        }
        Ok(())
    }
}

/// What can be seen of an object.
fn seen(machine: &Machine, bound: &Bound) -> String {
    match bound {
        Bound::Future(future) => machine.state(future),
        Bound::Primitive(Primitive::Lock(lock)) => format!("locked {}", lock.locked()),
        Bound::Primitive(Primitive::Condition(condition)) => {
            format!("locked {}", condition.locked())
        }
        Bound::Primitive(Primitive::Semaphore(semaphore)) => {
            format!("locked {}", semaphore.locked())
        }
        Bound::Primitive(Primitive::Bounded(semaphore)) => format!("locked {}", semaphore.locked()),
        Bound::Primitive(Primitive::Event(event)) => format!("set {}", event.is_set()),
        Bound::Primitive(Primitive::Barrier(barrier)) => {
            format!("{} wait, broken {}", barrier.n_waiting(), barrier.broken())
        }
        Bound::Queue(queue) => format!("{} items", queue.qsize()),
        Bound::Reader(reader) => format!("at end {}", reader.at_eof()),
        // Another object may have been bound to the name.
        Bound::Task(_)
        | Bound::Handle(_)
        | Bound::Timer(_)
        | Bound::Detached(_)
        | Bound::Timeout(..)
        | Bound::Group(_) => String::new(),
    }
}
