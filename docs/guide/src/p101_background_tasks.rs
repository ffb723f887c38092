//! Tasks run behind main's back; afterwards `done`, `result` and `get_name` tell about them.

use asyncio_compat as asyncio;

async fn bake(loaf: &str, pause: f64) -> asyncio::Result<String> {
    println!("{loaf} goes in");
    asyncio::sleep(pause).await?;
    println!("{loaf} comes out");
    Ok(format!("{loaf} loaf"))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let slow = asyncio::Task::builder()
        .name("oven-rye")
        .spawn(bake("rye", 0.2));
    let quick = asyncio::Task::builder()
        .name("oven-spelt")
        .spawn(bake("spelt", 0.1));
    println!("main sets the table");

    let first = (&slow).await?; // borrowed, for the task is asked again below
    let second = (&quick).await?;
    println!("{first}, {second}");
    for task in [slow, quick] {
        let state = if task.done() { "done" } else { "pending" };
        println!("{} {state} {}", task.get_name(), task.result()?);
    }
    Ok(())
}
