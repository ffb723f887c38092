//! The promises of asyncio-db's PostgreSQL client, in full: its own tests, with as many operations as the
//! promises say, on real servers. What was counted is printed by the tests.

use std::env;
use std::process::Command;
use std::time::Instant;

use crate::Failure;

/// A promise, and the tests that hold it.
struct Promise {
    name: &'static str,
    what: &'static str,
    /// The file of tests.
    target: &'static str,
    tests: &'static [&'static str],
}

const PROMISES: [Promise; 7] = [
    Promise {
        name: "R1",
        what: "100,000 cancelled operations among 100,000 others, over a pool of 10",
        target: "faults",
        tests: &["storm::"],
    },
    Promise {
        name: "R2",
        what: "every operation cancelled, and dropped, at every point",
        target: "it",
        tests: &[
            "cancellation::",
            "pool::borrowing",
            "pool::opening",
            "faults::what_begins",
        ],
    },
    Promise {
        name: "R3",
        what: "how soon a slot is back, 10,000 times, and when nobody hears of a cancellation",
        target: "faults",
        tests: &["recovery::a_slot"],
    },
    Promise {
        name: "R4",
        what: "100 immediate restarts under 20 writers",
        target: "faults",
        tests: &["restarts::nothing"],
    },
    Promise {
        name: "R5",
        what: "10,000 sessions terminated, servers that stand still, networks that cut at every byte",
        target: "faults",
        tests: &[
            "restarts::sessions",
            "recovery::a_time_limit",
            "network::",
            "limits::",
        ],
    },
    Promise {
        name: "R6",
        what: "the order of arrival, 100 workers for a minute",
        target: "faults",
        tests: &["fairness::"],
    },
    Promise {
        name: "R10",
        what: "100,000 rounds of queries by a pooler and by pgbouncer, and tables that change",
        target: "faults",
        tests: &["pooler::", "migrations::"],
    },
];

/// Whether a promise has that name.
pub(super) fn knows(name: &str) -> bool {
    PROMISES.iter().any(|promise| promise.name == name)
}

/// Runs those that are named, or all of them; whether they hold.
pub(super) fn run(names: &[String]) -> Result<bool, Failure> {
    let mut hold = true;
    for promise in &PROMISES {
        if !names.is_empty() && !names.iter().any(|name| name == promise.name) {
            continue;
        }
        say!("{}: {}", promise.name, promise.what);
        let started = Instant::now();
        let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args([
                "test",
                "--quiet",
                "--package",
                "asyncio-db",
                "--all-features",
            ])
            .args(["--test", promise.target, "--"])
            .args(["--nocapture", "--test-threads=1"])
            .args(promise.tests)
            .env("ASYNCIO_DB_FULL", "1")
            // Where no server is found, nothing holds.
            .env("CI", "true")
            .status()?;
        let word = if status.success() {
            "holds"
        } else {
            "DOES NOT HOLD"
        };
        say!(
            "{} {word}, {:.0} s",
            promise.name,
            started.elapsed().as_secs_f64()
        );
        hold &= status.success();
    }
    Ok(hold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_are_found_by_name() {
        assert!(knows("R1") && knows("R10") && !knows("R11"));
    }
}
