//! `cargo xtask trace`: programs as JSON lines on standard input, their traces on standard output.
//!
//! Answers come in the order of the programs and in the format of `oracle.py`. Everything that has
//! been read is answered before more is waited for, so that a parent process may write one program
//! and wait for its trace; whoever writes many at once has them run on two threads.

use std::fmt;
use std::io::{self, Read, Write};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde_json::Value as Json;

use crate::interp::{self, Outcome};
use crate::{Failure, parse, pytext};

/// Calls of a program nest on the thread's stack. The memory is touched only as far as it is used.
pub(crate) const STACK: usize = 512 << 20;
/// More threads than this would not be kept busy by one reader of JSON lines.
const MOST_THREADS: usize = 2;
const CHUNK: usize = 1 << 20;

/// What is written for one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
}

/// Reads programs until the input ends.
pub(crate) fn main() -> Result<(), Failure> {
    let threads = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(MOST_THREADS);
    let (jobs, queue) = channel::<(usize, String)>();
    let queue = Mutex::new(queue);
    let (results, finished) = channel();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (queue, results) = (&queue, results.clone());
            thread::Builder::new()
                .name("trace".to_owned())
                .stack_size(STACK)
                .spawn_scoped(scope, move || work(queue, &results))?;
        }
        drop(results);
        let outcome = serve(
            &mut io::stdin().lock(),
            &mut io::stdout().lock(),
            &jobs,
            &finished,
        );
        // Without jobs the threads end.
        drop(jobs);
        match outcome {
            // Whoever reads the traces has had enough of them.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            outcome => Ok(outcome?),
        }
    })
}

/// Runs the program on one line of JSON.
pub(crate) fn answer(line: &str) -> Answer {
    let json: Json = match serde_json::from_str(line) {
        Ok(json) => json,
        Err(error) => return refused("", &format!("no JSON: {error}")),
    };
    match parse::parse(&json) {
        Ok(program) => Answer {
            name: program.name.clone(),
            outcome: interp::run(program),
        },
        Err(error) => refused(
            json["name"].as_str().unwrap_or_default(),
            &format!("no program: {error}"),
        ),
    }
}

/// As `oracle.py` prints it.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::from("{\"name\": ");
        pytext::json_string(&mut out, &self.name);
        match &self.outcome {
            Outcome::Skip(why) => {
                out.push_str(", \"skip\": ");
                pytext::json_string(&mut out, why);
            }
            Outcome::Trace(lines) => {
                out.push_str(", \"trace\": [");
                for (number, line) in lines.iter().enumerate() {
                    if number > 0 {
                        out.push_str(", ");
                    }
                    pytext::json_string(&mut out, line);
                }
                out.push(']');
            }
        }
        out.push('}');
        f.write_str(&out)
    }
}

fn refused(name: &str, why: &str) -> Answer {
    Answer {
        name: name.to_owned(),
        outcome: Outcome::Skip(why.to_owned()),
    }
}

/// Hands the lines out as they arrive, and writes the answers in their order.
fn serve(
    input: &mut impl Read,
    output: &mut impl Write,
    jobs: &Sender<(usize, String)>,
    finished: &Receiver<(usize, String)>,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = match input.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            count => count?,
        };
        buffer.extend_from_slice(&chunk[..count]);
        // The last line of the input may lack its newline.
        let complete = if count == 0 {
            buffer.len()
        } else {
            buffer
                .iter()
                .rposition(|&b| b == b'\n')
                .map_or(0, |n| n + 1)
        };
        let lines = String::from_utf8_lossy(&buffer[..complete]);
        let mut answers = Vec::new();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if jobs.send((answers.len(), line.to_owned())).is_err() {
                return Err(io::Error::other("the threads that run programs are gone"));
            }
            answers.push(None);
        }
        let mut written = 0;
        while written < answers.len() {
            let (number, text) = finished.recv().map_err(io::Error::other)?;
            answers[number] = Some(text);
            while let Some(text) = answers.get_mut(written).and_then(Option::take) {
                output.write_all(text.as_bytes())?;
                written += 1;
            }
        }
        output.flush()?;
        if count == 0 {
            return Ok(());
        }
        drop(lines);
        buffer.drain(..complete);
    }
}

fn work(queue: &Mutex<Receiver<(usize, String)>>, results: &Sender<(usize, String)>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, line)) = job else { return };
        if results
            .send((number, format!("{}\n", answer(&line))))
            .is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_look_like_those_of_the_oracle() {
        let lines = vec![
            "0.000 main.0 start".to_owned(),
            "0.000 main.0 log \"é\"".to_owned(),
        ];
        let answer = Answer {
            name: "a".to_owned(),
            outcome: Outcome::Trace(lines),
        };
        assert_eq!(
            answer.to_string(),
            r#"{"name": "a", "trace": ["0.000 main.0 start", "0.000 main.0 log \"\u00e9\""]}"#
        );
        assert_eq!(
            refused("b", "why").to_string(),
            r#"{"name": "b", "skip": "why"}"#
        );
    }

    #[test]
    fn what_is_no_program_is_answered() {
        assert_eq!(answer("{").name, "");
        let text = answer(r#"{"name": "x", "funcs": {"main": [["nap", 1]]}}"#).to_string();
        assert_eq!(
            text,
            r#"{"name": "x", "skip": "no program: unknown statement \"nap\""}"#
        );
    }
}
