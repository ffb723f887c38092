//! The programs of the guide: what is in its folders.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;

/// What a twin's documentation says where Python's behaviour is Python's alone.
const INSTEAD: &str = "//! # Instead";

/// What a program waits for that has no twin, by the packages that it needs.
const LACKS: [(&str, &str); 3] = [
    ("fastapi", "a web framework"),
    ("aiohttp", "WebSockets"),
    ("asyncpg", "PostgreSQL's COPY, and codecs of one's own"),
];

/// A program in Python, its record, and its twin in Rust if there is one.
#[derive(Debug)]
pub(crate) struct Program {
    /// Three digits; the first is the chapter.
    pub(crate) number: String,
    /// `001-hello-loop`.
    pub(crate) slug: String,
    pub(crate) python: String,
    /// The name of the file, and the text.
    pub(crate) twin: Option<(String, String)>,
}

/// Where a twin may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Anywhere,
    /// An event loop, or one that it makes.
    Loop,
}

/// All programs, by number.
pub(crate) fn all() -> Result<Vec<Program>, Failure> {
    let mut twins = BTreeMap::new();
    for entry in directory().join("src").read_dir()? {
        let path = entry?.path();
        let name = file_name(&path);
        if let Some(number) = name.strip_prefix('p').and_then(|rest| rest.get(..3)) {
            twins.insert(
                number.to_owned(),
                (name.clone(), fs::read_to_string(&path)?),
            );
        }
    }
    let mut programs = Vec::new();
    for entry in directory().join("python").read_dir()? {
        let path = entry?.path();
        let Some(slug) = file_name(&path).strip_suffix(".py").map(str::to_owned) else {
            continue;
        };
        let number = slug.get(..3).unwrap_or_default().to_owned();
        programs.push(Program {
            twin: twins.remove(&number),
            python: fs::read_to_string(&path)?,
            number,
            slug,
        });
    }
    if let Some((_, (name, _))) = twins.first_key_value() {
        return Err(format!("{name} is the twin of no program").into());
    }
    programs.sort_by(|a, b| a.number.cmp(&b.number));
    Ok(programs)
}

/// What `guide --list` printed.
pub(crate) fn places(listed: &str) -> BTreeMap<String, Place> {
    let lines = listed.lines().filter_map(|line| line.split_once(' '));
    lines
        .map(|(number, place)| {
            let place = if place == "anywhere" {
                Place::Anywhere
            } else {
                Place::Loop
            };
            (number.to_owned(), place)
        })
        .collect()
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The folder of the guide.
pub(crate) fn directory() -> PathBuf {
    root().join("docs").join("guide")
}

impl Program {
    /// What the twin has to print.
    pub(crate) fn record(&self) -> PathBuf {
        let own = self.own_record();
        if own.exists() {
            own
        } else {
            self.python_record()
        }
    }

    /// What CPython printed.
    pub(crate) fn python_record(&self) -> PathBuf {
        directory()
            .join("python")
            .join(format!("{}.out", self.slug))
    }

    /// Whether the twin says what Rust does instead.
    pub(crate) fn instead(&self) -> bool {
        self.twin
            .as_ref()
            .is_some_and(|(_, text)| text.lines().any(|line| line == INSTEAD))
    }

    /// What the twin says of that.
    pub(crate) fn instead_text(&self) -> Option<String> {
        let (_, text) = self.twin.as_ref()?;
        let documentation = text.lines().map_while(|line| line.strip_prefix("//!"));
        let after = documentation
            .skip_while(|line| line.trim() != "# Instead")
            .skip(2);
        let text: Vec<_> = after.map(str::trim).collect();
        (!text.is_empty()).then(|| text.join("\n"))
    }

    /// What it shows: the first line of the Python program's documentation.
    pub(crate) fn title(&self) -> &str {
        let first = self.python.lines().next().unwrap_or_default();
        first
            .trim_start_matches("\"\"\"")
            .trim_end_matches("\"\"\"")
    }

    /// A line of the Python program's documentation: `Needs`, `Corrects`.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let documentation = self.python.split("\"\"\"").nth(1)?;
        documentation
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The Python program without its documentation.
    pub(crate) fn python_code(&self) -> &str {
        let code = self.python.splitn(3, "\"\"\"").nth(2);
        code.unwrap_or(&self.python).trim()
    }

    /// What its twin waits for.
    pub(crate) fn lacks(&self) -> &'static str {
        let needs = self.field("Needs").unwrap_or_default();
        let lacks = LACKS.iter().find(|(package, _)| needs.contains(package));
        lacks.map_or("a twin", |(_, what)| what)
    }

    /// What is out of order with it.
    pub(crate) fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        if !self.python_record().exists() {
            findings.push(format!("{}: no record", self.slug));
        }
        let own = self.own_record();
        if own.exists() && !self.instead() {
            findings.push(format!(
                "{}: a record of its own, but the twin does not say what Rust does instead",
                self.slug
            ));
        }
        let same = |a: &Path, b: &Path| fs::read(a).ok() == fs::read(b).ok();
        if own.exists() && same(&own, &self.python_record()) {
            findings.push(format!(
                "{}: a record of its own that is Python's",
                self.slug
            ));
        }
        findings
    }

    fn own_record(&self) -> PathBuf {
        directory()
            .join("python")
            .join(format!("{}.rust.out", self.slug))
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
