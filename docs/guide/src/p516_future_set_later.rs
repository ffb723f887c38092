//! A future made by hand is awaited here and given its result there.

use asyncio_compat as asyncio;

use crate::yes;

async fn oracle(answer: asyncio::Future<&'static str>) -> asyncio::Result<()> {
    asyncio::sleep(0.05).await?;
    println!("oracle speaks");
    Ok(answer.set_result("know thyself")?)
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let answer = asyncio::Future::new();
    let speaking = asyncio::create_task(oracle(answer.clone()));
    println!("answered: {}", yes(answer.done()));
    println!("{}", (&answer).await?);
    println!("once more: {}", answer.result()?);
    speaking.await?;
    if answer.set_result("something else").is_err() {
        println!("a second answer is refused: InvalidStateError"); // the one error it can have
    }
    Ok(())
}
