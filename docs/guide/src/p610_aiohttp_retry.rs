//! A request is repeated with growing pauses while the client raises errors, and given up after the last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;
use asyncio_compat::aiohttp::{ClientSession, ClientTimeout};
use asyncio_compat::httpx::HttpError;
use asyncio_compat::{Retry, retry};

use crate::web::{self, Ask};

async fn fetch_patiently(session: &ClientSession, url: &str) -> asyncio::Result<String> {
    let policy = Retry::new().attempts(3).base(0.01).jitter(false);
    retry(policy, async |_| {
        let timeout = ClientTimeout::new().total(0.7);
        let request = session.get(url).raise_for_status(true).timeout(timeout);
        request.await?.text().await
    })
    .await
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let calls = Arc::new(Mutex::new(HashMap::<String, u32>::new()));
    let counted = Arc::clone(&calls);
    let door = move |ask: Ask| {
        let name = ask.path[1..].to_owned();
        let call = {
            let mut calls = counted.lock().expect("no panic");
            let call = calls.entry(name.clone()).or_default();
            *call += 1;
            *call
        };
        async move {
            if name == "dead" || name == "shaky" && call < 3 {
                return Ok(web::status(503, "503: Service Unavailable"));
            }
            if name == "sleepy" && call == 1 {
                asyncio::sleep(2).await?;
            }
            Ok(web::text(format!("{name} opened at call {call}")))
        }
    };
    let (server, base) = web::serve(door).await?;
    let session = ClientSession::new()?;
    for name in ["shaky", "dead", "sleepy"] {
        match fetch_patiently(&session, &format!("{base}/{name}")).await {
            Ok(text) => println!("{text}"),
            Err(error) => {
                let status = HttpError::of(&error).and_then(HttpError::status);
                let Some(status) = status else {
                    return Err(error);
                };
                let call = calls.lock().expect("no panic")[name];
                println!("{name} gave {status} at call {call}");
            }
        }
    }
    session.close();
    server.close();
    Ok(())
}
