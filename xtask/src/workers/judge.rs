//! What one program's runs on the loop and on tokio runtimes say together.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use crate::interp::{self, Care, Ending, Manner, Outcome, Trouble, Worked};
use crate::program::Program;

/// In so many orders of each manner a program is run on the loop before it counts as independent of
/// the order.
const RUNS: u64 = 16;
/// In so many more before what a runtime made of it is called a fault.
const MORE_RUNS: u64 = 4000;
/// What is on its way out when all tasks of a program have ended is given so long.
const LAST: Duration = Duration::from_secs(10);
/// How long the longest delay of a program takes on a runtime: so that timers fire in their order, as
/// far as tokio's clock of milliseconds tells, and so that most are due together.
const SLOW: f64 = 0.3;
const FAST: f64 = 0.0008;
/// The longest delay of most programs, in their seconds.
const LONGEST: f64 = 4.0;

/// What is the same in all runs on the loop.
///
/// A program is run as CPython runs it, and then 16 times with everything drawn that is not certain on
/// several threads (`interp::run_drawn`): in which order what is ready runs, how long it waits, where
/// one task gets between two statements of another, how long exactly a delay is. It is
/// *order-independent* when all of these runs come to an end, leave no task behind and have the same
/// final states ([`Ending`]). Then a run on any runtime must have the same final states too. What they
/// are worth is said by CPython: the trace of the first of these runs is compared with CPython's, line
/// for line.
///
/// On a runtime where timers may fire at any time the same is asked only of programs that have these
/// final states also with delays that are anything at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Same {
    Nothing,
    /// The final states.
    States,
    /// And all that any task or callback of the program sees.
    Histories,
}

/// What must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// An independent program ended in another way, and no order of the loop explains it.
    Diverged,
    /// Some task of a program that sees the same in any order saw something else.
    SawOther,
    /// The program got stuck as it never does on the loop.
    Stuck,
    /// Something was there, and who waited for it was not woken.
    NotWoken,
    Hung,
    /// A task was still there when its group was over.
    Outlived,
    Leaked,
    Panicked,
}

/// How the clock goes on a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    Slow,
    Fast,
}

/// One program.
pub(super) struct Case {
    pub(super) program: Arc<Program>,
    pub(super) outcome: Outcome,
    /// What the first mild runs have in common.
    pub(super) first_mild: Same,
    /// What all mild runs have in common, and what all runs have; both as far as it is known.
    pub(super) mild: Same,
    pub(super) harsh: Same,
    /// Runs that ended in another way than the loop, and the loop has been found to end so in some
    /// order; or to end in yet another way, so that the program does depend on the order.
    pub(super) explained: usize,
    pub(super) unexplained: Vec<String>,
    pub(super) faults: Vec<(Fault, String)>,
    /// What happened in the last run that ended otherwise, where that is wanted.
    pub(super) story: Vec<String>,
    /// Whether it is.
    pub(super) told: bool,
    loops: Ending,
    /// What the numbers of its drawn runs begin with.
    first: u64,
    /// The longest of its delays.
    longest: f64,
    /// How often the watchdog looked in the drawn run in which it looked most often.
    most_ticks: u32,
    /// Whether one of its runs on the loop did not end, however often it was cancelled.
    hangs: bool,
    /// Whether there is something of it left on the runtime that only the end of that ends.
    pub(super) spoils: bool,
}

impl Case {
    /// Runs a program on the loop, in CPython's order and in others.
    pub(super) fn new(program: Program, json: &Json) -> Self {
        let program = Arc::new(program);
        let (outcome, loops) = interp::run_noted(&program);
        let mut case = Self {
            first_mild: Same::Histories,
            mild: Same::Histories,
            harsh: Same::Histories,
            explained: 0,
            unexplained: Vec::new(),
            faults: Vec::new(),
            story: Vec::new(),
            told: false,
            first: hash(&program.name) << 16,
            longest: longest(json).max(LONGEST),
            most_ticks: 0,
            hangs: false,
            spoils: false,
            outcome,
            loops,
            program,
        };
        let loops = case.loops.clone();
        case.check(&loops, "the loop");
        if loops.skip.is_some() || loops.unfinished {
            case.mild = Same::Nothing;
        }
        for number in 0..RUNS {
            let drawn = case.draw(Manner::Mild, number);
            case.mild = case.mild.min(case.same(&drawn));
        }
        case.first_mild = case.mild;
        case.harsh = case.mild;
        for number in 0..RUNS {
            // Half of them do for what is not compared, to be seen to end and to get stuck or not.
            if case.harsh > Same::Nothing || number < RUNS / 2 {
                let drawn = case.draw(Manner::Harsh, number);
                case.harsh = case.harsh.min(case.same(&drawn));
            }
        }
        case
    }

    /// Runs it in another order.
    fn draw(&mut self, manner: Manner, number: u64) -> Ending {
        let drawn = interp::run_drawn(&self.program, manner, self.first + number);
        self.check(&drawn, "a loop in another order");
        drawn
    }

    /// What an ending has in common with that of the loop.
    fn same(&self, ending: &Ending) -> Same {
        if ending.unfinished || !ending.ends_as(&self.loops) {
            Same::Nothing
        } else if ending.histories != self.loops.histories {
            Same::States
        } else {
            Same::Histories
        }
    }

    /// Takes note of how a run on the loop ended, and of what no run may show.
    fn check(&mut self, ending: &Ending, place: &str) {
        if place.contains("loop") {
            self.most_ticks = self.most_ticks.max(ending.ticks);
            self.hangs |= is_hung(ending);
        }
        if let Some(outlived) = &ending.outlived {
            self.fault(Fault::Outlived, format!("on {place} {outlived}"));
        }
        if let Some(overdue) = &ending.overdue {
            self.fault(Fault::NotWoken, format!("on {place} {overdue}"));
        }
        let bad = ["panicked", "the loop failed"];
        if let Some(why) = &ending.skip
            && bad.iter().any(|word| why.starts_with(word))
        {
            self.fault(Fault::Panicked, format!("on {place}: {why}"));
        }
    }

    fn fault(&mut self, fault: Fault, text: String) {
        self.faults.push((fault, text));
    }

    /// How its run on a runtime is to be looked after.
    pub(super) fn care(&self, pace: Pace, seed: u64) -> Care {
        let longest = match pace {
            Pace::Slow => SLOW,
            Pace::Fast => FAST,
        };
        Care {
            seed,
            second: longest / self.longest,
            last: LAST,
            told: self.told,
        }
    }

    /// Says what a run on a runtime is worth.
    pub(super) fn judge(&mut self, workers: usize, pace: Pace, worked: Worked) {
        let place = format!("{workers} workers");
        let Worked {
            ending,
            trouble,
            story,
        } = worked;
        let before = (self.faults.len(), self.unexplained.len());
        self.weigh(ending, trouble, pace, &place);
        if before != (self.faults.len(), self.unexplained.len()) {
            self.story = story;
        }
    }

    fn weigh(&mut self, ending: Ending, trouble: Option<Trouble>, pace: Pace, place: &str) {
        self.check(&ending, place);
        match trouble {
            Some(Trouble::Hung(text)) => {
                self.until(|case| case.hangs);
                if !self.hangs {
                    self.fault(Fault::Hung, format!("on {place}: {text}"));
                }
                self.spoils = true;
                return;
            }
            Some(Trouble::Leaked(text)) => self.fault(Fault::Leaked, format!("on {place}: {text}")),
            None => {}
        }
        if !self.agrees(&ending, pace) {
            self.explain(&ending, pace, place);
            return;
        }
        if ending.ticks > 0 && self.most_ticks == 0 {
            self.until(|case| case.most_ticks > 0);
            if self.most_ticks == 0 {
                let text = format!(
                    "on {place}, as never on the loop, nothing happens: {}",
                    ending.stuck
                );
                self.fault(Fault::Stuck, text);
            }
        }
        if is_hung(&ending) && !self.hangs {
            self.until(|case| case.hangs);
            if !self.hangs {
                let text =
                    format!("on {place} cancelling does not help, as it always does on the loop");
                self.fault(Fault::Hung, text);
            }
        }
    }

    /// Whether a run on a runtime ended as it must.
    fn agrees(&self, ending: &Ending, pace: Pace) -> bool {
        self.must(pace) <= self.same(ending)
    }

    /// What a run on a runtime must have in common with the loop.
    const fn must(&self, pace: Pace) -> Same {
        match pace {
            Pace::Slow => self.mild,
            Pace::Fast => self.harsh,
        }
    }

    /// Looks for orders in which the loop ends so too. On a busy machine timers fire at any time, so
    /// that there may be some.
    ///
    /// It is explained when each part of it that differs from the first run on the loop, such as how one
    /// task ended, is the same in some run on the loop. Not of one and the same run: where many tasks
    /// may end in several ways there are more endings than can be drawn.
    fn explain(&mut self, ending: &Ending, pace: Pace, place: &str) {
        let (same, must) = (self.same(ending), self.must(pace));
        let mut unseen = ending.differences(&self.loops);
        let mut differs = false;
        for number in RUNS..RUNS + MORE_RUNS {
            if unseen.is_empty() {
                break;
            }
            let drawn = self.draw(Manner::Harsh, number);
            differs |= self.same(&drawn) < must;
            unseen.retain(|difference| !drawn.shows(difference));
        }
        match unseen.first() {
            None => self.explained += 1,
            Some(unseen) if differs => self.unexplained.push(format!("on {place}: {unseen}")),
            Some(unseen) => {
                let fault = match same {
                    Same::Nothing => Fault::Diverged,
                    _ => Fault::SawOther,
                };
                self.fault(fault, format!("on {place}: {unseen}"));
            }
        }
        // So it does depend on the order, or on the time.
        self.harsh = self.harsh.min(same);
        if pace == Pace::Slow {
            self.mild = self.mild.min(same);
        }
    }

    /// Runs it in more orders until something is seen.
    fn until(&mut self, seen: impl Fn(&Self) -> bool) {
        for number in RUNS..RUNS + MORE_RUNS {
            if seen(self) {
                return;
            }
            self.draw(Manner::Harsh, number);
        }
    }
}

fn is_hung(ending: &Ending) -> bool {
    ending.skip.as_deref() == Some("hung")
}

/// The longest delay that a program, or a part of it, mentions.
fn longest(json: &Json) -> f64 {
    match json {
        Json::Object(parts) => parts.values().map(longest).fold(0.0, f64::max),
        Json::Array(parts) => {
            let place = match parts.first().and_then(Json::as_str) {
                Some("sleep") => 1,
                Some(
                    "call_later" | "call_at" | "timeout" | "timeout_at" | "reschedule" | "wait"
                    | "wait_for" | "as_completed",
                ) => 2,
                _ => usize::MAX,
            };
            let delay = parts.get(place).and_then(Json::as_f64).unwrap_or(0.0);
            parts.iter().map(longest).fold(delay, f64::max)
        }
        _ => 0.0,
    }
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_longest_delay_is_found_in_whatever_contains_it() {
        let body = json!([[
            "repeat",
            9,
            [
                ["sleep", 1.5],
                ["timeout", "c", null, [["wait_for", ["var", "t"], 7]]]
            ]
        ]]);
        assert_eq!(
            longest(&json!({"funcs": {"main": body}, "objects": {"q0": ["queue", 50]}})),
            7.0
        );
        assert_eq!(longest(&json!({"funcs": {"main": []}})), 0.0);
    }

    fn case(functions: &Json) -> Case {
        let json = json!({"name": "p", "objects": {"f0": ["future"]}, "funcs": functions});
        Case::new(crate::parse::parse(&json).unwrap(), &json)
    }

    /// Whatever the order, both tasks have their results.
    fn independent() -> Case {
        let case = case(&json!({
            "main": [["spawn", "t0", "work"], ["spawn", "t1", "work"], ["await", "t0"], ["await", "t1"]],
            "work": [["sleep", 0], ["return", 7]]
        }));
        assert_eq!((case.mild, case.harsh), (Same::Histories, Same::Histories));
        case
    }

    /// Who comes first sets the result.
    fn dependent() -> Case {
        let case = case(&json!({
            "main": [["spawn", "t0", "one"], ["spawn", "t1", "two"], ["await", "f0"]],
            "one": [["set_result", "f0", 1]],
            "two": [["set_result", "f0", 2]]
        }));
        assert_eq!((case.first_mild, case.mild), (Same::Nothing, Same::Nothing));
        case
    }

    fn worked(ending: Ending) -> Worked {
        Worked {
            ending,
            trouble: None,
            story: Vec::new(),
        }
    }

    /// Judges a run that ended as the loop but for one thing.
    fn judged(mut case: Case, plant: impl FnOnce(&mut Worked)) -> Case {
        let mut run = worked(case.loops.clone());
        plant(&mut run);
        case.judge(2, Pace::Slow, run);
        case
    }

    fn kinds(case: &Case) -> Vec<Fault> {
        case.faults.iter().map(|(fault, _)| *fault).collect()
    }

    #[test]
    fn a_run_that_ends_as_the_loop_is_no_fault() {
        let case = judged(independent(), |_run| {});
        assert_eq!((case.explained, case.faults.len()), (0, 0));
    }

    #[test]
    fn another_final_state_is_a_divergence() {
        let case = judged(independent(), |run| {
            let state = run.ending.states.get_mut("main/work.1").unwrap();
            assert_eq!(std::mem::replace(state, "cancelled".to_owned()), "result 7");
        });
        assert_eq!(kinds(&case), [Fault::Diverged]);
        assert_eq!(
            case.faults[0].1,
            "on 2 workers: main/work.1: cancelled, not result 7"
        );
        // It is not counted among the programs that end the same.
        assert_eq!(
            (case.first_mild, case.mild),
            (Same::Histories, Same::Nothing)
        );
    }

    #[test]
    fn another_history_alone_is_told_apart() {
        let case = judged(independent(), |run| {
            run.ending.histories.get_mut("main/work.1").unwrap().pop();
        });
        assert_eq!(kinds(&case), [Fault::SawOther]);
        assert_eq!(case.mild, Same::States);
    }

    #[test]
    fn of_a_program_that_depends_on_the_order_states_are_not_compared() {
        let case = judged(dependent(), |run| {
            run.ending
                .states
                .insert("main".to_owned(), "cancelled".to_owned());
        });
        assert_eq!((case.explained, case.faults.len()), (0, 0));
    }

    #[test]
    fn what_the_loop_does_in_some_order_explains_a_run() {
        let mut case = dependent();
        // As if the first sixteen orders had not shown it.
        (case.mild, case.harsh) = (Same::States, Same::States);
        let drawn: Vec<Ending> = (0..64)
            .map(|number| case.draw(Manner::Mild, number))
            .collect();
        let other = drawn
            .into_iter()
            .find(|drawn| case.same(drawn) == Same::Nothing)
            .unwrap();
        case.judge(2, Pace::Slow, worked(other));
        assert_eq!((case.explained, case.faults.len()), (1, 0));
        assert_eq!(case.mild, Same::Nothing);
        // What it does in none does not, even of such a program.
        (case.mild, case.harsh) = (Same::States, Same::States);
        let case = judged(case, |run| {
            run.ending
                .states
                .insert("main".to_owned(), "result 3".to_owned());
        });
        assert_eq!((case.explained, case.unexplained.len()), (1, 1));
    }

    /// Whether some order of the loop leaves the program waiting for what none of twelve tasks has done.
    fn is_seen_to_wait_forever(work: &[Json]) -> bool {
        let mut main = vec![json!(["spawn", "t0", "work"]); 12];
        main.push(json!(["await", "f0"]));
        let mut case = case(&json!({"main": main, "work": work}));
        case.until(|case| case.most_ticks > 0);
        case.most_ticks > 0
    }

    /// A timer on a runtime takes a millisecond at least, which may be more than all of a program's delays.
    #[test]
    fn the_loop_is_tried_with_a_coarse_clock_too() {
        let set = json!([
            "try",
            [["set_result", "f0", 1]],
            [[["Exception"], []]],
            [],
            []
        ]);
        let limited = json!(["timeout_at", "c0", 30, [["sleep", 0], set]]);
        let work = [json!(["sleep", 0.125]), limited];
        assert!(is_seen_to_wait_forever(&work), "it always ends");
    }

    /// A machine that stands still does so for all tasks.
    #[test]
    fn the_loop_is_tried_with_all_times_over_at_once() {
        let set = json!([
            "try",
            [["set_result", "f0", 1]],
            [[["Exception"], []]],
            [],
            []
        ]);
        let limited = json!(["timeout", "c0", 4, [["sleep", 0.125], set]]);
        assert!(is_seen_to_wait_forever(&[limited]), "it always ends");
    }

    #[test]
    fn what_no_run_may_show_is_a_fault_in_any_order() {
        for case in [independent, dependent] {
            let text = || "x".to_owned();
            type Plant = fn(&mut Worked, String);
            let plants: [(Fault, Plant); 5] = [
                (Fault::Leaked, |run, text| {
                    run.trouble = Some(Trouble::Leaked(text))
                }),
                (Fault::Hung, |run, text| {
                    run.trouble = Some(Trouble::Hung(text))
                }),
                (Fault::NotWoken, |run, text| run.ending.overdue = Some(text)),
                (Fault::Outlived, |run, text| {
                    run.ending.outlived = Some(text)
                }),
                (Fault::Panicked, |run, _| {
                    run.ending.skip = Some("panicked: x".to_owned())
                }),
            ];
            for (fault, plant) in plants {
                let case = judged(case(), |run| plant(run, text()));
                assert!(
                    kinds(&case).contains(&fault),
                    "{fault:?} in {:?}",
                    case.faults
                );
            }
        }
    }

    #[test]
    fn a_program_that_gets_stuck_as_it_never_does_on_the_loop_is_a_fault() {
        let case = judged(dependent(), |run| run.ending.ticks = 1);
        assert_eq!(kinds(&case), [Fault::Stuck]);
    }
}
