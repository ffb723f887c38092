//! `cargo xtask bench`: runs the benchmark suite, a package of its own so that its peers are built for
//! nobody else.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

use crate::Failure;

/// Builds the suite with optimisation and hands it the arguments.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> Result<ExitCode, Failure> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "run",
            "--quiet",
            "--release",
            "--package",
            "asyncio-bench",
            "--",
        ])
        .args(args)
        .status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
