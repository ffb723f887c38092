//! A cancelled task cleans up, passes `CancelledError` on, and its awaiter sees it.

use asyncio_compat as asyncio;

use crate::yes;

async fn mill(turned_twice: asyncio::Event) -> asyncio::Result<()> {
    let mut turns = 0;
    // What stands in `try` is a block of its own; how it ended decides what comes next.
    let turning: asyncio::Result<()> = async {
        loop {
            asyncio::sleep(0.03).await?;
            turns += 1;
            if turns <= 2 {
                println!("turn {turns}");
            }
            if turns == 2 {
                turned_twice.set();
            }
        }
    }
    .await;
    if turning.as_ref().is_err_and(|error| error.is_cancelled()) {
        println!("mill: brake on, sacks closed");
    }
    turning
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let turned_twice = asyncio::Event::new();
    let task = asyncio::create_task(mill(turned_twice.clone()));
    turned_twice.wait().await?;
    println!("cancel asked: {}", yes(task.cancel()));
    match (&task).await {
        Err(error) if error.is_cancelled() => println!("main: mill has stopped"),
        other => other?,
    }
    println!(
        "done {} cancelled {}",
        yes(task.done()),
        yes(task.cancelled())
    );
    println!("cancel asked again: {}", yes(task.cancel()));
    Ok(())
}
