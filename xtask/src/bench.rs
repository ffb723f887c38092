//! `cargo xtask bench`: runs the benchmark suite, a package of its own so that its peers are built for
//! nobody else.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

use crate::Failure;
use crate::conformance::python::Python;

/// Builds the suite with optimisation and hands it the arguments, and the CPython to compare with.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> Result<ExitCode, Failure> {
    let mut args: Vec<OsString> = args.collect();
    let named = |arg: &OsString| arg.to_string_lossy().starts_with("--python");
    if !args.iter().any(named)
        && let Some(python) = Python::find(None)?
    {
        // Before the others, for some of them end the reading of arguments.
        args.splice(0..0, ["--python".into(), python.path.into()]);
    }
    // The budget is that of a build which needs no PostgreSQL.
    let counts = args
        .iter()
        .any(|arg| arg == "--budget" || arg == "--check-budget");
    let features: &[&str] = if counts {
        &[]
    } else {
        &["--features", "postgres"]
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--quiet", "--release", "--package", "asyncio-bench"])
        .args(features)
        .arg("--")
        .args(args)
        .status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
