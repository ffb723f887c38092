//! Files and folders that go when they are dropped (`aiofiles.tempfile`).

use std::fmt;
use std::ops::Deref;
use std::path::Path;

use asyncio_core::{Result, to_thread};

use super::file::BinaryFile;
use super::open::Mode;

/// A file without a name, open for reading and writing; it goes when it is closed (`TemporaryFile`).
///
/// # Errors
///
/// An [`io::Error`](std::io::Error); [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled
/// meanwhile.
///
/// # Cancel safety
///
/// When it is cancelled or dropped, the file is gone.
pub async fn temporary_file() -> Result<BinaryFile> {
    let mode = Mode::parse("w+b", true)?;
    to_thread(move || Ok(BinaryFile::new(mode.state(tempfile::tempfile()?)))).await
}

/// A file with a name, open for reading and writing; it goes when it is dropped (`NamedTemporaryFile`).
///
/// ```
/// # use asyncio_core::{Result, run};
/// # use asyncio_net::files::{os, tempfile::named_temporary_file};
/// # fn main() -> Result<()> {
/// run(async {
///     let file = named_temporary_file().await?;
///     file.write("kept for a while").await?;
///     assert_eq!(os::read_text(file.name()).await?, "kept for a while");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// As of [`temporary_file`].
///
/// # Cancel safety
///
/// As of [`temporary_file`].
pub async fn named_temporary_file() -> Result<NamedTemporaryFile> {
    let mode = Mode::parse("w+b", true)?;
    to_thread(move || {
        let (file, path) = tempfile::NamedTempFile::new()?.into_parts();
        Ok(NamedTemporaryFile {
            file: BinaryFile::new(mode.state(file)),
            path,
        })
    })
    .await
}

/// A folder that goes, with all that is in it, when it is dropped (`TemporaryDirectory`).
///
/// # Errors
///
/// As of [`temporary_file`].
///
/// # Cancel safety
///
/// As of [`temporary_file`].
pub async fn temporary_directory() -> Result<TemporaryDirectory> {
    to_thread(|| Ok(TemporaryDirectory(tempfile::TempDir::new()?))).await
}

/// See [`named_temporary_file`].
pub struct NamedTemporaryFile {
    file: BinaryFile,
    path: tempfile::TempPath,
}

/// See [`temporary_directory`].
#[derive(Debug)]
pub struct TemporaryDirectory(tempfile::TempDir);

impl NamedTemporaryFile {
    /// Where it is.
    #[must_use]
    pub fn name(&self) -> &Path {
        &self.path
    }
}

impl Deref for NamedTemporaryFile {
    type Target = BinaryFile;

    fn deref(&self) -> &BinaryFile {
        &self.file
    }
}

impl fmt::Debug for NamedTemporaryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedTemporaryFile")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl TemporaryDirectory {
    /// Where it is.
    #[must_use]
    pub fn name(&self) -> &Path {
        self.0.path()
    }

    /// Removes it, in another thread (`cleanup`).
    ///
    /// # Errors
    ///
    /// As of [`temporary_file`].
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, the folder is removed all the same.
    pub async fn cleanup(self) -> Result<()> {
        to_thread(move || Ok(self.0.close()?)).await
    }
}
