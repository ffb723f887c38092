//! Several consumers all end when each gets its own end marker, or when each passes the one marker on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;

/// `None` is the end marker.
type Shelf = asyncio::Queue<Option<String>>;
type Read = Arc<Mutex<Vec<(String, &'static str)>>>;

async fn reader(
    name: &'static str,
    shelf: Shelf,
    read: Read,
    pass_on: bool,
) -> asyncio::Result<()> {
    while let Some(title) = shelf.get().await? {
        asyncio::sleep(0.02).await?;
        read.lock().unwrap().push((title, name));
    }
    if pass_on {
        shelf.put(None).await?;
    }
    Ok(())
}

async fn session(title: &str, markers: usize, pass_on: bool) -> asyncio::Result<()> {
    let (shelf, read) = (Shelf::new(4), Read::default());
    asyncio::task_group(async |group| {
        for name in ["Mia", "Jon", "Pip"] {
            group.create_task(reader(name, shelf.clone(), read.clone(), pass_on));
        }
        for number in 0..9 {
            shelf.put(Some(format!("vol{number}"))).await?;
        }
        for _ in 0..markers {
            shelf.put(None).await?;
        }
        Ok(())
    })
    .await?;
    let read = read.lock().unwrap();
    println!(
        "{title}: read {}, left on the shelf {}",
        read.len(),
        shelf.qsize()
    );
    let names: BTreeSet<_> = read.iter().map(|(_, name)| *name).collect();
    println!("  by {}", Vec::from_iter(names).join(", "));
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    session("one marker each", 3, false).await?;
    session("one marker passed on", 1, true).await
}
