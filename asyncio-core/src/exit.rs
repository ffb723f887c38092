//! How a program ends whose `main` returned an error.

use std::process::ExitCode;

use crate::exceptions::{Exception, KeyboardInterrupt, Result, SystemExit};

/// The exit code of a program that ends with this result, as Python's interpreter has it; the error
/// is printed to standard error.
///
/// - A [`SystemExit`] is its code, and nothing is printed.
/// - A [`KeyboardInterrupt`] prints that word, and the process ends by SIGINT, so that a shell or a
///   supervisor sees that it was interrupted; elsewhere than on Unix the code is 130.
/// - Any other error prints itself as `Error: …`, with the code 1, as Rust's own `main` does.
///
/// `#[asyncio_core::main]` does this, where the feature `macros` is on.
///
/// ```
/// use asyncio_core::{SystemExit, exit_code, run};
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     exit_code(run(async { Err::<(), _>(SystemExit::new(0).into()) }))
/// }
/// ```
#[must_use = "it is the process that is to end with it"]
pub fn exit_code<T>(result: Result<T>) -> ExitCode {
    match result {
        Ok(_) => ExitCode::SUCCESS,
        Err(exception) => failed(&exception),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the last words of a program are for whoever started it"
)]
fn failed(exception: &Exception) -> ExitCode {
    if let Some(exit) = exception.downcast_ref::<SystemExit>() {
        // An operating system keeps the lowest eight bits.
        return ExitCode::from((exit.code() & 0xff) as u8);
    }
    if exception.is::<KeyboardInterrupt>() {
        eprintln!("KeyboardInterrupt");
        #[cfg(unix)]
        crate::signals::die_of_sigint();
        return ExitCode::from(130);
    }
    eprintln!("Error: {exception:?}");
    ExitCode::FAILURE
}
