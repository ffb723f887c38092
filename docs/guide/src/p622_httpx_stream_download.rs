//! A large body is written to a file chunk by chunk, without ever being whole in memory.

use std::path::Path;

use asyncio_compat as asyncio;
use asyncio_compat::aiofiles::{open_binary, os, tempfile};
use asyncio_compat::httpx;

use crate::web::{self, Ask, Reply};
use crate::yes;

fn body() -> Vec<u8> {
    (0..50_000_u64).map(|n| (n * n % 251) as u8).collect()
}

async fn service(_: Ask) -> asyncio::Result<Reply> {
    Ok(Some((200, "application/octet-stream", body())))
}

async fn download(url: &str, path: &Path) -> asyncio::Result<Vec<usize>> {
    let mut sizes = Vec::new();
    let client = httpx::AsyncClient::builder().trust_env(false).build()?;
    let mut response = client.get(url).stream().await?.raise_for_status()?;
    let file = open_binary(path, "wb").await?;
    let mut chunks = response.aiter_bytes(8192);
    while let Some(chunk) = chunks.next().await? {
        sizes.push(chunk.len());
        file.write(chunk).await?;
    }
    file.close().await?;
    client.aclose();
    Ok(sizes)
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))
        })
    })
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (server, base) = web::serve(service).await?;
    let folder = tempfile::temporary_directory().await?;
    let path = folder.name().join("map.bin");
    let sizes = download(&format!("{base}/map"), &path).await?;
    let (largest, last) = (sizes.iter().max().unwrap_or(&0), sizes.last().unwrap_or(&0));
    println!("chunks {} largest {largest} last {last}", sizes.len());
    let data = os::read_bytes(&path).await?;
    let equal = crc32(&data) == crc32(&body());
    println!("bytes {} crc32 equal: {}", data.len(), yes(equal));
    folder.cleanup().await?;
    server.close();
    Ok(())
}
