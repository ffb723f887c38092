//! The connector bounds how many connections to one host are in use, whatever number is asked for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;
use asyncio_compat::aiohttp::{ClientSession, TCPConnector};
use serde_json::{Value, json};

use crate::web::{self, Ask};

#[derive(Default)]
struct Gauge {
    inside: usize,
    peak: usize,
    clients: BTreeSet<usize>,
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let gauge = Arc::new(Mutex::new(Gauge::default()));
    let seen = Arc::clone(&gauge);
    let slow = move |ask: Ask| {
        let gauge = Arc::clone(&seen);
        async move {
            {
                let mut gauge = gauge.lock().expect("no panic");
                gauge.clients.insert(ask.connection);
                gauge.inside += 1;
                gauge.peak = gauge.peak.max(gauge.inside);
            }
            asyncio::sleep(0.1).await?;
            gauge.lock().expect("no panic").inside -= 1;
            let number: u32 = ask.path.trim_start_matches("/item/").parse()?;
            Ok(web::json(&json!({"item": number})))
        }
    };
    let (server, base) = web::serve(slow).await?;
    let connector = TCPConnector::new()
        .limit(100)
        .limit_per_host(3)
        .ttl_dns_cache(300);
    let session = ClientSession::builder().connector(connector).build()?;
    let fetch = |number: u32| {
        let request = session.get(format!("{base}/item/{number}"));
        async move {
            let answer: Value = request.await?.json().await?;
            Ok(answer["item"].clone())
        }
    };
    let items = asyncio::gather((0..12).map(fetch).collect::<Vec<_>>()).await?;
    let items: Vec<_> = items.iter().map(Value::to_string).collect();
    println!("items [{}]", items.join(", "));
    session.close();
    server.close();
    let gauge = gauge.lock().expect("no panic");
    println!("most requests at once {}", gauge.peak);
    println!("connections used {}", gauge.clients.len());
    Ok(())
}
