//! The stages that look at what happens between threads: models under loom, and tests under valgrind.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Failure;

/// What is built with loom in the place of the standard library's primitives.
const MODELS: [&[&str]; 2] = [
    &["--package", "asyncio-core", "--lib", "models::"],
    &["--package", "asyncio-sync", "--test", "loom", ""],
];

/// What runs under valgrind: a crate, one of its test programs, and which of its tests. They come to every
/// file with unsafe code; what takes too long there, or measures time, is left out.
const UNDER_VALGRIND: [(&str, &str, &[&str]); 3] = [
    (
        "asyncio-core",
        "it",
        &[
            "cancellation::",
            "futures::",
            "gather::",
            "outliving::",
            "shield::",
            "threads::",
            "wait::",
            "--skip",
            "race",
            // A thread that cannot be started is a panic in the middle of tokio's making of a runtime, which
            // loses what it has made by then.
            "--skip",
            "worker_threads::misuse_is_an_error",
        ],
    ),
    ("asyncio-core", "allocations", &[]),
    (
        "asyncio-sync",
        "it",
        &["--skip", "models::", "--skip", "threads::"],
    ),
];

/// Has loom try every order of the steps of each model. The models are built in a place of their own,
/// with another setting than everything else.
pub(super) fn loom(root: &Path) -> Result<bool, Failure> {
    let started = Instant::now();
    let (mut models, mut orders) = (0, 0_u64);
    let mut passed = true;
    for args in MODELS {
        let Some((filter, package)) = args.split_last() else {
            continue;
        };
        let tests = cargo(root)
            .arg("test")
            .args(package)
            .args(["--", filter, "--nocapture"])
            .env("CARGO_TARGET_DIR", target(root).join("loom"))
            .env("RUSTFLAGS", flags())
            // Debug assertions, but not the time that unoptimised code takes for so many orders.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "2")
            .stderr(Stdio::inherit())
            .output()?;
        let said = String::from_utf8_lossy(&tests.stdout);
        let counts: Vec<u64> = said.lines().filter_map(orders_of).collect();
        models += counts.len();
        orders += counts.iter().sum::<u64>();
        if !tests.status.success() || counts.is_empty() {
            say!("{said}");
            passed = false;
        }
    }
    let took = started.elapsed().as_secs_f64();
    say!("{models} models, {orders} orders, {took:.1} s");
    Ok(passed)
}

/// How many orders of a model were tried, in the line that says so (`asyncio_core::models::check`).
fn orders_of(line: &str) -> Option<u64> {
    let (_, model) = line.split_once("model ")?;
    let (_, counted) = model.rsplit_once(": ")?;
    counted.split_once(" orders")?.0.parse().ok()
}

fn flags() -> OsString {
    let mut flags = env::var_os("RUSTFLAGS").unwrap_or_default();
    flags.push(" --cfg asyncio_loom");
    flags
}

/// Runs tests under valgrind's memcheck, which must be installed.
pub(super) fn valgrind(root: &Path) -> Result<bool, Failure> {
    let mut passed = true;
    for (package, program, tests) in UNDER_VALGRIND {
        let status = Command::new("valgrind")
            .args([
                "--error-exitcode=1",
                "--leak-check=full",
                "--fair-sched=yes",
            ])
            .arg("--errors-for-leak-kinds=definite,indirect")
            .arg("--show-leak-kinds=definite,indirect")
            .arg(built(root, package, program)?)
            .arg("--test-threads=1")
            .args(tests)
            // To find the lines of a panic takes minutes there.
            .env("RUST_BACKTRACE", "0")
            .current_dir(root.join(package))
            .status()?;
        passed &= status.success();
    }
    Ok(passed)
}

/// Builds the tests of a crate, and says where they are.
fn built(root: &Path, package: &str, program: &str) -> Result<String, Failure> {
    let built = cargo(root)
        .args(["test", "--package", package, "--test", program, "--no-run"])
        .args(["--message-format", "json"])
        .stderr(Stdio::inherit())
        .output()?;
    let messages = String::from_utf8_lossy(&built.stdout);
    let program = messages.lines().rev().find_map(executable);
    Ok(program.ok_or("the tests were not built")?)
}

/// The program that a message of cargo's is about, if it is about one.
fn executable(message: &str) -> Option<String> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    Some(message["executable"].as_str()?.to_owned())
}

/// Where cargo builds.
fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}
