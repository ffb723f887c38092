//! A PostgreSQL for the tests of asyncio-db: found, or installed where that may be done.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{cargo, ran};
use crate::Failure;

/// The test that fails where no server is found, so that there is one way to look for it.
const LOOK: &str = "cluster::the_programs_are_those_of_a_server";

/// How a server is installed by hand.
const ADVICE: &str = "install PostgreSQL (`apt-get install postgresql`, or `pip install pgserver`), \
                      or set ASYNCIO_DB_PG_BIN to the folder that holds initdb and postgres";

/// Runs the tests of all crates.
///
/// Where there is no server, Debian's package is installed if this is root and there is an apt. Else the
/// tests that need one are left out, which is said; but in CI (`CI=true`) that is a failure, for a green
/// run is to mean that they ran.
pub(super) fn test() -> Result<bool, Failure> {
    let all = ["test", "--workspace", "--all-features", "--no-fail-fast"];
    // What does not compile is no missing server.
    if !cargo(&[&all[..], &["--no-run"]].concat())? {
        return Ok(false);
    }
    if found()? || (may_install() && install()? && found()?) {
        return cargo(&all);
    }
    say!("no PostgreSQL found: {ADVICE}");
    let needed = env::var("CI").is_ok_and(|ci| !matches!(&*ci, "" | "0" | "false"));
    say!("the tests of asyncio-db that need it do not run");
    let others = cargo(&[&all[..], &["--exclude", "asyncio-db"]].concat())?;
    let offline = cargo(&["test", "--package", "asyncio-db", "--no-fail-fast"])?;
    Ok(others && offline && !needed)
}

fn found() -> Result<bool, Failure> {
    let target = ["test", "--quiet", "--workspace", "--all-features"];
    let look = ["--test", "testing", "--", "--exact", LOOK];
    cargo(&[&target[..], &look].concat())
}

/// Whether this is root on a system with Debian's packages.
fn may_install() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0") && Path::new("/usr/bin/apt-get").exists()
}

fn install() -> Result<bool, Failure> {
    say!("no PostgreSQL found; installing Debian's");
    let apt = |args: &[&str]| {
        ran(Command::new("apt-get")
            .args(["-q", "-y"])
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null()))
    };
    // The lists may be old or missing, which is no failure where the package can be had still.
    apt(&["update"])?;
    apt(&["install", "--no-install-recommends", "postgresql"])
}
