//! The same program gives the same output in every place where it can run.
//!
//! # Instead
//!
//! uvloop replaces Python's loop by a faster one. Here tokio drives the loop already, and what can be
//! chosen is the place: an event loop, alone or by a runner, many threads, or the tokio runtime of a
//! program that has one. The record names these.

use asyncio_compat as asyncio;

use crate::yes;

type Output = (Vec<String>, Vec<u32>);

async fn shunt(wagon: u32, pause: f64, yard: asyncio::Queue<u32>) -> asyncio::Result<u32> {
    asyncio::sleep(pause).await?;
    yard.put(wagon).await?;
    Ok(wagon)
}

async fn program() -> asyncio::Result<Output> {
    let yard = asyncio::Queue::new(0);
    let wagons = [(1, 0.2), (2, 0.05), (3, 0.12)];
    let shunted = asyncio::gather(wagons.map(|(wagon, pause)| shunt(wagon, pause, yard.clone())));
    let mut results: Vec<_> = shunted.await?.iter().map(ToString::to_string).collect();
    match asyncio::wait_for(asyncio::sleep(30), 0.05).await {
        Err(error) if error.is::<asyncio::TimeoutError>() => results.push("timeout".to_owned()),
        other => other?,
    }
    let order = (0..yard.qsize())
        .map(|_| yard.get_nowait())
        .collect::<asyncio::Result<_>>()?;
    Ok((results, order))
}

pub(crate) fn main() -> asyncio::Result<()> {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outputs = [
        ("run", asyncio::run(program())?),
        ("Runner", asyncio::Runner::new()?.run(program())?),
        (
            "worker_threads(2)",
            asyncio::Runner::builder()
                .worker_threads(2)
                .build()?
                .run(program())?,
        ),
        ("tokio", tokio.block_on(program())?),
    ];
    for (place, (results, order)) in &outputs {
        println!("{place}: {} arrived {order:?}", results.join(" "));
    }
    println!(
        "all alike: {}",
        yes(outputs.iter().all(|(_, output)| *output == outputs[0].1))
    );
    Ok(())
}
