//! A bounded queue makes a fast producer wait until the slow consumer has taken something.

use std::sync::Mutex;

use asyncio_compat as asyncio;

static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn log(text: String) {
    LOG.lock().unwrap().push(text);
}

type Pipe = asyncio::Queue<Option<u32>>;

async fn well(pipe: Pipe, buckets: u32) -> asyncio::Result<()> {
    for bucket in 1..=buckets {
        if pipe.full() {
            log(format!("bucket {bucket} has to wait"));
        }
        pipe.put(Some(bucket)).await?;
        log(format!("put {bucket}, {} in the pipe", pipe.qsize()));
    }
    pipe.put(None).await
}

async fn garden(pipe: Pipe) -> asyncio::Result<()> {
    asyncio::sleep(0.05).await?;
    while let Some(bucket) = pipe.get().await? {
        log(format!("took {bucket}"));
        asyncio::sleep(0.02).await?;
    }
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let pipe = Pipe::new(2);
    asyncio::gather!(well(pipe.clone(), 5), garden(pipe.clone())).await?;
    println!("{}", LOG.lock().unwrap().join("\n"));
    for item in [7, 8, 9] {
        match pipe.put_nowait(Some(item)) {
            Err(error) if error.is::<asyncio::QueueFull>() => {
                println!("put_nowait on a full queue: QueueFull");
            }
            other => other?,
        }
    }
    Ok(())
}
