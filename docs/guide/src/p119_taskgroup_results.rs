//! A task group ends when all its tasks have ended; their results are read afterwards.

use asyncio_compat as asyncio;

use crate::yes;

async fn count_birds(lake: &str, pause: f64, number: u32) -> asyncio::Result<u32> {
    asyncio::sleep(pause).await?;
    println!("counted {lake}");
    Ok(number)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let tasks = asyncio::task_group(async |group| {
        let cranes = group.create_task(count_birds("north lake", 0.2, 31));
        let herons = group.create_task(count_birds("south lake", 0.1, 12));
        let terns = group.create_task(count_birds("pond", 0.3, 54));
        println!("group is open");
        Ok([cranes, herons, terns])
    })
    .await?;
    let all_done = tasks.iter().all(|task| task.done());
    println!("group is closed, all done: {}", yes(all_done));
    let [cranes, herons, terns] = tasks.map(|task| task.result());
    println!("{} {} {}", cranes?, herons?, terns?);
    Ok(())
}
