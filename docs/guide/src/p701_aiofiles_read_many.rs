//! Several files are read concurrently with aiofiles.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use asyncio_compat as asyncio;
use asyncio_compat::aiofiles::{open, os, tempfile};

const POEMS: [(&str, &str); 3] = [
    ("dawn.txt", "grey light\nfirst gull"),
    ("noon.txt", "no shade"),
    ("dusk.txt", "lamps\nand moths\nand dew"),
];

async fn read_poem(path: PathBuf) -> asyncio::Result<String> {
    let file = open(path, "r").encoding("utf-8").await?;
    file.read(-1).await
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let folder = tempfile::temporary_directory().await?;
    let at = |name: &str| folder.name().join(name);
    for (name, text) in POEMS {
        os::write_bytes(at(name), text).await?;
    }
    let texts = asyncio::gather(POEMS.map(|(name, _)| read_poem(at(name)))).await?;
    for ((name, _), text) in POEMS.iter().zip(texts) {
        let begin = text.lines().next().unwrap_or_default();
        let count = text.chars().count();
        println!("{name}: {count} characters, begins with: {begin}");
    }
    if let Err(error) = read_poem(at("night.txt")).await {
        let error = error.downcast_ref::<io::Error>();
        if error.is_some_and(|error| error.kind() == ErrorKind::NotFound) {
            println!("missing file: FileNotFoundError");
        }
    }
    folder.cleanup().await
}
