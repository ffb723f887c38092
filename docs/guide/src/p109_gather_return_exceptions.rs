//! With `return_exceptions` failures stand among the results and are told apart one by one.

use asyncio_compat as asyncio;

async fn inspect_egg(number: u32) -> asyncio::Result<String> {
    asyncio::sleep(0.02 * f64::from(number)).await?;
    if number.is_multiple_of(3) {
        return Err(asyncio::ValueError::new(format!("egg {number} is cracked")).into());
    }
    Ok(format!("egg {number} is fine"))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let outcomes = asyncio::gather_iter((1..7).map(inspect_egg))
        .return_exceptions()
        .await?;
    for outcome in &outcomes {
        match outcome {
            Ok(text) => println!("{text}"),
            Err(error) if error.is::<asyncio::ValueError>() => {
                println!("failed with ValueError: {error}");
            }
            Err(error) => println!("failed otherwise: {error}"),
        }
    }
    println!("outcomes {}", outcomes.len());
    Ok(())
}
