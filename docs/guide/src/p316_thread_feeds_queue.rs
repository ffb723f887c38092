//! A plain thread feeds a queue with `run_coroutine_threadsafe` and feels its limit.

use asyncio_compat as asyncio;

type Inbox = asyncio::Queue<Option<&'static str>>;

const PAGES: [&str; 4] = [
    "one fine day",
    "the cat sat",
    "on a warm mat in the sun",
    "end",
];

fn scanner(event_loop: &asyncio::EventLoop, inbox: &Inbox) -> asyncio::Result<usize> {
    let put = |page| {
        let inbox = inbox.clone();
        asyncio::run_coroutine_threadsafe(async move { inbox.put(page).await }, event_loop)
            .result(10)
    };
    let mut accepted = 0;
    for page in PAGES {
        put(Some(page))?;
        accepted += 1;
    }
    put(None)?;
    Ok(accepted)
}

async fn archive(inbox: Inbox) -> asyncio::Result<usize> {
    let mut words = 0;
    while let Some(page) = inbox.get().await? {
        asyncio::sleep(0.01).await?;
        words += page.split_whitespace().count();
    }
    Ok(words)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let event_loop = asyncio::get_running_loop()?;
    let inbox = Inbox::new(2);
    let scanned = inbox.clone();
    let (accepted, words) = asyncio::gather!(
        asyncio::to_thread(move || scanner(&event_loop, &scanned)),
        archive(inbox),
    )
    .await?;
    println!("pages accepted {accepted}");
    println!("words archived {words}");
    Ok(())
}
