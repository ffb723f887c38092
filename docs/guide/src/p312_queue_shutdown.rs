//! `shutdown` ends all consumers without any marker, after the queue has been emptied.

use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;

type Handled = Arc<Mutex<Vec<u32>>>;

async fn clerk(tray: asyncio::Queue<u32>, handled: Handled) -> asyncio::Result<&'static str> {
    loop {
        match tray.get().await {
            Ok(form) => {
                asyncio::sleep(0.01).await?;
                handled.lock().unwrap().push(form);
                tray.task_done()?;
            }
            Err(error) if error.is::<asyncio::QueueShutDown>() => return Ok("went home"),
            Err(error) => return Err(error),
        }
    }
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let (tray, handled) = (asyncio::Queue::new(0), Handled::default());
    let clerks: Vec<_> = (0..3)
        .map(|_| asyncio::create_task(clerk(tray.clone(), handled.clone())))
        .collect();
    for form in 0..8 {
        tray.put(form).await?;
    }
    tray.shutdown(false);
    println!(
        "forms handled at shutdown: {}",
        handled.lock().unwrap().len()
    );
    println!("clerks: {}", asyncio::gather(clerks).await?.join(", "));
    handled.lock().unwrap().sort_unstable();
    println!("forms handled: {:?}", handled.lock().unwrap());
    if tray
        .put(99)
        .await
        .is_err_and(|error| error.is::<asyncio::QueueShutDown>())
    {
        println!("put after shutdown: QueueShutDown");
    }
    Ok(())
}
