//! Limits of time for single operations (connect, read, pool), and one for the whole from `timeout`.

use asyncio_compat as asyncio;
use asyncio_compat::httpx::{self, HttpError};
use asyncio_compat::{StreamReader, StreamWriter};

async fn service(reader: StreamReader, writer: StreamWriter) -> asyncio::Result<()> {
    let head = reader.readuntil(b"\r\n\r\n").await?;
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 8\r\n\r\n");
    if head.starts_with(b"GET /stuck") {
        asyncio::sleep(2).await?;
    }
    for _ in 0..8 {
        asyncio::sleep(0.15).await?;
        writer.write(b".");
        match writer.drain().await {
            Err(error) if error.is_cancelled() => return Err(error),
            Err(_) => break, // the client gave up
            Ok(()) => {}
        }
    }
    Ok(())
}

async fn attempt(
    title: &str,
    call: impl Future<Output = asyncio::Result<httpx::Response>>,
) -> asyncio::Result<()> {
    match call.await {
        Ok(response) => println!("{title}: {} bytes", response.content().len()),
        Err(error) if error.is::<asyncio::TimeoutError>() => println!("{title}: TimeoutError"),
        Err(error) => match HttpError::of(&error) {
            Some(error) if error.is_timeout() => println!("{title}: {:?}", error.kind()),
            _ => return Err(error),
        },
    }
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let server = asyncio::start_server(service, "127.0.0.1", 0).await?;
    let base = format!("http://127.0.0.1:{}", server.port());
    let builder = || {
        httpx::AsyncClient::builder()
            .base_url(&base)
            .trust_env(false)
    };
    let client = builder()
        .timeout(httpx::Timeout::new(5.0).read(0.7))
        .build()?;
    attempt("silent server", client.get("/stuck").send()).await?;
    let dripping = client.get("/drip").send();
    attempt("dripping for 1.2 s, 0.7 s per read", dripping).await?;
    let in_all = asyncio::timeout(0.7, client.get("/drip"));
    attempt("dripping, 0.7 s in all", in_all).await?;
    client.aclose();

    let narrow = builder()
        .timeout(httpx::Timeout::new(5.0).pool(0.3))
        .limits(httpx::Limits::new().max_connections(1))
        .build()?;
    let dripping = narrow.get("/drip").send();
    let first = asyncio::create_task(async { attempt("first of two", dripping).await });
    asyncio::sleep(0.05).await?;
    let second = narrow.get("/drip").send();
    attempt("second, no free connection", second).await?;
    first.await?;
    narrow.aclose();
    server.close();
    Ok(())
}
