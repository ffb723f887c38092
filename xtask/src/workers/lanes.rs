//! Runs every program, on several lanes for each processor.

use std::io::{BufRead, BufReader};
use std::num::NonZero;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Options, SERVE};
use crate::Failure;
use crate::conformance::corpus::{self, Corpus};
use crate::conformance::faults;
use crate::conformance::options::Options as CorpusOptions;
use crate::conformance::peer::{self, Line, Peer, Reply};
use crate::conformance::python::Python;
use crate::interp::Outcome;

/// So many programs run at the same time.
const BATCH: usize = 512;
/// So many lanes has each processor: programs mostly wait for their timers.
const LANES: usize = 3;
/// How long a batch may take. It takes a second; where one of its programs has to be run in thousands
/// of orders, some more.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long CPython may take for one program.
const ORACLE: Duration = Duration::from_secs(20);
/// A program that may be what a batch hung or died of is run so often by itself.
pub(super) const REPEATED: usize = 100;

/// One line of the final table.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) area: String,
    pub(super) source: &'static str,
    pub(super) programs: usize,
    /// Those that CPython does not bring to an end, which have nothing to be compared with.
    pub(super) endless: usize,
    /// Those whose final states are the same in the first orders that are drawn.
    pub(super) first: usize,
    /// And in all that are drawn later on, where a run on a runtime gave a reason to.
    pub(super) states: usize,
    /// Those of which that is true whenever timers fire.
    pub(super) harsh: usize,
    /// Those that see the same in any order.
    pub(super) histories: usize,
    /// Runs that ended differently as the loop does in some order, or at least ends differently in some.
    pub(super) explained: usize,
    pub(super) unexplained: Vec<String>,
    pub(super) faults: usize,
}

/// A program with a fault.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) row: usize,
    pub(super) program: Json,
    /// The kind of fault, in few words.
    pub(super) kind: String,
    pub(super) text: String,
}

/// Programs of one row, each with what CPython made of it where that is recorded.
struct Batch {
    row: usize,
    cases: Vec<(Json, Option<Outcome>)>,
}

/// What became of a batch.
struct Judged {
    row: usize,
    programs: usize,
    /// Those that CPython does not end.
    endless: usize,
    /// What the process said of each of the others.
    answers: Vec<Json>,
    findings: Vec<Finding>,
}

/// Runs the recorded programs, and generated ones where there is a CPython.
pub(super) fn run(
    options: &Options,
    python: Option<&Python>,
    seed: u64,
) -> Result<(Vec<Row>, Vec<Finding>), Failure> {
    let mut rows = Vec::new();
    let mut batches = Vec::new();
    for (source, area, cases) in recorded(options)? {
        let mut cases = cases.into_iter().peekable();
        while cases.peek().is_some() {
            batches.push(Batch {
                row: rows.len(),
                cases: cases.by_ref().take(BATCH).collect(),
            });
        }
        rows.push(Row::new(area, source));
    }
    let mut profiles = Vec::new();
    if python.is_some() {
        for profile in options.profiles() {
            profiles.push((rows.len(), profile));
            rows.push(Row::new(profile.to_owned(), "generated, live"));
        }
    }
    let each = options.programs.div_ceil(profiles.len().max(1));
    let mut findings = Vec::new();
    let (jobs, queue) = sync_channel(8);
    let queue = Mutex::new(queue);
    let (verdicts, finished) = channel();
    let outcome = thread::scope(|scope| {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        for _ in 0..processors * LANES {
            let (queue, verdicts) = (&queue, verdicts.clone());
            scope.spawn(move || lane(queue, &verdicts, python, &options.workers));
        }
        let feeder = verdicts.clone();
        scope.spawn(move || {
            if let Err(error) = feed(batches, python, seed, each, &profiles, &jobs) {
                // Nobody listens any more only when another failure came first.
                let _unheard = feeder.send(Err(error));
            }
        });
        drop(verdicts);
        let outcome = collect(&finished, &mut rows, &mut findings);
        if outcome.is_err() {
            // Lets the feeder and the lanes end without doing the rest.
            let queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            while queue.recv().is_ok() {}
        }
        outcome
    });
    outcome?;
    findings.sort_by_key(|finding| finding.row);
    Ok((rows, findings))
}

impl Row {
    fn new(area: String, source: &'static str) -> Self {
        Self {
            area,
            source,
            ..Self::default()
        }
    }
}

/// The recorded programs with their traces.
fn recorded(options: &Options) -> Result<Vec<(&'static str, String, corpus::Cases)>, Failure> {
    let args = options
        .profiles
        .iter()
        .flat_map(|profile| ["--profile".into(), profile.into()]);
    let wanted = CorpusOptions::parse(args)?.ok_or("no options")?;
    let corpus = Corpus::load(&wanted)?;
    let sources = [
        ("hand-written", corpus.hand_written),
        ("generated, recorded", corpus.generated),
    ];
    Ok(sources
        .into_iter()
        .flat_map(|(source, areas)| {
            areas
                .into_iter()
                .map(move |(area, cases)| (source, area, cases))
        })
        .collect())
}

fn feed(
    batches: Vec<Batch>,
    python: Option<&Python>,
    seed: u64,
    each: usize,
    profiles: &[(usize, &str)],
    jobs: &SyncSender<Batch>,
) -> Result<(), Failure> {
    for batch in batches {
        jobs.send(batch)?;
    }
    let Some(python) = python else { return Ok(()) };
    for &(row, profile) in profiles {
        let mut generator = python
            .generator(profile, seed, each)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = generator
            .stdout
            .take()
            .ok_or("a generator without output")?;
        let mut cases = Vec::new();
        for line in BufReader::new(output).lines() {
            cases.push((serde_json::from_str(&line?)?, None));
            if cases.len() == BATCH {
                jobs.send(Batch {
                    row,
                    cases: std::mem::take(&mut cases),
                })?;
            }
        }
        if !cases.is_empty() {
            jobs.send(Batch { row, cases })?;
        }
        let status = generator.wait()?;
        if !status.success() {
            return Err(format!("generate.py failed: {status}").into());
        }
    }
    Ok(())
}

fn lane(
    queue: &Mutex<Receiver<Batch>>,
    verdicts: &Sender<Result<Judged, Failure>>,
    python: Option<&Python>,
    workers: &[usize],
) {
    let mut lane = match Lane::new(python, workers) {
        Ok(lane) => lane,
        Err(error) => {
            let _unheard = verdicts.send(Err(error));
            return;
        }
    };
    loop {
        let batch = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = batch else { return };
        if verdicts.send(lane.judge(batch)).is_err() {
            return;
        }
    }
}

/// A CPython and a process of ours.
struct Lane {
    oracle: Option<Peer>,
    runner: Runner,
    known: Vec<faults::Fault>,
}

impl Lane {
    fn new(python: Option<&Python>, workers: &[usize]) -> Result<Self, Failure> {
        let oracle = python
            .cloned()
            .map(|python| Peer::new(move || python.oracle()));
        Ok(Self {
            oracle,
            runner: Runner::new(workers)?,
            known: faults::load()?,
        })
    }

    fn judge(&mut self, batch: Batch) -> Result<Judged, Failure> {
        let programs: Vec<&Json> = batch.cases.iter().map(|(program, _)| program).collect();
        self.runner.send(&programs, Wish::Verdicts)?;
        let mut theirs = Vec::new();
        for (program, recorded) in &batch.cases {
            theirs.push(match (recorded, &mut self.oracle) {
                (Some(outcome), _) => Some(outcome.clone()),
                (None, Some(oracle)) => match oracle.ask(&program.to_string(), ORACLE)? {
                    Reply::Answered(outcome) => Some(outcome),
                    // What CPython does not survive is a matter of the other comparison.
                    Reply::Hung | Reply::Crashed(_) => None,
                },
                (None, None) => None,
            });
        }
        let mut judged = Judged {
            row: batch.row,
            programs: batch.cases.len(),
            endless: 0,
            answers: Vec::new(),
            findings: Vec::new(),
        };
        let mut add = |program: &Json, kind: &str, text: String| {
            judged.findings.push(Finding {
                row: batch.row,
                program: program.clone(),
                kind: kind.to_owned(),
                text,
            });
        };
        let said = match self.runner.receive()? {
            Ok(said) => said,
            Err(manner) => {
                let mut found = false;
                for (program, _) in &batch.cases {
                    if let Some((kind, text)) = self.runner.fault_of(program)? {
                        found = true;
                        add(program, &kind, text);
                    }
                }
                if !found {
                    let names: Vec<&str> = programs.iter().map(|it| corpus::name(it)).collect();
                    let text = format!("together: {}", names.join(" "));
                    add(&json!(null), &manner, text);
                }
                return Ok(judged);
            }
        };
        if said.answers.len() != batch.cases.len() {
            let (answers, cases) = (said.answers.len(), batch.cases.len());
            return Err(format!("{answers} answers to {cases} programs").into());
        }
        for (((program, _), theirs), answer) in batch.cases.iter().zip(theirs).zip(&said.answers) {
            let ours = peer::outcome(answer);
            if let (Some(Outcome::Trace(_)), Some(ours)) = (&theirs, &ours)
                && theirs.as_ref() != Some(ours)
                && faults::find(&self.known, program).is_none()
            {
                let text = "cargo xtask conformance tells more".to_owned();
                add(program, "another trace than CPython's on the loop", text);
            }
            for (kind, text) in faults_in(answer) {
                add(program, &kind, text);
            }
            if answer["first"].is_null() {
                add(program, "not run", answer["skip"].to_string());
            }
            if let Some(Outcome::Trace(_)) = theirs {
                let mut answer = answer.clone();
                answer["name"] = program["name"].clone();
                judged.answers.push(answer);
            } else {
                judged.endless += 1;
            }
        }
        let anonymous = said.anonymous();
        if let Some(text) = anonymous
            && judged.findings.is_empty()
        {
            let names: Vec<&str> = programs.iter().map(|it| corpus::name(it)).collect();
            judged.findings.push(Finding {
                row: batch.row,
                program: json!(null),
                kind: "panicked or leaked".to_owned(),
                text: format!("{text}, in one of {}", names.join(" ")),
            });
        }
        if !judged.findings.is_empty() {
            // What hangs or leaks is still there.
            self.runner.peer.restart();
        }
        Ok(judged)
    }
}

/// The process that runs programs.
pub(super) struct Runner {
    peer: Peer,
    workers: Json,
    patience: Duration,
}

/// What is wanted of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Verdicts,
    /// No more than the first fault.
    OneFault,
    /// Verdicts, and what happened.
    Stories,
}

/// What it says of a batch.
pub(super) struct Said {
    pub(super) answers: Vec<Json>,
    panics: Vec<String>,
    left: u64,
}

impl Said {
    /// What is wrong with the batch and is not known of any program.
    pub(super) fn anonymous(&self) -> Option<String> {
        match (self.panics.first(), self.left) {
            (Some(panic), _) => Some(panic.clone()),
            (None, 0) => None,
            (None, left) => Some(format!("{left} tasks of the runtime do not end")),
        }
    }
}

impl Runner {
    pub(super) fn new(workers: &[usize]) -> Result<Self, Failure> {
        Ok(Self {
            peer: Peer::itself(&["workers", SERVE])?,
            workers: json!(workers),
            patience: PATIENCE,
        })
    }

    fn send(&mut self, programs: &[&Json], wish: Wish) -> Result<(), Failure> {
        let batch = json!({
            "programs": programs,
            "workers": self.workers,
            "only_one": wish == Wish::OneFault,
            "told": wish == Wish::Stories,
        });
        Ok(self.peer.send(&batch.to_string())?)
    }

    /// Runs programs, and has the stories told of those that end otherwise than they must.
    pub(super) fn tell(&mut self, programs: &[&Json]) -> Result<Result<Said, String>, Failure> {
        self.send(programs, Wish::Stories)?;
        self.receive()
    }

    /// What it says, or how it ended.
    fn receive(&mut self) -> Result<Result<Said, String>, Failure> {
        let line = match self.peer.receive_line(self.patience)? {
            Line::Said(line) => line,
            Line::Hung => return Ok(Err("hung".to_owned())),
            Line::Crashed(status) => return Ok(Err(format!("crashed with {status}"))),
        };
        let mut said: Json = serde_json::from_str(&line)?;
        let Json::Array(answers) = said["answers"].take() else {
            return Err(format!("no answer: {line}").into());
        };
        let panics = said["panics"].as_array().cloned().unwrap_or_default();
        Ok(Ok(Said {
            answers,
            panics: panics.iter().map(ToString::to_string).collect(),
            left: said["left"].as_u64().unwrap_or_default(),
        }))
    }

    /// Runs one program often, and gives the first fault.
    pub(super) fn fault_of(&mut self, program: &Json) -> Result<Option<(String, String)>, Failure> {
        let programs = vec![program; REPEATED];
        self.send(&programs, Wish::OneFault)?;
        let said = match self.receive()? {
            Ok(said) => said,
            Err(manner) => return Ok(Some((manner, String::new()))),
        };
        let fault = said.answers.iter().flat_map(faults_in).next();
        let fault = fault.or_else(|| Some(("panicked or leaked".to_owned(), said.anonymous()?)));
        if fault.is_some() {
            self.peer.restart();
        }
        Ok(fault)
    }
}

/// The faults that an answer tells of.
pub(super) fn faults_in(answer: &Json) -> Vec<(String, String)> {
    let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    let faults = answer["faults"].as_array().map_or(&[][..], Vec::as_slice);
    faults
        .iter()
        .map(|fault| (text(&fault[0]), text(&fault[1])))
        .collect()
}

fn collect(
    finished: &Receiver<Result<Judged, Failure>>,
    rows: &mut [Row],
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    for judged in finished {
        let judged = judged?;
        let row = &mut rows[judged.row];
        row.programs += judged.programs;
        row.endless += judged.endless;
        row.faults += judged.findings.len();
        for answer in judged.answers {
            let count = |key: &str| answer[key].as_u64().unwrap_or_default() as usize;
            row.first += usize::from(answer["first"] != "nothing");
            row.states += usize::from(answer["mild"] != "nothing");
            row.harsh += usize::from(answer["harsh"] != "nothing");
            row.histories += usize::from(answer["mild"] == "histories");
            row.explained += count("explained");
            for text in answer["unexplained"].as_array().into_iter().flatten() {
                let text = text.as_str().unwrap_or_default();
                row.unexplained.push(format!("{} {text}", answer["name"]));
            }
        }
        findings.extend(judged.findings);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A lane whose process answers every batch in this way.
    fn lane(script: String, patience: Duration) -> Lane {
        let peer = Peer::new(move || {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("while read line; do {script}; done")]);
            command
        });
        Lane {
            oracle: None,
            runner: Runner {
                peer,
                workers: json!([2]),
                patience,
            },
            known: Vec::new(),
        }
    }

    fn answering(answers: &Json) -> Lane {
        let said = json!({"answers": answers, "panics": [], "left": 0});
        lane(format!("echo '{said}'"), Duration::from_secs(10))
    }

    fn batch() -> Batch {
        let trace = Outcome::Trace(vec!["0.000 main.0 start".to_owned()]);
        Batch {
            row: 0,
            cases: vec![(json!({"name": "p", "funcs": {"main": []}}), Some(trace))],
        }
    }

    fn kinds(judged: &Judged) -> Vec<&str> {
        let kinds = judged.findings.iter().map(|finding| finding.kind.as_str());
        kinds.collect()
    }

    #[test]
    fn what_is_as_recorded_is_no_finding() {
        let answer = json!({"first": "states", "mild": "states", "harsh": "nothing", "faults": [],
            "trace": ["0.000 main.0 start"]});
        let judged = answering(&json!([answer])).judge(batch()).unwrap();
        assert_eq!((judged.programs, judged.endless), (1, 0));
        assert!(judged.findings.is_empty(), "{:?}", judged.findings);
        let mut rows = vec![Row::default()];
        let (sender, finished) = channel();
        sender.send(Ok(judged)).unwrap();
        drop(sender);
        collect(&finished, &mut rows, &mut Vec::new()).unwrap();
        assert_eq!((rows[0].first, rows[0].states, rows[0].harsh), (1, 1, 0));
    }

    #[test]
    fn another_trace_and_every_fault_is_a_finding() {
        let answer = json!({"first": "states", "mild": "states", "harsh": "nothing",
            "faults": [["diverged", "on 2 workers"], ["leaked", "1 task"]], "trace": ["0.000 main.0 end"]});
        let judged = answering(&json!([answer])).judge(batch()).unwrap();
        let expected = [
            "another trace than CPython's on the loop",
            "diverged",
            "leaked",
        ];
        assert_eq!(kinds(&judged), expected);
    }

    #[test]
    fn a_program_that_was_not_run_is_a_finding() {
        let judged = answering(&json!([{"skip": "no program: x"}])).judge(batch());
        let judged = judged.unwrap();
        let expected = ["another trace than CPython's on the loop", "not run"];
        assert_eq!(kinds(&judged), expected);
        assert!(answering(&json!([])).judge(batch()).is_err());
    }

    #[test]
    fn panics_and_tasks_that_nobody_knows_of_are_findings() {
        let answer = json!({"first": "nothing", "mild": "nothing", "harsh": "nothing", "faults": [],
            "trace": ["0.000 main.0 start"]});
        for (panics, left) in [(json!(["oh"]), 0), (json!([]), 3)] {
            let said = json!({"answers": [answer], "panics": panics, "left": left});
            let mut lane = lane(format!("echo '{said}'"), Duration::from_secs(10));
            let judged = lane.judge(batch()).unwrap();
            assert_eq!(kinds(&judged), ["panicked or leaked"]);
        }
    }

    #[test]
    fn a_process_that_hangs_or_dies_is_a_finding_with_the_program() {
        let patience = Duration::from_millis(300);
        let mut hanging = lane("sleep 60".to_owned(), patience);
        let judged = hanging.judge(batch()).unwrap();
        assert_eq!(kinds(&judged), ["hung"]);
        assert_eq!(judged.findings[0].program["name"], "p");
        let mut dying = lane("exit 3".to_owned(), Duration::from_secs(10));
        let judged = dying.judge(batch()).unwrap();
        assert_eq!(kinds(&judged), ["crashed with exit status: 3"]);
    }
}
