//! When all tasks wake in the same turn of the loop, a failure comes too late to cancel the others.

use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;

type Log = Arc<Mutex<Vec<String>>>;

async fn candle(name: &str, gate: asyncio::Event, log: Log) -> asyncio::Result<&str> {
    gate.wait().await?;
    if name == "B" {
        log.lock().unwrap().push("B goes out".to_owned());
        return Err(asyncio::ValueError::new("draught at B").into());
    }
    log.lock().unwrap().push(format!("{name} burns down"));
    Ok(name)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (gate, log) = (asyncio::Event::new(), Log::default());
    let mut tasks = Vec::new();
    let outcome = asyncio::task_group(async |group| {
        for name in ["A", "B", "C"] {
            tasks.push(group.create_task(candle(name, gate.clone(), log.clone())));
        }
        asyncio::sleep(0.02).await?;
        gate.set();
        Ok(())
    })
    .await;
    asyncio::except_star!(outcome, {
        asyncio::ValueError => |errors| {
            let texts: Vec<_> = errors.exceptions().iter().map(ToString::to_string).collect();
            log.lock().unwrap().push(format!("caught {}", texts.join(", ")));
            Ok(())
        }
    })?;
    println!("{}", log.lock().unwrap().join("\n"));
    println!(
        "cancelled tasks: {}",
        tasks.iter().filter(|task| task.cancelled()).count()
    );
    Ok(())
}
