//! A child process that answers one line of JSON with one line of JSON: the oracle or our worker.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value as Json;

use crate::Failure;
use crate::interp::Outcome;

/// How much of a child's last words a report shows.
const LAST_WORDS: usize = 400;

/// What became of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The child answered.
    Answered(Outcome),
    /// It did not answer in time.
    Hung,
    /// It died, with this status and these last words.
    Crashed(String),
}

/// What a child has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    Said(String),
    /// It did not answer in time.
    Hung,
    /// It died, with this status and these last words.
    Crashed(String),
}

/// A child process that is started again whenever it hangs or dies.
pub(crate) struct Peer {
    command: Box<dyn Fn() -> Command + Send>,
    running: Option<Running>,
}

impl Peer {
    pub(crate) fn new(command: impl Fn() -> Command + Send + 'static) -> Self {
        Self {
            command: Box::new(command),
            running: None,
        }
    }

    /// This executable, running programs.
    pub(crate) fn ours() -> io::Result<Self> {
        Self::itself(&["trace"])
    }

    /// This executable, with these arguments.
    pub(crate) fn itself(args: &'static [&'static str]) -> io::Result<Self> {
        let executable = std::env::current_exe()?;
        Ok(Self::new(move || {
            let mut command = Command::new(&executable);
            command.args(args);
            command
        }))
    }

    /// Sends a program, and waits for its outcome.
    pub(crate) fn ask(&mut self, program: &str, patience: Duration) -> Result<Reply, Failure> {
        self.send(program)?;
        self.receive(patience)
    }

    /// Sends a program. Whoever sends must receive before sending again.
    pub(crate) fn send(&mut self, program: &str) -> io::Result<()> {
        let running = match &mut self.running {
            Some(running) => running,
            none => none.insert(Running::start((self.command)())?),
        };
        match writeln!(running.input, "{program}") {
            // Why the child is gone is seen when its answer is waited for.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome,
        }
    }

    /// Waits for the outcome of the program sent last.
    pub(crate) fn receive(&mut self, patience: Duration) -> Result<Reply, Failure> {
        Ok(match self.receive_line(patience)? {
            Line::Said(line) => Reply::Answered(read(&line)?),
            Line::Hung => Reply::Hung,
            Line::Crashed(status) => Reply::Crashed(status),
        })
    }

    /// Waits for the answer to the line sent last, whatever it is.
    pub(crate) fn receive_line(&mut self, patience: Duration) -> Result<Line, Failure> {
        let Some(running) = &mut self.running else {
            return Err("nothing was sent".into());
        };
        let reply = match running.answers.recv_timeout(patience) {
            Ok(line) => return Ok(Line::Said(line)),
            Err(RecvTimeoutError::Timeout) => Line::Hung,
            Err(RecvTimeoutError::Disconnected) => {
                let status = running.child.wait()?;
                Line::Crashed(format!("{status}{}", running.last_words()))
            }
        };
        self.restart();
        Ok(reply)
    }

    /// Ends the child; the next program gets a new one.
    pub(crate) fn restart(&mut self) {
        self.running = None;
    }
}

struct Running {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
    words: Arc<Mutex<Vec<u8>>>,
    listener: Option<thread::JoinHandle<()>>,
}

impl Running {
    fn start(mut command: Command) -> io::Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("a child without pipes"));
        };
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if line.is_ok_and(|line| sender.send(line).is_ok()) {
                    continue;
                }
                return;
            }
        });
        let words = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&words);
        let listener = thread::spawn(move || listen(errors, &heard));
        Ok(Self {
            child,
            input,
            answers,
            words,
            listener: Some(listener),
        })
    }

    /// The end of what the dead child wrote to its standard error.
    fn last_words(&mut self) -> String {
        if let Some(listener) = self.listener.take() {
            let _heard = listener.join();
        }
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&words);
        let text = text.trim();
        if text.is_empty() {
            String::new()
        } else {
            format!(": {}", text.replace('\n', " | "))
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A child that has ended already cannot be killed, which is as good.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

fn listen(mut errors: impl Read, heard: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = errors.read(&mut chunk) {
        let mut words = heard.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend_from_slice(&chunk[..count]);
        let surplus = words.len().saturating_sub(LAST_WORDS);
        words.drain(..surplus);
    }
}

/// Reads an answer in the format of `oracle.py`.
pub(crate) fn read(line: &str) -> Result<Outcome, Failure> {
    outcome(&serde_json::from_str(line)?).ok_or_else(|| format!("no answer: {line}").into())
}

/// The outcome inside an answer.
pub(crate) fn outcome(answer: &Json) -> Option<Outcome> {
    if let Some(why) = answer["skip"].as_str() {
        return Some(Outcome::Skip(why.to_owned()));
    }
    let lines = answer["trace"].as_array()?;
    lines
        .iter()
        .map(|line| line.as_str().map(str::to_owned))
        .collect::<Option<_>>()
        .map(Outcome::Trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &'static str) -> Peer {
        Peer::new(move || {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        })
    }

    #[test]
    fn a_child_answers() {
        let mut peer =
            shell(r#"while read line; do echo "{\"name\": \"x\", \"trace\": [\"$line\"]}"; done"#);
        for word in ["one", "two"] {
            let reply = peer.ask(word, Duration::from_secs(10)).unwrap();
            assert_eq!(
                reply,
                Reply::Answered(Outcome::Trace(vec![word.to_owned()]))
            );
        }
    }

    #[test]
    fn a_child_that_dies_or_hangs_is_started_again() {
        let mut peer = shell(
            "read line; case $line in die) echo gone >&2; exit 3;; hang) sleep 60;; esac; echo '{\"skip\": \"s\"}'",
        );
        let patience = Duration::from_millis(500);
        assert_eq!(
            peer.ask("die", patience).unwrap(),
            Reply::Crashed("exit status: 3: gone".to_owned())
        );
        assert_eq!(peer.ask("hang", patience).unwrap(), Reply::Hung);
        assert_eq!(
            peer.ask("x", Duration::from_secs(10)).unwrap(),
            Reply::Answered(Outcome::Skip("s".to_owned()))
        );
    }

    #[test]
    fn answers_are_read_by_value() {
        assert_eq!(
            read(r#"{"name":"x","trace":["\u00e9"]}"#).unwrap(),
            Outcome::Trace(vec!["é".to_owned()])
        );
        assert!(read("{}").is_err());
        assert!(read("nonsense").is_err());
    }
}
