//! Files, with aiofiles' names.
//!
//! A file blocks, whatever reads it: here a call goes to another thread ([`to_thread`](asyncio_core::to_thread))
//! once at most. What is in the cache of the operating system anyway is read without that (on Linux), so that
//! lines cost no thread each.
//!
//! ```
//! use asyncio_core::{Result, run};
//! use asyncio_net::files::{open, os};
//!
//! # fn main() -> Result<()> {
//! # let folder = std::env::temp_dir().join(format!("asyncio-files-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("list.txt");
//! run(async move {
//!     let file = open(&path, "w").await?;
//!     file.write("bread\ncheese\n").await?;
//!     file.close().await?;
//!
//!     let file = open(&path, "r").await?;
//!     while let Some(line) = file.next_line().await? {
//!         assert!(line.ends_with('\n'));
//!     }
//!     file.seek(6).await?;
//!     assert_eq!(file.read(-1).await?, "cheese\n");
//!     os::remove(&path).await
//! })?;
//! # std::fs::remove_dir_all(folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! A read that is cancelled has lost nothing: what it has read is read by the next call. A write that is cancelled
//! has either not begun or is done to its end, which [`BinaryFile::interrupted`] tells; the next call waits for it,
//! so that the position is always the one that goes with the calls.
//!
//! # What it does not do
//!
//! A write goes to the operating system at once, it is not gathered. Encodings are UTF-8 and those with one byte
//! for each character.

mod file;
mod open;
pub mod os;
mod state;
pub mod tempfile;
mod text;

pub use file::{BinaryFile, Interrupted, Place};
pub use open::{OpenBinary, OpenText, open, open_binary};
pub use text::TextFile;
