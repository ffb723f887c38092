//! A file is written and appended to, then its lines are walked through.
//!
//! # Instead
//!
//! What has to be done with a file one thing after the other is done in one visit to a thread; a file
//! with a coroutine for each line costs a visit a line. The record is Python's.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, process};

use asyncio_compat as asyncio;

async fn write(path: &Path, append: bool, text: &'static str) -> asyncio::Result<usize> {
    let path = path.to_owned();
    asyncio::to_thread(move || {
        let mut file = OpenOptions::new()
            .create(true)
            .append(append)
            .write(true)
            .truncate(!append)
            .open(path)?;
        file.write_all(text.as_bytes())?;
        Ok(text.chars().count())
    })
    .await
}

async fn lines(path: PathBuf) -> asyncio::Result<Vec<String>> {
    asyncio::to_thread(move || {
        Ok(fs::read_to_string(path)?
            .lines()
            .map(str::to_owned)
            .collect())
    })
    .await
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let path = env::temp_dir().join(format!("shopping-{}.txt", process::id()));
    println!("written {}", write(&path, false, "flour\neggs\n").await?);
    println!("appended {}", write(&path, true, "crème\n").await?);
    for (number, line) in (1..).zip(lines(path.clone()).await?) {
        println!("{number} {line}");
    }
    println!("bytes {}", fs::metadata(&path)?.len());
    fs::remove_file(path)?;
    Ok(())
}
