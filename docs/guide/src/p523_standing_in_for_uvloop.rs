//! A server and its client behave on many threads as they do on an event loop.
//!
//! # Instead
//!
//! In the place of uvloop there are the two places to run, and the record names them.

use asyncio_compat as asyncio;

async fn program() -> asyncio::Result<String> {
    let echo = asyncio::start_server(
        async |reader, writer| {
            while let Some(line) = reader.next_line().await? {
                writer.write(&line.to_ascii_uppercase());
                writer.drain().await?;
            }
            writer.close();
            writer.wait_closed().await
        },
        "127.0.0.1",
        0,
    );
    let server = echo.await?;
    let (reader, writer) = asyncio::open_connection("127.0.0.1", server.port()).await?;
    let mut answers = Vec::new();
    for word in ["anchor", "buoy"] {
        writer.write(format!("{word}\n").as_bytes());
        answers.push(
            String::from_utf8(reader.readline().await?)?
                .trim()
                .to_owned(),
        );
    }
    writer.close();
    writer.wait_closed().await?;
    server.close();
    server.wait_closed().await?;
    Ok(answers.join(" "))
}

pub(crate) fn main() -> asyncio::Result<()> {
    println!("event loop {}", asyncio::run(program())?);
    let threads = asyncio::Runner::builder().worker_threads(2).build()?;
    println!("threads {}", threads.run(program())?);
    Ok(())
}
