//! A file is read by ordinary blocking code in a thread, and closed there as well.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process;
use std::sync::{Arc, Weak};

use asyncio_compat as asyncio;

use crate::yes;

/// The number of lines, and a reference that tells whether the file is still open.
fn count_lines(path: &Path) -> asyncio::Result<(usize, Weak<File>)> {
    let file = Arc::new(File::open(path)?);
    Ok((
        BufReader::new(&*file).lines().count(),
        Arc::downgrade(&file),
    ))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let folder = std::env::temp_dir().join(format!("voyage-{}", process::id()));
    let log = folder.join("voyage.log");
    let (made, written) = (folder.clone(), log.clone());
    asyncio::to_thread(move || {
        fs::create_dir(made)?;
        Ok(fs::write(written, "cast off\nfog\nland\n")?)
    })
    .await?;

    let counted = log.clone();
    let (lines, file) = asyncio::to_thread(move || count_lines(&counted)).await?;
    println!("lines {lines}");
    println!("file closed: {}", yes(file.upgrade().is_none()));
    let text = asyncio::to_thread(move || Ok(fs::read_to_string(log)?)).await?;
    println!("last line: {}", text.lines().last().unwrap_or_default());
    asyncio::to_thread(move || Ok(fs::remove_dir_all(folder)?)).await
}
