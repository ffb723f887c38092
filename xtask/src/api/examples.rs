//! Rust examples in Markdown files: each has to be one that is tested as documentation of a crate.
//!
//! The Markdown files lie outside of the packages, so that no crate can include them and be published.
//! What a reader sees there is therefore required to stand in a doc comment as well, line by line.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;

/// The examples that no doc comment has.
pub(super) fn check(root: &Path) -> Result<Vec<String>, Failure> {
    let mut tested = Vec::new();
    for entry in root.read_dir()? {
        let source = entry?.path().join("src");
        if source.is_dir() {
            collect(&source, &mut tested)?;
        }
    }
    let mut pages = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    for entry in root.join("docs").read_dir()? {
        pages.push(entry?.path());
    }
    pages.sort();
    let mut findings = Vec::new();
    for page in pages {
        let text =
            fs::read_to_string(&page).map_err(|error| format!("{}: {error}", page.display()))?;
        let shown = page.strip_prefix(root).unwrap_or(&page).display();
        for (line, code) in blocks(text.lines(), |info| info == "rust") {
            if !tested.iter().any(|example| contains(example, &code)) {
                findings.push(format!("{shown}:{line}: no doc comment tests this example"));
            }
        }
    }
    Ok(findings)
}

/// Adds the examples in the doc comments of all files below a directory.
fn collect(directory: &Path, tested: &mut Vec<Vec<String>>) -> Result<(), Failure> {
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in directory.read_dir()? {
        entries.push(entry?.path());
    }
    for path in entries {
        if path.is_dir() {
            collect(&path, tested)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)?;
            let is_tested = |info: &str| info.is_empty() || info == "rust";
            let examples = blocks(text.lines().map(comment), is_tested);
            tested.extend(examples.into_iter().map(|(_, code)| code));
        }
    }
    Ok(())
}

/// What a line of documentation says; nothing where it is none.
fn comment(line: &str) -> &str {
    let line = line.trim_start();
    line.strip_prefix("///")
        .or_else(|| line.strip_prefix("//!"))
        .unwrap_or_default()
        .trim_start()
}

/// The fenced blocks whose language is wanted: the line each begins on, and its code without
/// indentation, blank lines and the marks of hidden lines.
fn blocks<'a>(
    lines: impl Iterator<Item = &'a str>,
    wanted: impl Fn(&str) -> bool,
) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, bool, Vec<String>)> = None;
    for (number, line) in lines.enumerate() {
        let line = line.trim();
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some((number + 1, wanted(info.trim()), Vec::new())),
            (Some(_), Some(_)) => {
                if let Some((number, true, code)) = open.take() {
                    found.push((number, code));
                }
            }
            (None, Some((_, _, code))) => {
                let shown = line.strip_prefix("# ").unwrap_or(line);
                if !matches!(shown, "" | "#") {
                    code.push(shown.to_owned());
                }
            }
            (None, None) => {}
        }
    }
    found
}

fn contains(example: &[String], code: &[String]) -> bool {
    !code.is_empty() && example.windows(code.len()).any(|lines| lines == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_found_with_its_hidden_lines_shown() {
        let source = "/// Text.\n///\n/// ```\n/// # fn main() {\n/// run();\n///\n/// # }\n/// ```\nfn f() {}\n    //! ```text\n    //! other\n    //! ```";
        let tested = blocks(source.lines().map(comment), |info| info.is_empty());
        assert_eq!(tested.len(), 1);
        let page = "```rust\nfn main() {\n    run();\n}\n```\n\n```rust\nstop();\n```\n\n```text\nx\n```\n";
        let shown = blocks(page.lines(), |info| info == "rust");
        let lines: Vec<usize> = shown.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 7]);
        assert!(contains(&tested[0].1, &shown[0].1));
        assert!(!contains(&tested[0].1, &shown[1].1));
        assert!(!contains(&tested[0].1, &[]));
    }
}
