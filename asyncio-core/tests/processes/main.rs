//! `ProcessPoolExecutor`: what a worker makes of a call, what becomes of a worker that dies, and that
//! no process is left over.
//!
//! The children of this process are counted, so that the tests run one after the other; and the
//! program is its own worker, so that this binary has its own `main`.

#[cfg(unix)]
mod cancelling;
#[cfg(unix)]
mod harness;
#[cfg(unix)]
mod pool;
#[cfg(unix)]
mod programs;
#[cfg(unix)]
mod support;
#[cfg(unix)]
mod values;

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    harness::main()
}

#[cfg(not(unix))]
fn main() {}
