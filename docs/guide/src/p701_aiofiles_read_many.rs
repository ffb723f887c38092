//! Several files are read concurrently, each in a thread.
//!
//! # Instead
//!
//! Reading a file blocks, in every language and with every library; aiofiles hides the thread that it
//! happens in. Here it is seen: the standard library's `fs` inside `to_thread`. The record is Python's.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::{env, fs, io, process};

use asyncio_compat as asyncio;

const POEMS: [(&str, &str); 3] = [
    ("dawn.txt", "grey light\nfirst gull"),
    ("noon.txt", "no shade"),
    ("dusk.txt", "lamps\nand moths\nand dew"),
];

async fn read_poem(path: PathBuf) -> asyncio::Result<String> {
    asyncio::to_thread(|| Ok(fs::read_to_string(path)?)).await
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let folder = env::temp_dir().join(format!("poems-{}", process::id()));
    fs::create_dir(&folder)?;
    for (name, text) in POEMS {
        fs::write(folder.join(name), text)?;
    }
    let texts = asyncio::gather(POEMS.map(|(name, _)| read_poem(folder.join(name)))).await?;
    for ((name, _), text) in POEMS.iter().zip(texts) {
        let begin = text.lines().next().unwrap_or_default();
        println!(
            "{name}: {} characters, begins with: {begin}",
            text.chars().count()
        );
    }
    if let Err(error) = read_poem(folder.join("night.txt")).await {
        let error = error.downcast_ref::<io::Error>();
        if error.is_some_and(|error| error.kind() == ErrorKind::NotFound) {
            println!("missing file: FileNotFoundError");
        }
    }
    fs::remove_dir_all(folder)?;
    Ok(())
}
