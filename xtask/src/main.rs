//! The workspace's own commands, run as `cargo xtask …`.

/// Prints a line of a command's output.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::say(format_args!($($text)*))
    };
}

mod api;
mod bench;
mod conformance;
mod interp;
mod parse;
mod program;
mod pytext;
mod soak;
mod suite;
mod trace;
mod workers;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// What ends a command before it could do its work.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "\
cargo xtask COMMAND

  trace          run scenario programs from standard input and write their traces
  conformance    compare traces with those of CPython's asyncio
  workers        run generated programs on tokio's multi-thread runtime
  bench          ours beside what a user would pick instead
  api            write, or check, the table of asyncio's names
  soak           random operations, and an account of what must not be lost
  test           everything a change must pass

`cargo xtask COMMAND --help` tells more.";

#[expect(
    clippy::print_stderr,
    reason = "what goes wrong must not be taken for the output of a command"
)]
fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let command = args.next();
    let outcome = match command.as_ref().and_then(|command| command.to_str()) {
        Some("trace") => trace::main().map(|()| ExitCode::SUCCESS),
        Some("conformance") => conformance::main(args),
        Some("workers") => workers::main(args),
        Some("bench") => bench::main(args),
        Some("api") => api::main(args),
        Some("soak") => soak::main(args),
        Some("test") => suite::main(args),
        Some("help" | "--help" | "-h") => {
            say!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(format!("which command?\n\n{USAGE}").into()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask: {error}");
        ExitCode::from(2)
    })
}

fn say(text: fmt::Arguments<'_>) {
    let mut output = io::stdout().lock();
    if output
        .write_fmt(text)
        .and_then(|()| output.write_all(b"\n"))
        .is_err()
    {
        // Whoever read it has gone away, and with it the reason to go on.
        std::process::exit(2);
    }
}
