//! The CPython to compare with, and the two scripts that run on it.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;

/// The version whose asyncio is the reference.
const REFERENCE: (u32, u32) = (3, 13);

/// A CPython that starts.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    pub(crate) path: PathBuf,
    pub(crate) version: String,
}

impl Python {
    /// The given interpreter, even a newer one, or else the first 3.13 there is.
    pub(crate) fn find(given: Option<&Path>) -> Result<Option<Self>, Failure> {
        if let Some(path) = given {
            return match Self::at(path) {
                Some((python, version)) if version >= REFERENCE => Ok(Some(python)),
                Some((python, _)) => {
                    Err(format!("CPython {} is older than 3.13", python.version).into())
                }
                None => Err(format!("{} is no CPython", path.display()).into()),
            };
        }
        let on_path = [PathBuf::from("python3.13"), PathBuf::from("python3")];
        let found = on_path
            .into_iter()
            .chain(of_pyenv())
            .filter_map(|path| Self::at(&path));
        Ok(found
            .filter(|(_, version)| *version == REFERENCE)
            .map(|(python, _)| python)
            .next())
    }

    /// The reference interpreter of the language.
    pub(crate) fn oracle(&self) -> Command {
        self.script("oracle.py")
    }

    /// The generator of programs.
    pub(crate) fn generator(&self, profile: &str, seed: u64, count: usize) -> Command {
        let mut command = self.script("generate.py");
        let (seed, count) = (seed.to_string(), count.to_string());
        command.args(["--profile", profile, "--seed", &seed, "--count", &count]);
        command
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.arg(super::corpus::directory().join(name));
        command
    }

    fn at(path: &Path) -> Option<(Self, (u32, u32))> {
        let told = Command::new(path)
            .args([
                "-c",
                "import sys; print(*sys.version_info[:3], sys.implementation.name)",
            ])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let told = String::from_utf8(told.stdout).ok()?;
        let mut parts = told.split_whitespace();
        let (major, minor, micro) = (
            parts.next()?.parse().ok()?,
            parts.next()?.parse().ok()?,
            parts.next()?,
        );
        if parts.next()? != "cpython" {
            return None;
        }
        let version = format!("{major}.{minor}.{micro}");
        Some((
            Self {
                path: path.to_owned(),
                version,
            },
            (major, minor),
        ))
    }
}

/// The interpreters that pyenv has built, the newest 3.13 first.
fn of_pyenv() -> Vec<PathBuf> {
    let root = env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".pyenv")));
    let Some(entries) = root.and_then(|root| root.join("versions").read_dir().ok()) else {
        return Vec::new();
    };
    let micro = |path: &Path| {
        let name = path.file_name().and_then(OsStr::to_str)?;
        name.strip_prefix("3.13.")?.parse::<u32>().ok()
    };
    let mut found: Vec<_> = entries
        .flatten()
        .filter_map(|entry| Some((micro(&entry.path())?, entry.path())))
        .collect();
    found.sort();
    found
        .into_iter()
        .rev()
        .map(|(_, path)| path.join("bin").join("python3"))
        .collect()
}
