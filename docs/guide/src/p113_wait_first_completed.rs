//! `wait` for `FIRST_COMPLETED` hands back the first finisher; the rest is awaited by a second `wait`.

use asyncio_compat as asyncio;

async fn snail(lane: u32, pause: f64) -> asyncio::Result<u32> {
    asyncio::sleep(pause).await?;
    Ok(lane)
}

fn lanes(done: &[&asyncio::Task<u32>]) -> asyncio::Result<Vec<u32>> {
    done.iter().map(|task| task.result()).collect()
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let race = [(1, 0.6), (2, 0.1), (3, 0.4)]
        .map(|(lane, pause)| asyncio::create_task(snail(lane, pause)));
    let first = asyncio::wait(&race)
        .timeout(5)
        .return_when(asyncio::FIRST_COMPLETED);
    let (done, pending) = first.await?;
    println!("first: {:?} still racing: {}", lanes(&done)?, pending.len());

    let (done, pending) = asyncio::wait(pending).await?;
    println!("then: {:?} still racing: {}", lanes(&done)?, pending.len());

    let (done, pending) = asyncio::wait(&race).timeout(5).await?;
    println!(
        "asking again returns at once: {} done {} pending",
        done.len(),
        pending.len()
    );
    Ok(())
}
