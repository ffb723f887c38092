//! A helper turns a timeout into the value `None`, so that callers need no `match` on errors.

use asyncio_compat as asyncio;

async fn ask_oracle(question: &str, pause: f64) -> asyncio::Result<String> {
    asyncio::sleep(pause).await?;
    Ok(format!("{question}: perhaps"))
}

async fn ask_with_patience(question: &str, pause: f64) -> asyncio::Result<Option<String>> {
    match asyncio::timeout(0.2, ask_oracle(question, pause)).await {
        Err(error) if error.is::<asyncio::TimeoutError>() => Ok(None),
        answer => answer.map(Some),
    }
}

pub(crate) async fn main() -> asyncio::Result<()> {
    for (question, pause) in [("rain", 0.01), ("fame", 30.0), ("gold", 0.02)] {
        let answer = ask_with_patience(question, pause).await?;
        println!("{question} -> {}", answer.as_deref().unwrap_or("no answer"));
    }
    Ok(())
}
