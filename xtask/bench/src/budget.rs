//! The instructions that an operation of ours may take, and whether it does: a measure that no busy
//! machine disturbs.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::process::{Command, Stdio};

use crate::Failure;

/// The rows that have a budget.
const ROWS: [&str; 9] = [
    "spawn_serial",
    "spawn_batch",
    "switch",
    "taskgroup",
    "timer_cancel",
    "queue_100",
    "queue_1",
    "semaphore_free",
    "cancel_storm",
];

/// Two numbers of operations. What differs between them is free of what a process costs to begin and to
/// end, and of what is set up on first use.
const COUNTS: [u32; 2] = [2_000, 12_000];

/// How far a count may be off.
const TOLERANCE: f64 = 0.03;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/budget.json");

/// Instructions per operation, by compiler and by row.
type Budgets = BTreeMap<String, BTreeMap<String, f64>>;

/// Compares with the budget of this compiler, and prints the table. What cannot be compared is said.
pub(crate) fn check() -> Result<bool, Failure> {
    if let Err(error) = valgrind_runs() {
        println!("skipped: {error}");
        // Where nobody reads what was skipped, nothing may be.
        return Ok(env::var_os("CI").is_none());
    }
    let compiler = compiler()?;
    let budgets = read()?;
    let Some(budget) = budgets.get(&compiler) else {
        println!("skipped: no budget for {compiler}; cargo xtask bench --budget writes one");
        return Ok(true);
    };
    println!(
        "{:<18} {:>10} {:>10}  instructions per operation, {compiler}",
        "row", "budget", "now"
    );
    let mut passed = true;
    for row in ROWS {
        let Some(&allowed) = budget.get(row) else {
            println!("{row:<18} has no budget; cargo xtask bench --budget writes one");
            passed = false;
            continue;
        };
        let now = instructions(row)?;
        let off = now / allowed - 1.0;
        let verdict = verdict(off);
        passed &= verdict != Verdict::TooMany;
        let remark = match verdict {
            Verdict::Fine => "",
            Verdict::TooMany => "  TOO MANY",
            Verdict::Fewer => "  fewer: lower the budget with cargo xtask bench --budget",
        };
        println!(
            "{row:<18} {allowed:>10.1} {now:>10.1}  {:>+5.1} %{remark}",
            off * 100.0
        );
    }
    Ok(passed)
}

/// Writes what operations take now as the budget of this compiler.
pub(crate) fn rewrite() -> Result<(), Failure> {
    valgrind_runs()?;
    let compiler = compiler()?;
    let mut budgets = read()?;
    let mut budget = BTreeMap::new();
    for row in ROWS {
        let now = (instructions(row)? * 10.0).round() / 10.0;
        println!("{row:<18} {now:>10.1}");
        budget.insert(row.to_owned(), now);
    }
    budgets.insert(compiler, budget);
    fs::write(FILE, serde_json::to_string_pretty(&budgets)? + "\n")?;
    println!("written to {FILE}");
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Fine,
    TooMany,
    Fewer,
}

/// `off` is the part by which a count is above its budget.
fn verdict(off: f64) -> Verdict {
    if off > TOLERANCE {
        Verdict::TooMany
    } else if off < -TOLERANCE {
        Verdict::Fewer
    } else {
        Verdict::Fine
    }
}

fn read() -> Result<Budgets, Failure> {
    Ok(serde_json::from_str(&fs::read_to_string(FILE)?)?)
}

fn valgrind_runs() -> Result<(), Failure> {
    let told = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match told {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("valgrind ends with {status}").into()),
        Err(error) => Err(format!("valgrind does not start: {error}").into()),
    }
}

/// What the counts depend on: the compiler's version and what it compiles for.
fn compiler() -> Result<String, Failure> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = Command::new(rustc).arg("-V").output()?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    match told.split_whitespace().nth(1) {
        Some(version) => Ok(format!("{version} {}", env::consts::ARCH)),
        None => Err(format!("rustc -V says {told:?}").into()),
    }
}

/// Instructions of one operation of a row, on our side.
fn instructions(row: &str) -> Result<f64, Failure> {
    let [few, many] = COUNTS;
    let more = collected(row, many)?.saturating_sub(collected(row, few)?);
    Ok(more as f64 / f64::from(many - few))
}

/// Instructions of a whole process.
fn collected(row: &str, count: u32) -> Result<u64, Failure> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["--count", row, "ours", &count.to_string()])
        .stdin(Stdio::null())
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    match total(&told) {
        Some(total) if output.status.success() => Ok(total),
        _ => Err(format!("valgrind ends with {}:\n{told}", output.status).into()),
    }
}

/// The number in the line `==1== Collected : 123`.
fn total(told: &str) -> Option<u64> {
    let line = told.lines().find(|line| line.contains("Collected"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_more_is_too_many() {
        assert_eq!(verdict(0.029), Verdict::Fine);
        assert_eq!(verdict(-0.029), Verdict::Fine);
        assert_eq!(verdict(0.031), Verdict::TooMany);
        assert_eq!(verdict(-0.031), Verdict::Fewer);
    }

    #[test]
    fn the_total_is_read() {
        let told = "==7== Events    : Ir\n==7== Collected : 12345\n==7==\n";
        assert_eq!(total(told), Some(12_345));
        assert_eq!(total("==7== Killed\n"), None);
    }

    #[test]
    fn rows_with_a_budget_exist() {
        let rows = crate::rows::all();
        for name in ROWS {
            let row = rows.iter().find(|row| row.name == name);
            assert!(row.is_some_and(|row| row.sides[0].name == "ours"), "{name}");
        }
    }
}
