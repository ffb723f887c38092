//! The temporary folder of a cluster.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::ClusterError;
use super::account::Account;

/// What fits into a socket's address, less the name of a socket and of a folder of ours.
const LONGEST: usize = 107 - "/asyncio-db-4294967295-4294967295/.s.PGSQL.65535".len();

/// A folder that is removed with its owner.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    account: Account,
}

impl Folder {
    /// Makes a folder that belongs to the account and lets nobody else in.
    pub(super) fn create(account: Account) -> Result<Self, ClusterError> {
        // Relaxed: nothing but the number itself is told by it.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let above = place(account);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = above.join(format!("asyncio-db-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let folder = Self { path, account };
                    account.own(&folder.path)?;
                    return Ok(folder);
                }
                // Left behind by an earlier process of the same number, or made by a foe.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(ClusterError::io(format!("make {}", path.display()))(error));
                }
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file that only the account may read, which keys need.
    pub(super) fn write(&self, name: &str, content: &str) -> Result<PathBuf, ClusterError> {
        let path = self.path.join(name);
        let what = || format!("write {}", path.display());
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(ClusterError::io(what()))?;
        file.write_all(content.as_bytes())
            .map_err(ClusterError::io(what()))?;
        self.account.own(&path)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whoever cannot remove a temporary folder can do no more about it here.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Where temporary files go, unless a socket's address there is too long or the account has no way in.
fn place(account: Account) -> PathBuf {
    let usual = std::env::temp_dir();
    let short = usual.as_os_str().as_bytes().len() <= LONGEST;
    if short && usual.is_absolute() && account.reaches(&usual.join(".")) {
        usual
    } else {
        PathBuf::from("/tmp")
    }
}
