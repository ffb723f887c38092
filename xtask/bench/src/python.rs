//! CPython beside us: a process that runs the same workloads on asyncio or on uvloop, sample by sample.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value as Json;

use crate::Failure;
use crate::measure::Cost;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/peers.py");

/// A process that waits for what it is to run.
pub(crate) struct Python {
    pub(crate) name: &'static str,
    /// Which CPython and which loop it is.
    pub(crate) build: String,
    workloads: Vec<String>,
    /// Rows that it cannot run, and why.
    lacks: BTreeMap<String, String>,
    child: Child,
    /// Taken when it is to end.
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// Starts an interpreter with one of its loops; or tells why it cannot take part.
    ///
    /// `server` is the address of the server that is to be asked, where there is one.
    pub(crate) fn start(
        interpreter: &str,
        name: &'static str,
        server: Option<&str>,
    ) -> Result<Self, Failure> {
        let mut child = Command::new(interpreter)
            .args([SCRIPT, name])
            .args(server)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{interpreter} does not start: {error}"))?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a pipe that was asked for is there".into());
        };
        let mut python = Self {
            name,
            build: String::new(),
            workloads: Vec::new(),
            lacks: BTreeMap::new(),
            child,
            requests: Some(requests),
            answers: BufReader::new(answers),
        };
        let told = python.answer()?;
        if let Some(missing) = told["missing"].as_str() {
            return Err(missing.into());
        }
        python.build = format!(
            "CPython {} built {} PGO, {}",
            told["python"].as_str().unwrap_or_default(),
            if told["pgo"] == true {
                "with"
            } else {
                "without"
            },
            told["loop"].as_str().unwrap_or_default(),
        );
        python.workloads = told["workloads"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|name| Some(name.as_str()?.to_owned()))
            .collect();
        python.lacks = told["lacks"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(row, why)| Some((row.clone(), why.as_str()?.to_owned())))
            .collect();
        Ok(python)
    }

    /// Whether it has that row.
    pub(crate) fn runs(&self, row: &str) -> bool {
        self.workloads.iter().any(|name| name == row)
    }

    /// Why it does not have that row, though there is one in its language.
    pub(crate) fn lacks(&self, row: &str) -> Option<&str> {
        self.lacks.get(row).map(String::as_str)
    }

    /// What an operation costs, by one run of `count`.
    pub(crate) fn sample(&mut self, row: &str, count: u32) -> Result<Cost, Failure> {
        if let Some(requests) = &mut self.requests {
            writeln!(requests, "{row} {count}")?;
            requests.flush()?;
        }
        let told = self.answer()?;
        let (Some(amount), Some(cpu)) = (told["ns"].as_f64(), told["cpu_ns"].as_f64()) else {
            return Err(format!("{}: {told} is no sample", self.name).into());
        };
        Ok(Cost {
            amount,
            cpu: Some(cpu),
            allocations: None,
        })
    }

    fn answer(&mut self) -> Result<Json, Failure> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(format!("{}: the interpreter ended", self.name).into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It ends when its input does.
        self.requests = None;
        let _ended = self.child.wait();
    }
}
