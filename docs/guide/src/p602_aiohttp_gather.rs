//! Several GETs over one session run together; the answers come in the order of the addresses.

use std::time::Instant;

use asyncio_compat as asyncio;
use asyncio_compat::aiohttp::ClientSession;
use serde_json::{Value, json};

use crate::web::{self, Ask, Reply};
use crate::yes;

const DELAYS: [(&str, f64); 3] = [("trout", 0.6), ("perch", 0.4), ("pike", 0.5)];

async fn catch(ask: Ask) -> asyncio::Result<Reply> {
    let fish = ask.path.trim_start_matches("/catch/");
    let delay = DELAYS.iter().find(|(name, _)| *name == fish);
    asyncio::sleep(delay.map_or(0.0, |(_, delay)| *delay)).await?;
    Ok(web::json(&json!({"fish": fish, "grams": 100 * fish.len()})))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (server, base) = web::serve(catch).await?;
    let session = ClientSession::builder().base_url(&base).build()?;
    let fetch = |fish: &str| {
        let request = session.get(format!("/catch/{fish}"));
        async move { request.await?.json::<Value>().await }
    };
    let began = Instant::now();
    let answers = asyncio::gather(DELAYS.map(|(fish, _)| fetch(fish))).await?;
    let spent = began.elapsed().as_secs_f64();
    for answer in answers {
        println!(
            "{} {}",
            answer["fish"].as_str().unwrap_or_default(),
            answer["grams"]
        );
    }
    println!(
        "clearly faster than the sum of the delays: {}",
        yes(spent < 1.2)
    );
    session.close();
    server.close();
    Ok(())
}
