//! What workers do, and what tests need.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use asyncio_core::{Exception, Job, ProcessPoolExecutor, Result};

use crate::harness::PROGRAM;

pub(super) fn pow((base, exponent): (u64, u32)) -> u64 {
    base.pow(exponent)
}

pub(super) fn nap(milliseconds: u64) -> u32 {
    thread::sleep(Duration::from_millis(milliseconds));
    std::process::id()
}

pub(super) fn pid(_: ()) -> u32 {
    std::process::id()
}

pub(super) fn die(number: u32) -> u32 {
    if number.is_multiple_of(10) {
        kill(std::process::id(), "KILL");
    }
    number
}

pub(super) fn kill(pid: u32, signal: &str) {
    let mut command = Command::new("kill");
    command.args([&format!("-{signal}"), &pid.to_string()]);
    assert!(command.status().is_ok_and(|status| status.success()));
}

pub(super) fn pool(max_workers: usize) -> Result<ProcessPoolExecutor> {
    ProcessPoolExecutor::builder()
        .max_workers(max_workers)
        .build()
}

#[track_caller]
pub(super) fn error_of<T>(job: Job<T>) -> Exception {
    match job.result(60) {
        Ok(_) => panic!("a value where an error was expected"),
        Err(error) => error,
    }
}

pub(super) fn wait_until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it never happens"
        );
        thread::sleep(Duration::from_millis(1));
    }
}

/// The children of this process and their states, of which `Z` is a zombie's.
pub(super) fn children() -> Vec<(u32, char)> {
    let me = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let child = |name: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{name}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut parts = rest.split(' ');
        let state = parts.next()?.chars().next()?;
        (parts.next()? == me).then_some((name.parse().ok()?, state))
    };
    processes
        .filter_map(|entry| child(entry.file_name().to_str()?))
        .collect()
}

pub(super) fn assert_no_children() {
    let begun = Instant::now();
    while !children().is_empty() {
        let left = children();
        assert!(begun.elapsed() < Duration::from_secs(20), "left: {left:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(super) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Runs a program of this file: its exit code, its output and what it printed as errors.
pub(super) fn program(name: &str) -> Result<(Option<i32>, String, String)> {
    let output = Command::new(std::env::current_exe()?)
        .env(PROGRAM, name)
        .output()?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok((
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    ))
}
