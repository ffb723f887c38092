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
/// times and numbers, and without the messages of cancellations: of several requests that come at the
/// same time any may be the first. They say nearly all that a program can see of the order.
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
    /// A task that was still there when its group was over.
    pub(crate) outlived: Option<String>,
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
        ending.outlived = notes.outliving();
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
            history.push(without_messages(text));
        }
    }

    /// Whether the final states are the same.
    pub(crate) fn ends_as(&self, other: &Self) -> bool {
        self.states == other.states && self.ticks == other.ticks && self.skip == other.skip
    }

    /// In what an ending differs from another one, part by part: of the final states, or of the
    /// histories where those are the same.
    pub(crate) fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        if !self.ends_as(other) {
            let summary = |ending: &Self| format!("{} looks, {:?}", ending.ticks, ending.skip);
            if summary(self) != summary(other) {
                found.push(Difference::new(
                    "the watchdog",
                    summary(self),
                    summary(other),
                ));
            }
            let none = || "nothing".to_owned();
            for key in keys(&self.states, &other.states) {
                let state = |ending: &Self| ending.states.get(key).cloned().unwrap_or_else(none);
                if state(self) != state(other) {
                    found.push(Difference::new(key, state(self), state(other)));
                }
            }
            return found;
        }
        for key in keys(&self.histories, &other.histories) {
            let history = |ending: &Self| {
                let lines = ending.histories.get(key);
                lines.map_or_else(String::new, |lines| lines.join("; "))
            };
            if history(self) != history(other) {
                found.push(Difference {
                    of_histories: true,
                    ..Difference::new(key, history(self), history(other))
                });
            }
        }
        found
    }

    /// Whether this part is the same here as it is there.
    pub(crate) fn shows(&self, difference: &Difference) -> bool {
        let Difference { part, is, .. } = difference;
        match part.as_str() {
            "the watchdog" => *is == format!("{} looks, {:?}", self.ticks, self.skip),
            _ if difference.of_histories => {
                let lines = self.histories.get(part);
                *is == lines.map_or_else(String::new, |lines| lines.join("; "))
            }
            _ => *is == *self.states.get(part).map_or("nothing", String::as_str),
        }
    }
}

/// A line without the messages of its cancellations.
fn without_messages(mut text: &str) -> String {
    const CANCELLED: &str = "CancelledError(";
    let mut kept = String::with_capacity(text.len());
    while let Some(at) = text.find(CANCELLED) {
        let (before, message) = text.split_at(at + CANCELLED.len());
        kept.push_str(before);
        text = message.find(')').map_or("", |end| &message[end..]);
    }
    kept + text
}

/// A part that is not what it was elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    part: String,
    is: String,
    was: String,
    of_histories: bool,
}

impl Difference {
    fn new(part: &str, is: String, was: String) -> Self {
        Self {
            part: part.to_owned(),
            is,
            was,
            of_histories: false,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, is, was, .. } = self;
        if self.of_histories {
            return write!(f, "{part} saw {is:?}, not {was:?}");
        }
        write!(f, "{part}: {is}, not {was}")
    }
}

/// The keys of both, each once.
fn keys<'a, T>(
    one: &'a BTreeMap<String, T>,
    other: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = &'a String> {
    let others = other.keys().filter(|key| !one.contains_key(*key));
    one.keys().chain(others)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_cancellations_only_the_messages_are_dropped() {
        let line = "gather [CancelledError(watchdog), ErrA(e1), CancelledError()] (x)";
        assert_eq!(
            without_messages(line),
            "gather [CancelledError(), ErrA(e1), CancelledError()] (x)"
        );
    }
}
