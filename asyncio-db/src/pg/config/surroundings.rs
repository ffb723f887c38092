//! What a process finds around it.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::PathBuf;

/// The environment, the home and the name of the account.
pub(super) struct Surroundings {
    variables: BTreeMap<String, String>,
    home: Option<PathBuf>,
    account: Option<String>,
}

impl Surroundings {
    /// Those of this process.
    pub(super) fn real() -> Self {
        Self {
            variables: env::vars_os()
                .filter_map(|(name, value)| {
                    let name = name.into_string().ok()?;
                    // No others are asked for.
                    let ours = name.starts_with("PG");
                    ours.then_some((name, value.into_string().ok()?))
                })
                .collect(),
            home: env::var_os("HOME")
                .filter(|home| !home.is_empty())
                .map(PathBuf::from),
            account: account(),
        }
    }

    /// Others, for tests: the environment of a process cannot be changed while it has threads.
    #[cfg(test)]
    pub(super) fn new(
        variables: &[(&str, &str)],
        home: Option<PathBuf>,
        account: Option<&str>,
    ) -> Self {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self {
            variables: variables.collect(),
            home,
            account: account.map(str::to_owned),
        }
    }

    /// A variable, if it is not empty.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let value = self.variables.get(name);
        value.filter(|value| !value.is_empty()).cloned()
    }

    /// A file in the home.
    pub(super) fn at_home(&self, name: &str) -> Option<PathBuf> {
        Some(self.home.as_ref()?.join(name))
    }

    /// The name of the account.
    pub(super) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }
}

/// The name of the account, as Python's `getpass.getuser` finds it.
fn account() -> Option<String> {
    let named = ["LOGNAME", "USER", "LNAME", "USERNAME"]
        .iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()));
    named.or_else(owner)
}

/// The name of the account to which the process belongs.
#[cfg(unix)]
fn owner() -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let number = fs::metadata("/proc/self").ok()?.uid().to_string();
    let accounts = fs::read_to_string("/etc/passwd").ok()?;
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    })
}

#[cfg(not(unix))]
fn owner() -> Option<String> {
    None
}
