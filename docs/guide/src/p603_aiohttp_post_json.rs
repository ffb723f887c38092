//! A POST sends a JSON body and a header; the server's JSON answer is read back.

use asyncio_compat as asyncio;
use asyncio_compat::aiohttp::ClientSession;
use serde_json::{Value, json};

use crate::web::{self, Ask, Reply};

async fn register(ask: Ask) -> asyncio::Result<Reply> {
    if ask.header("authorization") != "Bearer swordfish" {
        let refused = json!({"error": "who are you"}).to_string();
        return Ok(Some((401, "application/json", refused.into_bytes())));
    }
    let boat: Value = serde_json::from_slice(&ask.body)?;
    let answer = json!({"id": 17, "received": boat, "type": ask.header("content-type")});
    Ok(Some((
        201,
        "application/json",
        answer.to_string().into_bytes(),
    )))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (server, base) = web::serve(register).await?;
    let session = ClientSession::new()?;
    for token in [None, Some("Bearer swordfish")] {
        let boat = json!({"name": "Heron", "length": 9, "tags": ["sloop", "wood"]});
        let mut request = session.post(format!("{base}/boats")).json(&boat);
        if let Some(token) = token {
            request = request.header("Authorization", token);
        }
        let mut reply = request.await?;
        let answer: Value = reply.json().await?;
        println!(
            "{} {}",
            reply.status(),
            if reply.ok() { "ok" } else { "refused" }
        );
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if reply.ok() {
            let got = &answer["received"];
            let tags: Vec<_> = got["tags"]
                .as_array()
                .into_iter()
                .flatten()
                .map(word)
                .collect();
            println!(
                "id {} {} {} {} {}",
                answer["id"],
                word(&answer["type"]),
                word(&got["name"]),
                got["length"],
                tags.join("/")
            );
        } else {
            println!("{}", word(&answer["error"]));
        }
    }
    session.close();
    server.close();
    Ok(())
}
