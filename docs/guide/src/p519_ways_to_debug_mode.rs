//! Debug mode is switched on by the runner, by an environment variable or on the loop.
//!
//! # Instead
//!
//! The variable is `ASYNCIO_DEBUG`: what a Python developer has set for Python's programs is no wish of
//! a Rust program. The record names it.

use std::env;
use std::process::Command;

use asyncio_compat as asyncio;

async fn ask(switch: Option<bool>) -> asyncio::Result<&'static str> {
    let event_loop = asyncio::get_running_loop()?;
    if let Some(switch) = switch {
        event_loop.set_debug(switch);
    }
    Ok(if event_loop.get_debug() { "on" } else { "off" })
}

/// Starts this program once more, to ask a loop with the default settings.
fn in_new_process(debug: Option<&str>) -> asyncio::Result<String> {
    let mut again = Command::new(env::current_exe()?);
    again.args(["519", "ask"]).env_remove("ASYNCIO_DEBUG");
    again.envs(debug.map(|value| ("ASYNCIO_DEBUG", value)));
    Ok(String::from_utf8(again.output()?.stdout)?.trim().to_owned())
}

pub(crate) fn main() -> asyncio::Result<()> {
    if env::args().any(|arg| arg == "ask") {
        println!("{}", asyncio::run(ask(None))?);
        return Ok(());
    }
    let runner = |debug| asyncio::Runner::builder().debug(debug).build();
    println!("plain run: {}", runner(false)?.run(ask(None))?);
    println!("debug(true): {}", runner(true)?.run(ask(None))?);
    println!("set_debug(true): {}", runner(false)?.run(ask(Some(true)))?);
    println!("new process: {}", in_new_process(None)?);
    println!("ASYNCIO_DEBUG=1: {}", in_new_process(Some("1"))?);
    Ok(())
}
