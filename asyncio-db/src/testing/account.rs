//! As whom the server runs: PostgreSQL refuses root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::ClusterError;

/// The accounts that are tried when the process is root's, the best first.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// As whom programs run and to whom their files belong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Account {
    /// As the process itself.
    Own,
    /// As somebody else, because the process is root's.
    Other { uid: u32, gid: u32 },
}

impl Account {
    pub(super) fn choose() -> Result<Self, ClusterError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let accounts =
            fs::read_to_string("/etc/passwd").map_err(ClusterError::io("read /etc/passwd"))?;
        UNPRIVILEGED
            .iter()
            .find_map(|name| find(&accounts, name))
            .ok_or(ClusterError::NoAccount)
    }

    /// Makes a command run as this account, without the groups of the present one (which the standard
    /// library gives up together with root).
    pub(super) fn apply(self, command: &mut Command) {
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
    }

    /// Gives it a file or a folder.
    pub(super) fn own(self, path: &Path) -> Result<(), ClusterError> {
        if let Self::Other { uid, gid } = self {
            std::os::unix::fs::chown(path, Some(uid), Some(gid))
                .map_err(ClusterError::io(format!("give away {}", path.display())))?;
        }
        Ok(())
    }

    /// Whether it may pass through all the folders on the way to a file.
    pub(super) fn reaches(self, path: &Path) -> bool {
        let passable = |folder: &Path| {
            fs::metadata(folder).is_ok_and(|data| data.permissions().mode() & 0o001 != 0)
        };
        // Links are followed first, for it is the real folders that must let one pass.
        let real = fs::canonicalize(path);
        match self {
            Self::Own => true,
            Self::Other { .. } => real.is_ok_and(|real| real.ancestors().skip(1).all(passable)),
        }
    }
}

/// An account in the text of `/etc/passwd`.
fn find(accounts: &str, name: &str) -> Option<Account> {
    let line = accounts
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    (uid != 0).then_some(Account::Other { uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNTS: &str = "root:x:0:0::/:/bin/sh\nhalf:x:7\npostgres:x:101:104:,,,:/x:/bin/sh\n";

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        assert!(matches!(
            find(ACCOUNTS, "postgres"),
            Some(Account::Other { uid: 101, gid: 104 })
        ));
        for other in ["postgre", "half", "root"] {
            assert!(find(ACCOUNTS, other).is_none(), "{other}");
        }
    }
}
