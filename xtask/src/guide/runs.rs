//! Running programs in processes of their own, and what is wrong with what they print.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::programs::Program;
use crate::Failure;
use crate::conformance::python::Python;

/// No program of the guide takes a tenth of it.
const LIMIT: Duration = Duration::from_secs(60);
const LOOKS_EVERY: Duration = Duration::from_millis(5);
/// They sleep most of the time, but some measure how long.
const AT_ONCE: usize = 2;
/// What a twin ends with that needs a server which is not there.
const NO_SERVER: i32 = 77;
/// More of a difference is no help.
const MOST_LINES: usize = 12;

/// How a program ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Agrees,
    /// It needs a server that is not there, for this reason.
    NotRun(String),
    /// What is wrong, for people.
    Differs(String),
}

impl Outcome {
    /// Runs the program and compares what it prints.
    pub(super) fn of(command: &mut Command, record: &Path) -> Self {
        match Self::compare(command, record) {
            Ok(outcome) => outcome,
            Err(error) => Self::Differs(format!("  {error}\n")),
        }
    }

    fn compare(command: &mut Command, record: &Path) -> Result<Self, Failure> {
        let wanted = fs::read_to_string(record)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (status, printed, errors) = finish(child)?;
        if status.is_some_and(|status| status.code() == Some(NO_SERVER)) {
            return Ok(Self::NotRun(errors.trim().to_owned()));
        }
        let mut trouble = String::new();
        match status {
            None => trouble += &format!("  still running after {} s\n", LIMIT.as_secs()),
            Some(status) if !status.success() => trouble += &format!("  {status}\n"),
            Some(_) => {}
        }
        for line in errors.lines().take(MOST_LINES) {
            trouble += &format!("  error output: {line}\n");
        }
        if printed != wanted {
            trouble += &difference(&wanted, &printed);
        }
        Ok(if trouble.is_empty() {
            Self::Agrees
        } else {
            Self::Differs(trouble)
        })
    }
}

/// Runs some of the programs at a time; the outcomes come in their order.
pub(super) fn side_by_side(
    programs: &[&Program],
    run: impl Fn(&Program) -> Outcome + Sync,
) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    // Relaxed: that nobody gets the same number is all that is asked of it.
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(program) = programs.get(at) else {
                        return;
                    };
                    let outcome = run(program);
                    let mut outcomes = outcomes.lock().unwrap_or_else(|error| error.into_inner());
                    outcomes.push((at, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes
        .into_inner()
        .unwrap_or_else(|error| error.into_inner());
    outcomes.sort_by_key(|(at, _)| *at);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Says what differs, and counts what agrees and what has run.
pub(super) fn report(programs: &[&Program], outcomes: &[Outcome]) -> (usize, usize) {
    let (mut agree, mut ran) = (0, programs.len());
    for (program, outcome) in programs.iter().zip(outcomes) {
        match outcome {
            Outcome::Agrees => agree += 1,
            Outcome::NotRun(reason) => {
                ran -= 1;
                say!("{} has not run: {reason}", program.slug);
            }
            Outcome::Differs(trouble) => say!("{}\n{}", program.slug, trouble.trim_end()),
        }
    }
    (agree, ran)
}

/// The Python program, as its record was made.
pub(super) fn in_python(python: &Python, program: &Program) -> Command {
    let mut command = interpreter(python);
    command.arg(format!("{}.py", program.slug));
    command
}

/// Whether the packages are there that the Python program needs.
pub(super) fn has_needs(python: &Python, program: &Program) -> bool {
    let Some(needs) = program.field("Needs") else {
        return true;
    };
    needs.split(", ").all(|need| {
        if need == "PG_DSN" {
            return std::env::var_os(need).is_some();
        }
        // `pytest-asyncio` is imported by another name, `sqlalchemy[asyncio]` by a part of it.
        let module = need.split('[').next().unwrap_or(need).replace('-', "_");
        let asked = interpreter(python)
            .args(["-c", &format!("import {module}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    })
}

fn interpreter(python: &Python) -> Command {
    let mut command = Command::new(&python.path);
    command
        .current_dir(super::programs::directory().join("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONIOENCODING", "utf-8")
        .env_remove("PYTHONASYNCIODEBUG")
        .env_remove("PYTHONDEVMODE");
    command
}

/// Waits for a program, no longer than the limit. What it prints fits into a pipe; one that prints more
/// than that does not come to its end.
fn finish(mut child: Child) -> Result<(Option<ExitStatus>, String, String), Failure> {
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(LOOKS_EVERY);
    };
    let (mut printed, mut errors) = (Vec::new(), Vec::new());
    if let Some(mut output) = child.stdout.take() {
        output.read_to_end(&mut printed)?;
    }
    if let Some(mut output) = child.stderr.take() {
        output.read_to_end(&mut errors)?;
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((status, text(printed), text(errors)))
}

/// The lines between what is the same at the beginning and at the end.
fn difference(wanted: &str, printed: &str) -> String {
    let (mut wanted, mut printed): (Vec<_>, Vec<_>) =
        (wanted.lines().collect(), printed.lines().collect());
    let same = |pair: &(&&str, &&str)| pair.0 == pair.1;
    let begin = wanted.iter().zip(&printed).take_while(same).count();
    wanted.drain(..begin);
    printed.drain(..begin);
    let end = wanted
        .iter()
        .rev()
        .zip(printed.iter().rev())
        .take_while(same)
        .count();
    wanted.truncate(wanted.len() - end);
    printed.truncate(printed.len() - end);
    let mut text = format!("  from line {} on:\n", begin + 1);
    let lines = |mark: char, lines: &[&str]| -> String {
        let shown = lines.iter().take(MOST_LINES);
        shown.map(|line| format!("  {mark} {line}\n")).collect()
    };
    text += &lines('-', &wanted);
    text += &lines('+', &printed);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        let text = difference("a\nb\nc\nd\n", "a\nx\nd\n");
        assert_eq!(text, "  from line 2 on:\n  - b\n  - c\n  + x\n");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_printed_and_how_it_ended_is_compared() -> Result<(), Failure> {
        let record = std::env::temp_dir().join(format!("guide-record-{}", std::process::id()));
        fs::write(&record, "hello\n")?;
        let shell = |script: &str| Outcome::of(Command::new("sh").args(["-c", script]), &record);
        assert!(matches!(shell("echo hello"), Outcome::Agrees));
        let Outcome::Differs(trouble) = shell("echo goodbye") else {
            return Err("another text agrees".into());
        };
        assert_eq!(trouble, "  from line 1 on:\n  - hello\n  + goodbye\n");
        let Outcome::Differs(trouble) = shell("echo hello; echo oh >&2; exit 3") else {
            return Err("a failure agrees".into());
        };
        assert_eq!(trouble, "  exit status: 3\n  error output: oh\n");
        fs::remove_file(&record)?;
        Ok(())
    }
}
