//! aiofiles writes and appends to a file, then its lines are walked through.

use asyncio_compat as asyncio;
use asyncio_compat::aiofiles::{open, os, tempfile};

pub(crate) async fn main() -> asyncio::Result<()> {
    let folder = tempfile::temporary_directory().await?;
    let path = folder.name().join("shopping.txt");
    for (done, mode, text) in [
        ("written", "w", "flour\neggs\n"),
        ("appended", "a", "crème\n"),
    ] {
        let file = open(&path, mode).encoding("utf-8").await?;
        println!("{done} {}", file.write(text).await?);
        file.close().await?;
    }
    let file = open(&path, "r").encoding("utf-8").await?;
    let mut number = 0;
    while let Some(line) = file.next_line().await? {
        number += 1;
        println!("{number} {}", line.trim_end());
    }
    println!("bytes {}", os::getsize(&path).await?);
    folder.cleanup().await
}
