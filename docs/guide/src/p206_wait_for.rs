//! `wait_for` gives the result in time or ends with `TimeoutError` after cancelling the inner coroutine.

use std::any::TypeId;

use asyncio_compat as asyncio;

use crate::yes;

async fn answer_door(pause: f64) -> asyncio::Result<&'static str> {
    asyncio::sleep(pause)
        .await
        .inspect_err(|_| println!("stopped on the stairs"))?;
    Ok("door opened")
}

pub(crate) async fn main() -> asyncio::Result<()> {
    println!("{}", asyncio::wait_for(answer_door(0.02), 5).await?);
    match asyncio::wait_for(answer_door(30.0), 0.1).await {
        Err(error) if error.is::<asyncio::TimeoutError>() => println!("nobody came"),
        other => println!("{}", other?),
    }
    let flat = TypeId::of::<asyncio::TimeoutError>();
    let of_module = TypeId::of::<asyncio::exceptions::TimeoutError>();
    println!("one and the same class: {}", yes(flat == of_module));
    println!(
        "no limit: {}",
        asyncio::wait_for(answer_door(0.02), None).await?
    );
    Ok(())
}
