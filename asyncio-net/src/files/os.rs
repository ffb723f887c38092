//! What is done to files by their names (`aiofiles.os`), each in one call of another thread.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use asyncio_core::{Result, to_thread};

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($($argument:ident),+) -> $output:ty = $call:expr;)+) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        ///
        /// An [`io::Error`](std::io::Error); [`CancelledError`](asyncio_core::CancelledError) when the task is
        /// cancelled meanwhile.
        ///
        /// # Cancel safety
        ///
        /// When it is cancelled or dropped, it has not begun or is done to its end.
        pub async fn $name($($argument: impl AsRef<Path>),+) -> Result<$output> {
            $(let $argument = $argument.as_ref().to_owned();)+
            let call: fn($(calls!(@path $argument)),+) -> std::io::Result<$output> = $call;
            to_thread(move || Ok(call($(&$argument),+)?)).await
        }
    )+};
    (@path $argument:ident) => { &Path };
}

calls! {
    /// Gives a file another name; one of that name is gone (`os.replace`, `os.rename`).
    rename(from, to) -> () = |from, to| fs::rename(from, to);
    /// As [`rename`].
    replace(from, to) -> () = |from, to| fs::rename(from, to);
    /// Removes a file.
    remove(path) -> () = |path| fs::remove_file(path);
    /// As [`remove`].
    unlink(path) -> () = |path| fs::remove_file(path);
    /// Makes a folder.
    mkdir(path) -> () = |path| fs::create_dir(path);
    /// Makes a folder, and those above it; one that is there is no error (`exist_ok=True`).
    makedirs(path) -> () = |path| fs::create_dir_all(path);
    /// Removes an empty folder.
    rmdir(path) -> () = |path| fs::remove_dir(path);
    /// The names in a folder, in no order.
    listdir(path) -> Vec<String> = |path| {
        fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    };
    /// What is in a folder, as paths, in no order.
    scandir(path) -> Vec<PathBuf> = |path| {
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect()
    };
    /// Size, times and rights of what a path leads to.
    stat(path) -> Metadata = |path| fs::metadata(path);
    /// Size, times and rights of what is there itself, also of a link.
    lstat(path) -> Metadata = |path| fs::symlink_metadata(path);
    /// Gives a file a second name.
    link(from, to) -> () = |from, to| fs::hard_link(from, to);
    /// Where a link leads.
    readlink(path) -> PathBuf = |path| fs::read_link(path);
    /// Whether there is something (`os.path.exists`).
    exists(path) -> bool = |path| fs::exists(path);
    /// Whether it is a file (`os.path.isfile`).
    isfile(path) -> bool = |path| Ok(path.is_file());
    /// Whether it is a folder (`os.path.isdir`).
    isdir(path) -> bool = |path| Ok(path.is_dir());
    /// How many bytes it has (`os.path.getsize`).
    getsize(path) -> u64 = |path| Ok(fs::metadata(path)?.len());
    /// All of a file's bytes (`pathlib.Path.read_bytes`).
    read_bytes(path) -> Vec<u8> = |path| fs::read(path);
    /// All of a file's text, which is UTF-8 (`pathlib.Path.read_text`).
    read_text(path) -> String = |path| fs::read_to_string(path);
}

/// Writes a file anew (`pathlib.Path.write_bytes`).
///
/// # Errors
///
/// As of [`remove`].
///
/// # Cancel safety
///
/// As of [`remove`].
pub async fn write_bytes(path: impl AsRef<Path>, data: impl Into<Vec<u8>>) -> Result<()> {
    let (path, data) = (path.as_ref().to_owned(), data.into());
    to_thread(move || Ok(fs::write(path, data)?)).await
}

/// Makes a link that leads to a path (`os.symlink`).
///
/// # Errors
///
/// As of [`remove`].
///
/// # Cancel safety
///
/// As of [`remove`].
#[cfg(unix)]
pub async fn symlink(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    to_thread(move || Ok(std::os::unix::fs::symlink(from, to)?)).await
}
