//! Many addresses through one shared client, a semaphore and a TaskGroup.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncio_compat as asyncio;
use asyncio_compat::httpx;
use serde_json::{Value, json};

use crate::web::{self, Ask};

async fn fetch_all(client: httpx::AsyncClient, paths: Vec<String>) -> asyncio::Result<Vec<Value>> {
    let permits = asyncio::Semaphore::new(4);
    let tasks = asyncio::task_group(async move |group| {
        let tasks = paths.into_iter().map(|path| {
            let request = client.get(path);
            let permits = permits.clone();
            group.create_task(async move {
                let _permit = permits.guard().await?;
                let data: Value = request.await?.json()?;
                Ok(data["square"].clone())
            })
        });
        Ok(tasks.collect::<Vec<_>>())
    })
    .await?;
    asyncio::gather(tasks).await
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (inside, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let most = Arc::clone(&peak);
    let service = move |ask: Ask| {
        let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
        async move {
            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            asyncio::sleep(0.05).await?;
            inside.fetch_sub(1, Ordering::SeqCst);
            let number: u32 = ask.path[1..].parse()?;
            Ok(web::json(&json!({"square": number * number})))
        }
    };
    let (server, base) = web::serve(service).await?;
    let client = httpx::AsyncClient::builder()
        .base_url(&base)
        .trust_env(false)
        .build()?;
    let paths = (0..12).map(|n| format!("/{n}")).collect();
    let squares = fetch_all(client.clone(), paths).await?;
    let squares: Vec<_> = squares.iter().map(Value::to_string).collect();
    println!("[{}]", squares.join(", "));
    println!("most at once {}", peak.load(Ordering::SeqCst));
    client.aclose();
    server.close();
    Ok(())
}
