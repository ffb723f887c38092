//! Waiting for what can never happen: a task on itself, two tasks on two locks; a timeout uncovers it.

use std::sync::{Arc, Mutex, OnceLock};

use asyncio_compat as asyncio;

async fn wait_for_myself(own: Arc<OnceLock<asyncio::Task<()>>>) -> asyncio::Result<()> {
    let myself = own.get().expect("it is set before the first step").clone();
    match myself.await {
        Err(error) if error.to_string().contains("cannot await on itself") => {
            println!("RuntimeError: cannot await on itself");
            Ok(())
        }
        other => other,
    }
}

type Log = Arc<Mutex<Vec<&'static str>>>;

async fn diner(first: asyncio::Lock, second: asyncio::Lock, log: Log) -> asyncio::Result<()> {
    let _first = first.guard().await?;
    asyncio::sleep(0.02).await?;
    let _second = second.guard().await?;
    log.lock().unwrap().push("ate");
    Ok(())
}

async fn table(same_order: bool) -> asyncio::Result<()> {
    let (fork, knife, log) = (asyncio::Lock::new(), asyncio::Lock::new(), Log::default());
    let one = diner(fork.clone(), knife.clone(), log.clone());
    let (first, second) = if same_order {
        (fork, knife)
    } else {
        (knife, fork)
    };
    let other = diner(first, second, log.clone());
    match asyncio::timeout(0.5, async { asyncio::gather!(one, other).await }).await {
        Err(error) if error.is::<asyncio::TimeoutError>() => log.lock().unwrap().push("starved"),
        other => drop(other?),
    }
    let order = if same_order { "same" } else { "opposite" };
    println!("{order} order: {}", log.lock().unwrap().join(", "));
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let own = Arc::new(OnceLock::new());
    let task = asyncio::create_task(wait_for_myself(own.clone()));
    let task = own.get_or_init(|| task).clone();
    task.await?;
    table(false).await?;
    table(true).await
}
