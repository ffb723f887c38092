//! `to_thread` runs blocking functions in threads and awaits them, several at a time.

use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use asyncio_compat as asyncio;

use crate::yes;

fn develop(photo: &str) -> asyncio::Result<(&str, ThreadId)> {
    thread::sleep(Duration::from_millis(300));
    if photo == "beach" {
        return Err(asyncio::ValueError::new(format!("{photo} is overexposed")).into());
    }
    Ok((photo, thread::current().id()))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let began = Instant::now();
    let photos = ["harbour", "beach", "market", "dunes"];
    let jobs = photos.map(|photo| asyncio::to_thread(move || develop(photo)));
    let outcomes = asyncio::gather(jobs).return_exceptions().await?;
    let spent = began.elapsed();
    let mut threads = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok((photo, thread)) => {
                println!("developed {photo}");
                threads.push(thread);
            }
            Err(error) => println!("error came through: {error}"),
        }
    }
    println!(
        "in the loop's own thread: {}",
        yes(threads.contains(&thread::current().id()))
    );
    println!(
        "faster than one after the other: {}",
        yes(spent < Duration::from_millis(900))
    );
    Ok(())
}
