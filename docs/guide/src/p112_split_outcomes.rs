//! Sorting gathered outcomes into successes and failures, including children that were cancelled.

use std::io;

use asyncio_compat as asyncio;

async fn dial(number: &str) -> asyncio::Result<String> {
    asyncio::sleep(0.02).await?;
    if number.starts_with('9') {
        return Err(io::Error::other(format!("{number} is busy")).into());
    }
    if number.starts_with('5') {
        asyncio::current_task()
            .expect("gather makes tasks")
            .cancel();
        asyncio::sleep(1).await?;
    }
    Ok(format!("{number} answered"))
}

fn split(
    calls: &[(&str, asyncio::Result<String>)],
    failed: impl Fn(&asyncio::Exception) -> bool,
) -> String {
    let (bad, good): (Vec<_>, Vec<_>) = calls
        .iter()
        .partition(|(_, outcome)| outcome.as_ref().is_err_and(&failed));
    let list = |calls: Vec<&(&str, _)>| {
        let numbers: Vec<_> = calls.iter().map(|(number, _)| *number).collect();
        numbers.join(", ")
    };
    let counts = (good.len(), bad.len());
    format!(
        "{} good ({}), {} bad ({})",
        counts.0,
        list(good),
        counts.1,
        list(bad)
    )
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let numbers = ["211", "944", "506", "377"];
    let outcomes = asyncio::gather(numbers.map(dial))
        .return_exceptions()
        .await?;
    let calls: Vec<_> = numbers.into_iter().zip(outcomes).collect();
    for (number, outcome) in &calls {
        let shown = match outcome {
            Ok(text) => text.as_str(),
            Err(error) if error.is_cancelled() => "CancelledError",
            Err(error) if error.is::<io::Error>() => "ConnectionError",
            Err(_) => "another error",
        };
        println!("{number} -> {shown}");
    }
    println!(
        "tested with Exception: {}",
        split(&calls, |error| !error.is_cancelled())
    );
    println!("tested with BaseException: {}", split(&calls, |_| true));
    Ok(())
}
