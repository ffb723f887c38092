//! `current_task` names the task that runs, `all_tasks` lists every unfinished one of the loop.

use asyncio_compat as asyncio;

fn this_task() -> asyncio::TaskHandle {
    asyncio::current_task().expect("everything here runs in a task")
}

async fn ferryman(release: asyncio::Event) -> asyncio::Result<()> {
    println!("inside {}", this_task().get_name());
    Ok(release.wait().await?)
}

fn names() -> String {
    let mut names: Vec<_> = asyncio::all_tasks()
        .iter()
        .map(|task| task.get_name())
        .collect();
    names.sort();
    names.join(", ")
}

pub(crate) async fn main() -> asyncio::Result<()> {
    this_task().set_name("harbour");
    let release = asyncio::Event::new();
    let crew = [1, 2].map(|n| {
        let ferry = asyncio::Task::builder().name(format!("ferry-{n}"));
        ferry.spawn(ferryman(release.clone()))
    });
    asyncio::sleep(0).await?;
    println!("unfinished: {}", names());
    release.set();
    asyncio::gather(crew).await?;
    println!("unfinished: {}", names());
    Ok(())
}
