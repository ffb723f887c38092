//! `tests/ported.md` beside the tests that it names, and those that name CPython's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use asyncio_core::Result;

/// The Rust tests of each case, by the page.
fn page() -> BTreeMap<String, BTreeSet<String>> {
    let mut cases = BTreeMap::new();
    let mut file = "";
    for line in include_str!("../ported.md").lines() {
        if let Some(name) = line.strip_prefix("## ") {
            file = name;
        }
        let Some(row) = line.strip_prefix("| `") else {
            continue;
        };
        let (case, here) = row.split_once("` | ").expect("two columns");
        let tests = here.split('`').filter(|word| word.contains("::"));
        let reason = here.strip_prefix("– ").map(|reason| reason.len() > 5);
        let tests: BTreeSet<String> = tests.map(str::to_owned).collect();
        assert!(
            reason.unwrap_or(!tests.is_empty()),
            "{case} has neither a test nor a reason"
        );
        let ported = if reason.is_some() {
            BTreeSet::new()
        } else {
            tests
        };
        let former = cases.insert(format!("{file}.{case}"), ported);
        assert!(former.is_none(), "{case} is there twice");
    }
    cases
}

/// The Rust tests of each case, by the doc comments of the tests.
fn comments() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut cases: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if path.is_dir() {
            // Of what CPython has not.
            continue;
        }
        let module = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        let mut named: Vec<String> = Vec::new();
        for line in std::fs::read_to_string(&path)?.lines().map(str::trim) {
            if let Some(comment) = line.strip_prefix("///") {
                let words = comment.split('`').filter(|word| {
                    word.starts_with("test_") && word.split('.').count() == 3 && !word.contains(' ')
                });
                named.extend(words.map(str::to_owned));
            } else if let Some(rest) = line.strip_prefix("fn ") {
                let name = rest.split('(').next().unwrap_or_default();
                for case in named.drain(..) {
                    let tests = cases.entry(case).or_default();
                    tests.insert(format!("{module}::{name}"));
                }
            } else if !line.starts_with("#[") {
                named.clear();
            }
        }
    }
    Ok(cases)
}

#[test]
fn the_page_says_what_the_tests_say() -> Result<()> {
    let mut page = page();
    assert!(page.len() > 200);
    for (case, tests) in comments()? {
        let said = page.remove(&case);
        assert_eq!(said, Some(tests), "{case}");
    }
    page.retain(|_, tests| !tests.is_empty());
    assert!(page.is_empty(), "no test names {page:?}");
    Ok(())
}
