//! What no compiler checks: the length of files, what a `lib.rs` holds, which crate may use which.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

use super::cargo_command;
use crate::Failure;

/// No file is longer than this.
const LONGEST: usize = 800;

/// The crates by height. A crate may use those of lower ranks only, in tests and builds as well.
const RANKS: [(&str, u32); 5] = [
    ("asyncio-core", 0),
    ("asyncio-sync", 1),
    ("asyncio-net", 2),
    ("asyncio-db", 2),
    ("asyncio-compat", 3),
];

/// Directories that hold nothing of ours.
const SKIPPED: [&str; 5] = ["target", ".git", "__pycache__", "node_modules", "generated"];

/// Where every dependency comes from.
const CRATES_IO: &str = r#"source = "registry+https://github.com/rust-lang/crates.io-index""#;

/// Words that have no place in the repository, with the reason. Written in parts, for this file is
/// checked as well.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("todo", "!("), "unfinished code"),
    (concat!("unimplemented", "!("), "unfinished code"),
    (concat!("FIX", "ME"), "unfinished code"),
    (concat!("X", "XX "), "unfinished code"),
    (concat!("#[ign", "ore"), "a test that does not run"),
    (concat!("dbg", "!("), "left over from debugging"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ho", "me/"), "a path of one machine"),
    (concat!("/U", "sers/"), "a path of one machine"),
    (concat!("../sh", "ared"), "a path outside the repository"),
    (
        concat!("issue", " #"),
        "a number that means nothing to a reader",
    ),
];

/// Checks the tree, and prints every finding.
pub(super) fn check(root: &Path) -> Result<bool, Failure> {
    let mut findings = Vec::new();
    let mut files = Vec::new();
    walk(root, &mut files)?;
    files.sort();
    for path in &files {
        // What is no text is no business of ours.
        if let Ok(text) = fs::read_to_string(path) {
            let shown = path
                .strip_prefix(root)
                .unwrap_or(path)
                .display()
                .to_string();
            findings.extend(file(&shown, &text));
        }
    }
    findings.extend(arrows(&metadata()?));
    for finding in &findings {
        say!("{finding}");
    }
    say!("{} files, {} findings", files.len(), findings.len());
    Ok(findings.is_empty())
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in directory.read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type()?;
        if kind.is_file() {
            files.push(entry.path());
        } else if kind.is_dir() && !SKIPPED.contains(&&*name) && !name.starts_with("target-") {
            walk(&entry.path(), files)?;
        }
    }
    Ok(())
}

/// The findings in one file.
fn file(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    let rust = path.ends_with(".rs");
    if (rust || path.ends_with(".py")) && lines > LONGEST {
        findings.push(format!("{path}: {lines} lines, more than {LONGEST}"));
    }
    if path != "Cargo.lock" {
        for (number, line) in text.lines().enumerate() {
            for (word, why) in FORBIDDEN {
                if line.contains(word) {
                    findings.push(format!("{path}:{}: {word:?}: {why}", number + 1));
                }
            }
        }
    }
    if path == "Cargo.lock" {
        let sources = text.lines().filter(|line| line.starts_with("source = "));
        for source in sources.filter(|source| *source != CRATES_IO) {
            findings.push(format!("{path}: {source}: not from crates.io"));
        }
    }
    // The programs that a compiler is to refuse are data of a test, and no modules.
    if rust && !path.contains("/tests/ui/") && !documented(text) {
        findings.push(format!(
            "{path}: begins without //! that says what the module is"
        ));
    }
    // The language wants the functions of a proc-macro crate at its root.
    if path.ends_with("src/lib.rs")
        && !path.contains("/macros/")
        && let Some(line) = beyond_a_window(text)
    {
        findings.push(format!(
            "{path}: holds more than documentation, mod and pub use: {line}"
        ));
    }
    findings
}

/// Whether the first thing in a file is its own documentation. Attributes of the file may come before.
fn documented(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with("#!["))
        .is_some_and(|line| line.starts_with("//!"))
}

/// The first item of a `lib.rs` that is neither `mod` nor `pub use`.
fn beyond_a_window(text: &str) -> Option<String> {
    let mut code = String::new();
    for line in text.lines().map(str::trim) {
        if !line.starts_with("//") {
            code.push_str(line);
            code.push(' ');
        }
    }
    let mut rest = code.trim();
    while !rest.is_empty() {
        if rest.starts_with("#[") || rest.starts_with("#![") {
            rest = after_attribute(rest);
            continue;
        }
        let (item, after) = rest.split_once(';').unwrap_or((rest, ""));
        let plain = item
            .strip_prefix("pub ")
            .or_else(|| item.strip_prefix("pub(crate) "))
            .unwrap_or(item);
        let module = plain
            .strip_prefix("mod ")
            .is_some_and(|name| !name.contains(['{', ' ']));
        let window = item.starts_with("pub use ") || item.starts_with("pub(crate) use ");
        if !module && !window {
            return Some(item.chars().take(60).collect());
        }
        rest = after.trim();
    }
    None
}

/// What follows the attribute at the start: its brackets may nest and its strings may hold more.
fn after_attribute(text: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' if !quoted => depth += 1,
            b']' if !quoted && depth == 1 => return text[at + 1..].trim(),
            b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    ""
}

fn metadata() -> Result<Json, Failure> {
    let mut command: Command = cargo_command();
    let output = command
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The dependencies that go up or sideways.
fn arrows(metadata: &Json) -> Vec<String> {
    let rank = |name: &str| {
        RANKS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, rank)| *rank)
    };
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        // The macros of a crate lie below everything; other packages (xtask) above.
        let own = if name.ends_with("-macros") {
            Some(0)
        } else {
            rank(name)
        };
        let Some(own) = own else { continue };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = dependency["name"].as_str().unwrap_or_default();
            if rank(used).is_some_and(|rank| rank >= own) {
                let kind = dependency["kind"].as_str().unwrap_or("normal");
                findings.push(format!("{name} must not use {used} ({kind} dependency)"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_and_undocumented_files_are_found() {
        let long = format!("//! Long.\n{}", "fn f() {}\n".repeat(800));
        assert_eq!(
            file("a/src/b.rs", &long),
            ["a/src/b.rs: 801 lines, more than 800"]
        );
        assert!(file("a/src/b.rs", "#![no_std]\n\n//! Short.\n").is_empty());
        assert_eq!(file("a/src/b.rs", "fn f() {}\n").len(), 1);
        assert!(file("README.md", "Short.").is_empty());
    }

    #[test]
    fn forbidden_words_are_found() {
        let line = format!("//! X.\nfn f() {{ {}) }}\n", concat!("todo", "!("));
        assert_eq!(
            file("x.rs", &line),
            [format!(
                "x.rs:2: {:?}: unfinished code",
                concat!("todo", "!(")
            )]
        );
        assert!(
            FORBIDDEN
                .iter()
                .all(|(word, _)| file("README.md", word).len() == 1)
        );
    }

    #[test]
    fn other_sources_than_crates_io_are_found() {
        let lock = format!("{CRATES_IO}\nsource = \"git+https://example.org/x\"\n");
        assert_eq!(
            file("Cargo.lock", &lock),
            [r#"Cargo.lock: source = "git+https://example.org/x": not from crates.io"#]
        );
    }

    #[test]
    fn a_lib_is_a_window() {
        let fine = "//! Docs.\n#![doc = \"a ] b\"]\nmod a;\n/// B.\npub mod b;\n#[cfg(unix)]\nmod c;\npub use a::{\n    X, // why\n    Y,\n};\n";
        assert_eq!(beyond_a_window(fine), None);
        for (more, item) in [
            ("fn f() {}", "fn f() {}"),
            ("pub const N: u8 = 1;", "pub const N: u8 = 1"),
            ("mod x { fn f() {} }", "mod x { fn f() {} }"),
            ("use std::fmt;", "use std::fmt"),
        ] {
            assert_eq!(
                beyond_a_window(&format!("{fine}{more}\n")).as_deref(),
                Some(item)
            );
        }
    }

    #[test]
    fn arrows_go_down() {
        let package = |name: &str, uses: &[(&str, Json)]| {
            let dependencies: Vec<Json> = uses
                .iter()
                .map(|(name, kind)| json!({"name": name, "kind": kind}))
                .collect();
            json!({"name": name, "dependencies": dependencies})
        };
        let found = arrows(&json!({"packages": [
            package("asyncio-core", &[("asyncio-core-macros", json!(null)), ("asyncio-sync", json!("dev"))]),
            package("asyncio-core-macros", &[("asyncio-core", json!("dev"))]),
            package("asyncio-net", &[("asyncio-core", json!(null)), ("asyncio-db", json!("build"))]),
            package("asyncio-compat", &[("asyncio-db", json!(null)), ("asyncio-net", json!(null))]),
            package("xtask", &[("asyncio-compat", json!(null))]),
        ]}));
        assert_eq!(
            found,
            [
                "asyncio-core must not use asyncio-sync (dev dependency)",
                "asyncio-core-macros must not use asyncio-core (dev dependency)",
                "asyncio-net must not use asyncio-db (build dependency)",
            ]
        );
    }
}
