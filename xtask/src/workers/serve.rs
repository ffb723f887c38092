//! The process that runs the programs: batches as lines on its standard input, verdicts on its output.
//!
//! A batch is `{"programs": […], "workers": […], "only_one": …, "told": …}`: `only_one` where one fault
//! is enough, `told` where it is to be said what happened. All its programs run on a runtime at the
//! same time, so that its workers have something to do; the runtimes stay from batch to batch.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tokio::runtime::{Builder, Runtime};

use super::SAW_OTHER;
use super::judge::{Case, Fault, Pace, Same};
use crate::interp::{self, Outcome};
use crate::trace::STACK;
use crate::{Failure, parse};

/// Calls of a program nest on a worker's stack too, but not as deep as what is written by hand.
const WORKER_STACK: usize = 64 << 20;
/// What the runtime itself has to end once all programs have ended.
const LAST: Duration = Duration::from_secs(30);

/// The texts of panics, wherever they end.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Answers until the input ends.
pub(super) fn serve() -> Result<(), Failure> {
    panic::set_hook(Box::new(note_panic));
    let thread = thread::Builder::new().stack_size(STACK);
    let served = thread.spawn(|| {
        let mut runtimes = BTreeMap::new();
        let mut output = io::stdout().lock();
        for line in io::stdin().lock().lines() {
            writeln!(
                output,
                "{}",
                answer(&serde_json::from_str(&line?)?, &mut runtimes)?
            )?;
            output.flush()?;
        }
        Ok(())
    })?;
    served
        .join()
        .map_err(|_| "the thread that runs programs has panicked")?
}

fn note_panic(info: &PanicHookInfo<'_>) {
    let panics = PANICS.lock();
    panics
        .unwrap_or_else(PoisonError::into_inner)
        .push(info.to_string().replace('\n', " "));
}

fn answer(batch: &Json, runtimes: &mut BTreeMap<usize, Runtime>) -> Result<Json, Failure> {
    let list = |key: &str| batch[key].as_array().cloned().unwrap_or_default();
    let mut answers = Vec::new();
    let mut cases = Vec::new();
    for program in list("programs") {
        match parse::parse(&program) {
            Ok(parsed) => {
                let mut case = Case::new(parsed, &program);
                case.told = batch["told"] == true;
                cases.push((answers.len(), case));
                answers.push(Json::Null);
            }
            Err(error) => answers.push(json!({"skip": format!("no program: {error}")})),
        }
    }
    let only_one = batch["only_one"] == true;
    let mut left = 0;
    for (turn, workers) in list("workers").iter().enumerate() {
        // Every program is run at both paces, by different numbers of workers.
        let pace = |number: usize| match (number + turn) % 2 {
            0 => Pace::Slow,
            _ => Pace::Fast,
        };
        let workers = usize::try_from(workers.as_u64().unwrap_or(1))?;
        let runtime = match runtimes.get(&workers) {
            Some(runtime) => runtime,
            None => runtimes.entry(workers).or_insert(runtime(workers)?),
        };
        run(&mut cases, workers, pace, runtime, only_one)?;
        if cases
            .iter_mut()
            .any(|(_, case)| std::mem::take(&mut case.spoils))
        {
            // Tasks that wait for each other in a circle end with their runtime.
            if let Some(runtime) = runtimes.remove(&workers) {
                runtime.shutdown_timeout(LAST);
            }
            continue;
        }
        left = left.max(tasks_left(runtime));
        if only_one && cases.iter().any(|(_, case)| !case.faults.is_empty()) {
            break;
        }
    }
    for (number, case) in cases {
        answers[number] = report(&case);
    }
    let panics = std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(json!({"answers": answers, "panics": panics, "left": left}))
}

fn runtime(workers: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_stack_size(WORKER_STACK)
        .enable_time()
        .build()
}

/// Runs all programs at the same time. `only_one`: a fault that is found is enough.
fn run(
    cases: &mut [(usize, Case)],
    workers: usize,
    pace: impl Fn(usize) -> Pace,
    runtime: &Runtime,
    only_one: bool,
) -> Result<(), Failure> {
    let mut running = Vec::new();
    for (number, (_, case)) in cases.iter().enumerate() {
        let care = case.care(pace(number), number as u64);
        running.push(runtime.spawn(interp::run_on_runtime(case.program.clone(), care)));
    }
    let mut ended = Vec::new();
    for running in running {
        ended.push(runtime.block_on(running)?);
    }
    for (number, (worked, (_, case))) in ended.into_iter().zip(cases).enumerate() {
        case.judge(workers, pace(number), worked);
        if only_one && !case.faults.is_empty() {
            break;
        }
    }
    Ok(())
}

/// How many tasks a runtime has that nobody knows of.
fn tasks_left(runtime: &Runtime) -> usize {
    let started = Instant::now();
    loop {
        let left = runtime.metrics().num_alive_tasks();
        if left == 0 || started.elapsed() > LAST {
            return left;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn report(case: &Case) -> Json {
    let faults: Vec<Json> = case
        .faults
        .iter()
        .map(|(fault, text)| json!([fault.name(), text]))
        .collect();
    let mut answer = json!({
        "first": case.first_mild.name(),
        "mild": case.mild.name(),
        "harsh": case.harsh.name(),
        "explained": case.explained,
        "unexplained": case.unexplained,
        "faults": faults,
        "story": case.story,
    });
    match &case.outcome {
        Outcome::Trace(lines) => answer["trace"] = json!(lines),
        Outcome::Skip(why) => answer["skip"] = json!(why),
    }
    answer
}

impl Same {
    /// Its name in answers.
    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::States => "states",
            Self::Histories => "histories",
        }
    }
}

impl Fault {
    /// Its name in answers and in the table.
    const fn name(self) -> &'static str {
        match self {
            Self::Diverged => "diverged",
            Self::SawOther => SAW_OTHER,
            Self::Stuck => "stuck",
            Self::NotWoken => "not woken",
            Self::Hung => "hung",
            Self::Outlived => "outlived its group",
            Self::Leaked => "leaked",
            Self::Panicked => "panicked",
        }
    }
}
