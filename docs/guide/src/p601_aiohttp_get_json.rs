//! A session fetches a JSON document from a server with one GET.

use asyncio_compat as asyncio;
use asyncio_compat::aiohttp::ClientSession;
use serde_json::{Value, json};

use crate::web::{self, Ask, Reply};
use crate::yes;

async fn keeper(ask: Ask) -> asyncio::Result<Reply> {
    let name = ask.path.trim_start_matches("/keepers/");
    let title = name[..1].to_uppercase() + &name[1..];
    Ok(web::json(
        &json!({"name": title, "animals": name.len(), "open": true}),
    ))
}

async fn load(session: &ClientSession, url: String) -> asyncio::Result<Value> {
    let mut reply = session.get(url).await?;
    let headers = reply.headers();
    let content_type = headers.get("content-type").unwrap_or_default();
    println!("status {} {content_type}", reply.status());
    reply.json().await
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (server, base) = web::serve(keeper).await?;
    let session = ClientSession::new()?;
    let data = load(&session, format!("{base}/keepers/odile")).await?;
    let open = if data["open"] == true {
        "open"
    } else {
        "closed"
    };
    println!(
        "{} {} {open}",
        data["name"].as_str().unwrap_or_default(),
        data["animals"]
    );
    session.close();
    println!("session closed: {}", yes(session.closed()));
    server.close();
    Ok(())
}
