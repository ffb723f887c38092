//! Each fetch has its own time limit and turns its failure into a value, so that all addresses get an answer.
//!
//! # Instead
//!
//! An error of the client says what happened, and with which address, also when it is a timeout: its text is
//! never empty.

use std::net::TcpListener;

use asyncio_compat as asyncio;
use asyncio_compat::aiohttp::{ClientSession, ClientTimeout};
use asyncio_compat::httpx::{HttpError, HttpErrorKind};

use crate::web::{self, Ask, Reply};

async fn bakery(ask: Ask) -> asyncio::Result<Reply> {
    Ok(match ask.path.as_str() {
        "/quick" => web::text("fresh bread"),
        "/slow" => {
            asyncio::sleep(2).await?;
            web::text("stale bread")
        }
        _ => web::status(404, "404: Not Found"),
    })
}

async fn fetch(session: ClientSession, url: String) -> asyncio::Result<String> {
    let page: asyncio::Result<_> = async {
        let mut reply = session
            .get(url)
            .timeout(ClientTimeout::new().total(0.6))
            .await?;
        Ok((reply.status(), reply.text().await?))
    }
    .await;
    let error = match page {
        Ok((status, text)) => return Ok(format!("{status} {text}")),
        Err(error) if error.is_cancelled() => return Err(error),
        Err(error) => error,
    };
    let kind = match HttpError::of(&error) {
        Some(error) if error.is_timeout() => "timeout",
        Some(error) if error.kind() == HttpErrorKind::Connect => "no connection",
        _ => "other",
    };
    let told = if error.to_string().is_empty() {
        "empty"
    } else {
        "given"
    };
    Ok(format!("{kind}, error text {told}"))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (server, base) = web::serve(bakery).await?;
    let unused = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let addresses = [
        ("quick", format!("{base}/quick")),
        ("slow", format!("{base}/slow")),
        ("missing", format!("{base}/cellar")),
        ("nobody", format!("http://{unused}/")),
    ];
    let session = ClientSession::new()?;
    let calls = addresses
        .clone()
        .map(|(_, url)| fetch(session.clone(), url));
    let results = asyncio::gather(calls).await?;
    for ((label, _), result) in addresses.iter().zip(results) {
        println!("{label}: {result}");
    }
    session.close();
    server.close();
    Ok(())
}
