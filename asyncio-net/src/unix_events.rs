//! Unix sockets and pipes (`asyncio/unix_events.py`).

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use asyncio_core::{FutureExt, Result};
use tokio::net::UnixStream;
use tokio::net::unix::SocketAddr;

use crate::base_events::Channel;
use crate::streams::{ReadEnd, WriteEnd, runtime};
use crate::transports::Addresses;

/// Connects to a Unix socket.
pub(crate) async fn connect_unix(path: &Path) -> Result<Channel> {
    runtime()?;
    let stream = UnixStream::connect(path).cancellable().await??;
    Ok(unix_channel(stream))
}

pub(crate) fn unix_channel(stream: UnixStream) -> Channel {
    let path = |address: std::io::Result<SocketAddr>| Some(address.ok()?.as_pathname()?.to_owned());
    let paths = (path(stream.peer_addr()), path(stream.local_addr()));
    let (read, write) = stream.into_split();
    Channel {
        read: ReadEnd::Unix(read),
        write: WriteEnd::Unix(write),
        addresses: Addresses::Unix(Box::new(paths)),
    }
}

/// A socket's file, to be removed with its server unless it is another one by then.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    /// The file of a socket that was bound to this path; none for an abstract name.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        Some(Self {
            path: path.to_owned(),
            inode: inode(path)?,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path) == Some(self.inode) {
            // Nobody is left to be told, and the next server to be bound here removes it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Removes a socket's file that a server has left behind, so that the path can be bound again.
pub(crate) fn remove_stale(path: &Path) {
    let is_socket = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket {
        // Binding fails, and says why.
        let _ = std::fs::remove_file(path);
    }
}
