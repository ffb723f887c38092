//! The generated parts of the guide's text: programs and tables of them, between two marks.
//!
//! `<!-- program 001 -->` is followed by that program in both languages, `<!-- index 0 -->` by a table
//! of the programs whose number begins so, each up to `<!-- end -->`.

use std::fs;
use std::path::PathBuf;

use super::programs::{self, Program};
use crate::Failure;

const BEGIN: &str = "<!-- ";
const END: &str = "<!-- end -->";

/// What Markdown would take for its own in a title.
const ESCAPED: [char; 3] = ['*', '_', '|'];

/// Writes them.
pub(super) fn write() -> Result<bool, Failure> {
    for (path, old, new) in generated()? {
        if old != new {
            fs::write(&path, new)?;
            say!("{} written", path.display());
        }
    }
    Ok(true)
}

/// The chapters whose generated parts are not those of the programs.
pub(super) fn stale() -> Result<Vec<String>, Failure> {
    let stale = generated()?.into_iter().filter(|(_, old, new)| old != new);
    Ok(stale
        .map(|(path, _, _)| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            format!("docs/guide/{name}: `cargo xtask guide --write` writes it anew")
        })
        .collect())
}

/// Each chapter as it is and as it should be.
fn generated() -> Result<Vec<(PathBuf, String, String)>, Failure> {
    let all = programs::all()?;
    let mut chapters = Vec::new();
    for entry in programs::directory().read_dir()? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let old = fs::read_to_string(&path)?;
            let new = filled(&old, &all).map_err(|error| format!("{}: {error}", path.display()))?;
            chapters.push((path, old, new));
        }
    }
    chapters.sort();
    Ok(chapters)
}

fn filled(text: &str, all: &[Program]) -> Result<String, Failure> {
    let mut new = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        new += line;
        new.push('\n');
        let mark = line
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.strip_suffix(" -->"));
        let Some((kind, which)) = mark.and_then(|mark| mark.split_once(' ')) else {
            continue;
        };
        match kind {
            "program" => {
                let program = all.iter().find(|program| program.number == which);
                new += &both(program.ok_or_else(|| format!("no program {which}"))?);
            }
            "index" => {
                new += &index(
                    all.iter()
                        .filter(|program| program.number.starts_with(which)),
                )
            }
            _ => continue,
        }
        // What stands there now goes.
        if !lines.any(|line| line == END) {
            return Err(format!("{line} without {END}").into());
        }
        new += END;
        new.push('\n');
    }
    Ok(new)
}

fn both(program: &Program) -> String {
    let mut text = format!("\n```python\n{}\n```\n", program.python_code());
    if let Some((_, twin)) = &program.twin {
        text += &format!("\n```rust\n{}\n```\n", rust_code(twin));
    }
    if let Some(instead) = program.instead_text() {
        text += &format!("\n{instead}\n");
    }
    text.push('\n');
    text
}

/// A twin as a program of its own: without its documentation, and with a `main` that starts by itself.
fn rust_code(twin: &str) -> String {
    let code: Vec<_> = twin
        .lines()
        .skip_while(|line| line.starts_with("//!"))
        .filter(|line| *line != "use crate::yes;")
        .collect();
    let code = code.join("\n");
    let code = code.replace(
        "pub(crate) async fn main",
        "#[asyncio::main]\nasync fn main",
    );
    let code = code.replace("pub(crate) fn main", "fn main");
    // Where the line about `yes` was, two blank lines have met.
    code.replace("\n\n\n", "\n\n").trim().to_owned()
}

fn index<'a>(programs: impl Iterator<Item = &'a Program>) -> String {
    let mut text = String::from("\n| program | shows | Rust |\n| --- | --- | --- |\n");
    for program in programs {
        let title = ESCAPED
            .iter()
            .fold(program.title().to_owned(), |title, mark| {
                title.replace(*mark, &format!("\\{mark}"))
            });
        let rust = match &program.twin {
            None => format!("not yet: {}", program.lacks()),
            Some((name, _)) if program.instead() => format!("[instead](src/{name})"),
            Some((name, _)) => format!("[twin](src/{name})"),
        };
        let (number, slug) = (&program.number, &program.slug);
        text += &format!("| [{number}](python/{slug}.py) | {title} | {rust} |\n");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Program {
        Program {
            number: "001".to_owned(),
            slug: "001-hello".to_owned(),
            python: "\"\"\"It says hello*.\nKind: snippet\n\"\"\"\nprint(1)\n".to_owned(),
            twin: Some((
                "p001_hello.rs".to_owned(),
                "//! It.\n\nuse a;\n\nuse crate::yes;\n\npub(crate) async fn main() {}\n"
                    .to_owned(),
            )),
        }
    }

    #[test]
    fn what_stands_between_the_marks_is_written_anew() -> Result<(), Failure> {
        let text =
            "a\n<!-- program 001 -->\nold\n<!-- end -->\nb\n<!-- index 0 -->\n<!-- end -->\n";
        let new = filled(text, &[program()])?;
        assert_eq!(
            new,
            "a\n<!-- program 001 -->\n\n```python\nprint(1)\n```\n\n```rust\nuse a;\n\n\
             #[asyncio::main]\nasync fn main() {}\n```\n\n<!-- end -->\nb\n<!-- index 0 -->\n\n\
             | program | shows | Rust |\n| --- | --- | --- |\n\
             | [001](python/001-hello.py) | It says hello\\*. | [twin](src/p001_hello.rs) |\n\n\
             <!-- end -->\n"
        );
        assert_eq!(filled(&new, &[program()])?, new);
        Ok(())
    }

    #[test]
    fn a_mark_without_its_end_is_an_error() {
        assert!(filled("<!-- index 0 -->\nrest\n", &[program()]).is_err());
        assert!(filled("<!-- program 999 -->\n<!-- end -->\n", &[program()]).is_err());
    }
}
