//! A client with time limits, connection limits and a default header asks three services in a TaskGroup.

use asyncio_compat as asyncio;
use asyncio_compat::httpx;
use serde_json::{Value, json};

use crate::web::{self, Ask, Reply};
use crate::yes;

async fn service(ask: Ask) -> asyncio::Result<Reply> {
    let (path, agent) = (&ask.path, ask.header("user-agent"));
    Ok(web::json(
        &json!({"path": path, "agent": agent, "count": path.len()}),
    ))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (server, base) = web::serve(service).await?;
    let client = httpx::AsyncClient::builder()
        .base_url(&base)
        .timeout(httpx::Timeout::new(20.0).connect(5.0))
        .limits(
            httpx::Limits::new()
                .max_connections(8)
                .max_keepalive_connections(2),
        )
        .header("User-Agent", "cheese-counter/3")
        .trust_env(false)
        .build()?;
    let seconds = |limit: Option<std::time::Duration>| limit.unwrap_or_default().as_secs_f64();
    let timeout = client.timeout();
    let (connect, read) = (seconds(timeout.connect), seconds(timeout.read));
    println!("limits in seconds: connect {connect:?} read {read:?}");
    let asking = client.clone();
    let tasks = asyncio::task_group(async move |group| {
        let parts = ["/cows", "/goats", "/sheep"];
        Ok(parts.map(|part| {
            let request = asking.get(part);
            group.create_task(async move { request.await })
        }))
    })
    .await?;
    for task in tasks {
        let response = task.await?;
        let data: Value = response.json()?;
        println!(
            "{} {} {} {}",
            response.status_code(),
            data["path"].as_str().unwrap_or_default(),
            data["count"],
            data["agent"].as_str().unwrap_or_default()
        );
    }
    client.aclose();
    println!("client closed: {}", yes(client.is_closed()));
    server.close();
    Ok(())
}
