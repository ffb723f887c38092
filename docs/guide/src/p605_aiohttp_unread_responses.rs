//! A reply keeps its connection until its body is read, so a limited connector can starve.

use asyncio_compat as asyncio;
use asyncio_compat::aiohttp::{ClientSession, TCPConnector};

use crate::web::{self, Ask, Reply};

const SIZE: usize = 4 * 1024 * 1024;

async fn big(_: Ask) -> asyncio::Result<Reply> {
    Ok(web::text(vec![b'x'; SIZE]))
}

fn session() -> asyncio::Result<ClientSession> {
    let connector = TCPConnector::new().limit(2);
    ClientSession::builder().connector(connector).build()
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (server, base) = web::serve(big).await?;
    let hoarding = session()?;
    let unread = (0..4).map(|_| {
        let request = hoarding.get(&base);
        async move { request.await }
    });
    let unread = asyncio::gather(unread.collect::<Vec<_>>());
    match asyncio::timeout(1.5, unread).await {
        Ok(_) => println!("all four responses, unread"),
        Err(error) if error.is::<asyncio::TimeoutError>() => {
            println!("unread responses hold both connections: timed out");
        }
        Err(error) => return Err(error),
    }
    hoarding.close();

    let reading = session()?;
    let sizes = (0..4).map(|_| {
        let request = reading.get(&base);
        async move { Ok(request.await?.read().await?.len()) }
    });
    let sizes = asyncio::gather(sizes.collect::<Vec<_>>()).await?;
    let bodies = sizes.iter().sum::<usize>() / SIZE;
    println!("read inside the block: {bodies} bodies");
    reading.close();
    server.close();
    Ok(())
}
