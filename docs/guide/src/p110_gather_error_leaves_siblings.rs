//! Without `return_exceptions` the first error is raised at once, while the sibling coroutines keep
//! running.

use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;

#[derive(Default)]
struct Log {
    loaded: Mutex<Vec<&'static str>>,
    cancelled: Mutex<Vec<&'static str>>,
}

async fn load_crate(
    fruit: &'static str,
    pause: f64,
    rotten: bool,
    log: Arc<Log>,
) -> asyncio::Result<()> {
    if let Err(error) = asyncio::sleep(pause).await {
        log.cancelled.lock().unwrap().push(fruit);
        return Err(error);
    }
    if rotten {
        return Err(asyncio::ValueError::new(format!("{fruit} are rotten")).into());
    }
    log.loaded.lock().unwrap().push(fruit);
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let log = Arc::new(Log::default());
    let loading = asyncio::gather([
        load_crate("pears", 0.05, true, log.clone()),
        load_crate("plums", 0.25, false, log.clone()),
        load_crate("figs", 0.4, false, log.clone()),
    ]);
    match loading.await {
        Err(error) if error.is::<asyncio::ValueError>() => println!("caught: {error}"),
        other => drop(other?),
    }
    println!(
        "loaded at that moment: {}",
        log.loaded.lock().unwrap().len()
    );
    asyncio::sleep(0.8).await?;
    println!("loaded later: {}", log.loaded.lock().unwrap().join(", "));
    println!("cancelled: {}", log.cancelled.lock().unwrap().len());
    Ok(())
}
