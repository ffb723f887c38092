//! A generator fetches page after page and yields single entries until a page comes back empty.

use std::sync::{Arc, Mutex};

use asyncio_compat as asyncio;

const CATALOGUE: [&str; 7] = [
    "amber", "basalt", "chalk", "dolomite", "emerald", "flint", "gneiss",
];

type Requests = Arc<Mutex<Vec<usize>>>;

async fn fetch_page(
    number: usize,
    requests: &Requests,
) -> asyncio::Result<&'static [&'static str]> {
    requests.lock().unwrap().push(number);
    asyncio::sleep(0.01).await?;
    Ok(CATALOGUE.chunks(3).nth(number - 1).unwrap_or_default())
}

fn all_entries(requests: &Requests) -> asyncio::AsyncGenerator<&'static str> {
    let requests = Arc::clone(requests);
    asyncio::async_generator(async move |mut entry| {
        for number in 1.. {
            let page = fetch_page(number, &requests).await?;
            if page.is_empty() {
                break;
            }
            for name in page {
                entry.yield_(*name).await?;
            }
        }
        Ok(())
    })
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let requests = Requests::default();
    let mut entries = all_entries(&requests);
    while let Some(entry) = entries.anext().await? {
        println!("{entry}");
    }
    println!("pages asked for: {:?}", requests.lock().unwrap());

    requests.lock().unwrap().clear();
    let mut entries = all_entries(&requests);
    while let Some(entry) = entries.anext().await? {
        if entry.starts_with('b') {
            println!("found {entry}");
            break;
        }
    }
    println!("pages asked for: {:?}", requests.lock().unwrap());
    Ok(())
}
